package creditd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

var one = decimal.NewFromInt(1)

// attempts records each attempt of a client's calls.
type attempts struct {
	mutex sync.Mutex
	times []time.Time
	ids   []string
	// first is closed when the first attempt has failed.
	first     chan struct{}
	closeOnce sync.Once
}

func newAttempts() *attempts {
	return &attempts{first: make(chan struct{})}
}

// interceptor is the option that records. Where answer is not nil, it may replace the
// server's answer.
func (a *attempts) interceptor(answer func(attempt int, err error) error) creditd.Option {
	return creditd.WithDialOptions(grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			a.mutex.Lock()
			a.times = append(a.times, time.Now())
			if write, is := req.(interface{ GetRequestId() string }); is {
				a.ids = append(a.ids, write.GetRequestId())
			}
			attempt := len(a.times)
			a.mutex.Unlock()
			err := invoke(ctx, method, req, reply, conn, opts...)
			if err != nil {
				a.closeOnce.Do(func() { close(a.first) })
			}
			if answer != nil {
				return answer(attempt, err)
			}
			return err
		}))
}

func (a *attempts) count() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.times)
}

func unavailable() error {
	return status.Error(codes.Unavailable, "the test says so")
}

// freeAddress is one where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func quickRetry(maxAttempts int) creditd.CallOption {
	return creditd.WithRetry(creditd.RetryPolicy{
		MaxAttempts: maxAttempts, BaseDelay: 20 * time.Millisecond, MaxDelay: 100 * time.Millisecond,
	})
}

func TestAWriteOutlivesAServerThatStartsLate(t *testing.T) {
	address := freeAddress(t)
	recorded := newAttempts()
	client := newClientOf(t, address, quickRetry(1000), recorded.interceptor(nil))
	ctx := testContext(t)
	account := newAccount()

	type answer struct {
		granted *creditd.EntryResult
		err     error
	}
	answered := make(chan answer, 1)
	go func() {
		granted, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: one})
		answered <- answer{granted, err}
	}()
	select {
	case <-recorded.first:
	case <-ctx.Done():
		t.Fatal("the first attempt did not fail")
	}
	late, err := startServer(t.TempDir(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := late.stop(); err != nil {
			t.Error(err)
		}
	})
	got := <-answered
	if got.err != nil {
		t.Fatal(got.err)
	}
	if len(recorded.ids) < 2 {
		t.Errorf("there were %d attempts", len(recorded.ids))
	}
	for _, id := range recorded.ids {
		if id == "" || id != got.granted.Entry.RequestID {
			t.Fatalf("the attempts had the request ids %q", recorded.ids)
		}
	}
	if got.granted.Replayed {
		t.Error("the answer was given before")
	}
}

func TestALostAnswerMovesCreditsOnce(t *testing.T) {
	recorded := newAttempts()
	client := newClient(t, quickRetry(3), recorded.interceptor(func(attempt int, err error) error {
		if attempt == 1 && err == nil {
			return unavailable()
		}
		return err
	}))
	account := newAccount()
	granted, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one})
	if err != nil {
		t.Fatal(err)
	}
	if !granted.Replayed || !granted.Available.Equal(one) {
		t.Errorf("got %+v", granted)
	}
	balance, err := client.GetBalance(testContext(t), creditd.GetBalanceParams{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if !balance.Available.Equal(one) {
		t.Errorf("the balance is %v", balance.Available)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	recorded := newAttempts()
	client := newClientOf(t, freeAddress(t), quickRetry(3), recorded.interceptor(nil))
	_, err := client.Grant(testContext(t), creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-17"})
	failure := asError(t, err)
	if failure.Code != codes.Unavailable || failure.Reason != "" || failure.RequestID != "order-17" || failure.XRequestID != "" ||
		failure.Attempts != 3 || failure.Cause != nil {
		t.Errorf("got %+v", failure)
	}
	if recorded.count() != 3 {
		t.Errorf("there were %d attempts", recorded.count())
	}
}

func TestOneAttemptIsNoRetry(t *testing.T) {
	recorded := newAttempts()
	client := newClientOf(t, freeAddress(t), creditd.WithRetry(creditd.NoRetry()), recorded.interceptor(nil))
	_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{})
	if asError(t, err); recorded.count() != 1 {
		t.Errorf("there were %d attempts", recorded.count())
	}
}

func TestOnlyUnavailableIsRetried(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		recorded := newAttempts()
		client := newClient(t, quickRetry(2), recorded.interceptor(func(int, error) error {
			return status.Error(code, "the test says so")
		}))
		_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{})
		want := 1
		if code == codes.Unavailable {
			want = 2
		}
		if failure := asError(t, err); failure.Code != code || recorded.count() != want {
			t.Errorf("%v: %d attempts, then %v", code, recorded.count(), failure)
		}
	}
}

func TestTheServerSaysHowLongToWait(t *testing.T) {
	const asked = 300 * time.Millisecond
	recorded := newAttempts()
	client := newClient(t, quickRetry(2), recorded.interceptor(func(attempt int, err error) error {
		if attempt > 1 {
			return err
		}
		return unavailableFor(t, asked)
	}))
	if _, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{}); err != nil {
		t.Fatal(err)
	}
	if waited := recorded.times[1].Sub(recorded.times[0]); waited < asked {
		t.Errorf("it waited for %v", waited)
	}
}

