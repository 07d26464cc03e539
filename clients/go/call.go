package creditd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callInterceptor adds deadlines, retries and typed errors to unary calls. From the
// outside in: one deadline spans all attempts; the retry policy decides on each
// attempt's error; each attempt has a key, and the trace of the context's span; and
// liveness watches the connection while an attempt waits. It is one interceptor and not
// three because grpc builds the chain again for each call.
//
// An attempt repeats the same message, and with it the same request_id.
func callInterceptor(client callConfig, key *callKey, live *liveness) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if isProbe(ctx) {
			return invoke(ctx, method, req, reply, conn, opts...)
		}
		call := callConfigOf(opts)
		if err := call.check(); err != nil {
			return newError(status.New(codes.InvalidArgument, err.Error()), requestID(req, reply), "")
		}
		if timeout := call.timeoutOr(ctx, client); timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		policy := client.retry
		if call.retry != nil {
			policy = call.retry
		}
		keyed, bearer, missing := key.askFor(ctx)
		if missing != nil {
			missing.RequestID = requestID(req, reply)
			return missing
		}
		var last *Error
		askedAgain := false
		for attempts := 1; ; attempts++ {
			failure := attemptCall(keyed, method, req, reply, conn, invoke, opts, live)
			if failure == nil {
				return nil
			}
			failure.Attempts = attempts
			// Nothing was done then, so this is for every call.
			wantsKey := failure.Reason == ReasonKeyInvalid && key.isFunc() && !askedAgain
			if !wantsKey && !isRetried(method, failure) {
				if failure.Code == codes.DeadlineExceeded || failure.Code == codes.Canceled {
					failure.Cause = last
				}
				return failure
			}
			if attempts == policy.MaxAttempts {
				return failure
			}
			if !wantsKey {
				last = failure
				wait, fits := policy.wait(attempts, rand.Float64(), retryDelayOf(failure), timeLeft(ctx.Deadline()))
				if !fits {
					return endedError(context.DeadlineExceeded, last)
				}
				if err := sleep(ctx, wait); err != nil {
					return endedError(err, last)
				}
			}
			sent := bearer
			if keyed, bearer, missing = key.askFor(ctx); missing != nil {
				missing.RequestID, missing.Attempts = failure.RequestID, attempts
				return missing
			}
			if wantsKey && bearer == sent {
				return failure
			}
			askedAgain = askedAgain || wantsKey
		}
	}
}

// attemptCall sends a call once and turns its error into an *Error.
func attemptCall(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption, live *liveness) *Error {
	var answer struct{ header, trailer metadata.MD }
	// Clip: append must not write into the spare capacity of the caller's slice.
	opts = append(slices.Clip(opts), grpc.Header(&answer.header), grpc.Trailer(&answer.trailer))
	pending := live.beginCall()
	err := invoke(withTraceContext(ctx), method, req, reply, conn, opts...)
	// An error of a caller's interceptor may have no status: its code is UNKNOWN.
	failed, _ := status.FromError(err)
	pending.end(failed.Code() == codes.DeadlineExceeded)
	if err == nil {
		return nil
	}
	return newError(failed, requestID(req, reply), xRequestID(answer.header, answer.trailer))
}

// sleep returns an error as soon as the context has ended.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// endedError is the error of a call whose context ended between two attempts.
func endedError(err error, last *Error) *Error {
	code := status.FromContextError(err).Code()
	reason := "the deadline leaves no time for another attempt"
	if code == codes.Canceled {
		reason = "the call was cancelled"
	}
	message := fmt.Sprintf("%s after %d; the last was answered: %s", reason, last.Attempts, last.Message)
	ended := newError(status.New(code, message), last.RequestID, last.XRequestID)
	ended.Attempts = last.Attempts
	ended.Cause = last
	return ended
}
