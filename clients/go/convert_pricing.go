package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/status"
)

// Messages of PricingService; convert.go says what holds for all conversions.

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
