package creditd

import (
	"fmt"
	"math"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
)

const (
	// backoffFactor is how much longer each wait may be than the one before.
	backoffFactor = 2
	// attemptTimeMin is the least time that must be left for one more attempt.
	attemptTimeMin = 10 * time.Millisecond
)

// RetryPolicy says how soon a call is sent again that was answered UNAVAILABLE, or
// refused with [ReasonRateLimited], and how often. Nothing else is retried, and a
// watch never is. [Client.CreateKey], which takes effect each time, is sent again only
// where the server says that nothing was done.
//
// Calls are sent again for as long as their deadline allows. Each wait is chosen
// at random from 0 up to BaseDelay, then up to twice that, and so on up to
// MaxDelay (full jitter). Where the server says how long to wait
// (google.rpc.RetryInfo), the wait is at least that. Where the deadline is too
// near for another attempt, the call fails at once with DEADLINE_EXCEEDED, and
// [Error.Cause] has the last answer.
type RetryPolicy struct {
	// MaxAttempts counts the first one too; 1 means never to retry. 0: as many as
	// fit before the deadline.
	MaxAttempts int
	// BaseDelay is the longest wait before the second attempt.
	BaseDelay time.Duration
	// MaxDelay is the longest wait of all, but for one that the server asks for.
	MaxDelay time.Duration
}

// DefaultRetryPolicy makes as many attempts as fit before the deadline, with
// waits of up to 50 ms, 100 ms, 200 ms and so on, and never more than 2 s.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{BaseDelay: 50 * time.Millisecond, MaxDelay: 2 * time.Second}
}

// NoRetry sends every call once.
func NoRetry() RetryPolicy {
	policy := DefaultRetryPolicy()
	policy.MaxAttempts = 1
	return policy
}

func (p RetryPolicy) check() error {
	switch {
	case p.MaxAttempts < 0:
		return fmt.Errorf("creditd: %d attempts; MaxAttempts must be 0 (no limit but the deadline) or more", p.MaxAttempts)
	case p.BaseDelay <= 0 || p.MaxDelay < p.BaseDelay:
		return fmt.Errorf("creditd: waits of %v to %v; BaseDelay must be more than 0, and MaxDelay no less than it", p.BaseDelay, p.MaxDelay)
	}
	return nil
}

// isRetried tells whether a call is sent again after this failure.
func isRetried(method string, failure *Error) bool {
	switch failure.Reason {
	case ReasonRateLimited, ReasonServerOverloaded, ReasonClockNotBelieved:
		// Nothing was done.
		return true
	}
	return failure.Code == codes.Unavailable && method != creditdv1.AdminService_CreateKey_FullMethodName
}

// wait is how long to wait after the given number of failed attempts: at least the
// server's retry delay, and shorter than the time that is left, so that another
// attempt fits in; false where none does. random is from [0, 1).
func (p RetryPolicy) wait(failed int, random float64, retryDelay, left time.Duration) (time.Duration, bool) {
	retryDelay = max(retryDelay, 0)
	if left-retryDelay <= attemptTimeMin {
		return 0, false
	}
	delay := p.BaseDelay
	for range failed - 1 {
		if delay >= p.MaxDelay {
			break
		}
		delay *= backoffFactor
	}
	delay = min(delay, p.MaxDelay, left-retryDelay-attemptTimeMin)
	return retryDelay + time.Duration(random*float64(delay)), true
}

// retryDelayOf is how long the server asks to wait; 0 where it does not say.
func retryDelayOf(failure *Error) time.Duration {
	if info, has := detail[*errdetails.RetryInfo](failure.status); has {
		return info.GetRetryDelay().AsDuration()
	}
	return 0
}

// timeLeft is longer than any wait where there is no deadline.
func timeLeft(deadline time.Time, has bool) time.Duration {
	if !has {
		return math.MaxInt64
	}
	return time.Until(deadline)
}
