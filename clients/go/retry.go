package creditd

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// backoffFactor is how much longer each wait is than the one before.
const backoffFactor = 2

// RetryPolicy says how often and how soon a call that was answered UNAVAILABLE
// is sent again. No other code is retried, and a watch never is.
//
// The waits are BaseDelay, twice that, and so on up to MaxDelay, each shortened
// by up to half at random. Where the server says how long to wait
// (google.rpc.RetryInfo), the wait is at least that. A wait that would pass the
// deadline of the call is not begun: the call fails at once with the last answer.
type RetryPolicy struct {
	// MaxAttempts counts the first one too; 1 means never to retry.
	MaxAttempts int
	// BaseDelay is the wait before the second attempt.
	BaseDelay time.Duration
	// MaxDelay is the longest wait, but for one that the server asks for.
	MaxDelay time.Duration
}

// DefaultRetryPolicy makes at most 4 attempts, with waits of up to 100, 200 and
// 400 ms between them.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 4, BaseDelay: 100 * time.Millisecond, MaxDelay: 2 * time.Second}
}

// NoRetry sends every call once.
func NoRetry() RetryPolicy {
	policy := DefaultRetryPolicy()
	policy.MaxAttempts = 1
	return policy
}

func (p RetryPolicy) check() error {
	switch {
	case p.MaxAttempts < 1:
		return fmt.Errorf("creditd: %d attempts; MaxAttempts must be 1 or more", p.MaxAttempts)
	case p.BaseDelay <= 0 || p.MaxDelay < p.BaseDelay:
		return fmt.Errorf("creditd: waits of %v to %v; BaseDelay must be more than 0, and MaxDelay no less than it", p.BaseDelay, p.MaxDelay)
	}
	return nil
}

// wait is how long to wait after the given number of failed attempts; random is
// from [0, 1).
func (p RetryPolicy) wait(failed int, random float64, asked time.Duration) time.Duration {
	delay := p.BaseDelay
	for range failed - 1 {
		if delay >= p.MaxDelay {
			break
		}
		delay *= backoffFactor
	}
	delay = min(delay, p.MaxDelay)
	delay -= time.Duration(random * float64(delay) / 2)
	return max(delay, asked)
}

// retryDelay is how long the server asks to wait; 0 where it does not say.
func retryDelay(err error) time.Duration {
	if failure, is := asError(err); is {
		if info, has := detail[*errdetails.RetryInfo](failure.status); has {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
