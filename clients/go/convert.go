package creditd

import (
	"fmt"
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

// All conversions between messages and this package's types stand in this file;
// error.go reads statuses. To the wire they are total, but for amounts; from the
// wire, a text that is no amount or a message that is missing is an error, never
// a zero.

// exponentMax bounds the text that an amount becomes. The server takes 10 digits
// before the point and 9 after it; a decimal can have a billion.
const exponentMax = 100

// creditsToPB writes an amount without an exponent and without trailing zeros.
// It does not use Decimal.String: what that prints depends on settings of the
// decimal package, which any part of a program can change.
func creditsToPB(field string, credits decimal.Decimal) (string, error) {
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

func timeToPB(t time.Time) *timestamppb.Timestamp {
	return timestamppb.New(t)
}

// timeFromPB returns the zero time where none is set.
func timeFromPB(pb *timestamppb.Timestamp) time.Time {
	if pb == nil {
		return time.Time{}
	}
	return pb.AsTime()
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

func usagesToPB(usages []Usage) []*creditdv1.Usage {
	pbs := make([]*creditdv1.Usage, len(usages))
	for i, usage := range usages {
		pbs[i] = usageToPB(usage)
	}
	return pbs
}

// reader reads messages from the wire and keeps the first thing that is wrong.
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

func (r *reader) estimate(pb *creditdv1.Estimate) *Estimate {
	if pb == nil {
		r.fail("estimate is missing")
		return nil
	}
	estimate := &Estimate{
		Service:        pb.GetService(),
		Credits:        r.decimal("credits", pb.GetCredits()),
		DisplayCredits: r.decimal("display_credits", pb.GetDisplayCredits()),
		RateCard:       pb.GetRateCard(),
		Revision:       pb.GetRevision(),
	}
	for _, line := range pb.GetLines() {
		estimate.Lines = append(estimate.Lines, EstimateLine{
			Description: line.GetDescription(),
			Quantity:    r.decimal("lines.quantity", line.GetQuantity()),
			Unit:        line.GetUnit(),
			UnitCredits: r.decimal("lines.unit_credits", line.GetUnitCredits()),
			Credits:     r.decimal("lines.credits", line.GetCredits()),
		})
	}
	return estimate
}

func (r *reader) affordability(pb *creditdv1.Affordability) *Affordability {
	if pb == nil {
		return nil
	}
	return &Affordability{
		Sufficient: pb.GetSufficient(),
		Available:  r.decimal("affordability.available", pb.GetAvailable()),
		Shortfall:  r.decimal("affordability.shortfall", pb.GetShortfall()),
	}
}

func estimateFromPB(pb *creditdv1.EstimateResponse) (*Estimate, error) {
	var r reader
	estimate := r.estimate(pb.GetEstimate())
	affordability := r.affordability(pb.GetAffordability())
	if r.err != nil {
		return nil, r.err
	}
	estimate.Affordability = affordability
	return estimate, nil
}

// batchEstimateFromPB puts the x-request-id of the call into the items' errors.
func batchEstimateFromPB(pb *creditdv1.BatchEstimateResponse, xRequestID string) (*BatchEstimate, error) {
	var r reader
	batch := &BatchEstimate{
		Results:       make([]BatchEstimateResult, len(pb.GetResults())),
		TotalCredits:  r.decimal("total_credits", pb.GetTotalCredits()),
		FailedCount:   int(pb.GetFailedCount()),
		Affordability: r.affordability(pb.GetAffordability()),
	}
	for i, result := range pb.GetResults() {
		if failed := result.GetError(); failed != nil {
			batch.Results[i].Err = newError(status.FromProto(failed), "", xRequestID)
			continue
		}
		batch.Results[i].Estimate = r.estimate(result.GetEstimate())
	}
	return batch, r.err
}

func rateCardFromPB(pb *creditdv1.GetRateCardResponse) *RateCard {
	card := &RateCard{Name: pb.GetRateCard(), Revision: pb.GetRevision()}
	for _, price := range pb.GetServices() {
		card.Services = append(card.Services, ServicePrice{
			Service:     price.GetService(),
			Title:       price.GetTitle(),
			Rule:        price.GetRule(),
			Meters:      price.GetMeters(),
			QuantityMax: price.GetQuantityMax(),
		})
	}
	return card
}

func balanceFromPB(pb *creditdv1.Balance) (*Balance, error) {
	var r reader
	if pb == nil {
		r.fail("balance is missing")
	}
	balance := &Balance{
		Account:   pb.GetAccount(),
		Available: r.decimal("available", pb.GetAvailable()),
		Held:      r.decimal("held", pb.GetHeld()),
		ReadTime:  timeFromPB(pb.GetReadTime()),
		Version:   pb.GetVersion(),
	}
	for _, grant := range pb.GetGrants() {
		balance.Grants = append(balance.Grants, GrantBalance{
			GrantID:    grant.GetGrantId(),
			Granted:    r.decimal("grants.granted", grant.GetGranted()),
			Remaining:  r.decimal("grants.remaining", grant.GetRemaining()),
			Held:       r.decimal("grants.held", grant.GetHeld()),
			Priority:   grant.GetPriority(),
			ExpireTime: timeFromPB(grant.GetExpireTime()),
			Source:     grant.GetSource(),
			Services:   grant.GetServices(),
			CreateTime: timeFromPB(grant.GetCreateTime()),
		})
	}
	return balance, r.err
}

func grantedFromPB(pb *creditdv1.GrantResponse) (*Granted, error) {
	var r reader
	granted := &Granted{
		Entry:     r.entry(pb.GetEntry()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return granted, r.err
}

func (r *reader) entry(pb *creditdv1.Entry) Entry {
	if pb == nil {
		r.fail("entry is missing")
	}
	entry := Entry{
		EntryID:         pb.GetEntryId(),
		Account:         pb.GetAccount(),
		Kind:            EntryKind(strings.TrimPrefix(pb.GetKind().String(), "ENTRY_KIND_")),
		Credits:         r.decimal("entry.credits", pb.GetCredits()),
		Available:       r.decimal("entry.available", pb.GetAvailable()),
		CreateTime:      timeFromPB(pb.GetCreateTime()),
		RequestID:       pb.GetRequestId(),
		Service:         pb.GetService(),
		RateCard:        pb.GetRateCard(),
		Revision:        pb.GetRevision(),
		Labels:          pb.GetLabels(),
		Spent:           r.decimal("entry.spent", pb.GetSpent()),
		Held:            r.decimal("entry.held", pb.GetHeld()),
		Usage:           r.usage(pb.GetUsage()),
		GrantID:         pb.GetGrantId(),
		HoldID:          pb.GetHoldId(),
		RefundedEntryID: pb.GetRefundedEntryId(),
		Version:         pb.GetVersion(),
		Source:          pb.GetSource(),
	}
	for _, share := range pb.GetGrants() {
		entry.Grants = append(entry.Grants, GrantShare{
			GrantID: share.GetGrantId(),
			Credits: r.decimal("entry.grants.credits", share.GetCredits()),
			Held:    r.decimal("entry.grants.held", share.GetHeld()),
		})
	}
	return entry
}

func insufficientCreditsFromMetadata(metadata map[string]string) (InsufficientCredits, error) {
	var r reader
	figures := InsufficientCredits{
		Account:   metadata["account"],
		Required:  r.decimal("required", metadata["required"]),
		Available: r.decimal("available", metadata["available"]),
		Shortfall: r.decimal("shortfall", metadata["shortfall"]),
	}
	return figures, r.err
}
