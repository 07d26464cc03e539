package creditd

import (
	"testing"
)

func TestUsagesDoNotShareMaps(t *testing.T) {
	common := Once("a").WithAttribute("x", "1")
	one := common.WithAttribute("y", "1")
	if len(common.Attributes) != 1 || len(one.Attributes) != 2 {
		t.Errorf("got %v and %v", common.Attributes, one.Attributes)
	}
}
