package creditd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// What conversions between messages and this package's types share. Each method's
// request and reply are converted beside the method; the messages that several
// replies have in common are in the other files convert*.go, and error.go reads
// statuses. To the wire, all can be converted but amounts that are too long to
// write; from the wire, a text that is no amount or a message that is missing is an
// error, never a zero.

// exponentMax bounds the text that an amount becomes. The server takes 10 digits
// before the point and 9 after it; a decimal can have a billion.
const exponentMax = 100

// creditsToPB writes an amount without an exponent and without trailing zeros.
// It does not use Decimal.String: what that prints depends on settings of the
// decimal package, which any part of a program can change.
func creditsToPB(field string, credits decimal.Decimal) (string, *Error) {
	exponent := credits.Exponent()
	if exponent > exponentMax || exponent < -exponentMax {
		return "", invalidAmount(field, fmt.Sprintf("%ve%d", credits.Coefficient(), exponent))
	}
	text := credits.StringFixed(max(0, -exponent))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text, nil
}

// invalidAmount is the server's own refusal, for what cannot be sent to it.
func invalidAmount(field, value string) *Error {
	const problem = "its exponent is too large"
	message := fmt.Sprintf("%s %q is no amount: %s", field, value, problem)
	refusal := status.New(codes.InvalidArgument, message)
	detailed, err := refusal.WithDetails(
		&errdetails.ErrorInfo{
			Reason:   string(ReasonInvalidAmount),
			Domain:   "creditd",
			Metadata: map[string]string{"field": field, "value": value, "problem": problem},
		},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: field, Reason: string(ReasonInvalidAmount), Description: message},
		}},
	)
	if err != nil {
		detailed = refusal
	}
	return newError(detailed, "", "")
}

// malformed is the failure of a call whose answer could not be read. A write may
// have been carried out.
func malformed(method, requestID string, err error) *Error {
	message := fmt.Sprintf("the answer to %s cannot be read: %v", method, err)
	return newError(status.New(codes.Internal, message), requestID, "")
}

// timeToPB leaves out the zero time.
func timeToPB(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// timeFromPB returns the zero time where none is set.
func timeFromPB(pb *timestamppb.Timestamp) time.Time {
	if pb == nil {
		return time.Time{}
	}
	return pb.AsTime()
}

// notAnEnumValue is no value of any enum, so the server refuses it.
const notAnEnumValue = -1

// enumToPB finds the number of a name without its prefix. A name that enumFromPB
// made of a number that it did not know becomes that number again.
func enumToPB(numbers map[string]int32, prefix, name string) int32 {
	if name == "" {
		return 0
	}
	if number, known := numbers[prefix+name]; known {
		return number
	}
	if number, err := strconv.ParseInt(name, 10, 32); err == nil {
		return int32(number)
	}
	return notAnEnumValue
}

// enumFromPB returns the name without its prefix, or the number where a later
// server has a value that is not known here.
func enumFromPB(value fmt.Stringer, prefix string) string {
	return strings.TrimPrefix(value.String(), prefix)
}

func usageToPB(usage Usage) *creditdv1.Usage {
	pb := &creditdv1.Usage{
		Service:    usage.Service,
		Attributes: usage.Attributes,
		Meters:     usage.Meters,
	}
	if duration, is := usage.Quantity.Duration(); is {
		pb.Quantity = &creditdv1.Usage_Duration{Duration: durationpb.New(duration)}
	}
	if count, is := usage.Quantity.Count(); is {
		pb.Quantity = &creditdv1.Usage_Count{Count: count}
	}
	return pb
}

// each converts a list; an empty one becomes nil.
func each[From, To any](items []From, convert func(From) To) []To {
	if len(items) == 0 {
		return nil
	}
	converted := make([]To, len(items))
	for i, item := range items {
		converted[i] = convert(item)
	}
	return converted
}

// writer writes requests and stores the error of the first amount that cannot be
// written.
type writer struct {
	// item is the path of the item of a batch that is written.
	item string
	err  *Error
}

func (w *writer) credits(field string, credits decimal.Decimal) string {
	text, err := creditsToPB(w.item+field, credits)
	if err != nil && w.err == nil {
		w.err = err
	}
	return text
}

// cost returns one of both: a usage, or an amount that is not empty. Without a cost
// it returns neither, which the server refuses.
func (w *writer) cost(cost Cost) (usage *creditdv1.Usage, credits string) {
	switch cost := cost.(type) {
	case Usage:
		return usageToPB(cost), ""
	case *Usage:
		if cost != nil {
			return usageToPB(*cost), ""
		}
	case creditsCost:
		return nil, w.credits("credits", cost.credits)
	}
	return nil, ""
}

// reader reads replies and stores the first error.
type reader struct {
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) decimal(field, text string) decimal.Decimal {
	value, err := decimal.NewFromString(text)
	if err != nil {
		r.fail("%s %q is not a decimal", field, text)
	}
	return value
}

// nullDecimal is null for an empty text.
func (r *reader) nullDecimal(field, text string) decimal.NullDecimal {
	if text == "" {
		return decimal.NullDecimal{}
	}
	return decimal.NewNullDecimal(r.decimal(field, text))
}

func (r *reader) usage(pb *creditdv1.Usage) *Usage {
	if pb == nil {
		return nil
	}
	usage := &Usage{
		Service:    pb.GetService(),
		Attributes: pb.GetAttributes(),
		Meters:     pb.GetMeters(),
	}
	switch quantity := pb.GetQuantity().(type) {
	case *creditdv1.Usage_Duration:
		duration := quantity.Duration.AsDuration()
		if !durationEqual(quantity.Duration, durationpb.New(duration)) {
			r.fail("usage.duration of %d s is more than a time.Duration can hold", quantity.Duration.GetSeconds())
		}
		usage.Quantity = QuantityOfTime(duration)
	case *creditdv1.Usage_Count:
		usage.Quantity = QuantityOfPieces(quantity.Count)
	}
	return usage
}

func durationEqual(a, b *durationpb.Duration) bool {
	return a.GetSeconds() == b.GetSeconds() && a.GetNanos() == b.GetNanos()
}
