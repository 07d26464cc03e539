package creditd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const testKey = "creditd_0123456789abcdefABCDEF"

// keyServer answers with one error after the other, and nil stands for an answer. It
// records what came as authorization.
type keyServer struct {
	*fakeServer
	mutex   sync.Mutex
	answers []error
	bearers []string
}

func newKeyServer(t *testing.T, answers ...error) *keyServer {
	t.Helper()
	s := &keyServer{answers: answers}
	s.fakeServer = (&fakeServer{
		called: s.record,
		answer: func(method string, _ proto.Message) (proto.Message, error) {
			if err := s.next(); err != nil {
				return nil, err
			}
			if method == "CreateKey" {
				return &creditdv1.CreateKeyResponse{Key: &creditdv1.Key{KeyId: "k1"}, Secret: testKey}, nil
			}
			return &creditdv1.GetHoldResponse{Hold: &creditdv1.HoldState{Held: "1", Settled: "0"}}, nil
		},
		watch: func(_ int, stream watchStream) error {
			if err := s.next(); err != nil {
				return err
			}
			return sendBalance(stream, "1")
		},
	}).start(t)
	return s
}

func (s *keyServer) next() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.answers) == 0 {
		return nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	return err
}

func (s *keyServer) record(ctx context.Context) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.bearers = append(s.bearers, strings.Join(incoming.Get("authorization"), " and "))
}

// check compares what was sent since the last check.
func (s *keyServer) check(t *testing.T, want ...string) {
	t.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !slices.Equal(s.bearers, want) {
		t.Errorf("it was sent %q, want %q", s.bearers, want)
	}
	s.bearers = nil
}

// inTurn gives one key after the other, the last one for ever.
func inTurn(keys ...string) creditd.Option {
	var mutex sync.Mutex
	return creditd.WithKeyFunc(func(context.Context) (string, error) {
		mutex.Lock()
		defer mutex.Unlock()
		key := keys[0]
		if len(keys) > 1 {
			keys = keys[1:]
		}
		return key, nil
	})
}

// refusedAs is a refusal; with a delay it has RetryInfo.
func refusedAs(t *testing.T, code codes.Code, reason string, delay time.Duration) error {
	t.Helper()
	refusal, err := status.New(code, "the test says so").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "creditd"})
	if err == nil && delay > 0 {
		refusal, err = refusal.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return refusal.Err()
}

func getHold(ctx context.Context, client *creditd.Client, opts ...grpc.CallOption) error {
	_, err := client.GetHold(ctx, creditd.GetHoldParams{Account: "team-a", HoldID: "h1"}, opts...)
	return err
}

func TestEveryCallAndWatchHasTheKey(t *testing.T) {
	fixed := func(context.Context) (string, error) { return testKey, nil }
	for name, option := range map[string]creditd.Option{"value": creditd.WithKey(testKey), "function": creditd.WithKeyFunc(fixed)} {
		t.Run(name, func(t *testing.T) {
			server := newKeyServer(t)
			client := server.newClient(t, option)
			ctx := testContext(t)
			if err := getHold(ctx, client); err != nil {
				t.Error(err)
			}
			if _, err := client.Ledger().GetHold(ctx, &creditdv1.GetHoldRequest{}); err != nil {
				t.Error(err)
			}
			if available, failures := watchAll(ctx, client, "team-a"); len(available) != 1 || failures != nil {
				t.Errorf("the watch was %v and %v", available, failures)
			}
			bearer := "Bearer " + testKey
			server.check(t, bearer, bearer, bearer)
		})
	}
	server := newKeyServer(t)
	client := server.newClient(t)
	if err := getHold(metadata.AppendToOutgoingContext(testContext(t), "authorization", "Bearer x"), client); err != nil {
		t.Error(err)
	}
	if err := getHold(testContext(t), client); err != nil {
		t.Error(err)
	}
	server.check(t, "Bearer x", "")
}

func TestTheFunctionIsAskedBeforeEachAttempt(t *testing.T) {
	server := newKeyServer(t, unavailable(), unavailable())
	client := server.newClient(t, quickRetry(0), inTurn("one", "two", "three", "four", "five"))
	for range 2 {
		if err := getHold(testContext(t), client); err != nil {
			t.Error(err)
		}
	}
	if _, failures := watchAll(testContext(t), client, "team-a"); failures != nil {
		t.Error(failures)
	}
	server.check(t, "Bearer one", "Bearer two", "Bearer three", "Bearer four", "Bearer five")
}

