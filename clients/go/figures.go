package creditd

import (
	"github.com/shopspring/decimal"
)

// InsufficientCredits is what a refusal with [ReasonInsufficientCredits] says.
type InsufficientCredits struct {
	Account string
	// Required is what the call costs.
	Required decimal.Decimal
	// Available is what this call could have spent.
	Available decimal.Decimal
	// Shortfall is how much is missing.
	Shortfall decimal.Decimal
}

// AsInsufficientCredits returns the figures where err is, or wraps, such a
// refusal.
func AsInsufficientCredits(err error) (InsufficientCredits, bool) {
	return figures(err, ReasonInsufficientCredits, insufficientCreditsFromMetadata)
}

// HoldClosed is what a refusal with [ReasonHoldClosed] says.
type HoldClosed struct {
	HoldID string
	// Status is where the hold stands.
	Status HoldStatus
}

// AsHoldClosed returns what became of the hold where err is, or wraps, such a
// refusal.
func AsHoldClosed(err error) (HoldClosed, bool) {
	return figures(err, ReasonHoldClosed, holdClosedFromMetadata)
}

// HoldExceeded is what a refusal with [ReasonHoldExceeded] says.
type HoldExceeded struct {
	HoldID string
	// Required is what the settlement costs.
	Required decimal.Decimal
	// Held is what the hold has left.
	Held decimal.Decimal
}

// AsHoldExceeded returns the figures where err is, or wraps, such a refusal.
func AsHoldExceeded(err error) (HoldExceeded, bool) {
	return figures(err, ReasonHoldExceeded, holdExceededFromMetadata)
}

// RefundExceedsCharge is what a refusal with [ReasonRefundExceedsCharge] says.
type RefundExceedsCharge struct {
	EntryID string
	// Requested is what was to be given back.
	Requested decimal.Decimal
	// Refundable is what can still be given back.
	Refundable decimal.Decimal
}

// AsRefundExceedsCharge returns the figures where err is, or wraps, such a
// refusal.
func AsRefundExceedsCharge(err error) (RefundExceedsCharge, bool) {
	return figures(err, ReasonRefundExceedsCharge, refundExceedsChargeFromMetadata)
}

// figures reads the metadata of a refusal with that reason.
func figures[T any](err error, reason Reason, read func(map[string]string) (T, error)) (T, bool) {
	var none T
	refusal, is := withReason(err, reason)
	if !is {
		return none, false
	}
	found, err := read(refusal.Metadata)
	if err != nil {
		return none, false
	}
	return found, true
}
