//go:build long

package creditd_test

import (
	"context"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc/codes"
)

// With the client's own limits, in real time: go test -tags long -run Silent

func TestASilentConnectionIsReplacedWithinAMinute(t *testing.T) {
	for name, test := range map[string]struct {
		pace     time.Duration
		deadline time.Duration
		callers  int
	}{
		"each 5 s":                      {pace: 5 * time.Second, deadline: 2 * time.Second, callers: 1},
		"each 1 s":                      {pace: time.Second, deadline: time.Second, callers: 1},
		"each 20 s":                     {pace: 20 * time.Second, deadline: 2 * time.Second, callers: 1},
		"each 50 s":                     {pace: 50 * time.Second, deadline: time.Second, callers: 1},
		"with the client's deadline":    {pace: 5 * time.Second, deadline: 10 * time.Second, callers: 1},
		"side by side":                  {pace: 100 * time.Millisecond, deadline: 2 * time.Second, callers: 50},
		"side by side, longer than all": {pace: 5 * time.Second, deadline: 2 * time.Minute, callers: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := startBlackHole(t, shared.address)
			client := newClientOf(t, proxy.address)
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
						if took > time.Minute {
							t.Errorf("it took %v: %v", took, err)
							return
						}
						if err == nil {
							return
						}
						<-pace.C
					}
				}()
			}
			callers.Wait()
			t.Logf("it was back after %v", time.Since(lost))
		})
	}
}

func TestASilentConnectionEndsALoneWatchWithinAMinute(t *testing.T) {
	t.Parallel()
	proxy := startBlackHole(t, shared.address)
	client := newClientOf(t, proxy.address)
	account := newAccount()
	if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	var lost time.Time
	for _, err := range client.WatchBalance(context.Background(), creditd.WatchBalanceParams{Account: account}) {
		if err == nil {
			proxy.swallowAll()
			lost = time.Now()
			continue
		}
		if took := time.Since(lost); took > time.Minute || asError(t, err).Code != codes.Unavailable {
			t.Errorf("after %v: %v", took, err)
		}
	}
}

// fakeServer is a server of grpc-go with its default policy, which closes the
// connection of a client that pings more often than every 5 minutes.
func TestAnIdleWatchOfASilentServerStaysConnected(t *testing.T) {
	t.Parallel()
	fake := (&fakeServer{watch: func(_ int, stream watchStream) error {
		if err := sendBalance(stream, "1"); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}).start(t)
	proxy := startBlackHole(t, fake.address)
	client := newClientOf(t, proxy.address)
	// By then it would have been, for pings each minute.
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	var failure *creditd.Error
	for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			failure = asError(t, err)
		}
	}
	if failure == nil || failure.Code != codes.DeadlineExceeded || proxy.count() != 1 {
		t.Errorf("it ended with %v, after %d connections", failure, proxy.count())
	}
}
