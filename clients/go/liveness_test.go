package creditd_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// shortLiveness has the limits of the client at a thirtieth: an idle
// connection is probed after 100 ms where a call waits, after 1.5 s where there is only
// a watch, and a probe may take 170 ms.
func shortLiveness() creditd.Option {
	return creditd.WithLiveness(100*time.Millisecond, 1500*time.Millisecond, 170*time.Millisecond)
}

// backWithin is 60 s at the same scale.
const backWithin = 2 * time.Second

// The pace of calls and their deadlines, at the same scale: from several a second
// to one in 20 s, one after another and side by side.
func TestASilentConnectionIsReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		pace     time.Duration
		deadline time.Duration
		callers  int
		retry    creditd.RetryPolicy
	}{
		"each 5 s":                {pace: 170 * time.Millisecond, deadline: 70 * time.Millisecond, callers: 1},
		"each 1 s":                {pace: 35 * time.Millisecond, deadline: 30 * time.Millisecond, callers: 1},
		"each 20 s":               {pace: 670 * time.Millisecond, deadline: 70 * time.Millisecond, callers: 1},
		"each 20 s, long":         {pace: 670 * time.Millisecond, deadline: 600 * time.Millisecond, callers: 1},
		"side by side":            {pace: 35 * time.Millisecond, deadline: 100 * time.Millisecond, callers: 20},
		"without retries":         {pace: 170 * time.Millisecond, deadline: 70 * time.Millisecond, callers: 1, retry: creditd.NoRetry()},
		"without retries, longer": {pace: 170 * time.Millisecond, deadline: 5 * time.Second, callers: 3, retry: creditd.NoRetry()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := startBlackHole(t, shared.address)
			if test.retry.BaseDelay == 0 {
				test.retry = creditd.DefaultRetryPolicy()
			}
			client := newClientOf(t, proxy.address, shortLiveness(), creditd.WithRetry(test.retry))
			account := newAccount()
			if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
				t.Fatal(err)
			}
			proxy.swallowAll()
			lost := time.Now()
			var callers sync.WaitGroup
			for range test.callers {
				callers.Add(1)
				go func() {
					defer callers.Done()
					pace := time.NewTicker(test.pace)
					defer pace.Stop()
					for {
						ctx, cancel := context.WithTimeout(context.Background(), test.deadline)
						_, err := client.GetBalance(ctx, creditd.GetBalanceParams{Account: account})
						cancel()
						took := time.Since(lost)
						if err == nil {
							if took > backWithin {
								t.Errorf("it was back after %v", took)
							}
							return
						}
						if took > 5*backWithin {
							t.Errorf("it is not back after %v: %v", took, err)
							return
						}
						<-pace.C
					}
				}()
			}
			callers.Wait()
		})
	}
}

// A call that has time enough does not even fail, and moves credits once.
func TestACallOutlivesASilentConnection(t *testing.T) {
	proxy := startBlackHole(t, shared.address)
	client := newClientOf(t, proxy.address, shortLiveness())
	account := newAccount()
	if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	proxy.swallowAll()
	granted, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one})
	if err != nil {
		t.Fatal(err)
	}
	if granted.Available.String() != "2" || proxy.count() < 2 {
		t.Errorf("got %+v over %d connections", granted, proxy.count())
	}
}

// A watch over such a connection ends with an error, also where there is nothing
// but the watch.
func TestAWatchOverASilentConnectionEnds(t *testing.T) {
	for name, calls := range map[string]bool{"alone": false, "beside calls": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := startBlackHole(t, shared.address)
			client := newClientOf(t, proxy.address, shortLiveness())
			account := newAccount()
			if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
				t.Fatal(err)
			}
			var lost time.Time
			var failures []error
			for _, err := range client.WatchBalance(testContext(t), creditd.WatchBalanceParams{Account: account}) {
				if err != nil {
					failures = append(failures, err)
					continue
				}
				proxy.swallowAll()
				lost = time.Now()
				if calls {
					if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(failures) != 1 || asError(t, failures[0]).Code != codes.Unavailable {
				t.Fatalf("it ended with %v", failures)
			}
			if took := time.Since(lost); took > backWithin {
				t.Errorf("it took %v", took)
			}
			for balance, err := range client.WatchBalance(testContext(t), creditd.WatchBalanceParams{Account: account}) {
				if err != nil || balance.Available.IsZero() {
					t.Errorf("the next watch has %v, %v", balance, err)
				}
				break
			}
		})
	}
}

// A slow server is not away: a probe is answered, and the connection stays.
func TestASlowAnswerIsNoSilentConnection(t *testing.T) {
	fake := &fakeServer{answer: func(method string, _ proto.Message) (proto.Message, error) {
		if method == "GetBalance" {
			<-time.After(600 * time.Millisecond)
		}
		return &creditdv1.GetBalanceResponse{Balance: &creditdv1.Balance{Available: "1", Held: "0"}}, nil
	}}
	fake.start(t)
	proxy := startBlackHole(t, fake.address)
	// The probe is sent early, and has time to be answered.
	client := newClientOf(t, proxy.address, creditd.WithLiveness(100*time.Millisecond, time.Second, 10*time.Second))
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	fake.watch = func(_ int, stream watchStream) error {
		if err := sendBalance(stream, "1"); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the watch ended with %v", err)
			}
			break
		}
		if _, err := client.GetBalance(ctx, creditd.GetBalanceParams{Account: "team-a"}); err != nil {
			t.Error(err)
		}
		short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err = client.GetBalance(short, creditd.GetBalanceParams{Account: "team-a"})
		stop()
		if failure := asError(t, err); failure.Code != codes.DeadlineExceeded {
			t.Errorf("got %+v", failure)
		}
		if _, err := client.GetBalance(ctx, creditd.GetBalanceParams{Account: "team-a"}); err != nil {
			t.Error(err)
		}
		cancel()
	}
	if got := proxy.count(); got != 1 {
		t.Errorf("there were %d connections", got)
	}
}

// A batch that takes long to send is no silence either.
func TestASlowWayIsNoSilentConnection(t *testing.T) {
	fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) {
		return &creditdv1.BatchEstimateResponse{TotalCredits: "0"}, nil
	}}).start(t)
	proxy := startProxy(t, &blackHole{target: fake.address, slow: 20 * time.Millisecond})
	client := newClientOf(t, proxy.address, shortLiveness())
	// 1.6 MB or so take 2 s.
	usage := creditd.Once("ai_scripts").WithAttribute("text", strings.Repeat("x", 140))
	began := time.Now()
	if _, err := client.BatchEstimate(testContext(t), creditd.BatchEstimateParams{Usages: slices.Repeat([]creditd.Usage{usage}, 10_000)}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took no more than %v", took)
	}
	if got := proxy.count(); got != 1 {
		t.Errorf("there were %d connections", got)
	}
}
