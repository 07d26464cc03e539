package creditd

import (
	"context"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Estimate is what one usage costs.
type Estimate struct {
	Service string
	// Credits is the exact cost, the amount that a charge deducts.
	Credits decimal.Decimal
	// DisplayCredits is the cost as the price list would print it.
	DisplayCredits decimal.Decimal
	RateCard       string
	// Revision identifies the prices that were used; see [AtRevision].
	Revision string
	// Lines add up to Credits. Only [WithExplain] asks for them.
	Lines []EstimateLine
	// Affordability is nil unless [WithBalanceCheck] asked for it. In a batch it
	// is about the whole batch and stands there.
	Affordability *Affordability `json:",omitzero"`
}

// EstimateLine is one line of an explained estimate.
type EstimateLine struct {
	// Description is for people: "2 started blocks of 120 s".
	Description string
	// Quantity is what is billed: 2.
	Quantity decimal.Decimal
	// Unit is what one of it is: "120 s".
	Unit string
	// UnitCredits is the price of one.
	UnitCredits decimal.Decimal
	Credits     decimal.Decimal
}

// Affordability says whether an account could pay at the moment of the answer.
// It reserves nothing.
type Affordability struct {
	Sufficient bool
	// Available is what the account can spend on this, restricted grants considered.
	Available decimal.Decimal
	// Shortfall is 0 where Sufficient.
	Shortfall decimal.Decimal
}

// BatchEstimate is what many usages cost.
type BatchEstimate struct {
	// Results has one element for each usage, in their order.
	Results []BatchEstimateResult
	// TotalCredits is the exact sum of the items that were priced.
	TotalCredits decimal.Decimal
	// FailedCount is the number of Results that have an Err.
	FailedCount int
	// Affordability is nil unless [WithBalanceCheck] asked for it.
	Affordability *Affordability `json:",omitzero"`
}

// BatchEstimateResult has either an Estimate or an Err; the other is nil.
type BatchEstimateResult struct {
	Estimate *Estimate `json:",omitzero"`
	Err      *Error    `json:",omitzero"`
}

// RateCard lists what a rate card prices.
type RateCard struct {
	// Name is what [OnRateCard] takes.
	Name string
	// Revision is what [AtRevision] takes.
	Revision string
	Services []ServicePrice
}

// ServicePrice is one row of a rate card.
type ServicePrice struct {
	// Service is the key, "lip_sync_video".
	Service string
	// Title is the name people read, "Lip Sync Video".
	Title string
	// Rule is the price in words.
	Rule string
	// Meters are "duration", "count" or the names of the meters.
	Meters []string
	// QuantityMax is the largest quantity of one usage with its unit, "3600 s"; empty without a limit.
	QuantityMax string
}

// Estimate prices one usage.
func (c *Client) Estimate(ctx context.Context, usage Usage, opts ...EstimateOption) (*Estimate, error) {
	var config estimateConfig
	for _, opt := range opts {
		opt.applyToEstimate(&config)
	}
	reply, err := c.pricing.Estimate(ctx, &creditdv1.EstimateRequest{
		Usage:        usageToPB(usage),
		Prices:       config.prices,
		Explain:      config.explain,
		CheckBalance: config.checkBalance,
	})
	if err != nil {
		return nil, err
	}
	estimate, err := estimateFromPB(reply)
	if err != nil {
		return nil, malformed("Estimate", "", err)
	}
	return estimate, nil
}

// BatchEstimate prices up to 10,000 usages. One bad item fails alone: its error
// stands in its result, and the call succeeds.
func (c *Client) BatchEstimate(ctx context.Context, usages []Usage, opts ...EstimateOption) (*BatchEstimate, error) {
	var config estimateConfig
	for _, opt := range opts {
		opt.applyToEstimate(&config)
	}
	var header metadata.MD
	reply, err := c.pricing.BatchEstimate(ctx, &creditdv1.BatchEstimateRequest{
		Usages:       usagesToPB(usages),
		Prices:       config.prices,
		Explain:      config.explain,
		CheckBalance: config.checkBalance,
	}, grpc.Header(&header))
	if err != nil {
		return nil, err
	}
	batch, err := batchEstimateFromPB(reply, xRequestID(header, nil))
	if err != nil {
		return nil, malformed("BatchEstimate", "", err)
	}
	return batch, nil
}

// GetRateCard lists what a rate card prices: service keys, meters and rules in
// words.
func (c *Client) GetRateCard(ctx context.Context, opts ...RateCardOption) (*RateCard, error) {
	var prices creditdv1.PriceSelector
	for _, opt := range opts {
		opt.applyToRateCard(&prices)
	}
	reply, err := c.pricing.GetRateCard(ctx, &creditdv1.GetRateCardRequest{Prices: &prices})
	if err != nil {
		return nil, err
	}
	return rateCardFromPB(reply), nil
}
