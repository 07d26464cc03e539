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
	refusal, is := asError(err)
	if !is || refusal.Reason != ReasonInsufficientCredits {
		return InsufficientCredits{}, false
	}
	figures, err := insufficientCreditsFromMetadata(refusal.Metadata)
	return figures, err == nil
}
