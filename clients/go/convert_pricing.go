package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
)

// The messages that replies of PricingService are made of; convert.go says what
// holds for all conversions.

func (r *reader) estimate(pb *creditdv1.Estimate) Estimate {
	if pb == nil {
		r.fail("estimate is missing")
	}
	return Estimate{
		Service:        pb.GetService(),
		Credits:        r.decimal("credits", pb.GetCredits()),
		DisplayCredits: r.decimal("display_credits", pb.GetDisplayCredits()),
		RateCard:       pb.GetRateCard(),
		Revision:       pb.GetRevision(),
		Lines:          each(pb.GetLines(), r.estimateLine),
	}
}

func (r *reader) estimateLine(pb *creditdv1.EstimateLine) EstimateLine {
	return EstimateLine{
		Description: pb.GetDescription(),
		Quantity:    r.decimal("lines.quantity", pb.GetQuantity()),
		Unit:        pb.GetUnit(),
		UnitCredits: r.decimal("lines.unit_credits", pb.GetUnitCredits()),
		Credits:     r.decimal("lines.credits", pb.GetCredits()),
	}
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