func TestARefusedKeyIsNotSentAgain(t *testing.T) {
	invalid := refusedAs(t, codes.Unauthenticated, "KEY_INVALID", 0)
	required := refusedAs(t, codes.Unauthenticated, "KEY_REQUIRED", 0)
	for _, test := range []struct {
		key     creditd.Option
		retry   creditd.RetryPolicy
		answers []error
		want    []string
		fails   bool
	}{
		{creditd.WithKey("one"), creditd.DefaultRetryPolicy(), []error{invalid}, []string{"Bearer one"}, true},
		{inTurn("one"), creditd.DefaultRetryPolicy(), []error{invalid}, []string{"Bearer one"}, true},
		{inTurn("one", "two"), creditd.DefaultRetryPolicy(), []error{invalid}, []string{"Bearer one", "Bearer two"}, false},
		{inTurn("one", "two", "three"), creditd.DefaultRetryPolicy(), []error{invalid, invalid}, []string{"Bearer one", "Bearer two"}, true},
		{inTurn("one", "two"), creditd.DefaultRetryPolicy(), []error{required}, []string{"Bearer one"}, true},
		{inTurn("one", "two"), creditd.NoRetry(), []error{invalid}, []string{"Bearer one"}, true},
	} {
		server := newKeyServer(t, test.answers...)
		client := server.newClient(t, test.key, creditd.WithRetry(test.retry))
		err := getHold(testContext(t), client)
		if test.fails {
			if failure := asError(t, err); failure.Code != codes.Unauthenticated || failure.Attempts != len(test.want) {
				t.Errorf("%q: got %+v", test.want, failure)
			}
		} else if err != nil {
			t.Errorf("%q: got %v", test.want, err)
		}
		server.check(t, test.want...)
	}
}

func TestWhatTheFunctionFailsWith(t *testing.T) {
	sealed := errors.New("the vault is sealed")
	for name, test := range map[string]struct {
		key  string
		err  error
		code codes.Code
		is   error
		says string
	}{
		"an error":            {"", sealed, codes.Unauthenticated, sealed, "the function that gives the key failed: the vault is sealed"},
		"its own deadline":    {"", context.DeadlineExceeded, codes.DeadlineExceeded, context.DeadlineExceeded, "failed: context deadline exceeded"},
		"no key":              {"", nil, codes.Unauthenticated, nil, "cannot be sent: the key is empty"},
		"a key with its line": {testKey + "\n", nil, codes.Unauthenticated, nil, "white space"},
	} {
		server := newKeyServer(t)
		client := server.newClient(t, creditd.WithKeyFunc(func(context.Context) (string, error) { return test.key, test.err }))
		_, charged := client.Charge(testContext(t), creditd.ChargeParams{Account: "team-a", Cost: creditd.Credits(one), RequestID: "order-17"})
		_, failures := watchAll(testContext(t), client, "team-a")
		for _, err := range append(failures, charged) {
			failure := asError(t, err)
			if failure.Code != test.code || failure.Attempts != 0 || !strings.Contains(failure.Message, test.says) || strings.Contains(err.Error(), testKey) {
				t.Errorf("%s: got %+v", name, failure)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%s: %v wraps no %v", name, err, test.is)
			}
		}
		if len(failures) != 1 || asError(t, charged).RequestID != "order-17" {
			t.Errorf("%s: got %v and %v", name, charged, failures)
		}
		server.check(t)
	}
}

func TestAFunctionThatFailsAtALaterAttempt(t *testing.T) {
	server := newKeyServer(t, unavailable())
	asked := 0
	client := server.newClient(t, quickRetry(0), creditd.WithKeyFunc(func(context.Context) (string, error) {
		asked++
		if asked > 1 {
			return "", io.ErrUnexpectedEOF
		}
		return testKey, nil
	}))
	_, err := client.Charge(testContext(t), creditd.ChargeParams{Account: "team-a", Cost: creditd.Credits(one), RequestID: "order-17"})
	if failure := asError(t, err); failure.Attempts != 1 || failure.RequestID != "order-17" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %+v", failure)
	}
}

