package creditd

import (
	"math"
	"testing"
)

type tokens uint32

// String must not be what is sent.
func (tokens) String() string { return "some" }

func TestWholeNumbersAreWrittenOut(t *testing.T) {
	for want, got := range map[string]string{
		"0":                    Whole(0),
		"-1":                   Whole(int8(-1)),
		"2000":                 Whole(tokens(2000)),
		"255":                  Whole(uint8(255)),
		"-9223372036854775808": Whole(int64(math.MinInt64)),
		"18446744073709551615": Whole(uint64(math.MaxUint64)),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	usage := Metered("messages", Meters{"input_tokens": "2000"}).WithMeter("output_tokens", Whole(tokens(500)))
	if usage.Service != "messages" || len(usage.Meters) != 2 || usage.Meters["output_tokens"] != "500" {
		t.Errorf("got %+v", usage)
	}
}

func TestUsagesDoNotShareMaps(t *testing.T) {
	common := Once("a").WithAttribute("x", "1")
	one := common.WithAttribute("y", "1")
	if len(common.Attributes) != 1 || len(one.Attributes) != 2 {
		t.Errorf("got %v and %v", common.Attributes, one.Attributes)
	}
}
