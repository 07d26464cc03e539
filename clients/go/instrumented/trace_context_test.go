package instrumented

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	creditd "github.com/creditd/creditd/clients/go"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// recordingServer refuses all calls, and records the headers that name a trace.
type recordingServer struct {
	address string
	mutex   sync.Mutex
	// traceparents has those of each call.
	traceparents [][]string
}

func startRecording(t *testing.T) *recordingServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recording := &recordingServer{address: listener.Addr().String()}
	serving := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		received, _ := metadata.FromIncomingContext(stream.Context())
		recording.mutex.Lock()
		defer recording.mutex.Unlock()
		recording.traceparents = append(recording.traceparents, received.Get("traceparent"))
		return status.Error(codes.Unimplemented, "recorded")
	}))
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(listener) }()
	t.Cleanup(func() {
		serving.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return recording
}

func (r *recordingServer) saw() [][]string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.traceparents
}

func traceparent(span trace.SpanContext) string {
	return fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags())
}

// Without otelgrpc the server sees the program's span, and with it the span that
// otelgrpc makes of the call: once, whoever else has set the header.
func TestTheInnermostSpanIsWhatTheServerSees(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() { otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator()) })
	const byHand = "00-11111111111111111111111111111111-2222222222222222-01"
	for name, test := range map[string]struct {
		withHandler bool
		given       metadata.MD
	}{
		"the program's":                 {false, nil},
		"otelgrpc's":                    {true, nil},
		"otelgrpc's, and one by hand":   {true, metadata.Pairs("traceparent", byHand)},
		"none of these but one by hand": {false, metadata.Pairs("traceparent", byHand)},
	} {
		t.Run(name, func(t *testing.T) {
			server := startRecording(t)
			spans := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
			var options []creditd.Option
			if test.withHandler {
				handler := otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(provider))
				options = append(options, creditd.WithDialOptions(grpc.WithStatsHandler(handler)))
			}
			client, err := creditd.New(server.address, options...)
			if err != nil {
				t.Fatal(err)
			}
			ctx, span := provider.Tracer("tests").Start(testContext(t), "render")
			defer span.End()
			ctx = metadata.NewOutgoingContext(ctx, test.given)
			if _, err := client.GetBalance(ctx, creditd.GetBalanceParams{Account: "team-a"}); err == nil {
				t.Error("the call was answered")
			}
			for _, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
				if err == nil {
					t.Error("the watch was answered")
				}
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			saw := server.saw()
			want := []string{traceparent(span.SpanContext()), traceparent(span.SpanContext())}
			if len(test.given) > 0 {
				want = []string{byHand, byHand}
			}
			if test.withHandler {
				want = nil
				for _, call := range spans.Started() {
					if call.Name() == "render" {
						continue
					}
					if call.SpanKind() != trace.SpanKindClient || call.Parent().SpanID() != span.SpanContext().SpanID() {
						t.Errorf("%s is no child of the program's span", call.Name())
					}
					want = append(want, traceparent(call.SpanContext()))
				}
			}
			if len(want) != 2 || len(saw) != 2 || !slices.Equal(slices.Concat(saw...), want) {
				t.Errorf("the server saw %v, not %v", saw, want)
			}
		})
	}
}
