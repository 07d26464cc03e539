package creditd

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/metadata"
)

// withTraceContext adds to the metadata of an attempt what the program's propagators
// send of the context: by W3C's names traceparent, tracestate and baggage. Nothing is
// added where the program has set no propagators, or the context has no span.
func withTraceContext(ctx context.Context) context.Context {
	var headers traceHeaders
	otel.GetTextMapPropagator().Inject(ctx, &headers)
	if len(headers.metadata) == 0 {
		return ctx
	}
	given, _ := metadata.FromOutgoingContext(ctx)
	var added []string
	for name, values := range headers.metadata {
		if !isGivenByHand(given, name) && isSendable(name, values[0]) {
			added = append(added, name, values[0])
		}
	}
	return metadata.AppendToOutgoingContext(ctx, added...)
}

// isGivenByHand tells whether the caller's metadata has the header already.
func isGivenByHand(given metadata.MD, name string) bool {
	// tracestate is about the trace of the traceparent beside it.
	return len(given.Get(name)) > 0 || name == "tracestate" && len(given.Get("traceparent")) > 0
}

// isSendable tells whether grpc sends the header. It refuses a call that has another
// one, and no call fails for its trace.
func isSendable(name, value string) bool {
	isOther := func(char rune) bool {
		return !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyz-_.", char)
	}
	isControl := func(char rune) bool { return char < ' ' || char > '~' }
	if name == "" || strings.ContainsFunc(name, isOther) {
		return false
	}
	return strings.HasSuffix(name, "-bin") || !strings.ContainsFunc(value, isControl)
}

// traceHeaders is what propagators write to. It makes no map before there is a header.
type traceHeaders struct{ metadata metadata.MD }

// Set stores one value for each name.
func (h *traceHeaders) Set(name, value string) {
	if h.metadata == nil {
		h.metadata = metadata.MD{}
	}
	h.metadata.Set(name, value)
}

// Get is there for the interface; only what reads a context needs it.
func (h *traceHeaders) Get(name string) string {
	return strings.Join(h.metadata.Get(name), "")
}

// Keys is there for the interface too.
func (h *traceHeaders) Keys() []string {
	return slices.Collect(maps.Keys(h.metadata))
}
