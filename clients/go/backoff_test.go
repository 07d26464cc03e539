package creditd

import (
	"math"
	"testing"
	"time"
)

func TestWaits(t *testing.T) {
	policy := RetryPolicy{BaseDelay: 100 * time.Millisecond, MaxDelay: time.Second}
	const noEnd = math.MaxInt64
	for _, test := range []struct {
		failed     int
		random     float64
		retryDelay time.Duration
		left       time.Duration
		want       time.Duration
		not        bool
	}{
		// 1.0 is never drawn; it shows the longest.
		{failed: 1, random: 1, left: noEnd, want: 100 * time.Millisecond},
		{failed: 2, random: 1, left: noEnd, want: 200 * time.Millisecond},
		{failed: 3, random: 1, left: noEnd, want: 400 * time.Millisecond},
		{failed: 5, random: 1, left: noEnd, want: time.Second},
		{failed: 1 << 40, random: 1, left: noEnd, want: time.Second},
		// Anything below it can be.
		{failed: 2, random: 0, left: noEnd, want: 0},
		{failed: 2, random: 0.5, left: noEnd, want: 100 * time.Millisecond},
		// The server's wait is the least, and calls with the same retry delay are spread.
		{failed: 2, random: 0, retryDelay: time.Minute, left: noEnd, want: time.Minute},
		{failed: 2, random: 0.5, retryDelay: time.Minute, left: noEnd, want: time.Minute + 100*time.Millisecond},
		{failed: 2, random: 0.5, retryDelay: -time.Minute, left: noEnd, want: 100 * time.Millisecond},
		// Before a deadline there is an attempt, as long as one fits.
		{failed: 9, random: 1, left: 510 * time.Millisecond, want: 500 * time.Millisecond},
		{failed: 9, random: 1, retryDelay: 400 * time.Millisecond, left: 510 * time.Millisecond, want: 500 * time.Millisecond},
		{failed: 1, random: 0, left: 10 * time.Millisecond, not: true},
		{failed: 1, random: 0, left: -time.Second, not: true},
		{failed: 1, random: 0, retryDelay: time.Second, left: time.Second, not: true},
		{failed: 1, random: 0, retryDelay: math.MaxInt64, left: time.Second, not: true},
		{failed: 1, random: 0, retryDelay: math.MaxInt64, left: noEnd, not: true},
	} {
		got, fits := policy.wait(test.failed, test.random, test.retryDelay, test.left)
		if got != test.want || fits == test.not {
			t.Errorf("%+v: got %v, %v", test, got, fits)
		}
	}
}
