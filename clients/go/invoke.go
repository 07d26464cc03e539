package creditd

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// invoke makes a unary call: it writes the request, sends it through the method of
// a generated client, and reads the reply. A request that cannot be written is not
// sent.
func invoke[Request, Reply proto.Message, Result any](
	ctx context.Context,
	method func(context.Context, Request, ...grpc.CallOption) (Reply, error),
	write func(*writer) Request,
	read func(*reader, Reply) Result,
	opts []grpc.CallOption,
) (*Result, error) {
	var w writer
	request := write(&w)
	if w.err != nil {
		var none Reply
		w.err.RequestID = requestID(request, none)
		return nil, w.err
	}
	reply, err := method(ctx, request, opts...)
	if err != nil {
		return nil, err
	}
	var r reader
	result := read(&r, reply)
	if r.err != nil {
		return nil, malformed(methodName(request), requestID(request, reply), r.err)
	}
	return &result, nil
}

// withHeader adds an option that stores the header of the reply.
func withHeader(opts []grpc.CallOption, header *metadata.MD) []grpc.CallOption {
	// Clip: append must not write into the spare capacity of the caller's slice.
	return append(slices.Clip(opts), grpc.Header(header))
}

// methodName is "Charge" for a ChargeRequest.
func methodName(request proto.Message) string {
	return strings.TrimSuffix(string(request.ProtoReflect().Descriptor().Name()), "Request")
}
