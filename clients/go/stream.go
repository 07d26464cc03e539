package creditd

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// streamInterceptor turns every error of a stream into an *Error, and has the
// connection checked while nothing comes. A stream has no deadline but its
// context's, and is not retried: only the caller knows what it may have missed.
func streamInterceptor(live *liveness) grpc.StreamClientInterceptor {
	return func(ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, description, conn, method, opts...)
		if err != nil {
			failed, _ := status.FromError(err)
			return nil, attemptedOnce(newError(failed, "", ""))
		}
		// Not the stream's context: asking for it would keep grpc from sending anew
		// what a server that stops did not begin.
		return &checkedStream{ClientStream: stream, waiting: live.beginStream(ctx)}, nil
	}
}

type checkedStream struct {
	grpc.ClientStream
	waiting *waiting
}

// RecvMsg leaves io.EOF as it is: it is the good end of a stream.
func (s *checkedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil {
		return nil
	}
	s.waiting.end(false)
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