// A probe asks for the server's health, which needs no key, and asks no function for one.
// It is part of no caller's trace.
func TestProbesHaveNoKeyAndNoTrace(t *testing.T) {
	usePropagators(t, propagation.TraceContext{})
	recorded := make(chan string, 100)
	probed := make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		incoming, _ := metadata.FromIncomingContext(stream.Context())
		recorded <- fmt.Sprint(method, incoming.Get("authorization"), incoming.Get("traceparent"))
		if strings.HasPrefix(method, "/grpc.health") {
			close(probed)
			return status.Error(codes.Unimplemented, "no health")
		}
		<-probed
		return status.Error(codes.NotFound, "no balance")
	}))
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(listener) }()
	defer func() {
		serving.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client := newClientOf(t, listener.Addr().String(), creditd.WithKey(testKey), creditd.WithLiveness(50*time.Millisecond, time.Minute, time.Minute))
	ctx := tracedContext(testContext(t), 1, trace.FlagsSampled, trace.TraceState{})
	_, err = client.GetBalance(ctx, creditd.GetBalanceParams{Account: "team-a"})
	if failure := asError(t, err); failure.Code != codes.NotFound {
		t.Errorf("got %+v", failure)
	}
	want := []string{
		fmt.Sprintf("/creditd.v1.LedgerService/GetBalance[Bearer %s] [%s]", testKey, traceparent(1, trace.FlagsSampled)),
		"/grpc.health.v1.Health/Check[] []",
	}
	if got := []string{<-recorded, <-recorded}; !slices.Equal(got, want) {
		t.Errorf("it was sent %q", got)
	}
}

func TestTheFunctionHasTheDeadlineOfTheCall(t *testing.T) {
	server := newKeyServer(t)
	client := server.newClient(t, creditd.WithTimeout(50*time.Millisecond), creditd.WithKeyFunc(func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}))
	if failure := asError(t, getHold(context.Background(), client)); failure.Code != codes.DeadlineExceeded {
		t.Errorf("got %+v", failure)
	}
	server.check(t)
}

func TestKeysThatCannotBeSent(t *testing.T) {
	for key, want := range map[string]string{
		"":                   "the key is empty",
		testKey + "\n":       "white space, as the text of a file may",
		" " + testKey:        "white space",
		"Bearer " + testKey:  `without "Bearer"`,
		testKey + "\r\nx: y": "only visible ASCII",
		testKey + "\x00":     "only visible ASCII",
		testKey + "é":        "only visible ASCII",
		testKey + "\xff":     "only visible ASCII",
	} {
		_, err := creditd.New("127.0.0.1:1", creditd.WithKey(key))
		if err == nil || !strings.HasPrefix(err.Error(), "creditd: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), testKey) {
			t.Errorf("%q: got %v, want %s", key, err, want)
		}
	}
	if _, err := creditd.New("127.0.0.1:1", creditd.WithKeyFunc(nil)); err == nil {
		t.Error("no function was taken")
	}
}

func TestAKeyIsNotSentInPlaintextToAnotherMachine(t *testing.T) {
	key := creditd.WithKey(testKey)
	encrypted := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	const ours = "use TLS: leave out WithInsecure, or give WithTLS"
	for _, test := range []struct {
		target string
		opts   []creditd.Option
		// refused is a part of the error; empty: it is taken.
		refused string
	}{
		{"credits.example.com:443", []creditd.Option{creditd.WithInsecure()}, ours},
		{"10.0.0.1:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"0.0.0.0:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"[2001:db8::1]:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"[::ffff:10.0.0.1]:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"localhost.example.com:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"127.0.0.1.example.com:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"2130706433:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"dns:///credits.example.com:443", []creditd.Option{creditd.WithInsecure()}, ours},
		{"dns://10.0.0.1/localhost:50051", []creditd.Option{creditd.WithInsecure()}, ours},
		{"credits.example.com:443", []creditd.Option{creditd.WithTransportCredentials(insecure.NewCredentials())}, ours},
		{"credits.example.com:443", []creditd.Option{creditd.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))}, "the credentials require transport level security"},
		{"credits.example.com:443", nil, ""},
		{"credits.example.com:443", []creditd.Option{creditd.WithTLS(creditd.TLS{})}, ""},
		{"credits.example.com:443", []creditd.Option{creditd.WithTransportCredentials(encrypted)}, ""},
		{"127.0.0.1:50051", nil, ""},
		{"127.8.8.8:50051", []creditd.Option{creditd.WithInsecure()}, ""},
		{"localhost:50051", nil, ""},
		{"[::1]:50051", nil, ""},
		{"[::ffff:127.0.0.1]:50051", nil, ""},
		{"unix:/run/creditd.sock", nil, ""},
		{"dns:///localhost:50051", nil, ""},
		{"127.0.0.1:50051", []creditd.Option{creditd.WithTransportCredentials(insecure.NewCredentials())}, ""},
	} {
		client, err := creditd.New(test.target, append([]creditd.Option{key}, test.opts...)...)
		if err == nil {
			_ = client.Close()
		}
		if (test.refused == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), test.refused) || strings.Contains(err.Error(), testKey)) {
			t.Errorf("%s: got %v", test.target, err)
		}
		if client, err := creditd.New(test.target, test.opts...); err != nil {
			t.Errorf("%s without a key: %v", test.target, err)
		} else {
			_ = client.Close()
		}
	}
}

