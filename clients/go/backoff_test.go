package creditd

import (
	"testing"
	"time"
)

func TestWaits(t *testing.T) {
	policy := RetryPolicy{MaxAttempts: 9, BaseDelay: 100 * time.Millisecond, MaxDelay: time.Second}
	for _, test := range []struct {
		failed int
		random float64
		asked  time.Duration
		want   time.Duration
	}{
		{failed: 1, want: 100 * time.Millisecond},
		{failed: 2, want: 200 * time.Millisecond},
		{failed: 3, want: 400 * time.Millisecond},
		{failed: 5, want: time.Second},
		{failed: 1 << 40, want: time.Second},
		{failed: 2, random: 0.5, want: 150 * time.Millisecond},
		{failed: 2, random: 0.5, asked: time.Minute, want: time.Minute},
		{failed: 2, asked: time.Millisecond, want: 200 * time.Millisecond},
	} {
		if got := policy.wait(test.failed, test.random, test.asked); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
