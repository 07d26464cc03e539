package creditd_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
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
	_, err := withTimeout.Grant(context.Background(), creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-19"})
	if failure := asError(t, err); failure.Code != codes.DeadlineExceeded || failure.RequestID != "order-19" {
		t.Errorf("got %+v", failure)
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("errors.Is does not see the deadline in %v", err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err = newClientOf(t, silentAddress(t)).GetRateCard(ctx, creditd.GetRateCardParams{})
	if failure := asError(t, err); failure.Code != codes.DeadlineExceeded {
		t.Errorf("got %+v", failure)
	}
}

func TestACancelledCallEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := newClientOf(t, silentAddress(t)).GetRateCard(ctx, creditd.GetRateCardParams{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWhichDeadlineACallHas(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   []creditd.Option
		call   []grpc.CallOption
		caller time.Duration
		want   time.Duration
	}{
		{name: "default", want: 10 * time.Second},
		{name: "option", opts: []creditd.Option{creditd.WithTimeout(time.Minute)}, want: time.Minute},
		{name: "none", opts: []creditd.Option{creditd.WithTimeout(0)}},
		{name: "caller's shorter", caller: 5 * time.Second, want: 5 * time.Second},
		{name: "caller's longer", caller: time.Hour, want: time.Hour},
		{name: "call's", call: []grpc.CallOption{creditd.WithTimeout(time.Minute)}, want: time.Minute},
		{name: "call's none", call: []grpc.CallOption{creditd.WithTimeout(0)}},
		{name: "call's sooner", call: []grpc.CallOption{creditd.WithTimeout(time.Minute)}, caller: time.Hour, want: time.Minute},
		{name: "call's later", call: []grpc.CallOption{creditd.WithTimeout(time.Hour)}, caller: time.Minute, want: time.Minute},
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
			if _, err := client.GetRateCard(ctx, creditd.GetRateCardParams{}, test.call...); err != nil {
				t.Fatal(err)
			}
			if left > test.want || left < test.want-2*time.Second {
				t.Errorf("the call had %v, want %v", left, test.want)
			}
		})
	}
}

func TestACallOptionThatCannotBeFailsItsCall(t *testing.T) {
	fake := (&fakeServer{answer: failsFor(0)}).start(t)
	client := fake.newClient(t)
	grant := creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-17"}
	for name, opt := range map[string]creditd.CallOption{
		"timeout": creditd.WithTimeout(-time.Second),
		"retry":   creditd.WithRetry(creditd.RetryPolicy{MaxAttempts: -1, BaseDelay: 1, MaxDelay: 1}),
	} {
		_, err := client.Grant(testContext(t), grant, opt)
		if failure := asError(t, err); failure.Code != codes.InvalidArgument || failure.RequestID != "order-17" || failure.Attempts != 0 {
			t.Errorf("%s: got %+v", name, failure)
		}
	}
	if received := fake.received(); len(received) > 0 {
		t.Errorf("it was sent: %v", received)
	}
}

// A call has its own options, whatever the client's are, and grpc's.
func TestACallHasItsOwnOptions(t *testing.T) {
	for _, test := range []struct {
		client, call int
		want         int
	}{{client: 3, call: 1, want: 1}, {client: 1, call: 3, want: 3}} {
		fake := (&fakeServer{answer: failsFor(10)}).start(t)
		client := fake.newClient(t, quickRetry(test.client))
		var header metadata.MD
		_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{}, quickRetry(test.call), grpc.Header(&header))
		if failure := asError(t, err); failure.Attempts != test.want || len(header.Get("x-request-id")) != 1 {
			t.Errorf("%+v: got %+v and %v", test, failure, header)
		}
		_, err = client.Pricing().GetRateCard(testContext(t), &creditdv1.GetRateCardRequest{}, quickRetry(test.call))
		if failure := asError(t, err); failure.Attempts != test.want {
			t.Errorf("%+v: got %+v", test, failure)
		}
		if got := len(fake.received()); got != 2*test.want {
			t.Errorf("%+v: there were %d attempts", test, got)
		}
	}
}