func TestNoOtherKeyBesideIt(t *testing.T) {
	server := newKeyServer(t)
	client := server.newClient(t, creditd.WithKey(testKey))
	ctx := metadata.AppendToOutgoingContext(testContext(t), "authorization", "Bearer x")
	_, failures := watchAll(ctx, client, "team-a")
	for _, err := range append(failures, getHold(ctx, client)) {
		if failure := asError(t, err); failure.Code != codes.InvalidArgument || strings.Contains(failure.Message, testKey) {
			t.Errorf("got %+v", failure)
		}
	}
	if len(failures) != 1 {
		t.Errorf("the watch had %v", failures)
	}
	server.check(t)
}

func TestWhatIsRateLimitedIsSentAgainWhenTheServerSays(t *testing.T) {
	const delay = 200 * time.Millisecond
	limited := refusedAs(t, codes.ResourceExhausted, "RATE_LIMITED", delay)
	server := newKeyServer(t, limited)
	began := time.Now()
	if err := getHold(testContext(t), server.newClient(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < delay || len(server.received()) != 2 {
		t.Errorf("it took %v and %d attempts", took, len(server.received()))
	}
	server = newKeyServer(t, limited)
	err := getHold(testContext(t), server.newClient(t), creditd.WithTimeout(delay/2))
	if failure := asError(t, err); failure.Code != codes.DeadlineExceeded || !creditd.IsReason(err, creditd.ReasonRateLimited) {
		t.Errorf("got %+v", failure)
	}
}

func TestAKeyIsCreatedAgainOnlyWhereNoneWas(t *testing.T) {
	for _, test := range []struct {
		refusal  error
		attempts int
	}{
		{unavailable(), 1},
		{refusedAs(t, codes.Unavailable, "STORE_UNAVAILABLE", time.Millisecond), 1},
		{refusedAs(t, codes.Unavailable, "A_REASON_OF_THE_FUTURE", time.Millisecond), 1},
		{refusedAs(t, codes.Unavailable, "SERVER_OVERLOADED", time.Millisecond), 2},
		{refusedAs(t, codes.Unavailable, "CLOCK_NOT_BELIEVED", time.Millisecond), 2},
		{refusedAs(t, codes.ResourceExhausted, "RATE_LIMITED", time.Millisecond), 2},
	} {
		server := newKeyServer(t, test.refusal)
		created, err := server.newClient(t, quickRetry(0)).CreateKey(testContext(t), creditd.CreateKeyParams{Scopes: []creditd.Scope{creditd.ScopeRead}})
		if test.attempts > 1 && (err != nil || created.Key.KeyID != "k1") || test.attempts == 1 && err == nil {
			t.Errorf("%v: got %v, %v", test.refusal, created, err)
		}
		if sent := len(server.received()); sent != test.attempts {
			t.Errorf("%v: it was sent %d times", test.refusal, sent)
		}
	}
}

func TestNothingShowsAKey(t *testing.T) {
	server := newKeyServer(t, unavailable(), refusedAs(t, codes.Unauthenticated, "KEY_INVALID", 0))
	ask := func(context.Context) (string, error) { return testKey, nil }
	for _, option := range []creditd.Option{creditd.WithKey(testKey), creditd.WithKeyFunc(ask)} {
		var seen context.Context
		client := server.newClient(t, option, creditd.WithDialOptions(grpc.WithChainUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				seen = ctx
				return invoke(ctx, method, req, reply, conn, opts...)
			})))
		created, err := client.CreateKey(testContext(t), creditd.CreateKeyParams{})
		if created == nil {
			created = &creditd.CreateKeyResult{Secret: testKey}
		}
		var logged bytes.Buffer
		for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&logged, nil)), slog.New(slog.NewJSONHandler(&logged, nil))} {
			logger.Info("made", "created", created, "secret", created.Secret, "client", fmt.Sprintf("%+v", client))
		}
		encoded, failed := json.Marshal(created)
		shown := []string{logged.String(), string(encoded), created.Secret.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, value := range []any{option, client, created, *created, created.Secret, &created.Secret, err, asErrorOrNil(err), seen} {
				shown = append(shown, fmt.Sprintf(verb, value))
			}
		}
		if failed != nil || logged.Len() == 0 {
			t.Error(failed)
		}
		for _, text := range shown {
			if strings.Contains(text, testKey) || strings.Contains(text, fmt.Sprintf("%x", testKey)) {
				t.Errorf("%.200s shows the key", text)
			}
		}
		if string(created.Secret) != testKey {
			t.Error("the secret is another")
		}
	}
}

func asErrorOrNil(err error) *creditd.Error {
	var failure *creditd.Error
	_ = errors.As(err, &failure)
	return failure
}
