package creditd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const tracedCalls = 16

// usePropagators sets the program's propagators until the test ends; without any, none.
func usePropagators(t *testing.T, propagators ...propagation.TextMapPropagator) {
	t.Helper()
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagators...))
	t.Cleanup(func() { otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator()) })
}

// tracedContext is that of a span of a trace with that number.
func tracedContext(ctx context.Context, number byte, flags trace.TraceFlags, state trace.TraceState) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    trace.TraceID{15: number},
		SpanID:     trace.SpanID{7: 9},
		TraceFlags: flags,
		TraceState: state,
	}))
}

func traceID(number byte) string { return trace.TraceID{15: number}.String() }

func traceparent(number byte, flags trace.TraceFlags) string {
	return fmt.Sprintf("00-%s-0000000000000009-%02x", traceID(number), byte(flags))
}

// loggingServer logs each call as JSON.
func loggingServer(t *testing.T) *server {
	t.Helper()
	started, err := startServer(t.TempDir(), "127.0.0.1:0", "--log-calls", "--log-format", "json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.stop(); err != nil {
			t.Error(err)
		}
	})
	return started
}

// callLine is a line that a server's log has of a call.
type callLine struct {
	TraceID string `json:"trace_id"`
	Method  string `json:"method"`
	Account string `json:"account"`
}

// waitForCalls returns the lines of that many calls that the filter takes.
func (s *server) waitForCalls(t *testing.T, count int, filter func(callLine) bool) []callLine {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var found []callLine
		for lines := bufio.NewScanner(strings.NewReader(s.process.Log())); lines.Scan(); {
			var line callLine
			// The last one may not be whole yet.
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Method != "" && filter(line) {
				found = append(found, line)
			}
		}
		if len(found) >= count {
			return found
		}
		if time.Now().After(end) {
			t.Fatalf("%d calls of %d were logged:\n%s", len(found), count, s.process.Log())
		}
	}
}

func TestTheLineOfACallHasItsTrace(t *testing.T) {
	usePropagators(t, propagation.TraceContext{})
	server := loggingServer(t)
	client := newClientOf(t, server.address)
	account := newAccount()
	ctx := tracedContext(testContext(t), 1, trace.FlagsSampled, trace.TraceState{})
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Charge(ctx, creditd.ChargeParams{Account: account, Cost: creditd.Credits(one)}); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.ListEntries(ctx, creditd.ListEntriesParams{Account: account, PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: account}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	lines := server.waitForCalls(t, 5, func(line callLine) bool { return line.TraceID == traceID(1) })
	var methods []string
	for _, line := range lines {
		methods = append(methods, path.Base(line.Method))
	}
	if want := []string{"Grant", "Charge", "ListEntries", "ListEntries", "WatchBalance"}; !slices.Equal(methods, want) {
		t.Errorf("the trace has %v, not %v", methods, want)
	}
}

func TestConcurrentCallsDoNotMixTheirTraces(t *testing.T) {
	usePropagators(t, propagation.TraceContext{})
	server := loggingServer(t)
	client := newClientOf(t, server.address)
	ctx := testContext(t)
	accounts := map[string]byte{}
	var group sync.WaitGroup
	start := make(chan struct{})
	for number := byte(1); number <= tracedCalls; number++ {
		account := newAccount()
		accounts[account] = number
		group.Add(1)
		go func() {
			defer group.Done()
			<-start
			ctx := tracedContext(ctx, number, trace.FlagsSampled, trace.TraceState{})
			if _, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: one}); err != nil {
				t.Error(err)
			}
		}()
	}
	close(start)
	group.Wait()
	for _, line := range server.waitForCalls(t, tracedCalls, func(callLine) bool { return true }) {
		if want := traceID(accounts[line.Account]); line.TraceID != want {
			t.Errorf("a call has trace %q, not %q", line.TraceID, want)
		}
	}
}

// headersOf records the metadata of all calls of a server.
type headersOf struct {
	mutex sync.Mutex
	calls []metadata.MD
}

// record is for fakeServer.called.
func (h *headersOf) record(ctx context.Context) {
	received, _ := metadata.FromIncomingContext(ctx)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.calls = append(h.calls, received)
}

// take returns those headers of the calls since the last time.
func (h *headersOf) take(names ...string) []metadata.MD {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var taken []metadata.MD
	for _, call := range h.calls {
		some := metadata.MD{}
		for _, name := range names {
			if values := call.Get(name); len(values) > 0 {
				some[name] = values
			}
		}
		taken = append(taken, some)
	}
	h.calls = nil
	return taken
}

func TestEachAttemptCarriesTheTrace(t *testing.T) {
	usePropagators(t, propagation.TraceContext{})
	for name, refusal := range map[string]error{
		"unavailable": status.Error(codes.Unavailable, "down"),
		"another key": refusedAs(t, codes.Unauthenticated, "KEY_INVALID", 0),
	} {
		t.Run(name, func(t *testing.T) {
			var headers headersOf
			keys := 0
			server := (&fakeServer{called: headers.record}).start(t)
			server.answer = func(string, proto.Message) (proto.Message, error) {
				if len(server.received()) == 1 {
					return nil, refusal
				}
				return &creditdv1.EstimateResponse{Estimate: &creditdv1.Estimate{Credits: "1", DisplayCredits: "1"}}, nil
			}
			client := server.newClient(t, quickRetry(0), creditd.WithKeyFunc(func(context.Context) (string, error) {
				keys++
				return fmt.Sprintf("key-%d", keys), nil
			}))
			ctx := tracedContext(testContext(t), 1, trace.FlagsSampled, trace.TraceState{})
			if _, err := client.Estimate(ctx, creditd.EstimateParams{}); err != nil {
				t.Fatal(err)
			}
			call := metadata.Pairs("traceparent", traceparent(1, trace.FlagsSampled))
			if got, want := headers.take("traceparent"), []metadata.MD{call, call}; !reflect.DeepEqual(got, want) {
				t.Errorf("the attempts had %v, not %v", got, want)
			}
		})
	}
}

