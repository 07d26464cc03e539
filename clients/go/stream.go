package creditd

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// streamInterceptor turns every error of a stream into an *Error. Liveness watches
// the connection while the stream is open. A stream has no deadline but its
// context's, and is not retried: only the caller knows what it may have missed.
func streamInterceptor(key *callKey, live *liveness) grpc.StreamClientInterceptor {
	return func(ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		ctx, _, failure := key.askFor(ctx)
		if failure != nil {
			return nil, failure
		}
		ctx = withTraceContext(ctx)
		stream, err := open(ctx, description, conn, method, opts...)
		if err != nil {
			failed, _ := status.FromError(err)
			return nil, attemptedOnce(newError(failed, "", ""))
		}
		// Not stream.Context(): it commits the stream to its connection, and grpc could no
		// longer retry by itself a stream that a draining server did not process.
		return &watchedStream{ClientStream: stream, pending: live.beginStream(ctx)}, nil
	}
}

type watchedStream struct {
	grpc.ClientStream
	pending *pending
}

// RecvMsg leaves io.EOF as it is: it is the good end of a stream.
func (s *watchedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil {
		return nil
	}
	s.pending.end(false)
	if errors.Is(err, io.EOF) {
		return err
	}
	failed, _ := status.FromError(err)
	// A stream that failed before its header came has none.
	header, _ := s.Header()
	return attemptedOnce(newError(failed, "", xRequestID(header, s.Trailer())))
}

func attemptedOnce(failure *Error) *Error {
	failure.Attempts = 1
	return failure
}
