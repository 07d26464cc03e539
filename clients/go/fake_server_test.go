package creditd_test

import (
	"context"
	"net"
	"path"
	"sync"
	"testing"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// fakeServer answers as a test says, and records its requests. It is for what
// the real one would not do on demand.
type fakeServer struct {
	creditdv1.UnimplementedPricingServiceServer
	creditdv1.UnimplementedLedgerServiceServer
	creditdv1.UnimplementedAdminServiceServer

	address string
	// answer is for all calls but watches.
	answer func(method string, req proto.Message) (proto.Message, error)
	// called, where set, is told of each call before it is answered.
	called func(context.Context)
	// watch is for watches; n counts them from 1.
	watch func(n int, stream grpc.ServerStreamingServer[creditdv1.WatchBalanceResponse]) error

	mutex    sync.Mutex
	requests []proto.Message
}

// start begins to serve until the test ends.
func (f *fakeServer) start(t *testing.T) *fakeServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	// With room for the largest message, of whose arrival it then says nothing.
	serving := grpc.NewServer(grpc.UnaryInterceptor(f.intercept), grpc.InitialWindowSize(4<<20), grpc.InitialConnWindowSize(4<<20))
	creditdv1.RegisterPricingServiceServer(serving, f)
	creditdv1.RegisterLedgerServiceServer(serving, f)
	creditdv1.RegisterAdminServiceServer(serving, f)
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(listener) }()
	t.Cleanup(func() {
		serving.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fakeServer) newClient(t *testing.T, opts ...creditd.Option) *creditd.Client {
	t.Helper()
	return newClientOf(t, f.address, opts...)
}

func (f *fakeServer) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	received, is := req.(proto.Message)
	if !is {
		return nil, status.Error(codes.Internal, "no message")
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-request-id", "fake-1")); err != nil {
		return nil, err
	}
	f.record(received)
	if f.called != nil {
		f.called(ctx)
	}
	return f.answer(path.Base(info.FullMethod), received)
}

func (f *fakeServer) WatchBalance(req *creditdv1.WatchBalanceRequest, stream grpc.ServerStreamingServer[creditdv1.WatchBalanceResponse]) error {
	if err := stream.SetHeader(metadata.Pairs("x-request-id", "fake-1")); err != nil {
		return err
	}
	if f.called != nil {
		f.called(stream.Context())
	}
	return f.watch(f.record(req), stream)
}

// record stores a request and returns how many requests there were.
func (f *fakeServer) record(req proto.Message) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.requests = append(f.requests, req)
	return len(f.requests)
}

func (f *fakeServer) received() []proto.Message {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return append([]proto.Message(nil), f.requests...)
}