// oddPropagator sends names in capitals, and what no header can have.
type oddPropagator struct{ propagation.TraceContext }

func (oddPropagator) Inject(_ context.Context, carrier propagation.TextMapCarrier) {
	carrier.Set("X-Team-Trace", "0")
	carrier.Set("x-team-trace", "1")
	carrier.Set("x-lines", "1\n2")
	carrier.Set("no name", "1")
	carrier.Set("", "1")
	carrier.Set("x-trace-bin", "\x00")
}

func TestWhatThePropagatorsSend(t *testing.T) {
	w3c := []propagation.TextMapPropagator{propagation.TraceContext{}, propagation.Baggage{}}
	member, err := baggage.NewMemberRaw("team", "aé")
	if err != nil {
		t.Fatal(err)
	}
	carried, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	byHand := traceparent(2, 0)
	vendor, err := trace.ParseTraceState("vendor=opaque")
	if err != nil {
		t.Fatal(err)
	}
	const sampled = trace.FlagsSampled
	for name, test := range map[string]struct {
		propagators []propagation.TextMapPropagator
		// with makes the context of the calls.
		with  func(context.Context) context.Context
		given metadata.MD
		want  metadata.MD
	}{
		"a span": {
			propagators: w3c,
			with:        func(ctx context.Context) context.Context { return tracedContext(ctx, 1, sampled, trace.TraceState{}) },
			want:        metadata.Pairs("traceparent", traceparent(1, sampled)),
		},
		"not sampled": {
			propagators: w3c,
			with:        func(ctx context.Context) context.Context { return tracedContext(ctx, 1, 0, trace.TraceState{}) },
			want:        metadata.Pairs("traceparent", traceparent(1, 0)),
		},
		"with a state": {
			propagators: w3c,
			with:        func(ctx context.Context) context.Context { return tracedContext(ctx, 1, sampled, vendor) },
			want:        metadata.Pairs("traceparent", traceparent(1, sampled), "tracestate", "vendor=opaque"),
		},
		"with baggage": {
			propagators: w3c,
			with: func(ctx context.Context) context.Context {
				return baggage.ContextWithBaggage(tracedContext(ctx, 1, sampled, trace.TraceState{}), carried)
			},
			want: metadata.Pairs("traceparent", traceparent(1, sampled), "baggage", "team=a%C3%A9"),
		},
		"no span": {
			propagators: w3c,
			with:        func(ctx context.Context) context.Context { return ctx },
			want:        metadata.MD{},
		},
		"no propagators": {
			with: func(ctx context.Context) context.Context { return tracedContext(ctx, 1, sampled, vendor) },
			want: metadata.MD{},
		},
		"a trace by hand": {
			propagators: w3c,
			with: func(ctx context.Context) context.Context {
				return baggage.ContextWithBaggage(tracedContext(ctx, 1, sampled, vendor), carried)
			},
			given: metadata.Pairs("traceparent", byHand),
			want:  metadata.Pairs("traceparent", byHand, "baggage", "team=a%C3%A9"),
		},
		"baggage by hand": {
			propagators: w3c,
			with: func(ctx context.Context) context.Context {
				return baggage.ContextWithBaggage(tracedContext(ctx, 1, sampled, trace.TraceState{}), carried)
			},
			given: metadata.Pairs("baggage", "by=hand"),
			want:  metadata.Pairs("traceparent", traceparent(1, sampled), "baggage", "by=hand"),
		},
		"what cannot be sent": {
			propagators: []propagation.TextMapPropagator{oddPropagator{}},
			with:        func(ctx context.Context) context.Context { return ctx },
			want:        metadata.Pairs("x-team-trace", "1", "x-trace-bin", "\x00"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			usePropagators(t, test.propagators...)
			var headers headersOf
			server := (&fakeServer{
				called: headers.record,
				answer: func(string, proto.Message) (proto.Message, error) {
					return &creditdv1.EstimateResponse{Estimate: &creditdv1.Estimate{Credits: "1", DisplayCredits: "1"}}, nil
				},
				watch: func(int, grpc.ServerStreamingServer[creditdv1.WatchBalanceResponse]) error { return nil },
			}).start(t)
			client := server.newClient(t)
			ctx := metadata.NewOutgoingContext(test.with(testContext(t)), test.given)
			if _, err := client.Estimate(ctx, creditd.EstimateParams{}); err != nil {
				t.Fatal(err)
			}
			for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
				t.Fatal(err)
			}
			names := []string{"traceparent", "tracestate", "baggage", "x-team-trace", "x-lines", "no name", "x-trace-bin"}
			if got, want := headers.take(names...), []metadata.MD{test.want, test.want}; !reflect.DeepEqual(got, want) {
				t.Errorf("the call and the watch had %v, not %v", got, want)
			}
		})
	}
}
