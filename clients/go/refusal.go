package creditd

import (
	"strings"

	"github.com/shopspring/decimal"
)

// InsufficientCredits has the details of a refusal with [ReasonInsufficientCredits].
type InsufficientCredits struct {
	Account string
	// Required is what the call costs.
	Required decimal.Decimal
	// Available is what this call could have spent.
	Available decimal.Decimal
	// Shortfall is how much is missing.
	Shortfall decimal.Decimal
}

// AsInsufficientCredits returns the amounts where err is, or wraps, such a refusal.
func AsInsufficientCredits(err error) (InsufficientCredits, bool) {
	return refusalAs(err, ReasonInsufficientCredits, insufficientCreditsFromMetadata)
}

func insufficientCreditsFromMetadata(r *reader, metadata map[string]string) InsufficientCredits {
	return InsufficientCredits{
		Account:   metadata["account"],
		Required:  r.decimal("required", metadata["required"]),
		Available: r.decimal("available", metadata["available"]),
		Shortfall: r.decimal("shortfall", metadata["shortfall"]),
	}
}

// HoldClosed has the details of a refusal with [ReasonHoldClosed].
type HoldClosed struct {
	HoldID string
	// Status is where the hold stands.
	Status HoldStatus
}

// AsHoldClosed returns what became of the hold where err is, or wraps, such a
// refusal.
func AsHoldClosed(err error) (HoldClosed, bool) {
	return refusalAs(err, ReasonHoldClosed, holdClosedFromMetadata)
}

func holdClosedFromMetadata(r *reader, metadata map[string]string) HoldClosed {
	if metadata["status"] == "" {
		r.fail("status is missing")
	}
	// The message has the status in lower case, and so has the metadata.
	return HoldClosed{HoldID: metadata["hold_id"], Status: HoldStatus(strings.ToUpper(metadata["status"]))}
}

// HoldExceeded has the details of a refusal with [ReasonHoldExceeded].
type HoldExceeded struct {
	HoldID string
	// Required is what the settlement costs.
	Required decimal.Decimal
	// Held is what the hold has left.
	Held decimal.Decimal
}

// AsHoldExceeded returns the amounts where err is, or wraps, such a refusal.
func AsHoldExceeded(err error) (HoldExceeded, bool) {
	return refusalAs(err, ReasonHoldExceeded, holdExceededFromMetadata)
}

func holdExceededFromMetadata(r *reader, metadata map[string]string) HoldExceeded {
	return HoldExceeded{
		HoldID:   metadata["hold_id"],
		Required: r.decimal("required", metadata["required"]),
		Held:     r.decimal("held", metadata["held"]),
	}
}

// RefundExceedsCharge has the details of a refusal with [ReasonRefundExceedsCharge].
type RefundExceedsCharge struct {
	EntryID string
	// Requested is what was to be given back.
	Requested decimal.Decimal
	// Refundable is what can still be given back.
	Refundable decimal.Decimal
}

// AsRefundExceedsCharge returns the amounts where err is, or wraps, such a refusal.
func AsRefundExceedsCharge(err error) (RefundExceedsCharge, bool) {
	return refusalAs(err, ReasonRefundExceedsCharge, refundExceedsChargeFromMetadata)
}

func refundExceedsChargeFromMetadata(r *reader, metadata map[string]string) RefundExceedsCharge {
	return RefundExceedsCharge{
		EntryID:    metadata["entry_id"],
		Requested:  r.decimal("requested", metadata["requested"]),
		Refundable: r.decimal("refundable", metadata["refundable"]),
	}
}

// refusalAs reads the metadata of a refusal with that reason.
func refusalAs[T any](err error, reason Reason, read func(*reader, map[string]string) T) (T, bool) {
	var none T
	refusal, is := withReason(err, reason)
	if !is {
		return none, false
	}
	var r reader
	details := read(&r, refusal.Metadata)
	if r.err != nil {
		return none, false
	}
	return details, true
}
