package creditd

import (
	"testing"
)

func TestRequestIDsAreTakenByTheServer(t *testing.T) {
	first, second := NewRequestID(), NewRequestID()
	if first == second || len(first) < 20 || len(first) > 64 {
		t.Errorf("got %q and %q", first, second)
	}
}