func TestAWaitThatPassesTheDeadlineIsNotBegun(t *testing.T) {
	recorded := newAttempts()
	client := newClient(t, recorded.interceptor(func(int, error) error {
		return unavailableFor(t, time.Hour)
	}))
	began := time.Now()
	_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{})
	failure := asError(t, err)
	if failure.Code != codes.DeadlineExceeded || recorded.count() != 1 || failure.Attempts != 1 {
		t.Errorf("%d attempts, then %+v", recorded.count(), failure)
	}
	if failure.Cause == nil || failure.Cause.Code != codes.Unavailable || failure.Cause.Message != "try later" {
		t.Errorf("the cause is %+v", failure.Cause)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// away answers as a server that cannot serve for now.
func away(t *testing.T) error {
	answer, err := status.New(codes.Unavailable, "no disk").WithDetails(
		&errdetails.ErrorInfo{Reason: "STORE_UNAVAILABLE", Domain: "creditd", Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Error(err)
	}
	return answer.Err()
}

func TestTheLastRefusalIsTheCause(t *testing.T) {
	const limit = 500 * time.Millisecond
	recorded := newAttempts()
	client := newClient(t, recorded.interceptor(func(int, error) error { return away(t) }))
	ctx, cancel := context.WithTimeout(testContext(t), limit)
	defer cancel()
	began := time.Now()
	_, err := client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-21"})
	if took := time.Since(began); took > 10*limit {
		t.Errorf("it took %v", took)
	}
	failure := asError(t, fmt.Errorf("wrapped: %w", err))
	// By waits of up to 50, 100, 200 and 400 ms.
	if failure.Code != codes.DeadlineExceeded || failure.Attempts < 3 || failure.Attempts != recorded.count() || failure.RequestID != "order-21" || failure.Reason != "" {
		t.Errorf("%d attempts, then %+v", recorded.count(), failure)
	}
	if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the deadline does not show in %v", err)
	}
	var last *creditd.Error
	if !errors.As(errors.Unwrap(err), &last) || last != failure.Cause || last.Reason != creditd.ReasonStoreUnavailable ||
		last.Attempts != failure.Attempts || last.RequestID != "order-21" {
		t.Errorf("the cause is %+v", last)
	}
	if !creditd.IsReason(err, creditd.ReasonStoreUnavailable) || creditd.IsReason(err, creditd.ReasonInternal) {
		t.Errorf("the cause's reason does not show in %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "no disk") {
		t.Errorf("the text is %q", text)
	}
}

func TestADeadlineWithinAnAttemptHasTheCauseToo(t *testing.T) {
	fake := (&fakeServer{}).start(t)
	fake.answer = func(string, proto.Message) (proto.Message, error) {
		if len(fake.received()) == 1 {
			return nil, away(t)
		}
		<-testContext(t).Done()
		return nil, unavailable()
	}
	client := fake.newClient(t, quickRetry(0), creditd.WithTimeout(300*time.Millisecond))
	_, err := client.GetRateCard(context.Background(), creditd.GetRateCardParams{})
	failure := asError(t, err)
	if failure.Code != codes.DeadlineExceeded || failure.Attempts != 2 || !creditd.IsReason(err, creditd.ReasonStoreUnavailable) {
		t.Errorf("got %+v", failure)
	}
}

func TestACancelledWaitEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	client := newClient(t, quickRetry(2), creditd.WithTimeout(0), newAttempts().interceptor(func(int, error) error {
		time.AfterFunc(20*time.Millisecond, cancel)
		return unavailableFor(t, 20*time.Second)
	}))
	_, err := client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-18"})
	failure := asError(t, err)
	if failure.Code != codes.Canceled || failure.RequestID != "order-18" || failure.Attempts != 1 || failure.Cause == nil {
		t.Errorf("got %+v", failure)
	}
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
}

func TestACancelledCallIsNotSentAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	recorded := newAttempts()
	client := newClient(t, recorded.interceptor(func(int, error) error {
		cancel()
		return unavailable()
	}))
	_, err := client.GetRateCard(ctx, creditd.GetRateCardParams{})
	if failure := asError(t, err); failure.Code != codes.Canceled || recorded.count() != 1 {
		t.Errorf("%d attempts, then %+v", recorded.count(), failure)
	}
}

// A server that is away for some seconds, with the usual options: calls outlive it.
func TestCallsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	first, err := startServer(dir, freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	recorded := newAttempts()
	client := newClientOf(t, first.address, recorded.interceptor(nil))
	ctx := testContext(t)
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: one}); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	before := recorded.count()
	failures := make(chan error, 2)
	go func() {
		// The client's own deadline, 10 s.
		_, err := client.GetBalance(context.Background(), creditd.GetBalanceParams{Account: "team-a"})
		failures <- err
	}()
	go func() {
		_, err := client.Charge(context.Background(), creditd.ChargeParams{Account: "team-a", Cost: creditd.Credits(one)})
		failures <- err
	}()
	// Long enough away that attempts of former policies would have ended.
	for recorded.count() < before+12 {
		select {
		case err := <-failures:
			t.Fatalf("a call ended after %d attempts: %v", recorded.count()-before, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	second, err := startServer(dir, first.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.stop(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
}

func unavailableFor(t *testing.T, delay time.Duration) error {
	answer, err := status.New(codes.Unavailable, "try later").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	if err != nil {
		t.Error(err)
	}
	return answer.Err()
}
