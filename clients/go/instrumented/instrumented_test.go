// Package instrumented tests the client with the interceptors and the
// instrumentation that programs usually have.
package instrumented

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/creditd/creditd/clients/go/internal/testserver"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/timeout"
	"github.com/shopspring/decimal"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

var services = []grpc.ServiceDesc{
	creditdv1.PricingService_ServiceDesc, creditdv1.LedgerService_ServiceDesc, creditdv1.AdminService_ServiceDesc,
}

var one = decimal.NewFromInt(1)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startServer(t *testing.T) *testserver.Server {
	t.Helper()
	server, err := testserver.Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A test may have stopped it.
		_ = server.Stop()
	})
	return server
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// recorder stores what the instrumentation reports.
type recorder struct {
	spans   *tracetest.SpanRecorder
	metrics *metric.ManualReader

	mutex sync.Mutex
	// logged are the methods whose end was logged.
	logged []string
}

// options switches all of it on.
func (r *recorder) options(t *testing.T) creditd.Option {
	r.spans, r.metrics = tracetest.NewSpanRecorder(), metric.NewManualReader()
	tracing := trace.NewTracerProvider(trace.WithSpanProcessor(r.spans))
	metering := metric.NewMeterProvider(metric.WithReader(r.metrics))
	t.Cleanup(func() {
		if err := errors.Join(tracing.Shutdown(context.Background()), metering.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
	})
	logger := logging.LoggerFunc(func(_ context.Context, _ logging.Level, message string, fields ...any) {
		if message != "finished call" {
			return
		}
		i := slices.Index(fields, any("grpc.method"))
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.logged = append(r.logged, fields[i+1].(string))
	})
	log := logging.WithLogOnEvents(logging.StartCall, logging.FinishCall)
	return creditd.WithDialOptions(
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(tracing), otelgrpc.WithMeterProvider(metering))),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, req, reply, conn, opts...)
		}),
		grpc.WithChainUnaryInterceptor(
			logging.UnaryClientInterceptor(logger, log),
			timeout.UnaryClientInterceptor(5*time.Second),
			retry.UnaryClientInterceptor(),
		),
		grpc.WithChainStreamInterceptor(logging.StreamClientInterceptor(logger, log), retry.StreamClientInterceptor()),
	)
}

// ended waits until each call that began has ended, for spans and for the log, and
// returns how many there were of each method.
func (r *recorder) ended(t *testing.T) map[string]int {
	t.Helper()
	// grpc tells a stats handler of a stream's end from a goroutine of its own.
	for end := time.Now().Add(10 * time.Second); len(r.spans.Ended()) < len(r.spans.Started()); {
		if time.Now().After(end) {
			t.Fatalf("%d spans began and %d ended", len(r.spans.Started()), len(r.spans.Ended()))
		}
		time.Sleep(5 * time.Millisecond)
	}
	count := map[string]int{}
	for _, span := range r.spans.Ended() {
		count[path.Base(span.Name())]++
	}
	logged := map[string]int{}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, method := range r.logged {
		logged[method]++
	}
	for method, spans := range count {
		if logged[method] != spans {
			t.Errorf("%s has %d spans and %d lines in the log", method, spans, logged[method])
		}
	}
	var measured metricdata.ResourceMetrics
	if err := r.metrics.Collect(context.Background(), &measured); err != nil {
		t.Fatal(err)
	}
	if len(measured.ScopeMetrics) == 0 {
		t.Error("nothing was measured")
	}
	return count
}

func newClient(t *testing.T, address string, opts ...creditd.Option) (*creditd.Client, *recorder) {
	t.Helper()
	var recorded recorder
	client, err := creditd.New(address, append(opts, recorded.options(t))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client, &recorded
}

// Each method is called with nothing in its params, which the server refuses: that
// is recorded as well.
func TestEveryMethod(t *testing.T) {
	client, recorded := newClient(t, startServer(t).Address)
	ctx := testContext(t)
	must(client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: one}))(t)
	for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	for _, service := range services {
		for _, method := range service.Methods {
			call := reflect.ValueOf(client).MethodByName(method.MethodName + "Page")
			if !call.IsValid() {
				call = reflect.ValueOf(client).MethodByName(method.MethodName)
			}
			call.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.Zero(call.Type().In(1))})
		}
	}
	count := recorded.ended(t)
	for _, service := range services {
		for _, method := range service.Methods {
			if count[method.MethodName] == 0 {
				t.Errorf("%s was not recorded", method.MethodName)
			}
		}
		for _, stream := range service.Streams {
			if count[stream.StreamName] == 0 {
				t.Errorf("%s was not recorded", stream.StreamName)
			}
		}
	}
}

// must takes both results of a call and returns the first.
func must[T any](result T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

func TestRefusalsAreAsWithout(t *testing.T) {
	client, recorded := newClient(t, startServer(t).Address)
	_, err := client.Charge(testContext(t), creditd.ChargeParams{Account: "nobody", Cost: creditd.Credits(one), RequestID: "order-17"})
	var failure *creditd.Error
	if !errors.As(err, &failure) || failure.Reason != creditd.ReasonAccountNotFound || failure.RequestID != "order-17" || failure.XRequestID == "" {
		t.Errorf("got %+v", failure)
	}
	for _, err := range client.WatchBalance(testContext(t), creditd.WatchBalanceParams{Account: "nobody"}) {
		if !creditd.IsReason(err, creditd.ReasonAccountNotFound) {
			t.Errorf("got %v", err)
		}
	}
	recorded.ended(t)
	for _, span := range recorded.spans.Ended() {
		if span.Status().Code != codes.Error {
			t.Errorf("%s has the status %v", span.Name(), span.Status())
		}
	}
}

// Each way in which a watch ends.
func TestAWatchEnds(t *testing.T) {
	for name, end := range map[string]func(*testserver.Server, *creditd.Client, context.CancelFunc) error{
		"by its context":  func(_ *testserver.Server, _ *creditd.Client, cancel context.CancelFunc) error { cancel(); return nil },
		"with the client": func(_ *testserver.Server, client *creditd.Client, _ context.CancelFunc) error { return client.Close() },
		"with the server": func(server *testserver.Server, _ *creditd.Client, _ context.CancelFunc) error { return server.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			var recorded recorder
			client, err := creditd.New(server.Address, recorded.options(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			must(client.Grant(ctx, creditd.GrantParams{Account: "team-a", Credits: one}))(t)
			balances := 0
			for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
				if err != nil {
					if name == "with the server" {
						t.Error(err)
					}
					break
				}
				balances++
				if err := end(server, client, cancel); err != nil {
					t.Fatal(err)
				}
			}
			if balances != 1 {
				t.Errorf("there were %d balances", balances)
			}
			if count := recorded.ended(t); count["WatchBalance"] != 1 {
				t.Errorf("it recorded %v", count)
			}
			_ = client.Close()
		})
	}
}

// Interceptors see each attempt.
func TestEachAttemptIsRecorded(t *testing.T) {
	server := startServer(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	policy := creditd.DefaultRetryPolicy()
	policy.MaxAttempts = 3
	client, recorded := newClient(t, server.Address, creditd.WithRetry(policy))
	_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{})
	var failure *creditd.Error
	if !errors.As(err, &failure) || failure.Attempts != 3 {
		t.Errorf("got %+v", failure)
	}
	if count := recorded.ended(t); count["GetRateCard"] != 3 {
		t.Errorf("it recorded %v", count)
	}
}
