package creditd

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callInterceptor is all that the client adds to a call. From the outside in: one
// deadline spans all attempts, for calls whose context has none, and the retry
// decides on each attempt's error. It is one interceptor and not three because
// grpc chains them anew for each call.
//
// An attempt repeats the same message, and with it the same request_id.
func callInterceptor(timeout time.Duration, policy RetryPolicy) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, has := ctx.Deadline(); !has && timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		for attempt := 1; ; attempt++ {
			err := attemptCall(ctx, method, req, reply, conn, invoke, opts)
			if status.Code(err) != codes.Unavailable || attempt >= policy.MaxAttempts {
				return err
			}
			wait := policy.wait(attempt, rand.Float64(), retryDelay(err))
			if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= wait {
				return err
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return newError(status.FromContextError(ctx.Err()), requestID(req), "")
			}
		}
	}
}

// attemptCall turns every error of an attempt into an *Error.
func attemptCall(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption) error {
	var answer struct{ header, trailer metadata.MD }
	// A new slice: there may be room behind the caller's, and it is the caller's.
	opts = slices.Concat(opts, []grpc.CallOption{grpc.Header(&answer.header), grpc.Trailer(&answer.trailer)})
	err := invoke(ctx, method, req, reply, conn, opts...)
	if err == nil {
		return nil
	}
	// An error without a status, of an interceptor that a caller added, counts as
	// code UNKNOWN.
	failed, _ := status.FromError(err)
	return newError(failed, requestID(req), xRequestID(answer.header, answer.trailer))
}
