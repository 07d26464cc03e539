package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// PriceSelector says which prices apply. The card is that of Revision; else RateCard;
// else the account's own; else the server's default. The zero value is the card of
// the account that pays, or the default, as it is in force now.
type PriceSelector struct {
	// Account is the account whose rate card and attributes apply. One that the ledger
	// does not know is priced by the defaults. A charge or a hold takes those of the
	// account that pays, and no others.
	Account string
	// RateCard chooses a rate card by name.
	RateCard string
	// Revision prices exactly as when the server gave out that [Estimate.Revision],
	// whatever the account and the clock say now.
	Revision string
	// PriceTime takes the prices in force at that time, which is also the time of the
	// clock's attributes. It does not go together with Revision.
	PriceTime time.Time
}

func pricesToPB(prices PriceSelector) *creditdv1.PriceSelector {
	if prices == (PriceSelector{}) {
		return nil
	}
	return &creditdv1.PriceSelector{
		Account:   prices.Account,
		RateCard:  prices.RateCard,
		Revision:  prices.Revision,
		PriceTime: timeToPB(prices.PriceTime),
	}
}

// Estimate is what one usage costs.
type Estimate struct {
	Service string
	// Credits is the exact cost, the amount that a charge deducts.
	Credits decimal.Decimal
	// DisplayCredits is the cost as the price list would print it.
	DisplayCredits decimal.Decimal
	RateCard       string
	// Revision identifies the prices that were used; see [PriceSelector].
	Revision string
	// AccountKnown tells, where the Prices name an account, whether the ledger knows it.
	// One that it does not know is priced by the defaults.
	AccountKnown bool
	// Lines add up to Credits. Empty unless [EstimateParams] asked for them.
	Lines []EstimateLine
	// Affordability is nil unless [EstimateParams] asked for it. In a batch it
	// is about the whole batch, and [BatchEstimate] has it.
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
	// Key is the line of the rate card; "total" for what a total or a factor of the
	// card adds or takes off. Empty for a service with one price.
	Key string
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
	// Affordability is nil unless [BatchEstimateParams] asked for it.
	Affordability *Affordability `json:",omitzero"`
}

// BatchEstimateResult has either an Estimate or an Err; the other is nil.
type BatchEstimateResult struct {
	Estimate *Estimate `json:",omitzero"`
	Err      *Error    `json:",omitzero"`
}

// EstimateParams says what [Client.Estimate] prices.
type EstimateParams struct {
	Usage  Usage
	Prices PriceSelector
	// Explain also returns how the cost adds up, as [Estimate.Lines].
	Explain bool
	// CheckBalance also returns whether the account of Prices, which is required for
	// it, can pay this now.
	CheckBalance bool
}

func (p EstimateParams) toPB(*writer) *creditdv1.EstimateRequest {
	return &creditdv1.EstimateRequest{
		Usage:        usageToPB(p.Usage),
		Prices:       pricesToPB(p.Prices),
		Explain:      p.Explain,
		CheckBalance: p.CheckBalance,
	}
}

func estimateResultFromPB(r *reader, reply *creditdv1.EstimateResponse) Estimate {
	estimate := r.estimate(reply.GetEstimate())
	estimate.Affordability = r.affordability(reply.GetAffordability())
	return estimate
}

// Estimate prices one usage.
func (c *Client) Estimate(ctx context.Context, params EstimateParams, opts ...grpc.CallOption) (*Estimate, error) {
	return invoke(ctx, c.pricing.Estimate, params.toPB, estimateResultFromPB, opts)
}

// BatchEstimateParams says what [Client.BatchEstimate] prices.
type BatchEstimateParams struct {
	// Usages are 1 to 10,000.
	Usages []Usage
	Prices PriceSelector
	// Explain also returns how each cost adds up, as [Estimate.Lines].
	Explain bool
	// CheckBalance also returns whether the account of Prices, which is required for
	// it, can pay for all of it now.
	CheckBalance bool
}

func (p BatchEstimateParams) toPB(*writer) *creditdv1.BatchEstimateRequest {
	return &creditdv1.BatchEstimateRequest{
		Usages:       each(p.Usages, usageToPB),
		Prices:       pricesToPB(p.Prices),
		Explain:      p.Explain,
		CheckBalance: p.CheckBalance,
	}
}

// batchEstimateResultFromPB puts the x-request-id of the call into the items' errors.
func batchEstimateResultFromPB(r *reader, reply *creditdv1.BatchEstimateResponse, xRequestID string) BatchEstimate {
	batch := BatchEstimate{
		Results:       make([]BatchEstimateResult, len(reply.GetResults())),
		TotalCredits:  r.decimal("total_credits", reply.GetTotalCredits()),
		FailedCount:   int(reply.GetFailedCount()),
		Affordability: r.affordability(reply.GetAffordability()),
	}
	for i, result := range reply.GetResults() {
		if failed := result.GetError(); failed != nil {
			batch.Results[i].Err = newError(status.FromProto(failed), "", xRequestID)
			continue
		}
		estimate := r.estimate(result.GetEstimate())
		batch.Results[i].Estimate = &estimate
	}
	return batch
}

// BatchEstimate prices up to 10,000 usages, each by itself: the error of one that
// was refused is in its result, and the call succeeds.
func (c *Client) BatchEstimate(ctx context.Context, params BatchEstimateParams, opts ...grpc.CallOption) (*BatchEstimate, error) {
	var header metadata.MD
	read := func(r *reader, reply *creditdv1.BatchEstimateResponse) BatchEstimate {
		return batchEstimateResultFromPB(r, reply, xRequestID(header, nil))
	}
	return invoke(ctx, c.pricing.BatchEstimate, params.toPB, read, withHeader(opts, &header))
}
