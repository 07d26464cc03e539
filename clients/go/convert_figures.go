package creditd

import (
	"strings"
)

// Metadata of refusals; convert.go says what holds for all conversions.

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

// holdClosedFromMetadata reads a status that stands there as the message has it.
func holdClosedFromMetadata(metadata map[string]string) (HoldClosed, error) {
	var r reader
	closed := HoldClosed{
		HoldID: metadata["hold_id"],
		Status: HoldStatus(strings.ToUpper(metadata["status"])),
	}
	if closed.Status == "" {
		r.fail("status is missing")
	}
	return closed, r.err
}

func holdExceededFromMetadata(metadata map[string]string) (HoldExceeded, error) {
	var r reader
	figures := HoldExceeded{
		HoldID:   metadata["hold_id"],
		Required: r.decimal("required", metadata["required"]),
		Held:     r.decimal("held", metadata["held"]),
	}
	return figures, r.err
}

func refundExceedsChargeFromMetadata(metadata map[string]string) (RefundExceedsCharge, error) {
	var r reader
	figures := RefundExceedsCharge{
		EntryID:    metadata["entry_id"],
		Requested:  r.decimal("requested", metadata["requested"]),
		Refundable: r.decimal("refundable", metadata["refundable"]),
	}
	return figures, r.err
}
