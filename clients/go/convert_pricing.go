package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
)

// The messages that replies of PricingService are made of; convert.go says what
// holds for all conversions.

const attributeSourcePrefix = "ATTRIBUTE_SOURCE_"

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
		AccountKnown:   pb.GetAccountKnown(),
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
		Key:         pb.GetKey(),
	}
}

func (r *reader) servicePrice(pb *creditdv1.ServicePrice) ServicePrice {
	return ServicePrice{
		Service:      pb.GetService(),
		Title:        pb.GetTitle(),
		Rule:         pb.GetRule(),
		Meters:       pb.GetMeters(),
		QuantityMax:  pb.GetQuantityMax(),
		MeterDetails: each(pb.GetMeterDetails(), r.meter),
		Attributes:   each(pb.GetAttributes(), attributeFromPB),
	}
}

func (r *reader) meter(pb *creditdv1.Meter) Meter {
	return Meter{
		Meter:        pb.GetMeter(),
		Unit:         pb.GetUnit(),
		Decimals:     pb.GetDecimals(),
		DefaultValue: r.nullDecimal("meter_details.default_value", pb.GetDefaultValue()),
		Min:          r.nullDecimal("meter_details.min", pb.GetMin()),
		Max:          r.nullDecimal("meter_details.max", pb.GetMax()),
	}
}

func attributeFromPB(pb *creditdv1.Attribute) Attribute {
	return Attribute{
		Attribute:    pb.GetAttribute(),
		Values:       pb.GetValues(),
		DefaultValue: pb.GetDefaultValue(),
		Source:       AttributeSource(enumFromPB(pb.GetSource(), attributeSourcePrefix)),
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
