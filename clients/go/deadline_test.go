package creditd_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// silentAddress is one where connections are taken and nothing is ever answered.
func silentAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestADeadlineEndsACall(t *testing.T) {
	const limit = 100 * time.Millisecond
	withTimeout := newClientOf(t, silentAddress(t), creditd.WithTimeout(limit))
	_, err := withTimeout.Grant(context.Background(), "team-a", one, creditd.RequestID("order-19"))
	if failure := asError(t, err); failure.Code != codes.DeadlineExceeded || failure.RequestID != "order-19" {
		t.Errorf("got %+v", failure)
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("errors.Is does not see the deadline in %v", err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err = newClientOf(t, silentAddress(t)).GetRateCard(ctx)
	if failure := asError(t, err); failure.Code != codes.DeadlineExceeded {
		t.Errorf("got %+v", failure)
	}
}

func TestACancelledCallEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := newClientOf(t, silentAddress(t)).GetRateCard(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWhichDeadlineACallHas(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   []creditd.Option
		caller time.Duration
		want   time.Duration
	}{
		{name: "default", want: 10 * time.Second},
		{name: "option", opts: []creditd.Option{creditd.WithTimeout(time.Minute)}, want: time.Minute},
		{name: "none", opts: []creditd.Option{creditd.WithTimeout(0)}},
		{name: "caller's shorter", caller: 5 * time.Second, want: 5 * time.Second},
		{name: "caller's longer", caller: time.Hour, want: time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			var left time.Duration
			watch := grpc.WithChainUnaryInterceptor(
				func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					if deadline, has := ctx.Deadline(); has {
						left = time.Until(deadline)
					}
					return invoke(ctx, method, req, reply, conn, opts...)
				})
			client := newClient(t, append(test.opts, creditd.WithDialOptions(watch))...)
			ctx := context.Background()
			if test.caller > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.caller)
				defer cancel()
			}
			if _, err := client.GetRateCard(ctx); err != nil {
				t.Fatal(err)
			}
			if left > test.want || left < test.want-2*time.Second {
				t.Errorf("the call had %v, want %v", left, test.want)
			}
		})
	}
}
