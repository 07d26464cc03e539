package creditd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type watchStream = grpc.ServerStreamingServer[creditdv1.WatchBalanceResponse]

func sendBalance(stream watchStream, available string) error {
	return stream.Send(&creditdv1.WatchBalanceResponse{
		Balance: &creditdv1.Balance{Account: "team-a", Available: available, Held: "0"},
	})
}

// watchAll reads a watch to its end.
func watchAll(ctx context.Context, client *creditd.Client, account string) (available []string, failures []error) {
	for balance, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: account}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		available = append(available, balance.Available.String())
	}
	return available, failures
}

func TestAWatchEndsWithTheStream(t *testing.T) {
	fake := (&fakeServer{watch: func(_ int, stream watchStream) error {
		return errors.Join(sendBalance(stream, "1"), sendBalance(stream, "0.248"))
	}}).start(t)
	available, failures := watchAll(testContext(t), fake.newClient(t), "team-a")
	if len(available) != 2 || available[0] != "1" || available[1] != "0.248" || failures != nil {
		t.Errorf("got %v and %v", available, failures)
	}
	received := fake.received()
	if len(received) != 1 || received[0].(*creditdv1.WatchBalanceRequest).GetAccount() != "team-a" {
		t.Errorf("the request was %v", received)
	}
}

func TestAWatchThatFailsSaysWhyAndIsNotRetried(t *testing.T) {
	refusal, err := status.New(codes.Unavailable, "too many").WithDetails(
		&errdetails.ErrorInfo{Reason: "TOO_MANY_WATCHERS", Domain: "creditd", Metadata: map[string]string{"limit": "1024"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string][]string{"at once": nil, "later": {"1", "2"}} {
		t.Run(name, func(t *testing.T) {
			fake := (&fakeServer{watch: func(_ int, stream watchStream) error {
				for _, available := range before {
					if err := sendBalance(stream, available); err != nil {
						return err
					}
				}
				return refusal.Err()
			}}).start(t)
			available, failures := watchAll(testContext(t), fake.newClient(t, quickRetry(5)), "team-a")
			if len(available) != len(before) || len(failures) != 1 {
				t.Fatalf("got %v and %v", available, failures)
			}
			failure := asError(t, failures[0])
			if failure.Code != codes.Unavailable || failure.Reason != creditd.ReasonTooManyWatchers ||
				failure.Metadata["limit"] != "1024" || failure.XRequestID != "fake-1" {
				t.Errorf("got %+v", failure)
			}
			if got := len(fake.received()); got != 1 {
				t.Errorf("there were %d attempts", got)
			}
		})
	}
}

func TestAWatchOfAServerThatIsAway(t *testing.T) {
	client := newClientOf(t, freeAddress(t), quickRetry(5))
	available, failures := watchAll(testContext(t), client, "team-a")
	if available != nil || len(failures) != 1 {
		t.Fatalf("got %v and %v", available, failures)
	}
	if failure := asError(t, failures[0]); failure.Code != codes.Unavailable || failure.Reason != "" {
		t.Errorf("got %+v", failure)
	}
}

func TestABalanceThatCannotBeReadEndsAWatch(t *testing.T) {
	fake := (&fakeServer{watch: func(_ int, stream watchStream) error {
		return errors.Join(sendBalance(stream, "x"), sendBalance(stream, "1"))
	}}).start(t)
	available, failures := watchAll(testContext(t), fake.newClient(t), "team-a")
	if available != nil || len(failures) != 1 {
		t.Fatalf("got %v and %v", available, failures)
	}
	if failure := asError(t, failures[0]); failure.Code != codes.Internal {
		t.Errorf("got %+v", failure)
	}
}

// watchedUntilItEnds serves a balance, and then waits for the end of the watch, which
// it reports.
func watchedUntilItEnds(t *testing.T) (fake *fakeServer, ended chan bool) {
	t.Helper()
	ended = make(chan bool, 1)
	fake = (&fakeServer{watch: func(_ int, stream watchStream) error {
		if err := sendBalance(stream, "1"); err != nil {
			return err
		}
		_, hasDeadline := stream.Context().Deadline()
		<-stream.Context().Done()
		ended <- hasDeadline
		return stream.Context().Err()
	}}).start(t)
	return fake, ended
}

// waitForEnd tells whether the watch had a deadline.
func waitForEnd(t *testing.T, ended chan bool) bool {
	t.Helper()
	select {
	case hasDeadline := <-ended:
		return hasDeadline
	case <-testContext(t).Done():
		t.Fatal("the server still has a watch")
		return false
	}
}

func TestLeavingTheLoopEndsAWatch(t *testing.T) {
	fake, ended := watchedUntilItEnds(t)
	// Time for a call is none for a watch.
	client := fake.newClient(t, creditd.WithTimeout(time.Millisecond))
	for balance, err := range client.WatchBalance(context.Background(), creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !balance.Available.Equal(one) {
			t.Errorf("got %+v", balance)
		}
		break
	}
	if waitForEnd(t, ended) {
		t.Error("the watch had a deadline")
	}
}

func TestAWatchFollowsItsContext(t *testing.T) {
	fake, ended := watchedUntilItEnds(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var failures []error
	for balance, err := range fake.newClient(t).WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if !balance.Available.Equal(one) {
			t.Errorf("got %+v", balance)
		}
		cancel()
	}
	if len(failures) != 1 || !errors.Is(failures[0], context.Canceled) {
		t.Errorf("it ended with %v", failures)
	}
	if failure := asError(t, failures[0]); failure.Code != codes.Canceled {
		t.Errorf("got %+v", failure)
	}
	waitForEnd(t, ended)
}

func TestTheContextsDeadlineEndsAWatch(t *testing.T) {
	fake, ended := watchedUntilItEnds(t)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, failures := watchAll(ctx, fake.newClient(t), "team-a")
	if len(failures) != 1 || !errors.Is(failures[0], context.DeadlineExceeded) {
		t.Errorf("it ended with %v", failures)
	}
	if !waitForEnd(t, ended) {
		t.Error("the server did not get the deadline")
	}
}

func TestClosingTheClientEndsAWatch(t *testing.T) {
	fake, ended := watchedUntilItEnds(t)
	client, err := creditd.New(fake.address)
	if err != nil {
		t.Fatal(err)
	}
	var failures []error
	for _, err := range client.WatchBalance(testContext(t), creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(failures) != 1 || asError(t, failures[0]).Code != codes.Canceled {
		t.Errorf("it ended with %v", failures)
	}
	waitForEnd(t, ended)
}

func TestTheGeneratedWatchHasTheSameErrors(t *testing.T) {
	fake := (&fakeServer{watch: func(int, watchStream) error {
		return status.Error(codes.NotFound, "the test says so")
	}}).start(t)
	stream, err := fake.newClient(t).Ledger().WatchBalance(testContext(t), &creditdv1.WatchBalanceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if failure := asError(t, err); failure.Code != codes.NotFound || failure.XRequestID != "fake-1" {
		t.Errorf("got %+v", failure)
	}
}

// The rest is about the real server.

func TestAWatchSeesEachMoveUntilTheServerStops(t *testing.T) {
	own, err := startServer(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = own.stop()
		}
	}()
	client := newClientOf(t, own.address)
	ctx := testContext(t)
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: decimal.NewFromInt(2)}); err != nil {
		t.Fatal(err)
	}
	// Each balance leads to the next move.
	stopping := make(chan error, 1)
	var balances []string
	for balance, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			t.Fatal(err)
		}
		balances = append(balances, balance.Available.String())
		switch len(balances) {
		case 1:
			_, err = client.Charge(ctx, creditd.ChargeParams{Account: "team-a", Cost: creditd.Credits(one)})
		case 2:
			_, err = client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: decimal.NewFromInt(4)})
		case 3:
			stopped = true
			go func() { stopping <- own.stop() }()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(balances) != 3 || balances[0] != "2" || balances[1] != "1" || balances[2] != "5" {
		t.Errorf("the balances are %v", balances)
	}
	if err := <-stopping; err != nil {
		t.Error(err)
	}
}

func TestAWatchOfAnUnknownAccountIsRefused(t *testing.T) {
	available, failures := watchAll(testContext(t), newClient(t), newAccount())
	if available != nil || len(failures) != 1 || !creditd.IsReason(failures[0], creditd.ReasonAccountNotFound) {
		t.Errorf("got %v and %v", available, failures)
	}
}

// The server ends a connection that is old. What is watched goes on over the next
// one, and no call beside it fails.
func TestAnOldConnectionCostsNothing(t *testing.T) {
	server, err := startServer(t.TempDir(), "127.0.0.1:0", "--connection-age-seconds-max", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx := testContext(t)
	client := newClientOf(t, server.address)
	granted := 0
	grant := func() {
		granted++
		if _, err := client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: decimal.NewFromInt(1)}); err != nil {
			t.Fatalf("grant %d: %v", granted, err)
		}
	}
	grant()
	watches := 0
	for start := time.Now(); time.Since(start) < 4*time.Second; watches++ {
		for balance, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
			if err != nil {
				t.Fatalf("watch %d: %v", watches, err)
			}
			if balance.Available.IntPart() != int64(granted) {
				t.Errorf("%v are available, and %d were granted", balance.Available, granted)
			}
			if time.Since(start) > 4*time.Second {
				break
			}
			grant()
			time.Sleep(30 * time.Millisecond)
		}
	}
	if watches < 3 {
		t.Errorf("there were %d watches", watches)
	}
}
