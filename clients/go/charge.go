package creditd

import (
	"context"
	"fmt"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Cost is what to charge, to hold or to settle: a [Usage], which the server
// prices, or [Credits], an amount that the caller decided.
type Cost interface {
	isCost()
}

func (Usage) isCost() {}

// Credits is an amount as a [Cost].
func Credits(credits decimal.Decimal) Cost {
	return creditsCost{credits}
}

type creditsCost struct {
	credits decimal.Decimal
}

func (creditsCost) isCost() {}

// EntryResult is the answer to a call that writes one entry.
type EntryResult struct {
	Entry Entry
	// Available is what is available after the entry.
	Available decimal.Decimal
	// Replayed is true where the server gave this answer before to the same
	// request_id.
	Replayed bool
}

// ChargeParams is one charge, for [Client.Charge] and [Client.BatchCharge].
type ChargeParams struct {
	Account string
	// Cost is required.
	Cost Cost
	// Prices are for a Usage: [Estimate.Revision] charges what was estimated.
	Prices PriceSelector
	// Labels are stored with the entry.
	Labels map[string]string
	// RequestID is the idempotency key. [Client.Charge] makes one up where it is
	// empty; [Client.BatchCharge] needs one in each charge.
	RequestID string
}

func (p ChargeParams) toPB(w *writer) *creditdv1.ChargeRequest {
	request := &creditdv1.ChargeRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		Prices:    pricesToPB(p.Prices),
		Labels:    p.Labels,
	}
	switch usage, credits := w.cost(p.Cost); {
	case usage != nil:
		request.What = &creditdv1.ChargeRequest_Usage{Usage: usage}
	case credits != "":
		request.What = &creditdv1.ChargeRequest_Credits{Credits: credits}
	}
	return request
}

// Charge prices and deducts at once. It deducts the whole cost or, where the
// account cannot pay, nothing; [AsInsufficientCredits] has the amounts of that
// refusal. The result's Entry has what was charged, as Spent.
func (c *Client) Charge(ctx context.Context, params ChargeParams, opts ...grpc.CallOption) (*EntryResult, error) {
	return invoke(ctx, c.ledger.Charge, params.toPB, entryResultFromPB, opts)
}

// BatchChargeParams are the charges of [Client.BatchCharge].
type BatchChargeParams struct {
	// Charges are 1 to 10,000, on any accounts. Each needs a RequestID.
	Charges []ChargeParams
}

// BatchCharge is the answer to many charges.
type BatchCharge struct {
	// Results has one element for each charge, in their order.
	Results []BatchChargeResult
	// FailedCount is the number of Results that have an Err.
	FailedCount int
}

// BatchChargeResult has either a Charge or an Err; the other is nil.
type BatchChargeResult struct {
	Charge *EntryResult `json:",omitzero"`
	Err    *Error       `json:",omitzero"`
}

func (p BatchChargeParams) toPB(w *writer) *creditdv1.BatchChargeRequest {
	request := &creditdv1.BatchChargeRequest{Charges: make([]*creditdv1.ChargeRequest, len(p.Charges))}
	for i, charge := range p.Charges {
		w.item = fmt.Sprintf("charges[%d].", i)
		request.Charges[i] = charge.toPB(w)
		// One that was made up here would be another when the caller sends the batch
		// again: without one, the server refuses the charge.
		request.Charges[i].RequestId = charge.RequestID
	}
	return request
}

// resultFromPB puts the request_id of the charge and the x-request-id of the call into
// the items' errors.
func (p BatchChargeParams) resultFromPB(r *reader, reply *creditdv1.BatchChargeResponse, xRequestID string) BatchCharge {
	results := reply.GetResults()
	if len(results) != len(p.Charges) {
		r.fail("there are %d results for %d charges", len(results), len(p.Charges))
		return BatchCharge{}
	}
	batch := BatchCharge{Results: make([]BatchChargeResult, len(results)), FailedCount: int(reply.GetFailedCount())}
	for i, result := range results {
		if failed := result.GetError(); failed != nil {
			batch.Results[i].Err = newError(status.FromProto(failed), p.Charges[i].RequestID, xRequestID)
			continue
		}
		charge := entryResultFromPB(r, result.GetCharge())
		batch.Results[i].Charge = &charge
	}
	return batch
}

// BatchCharge does up to 10,000 charges in their order, each by itself: the error
// of one that was refused is in its result, and the call succeeds. After a failure
// of the call as a whole, call it again with the same params: a charge that was
// carried out is not carried out again.
func (c *Client) BatchCharge(ctx context.Context, params BatchChargeParams, opts ...grpc.CallOption) (*BatchCharge, error) {
	var header metadata.MD
	read := func(r *reader, reply *creditdv1.BatchChargeResponse) BatchCharge {
		return params.resultFromPB(r, reply, xRequestID(header, nil))
	}
	return invoke(ctx, c.ledger.BatchCharge, params.toPB, read, withHeader(opts, &header))
}

// RefundParams says what [Client.Refund] gives back.
type RefundParams struct {
	Account string
	// EntryID is the entry of a charge or a settlement.
	EntryID string
	// Credits is how much to give back; null, the zero value: all that is not
	// refunded yet. [decimal.NewNullDecimal] makes one of an amount.
	Credits decimal.NullDecimal
	// Labels are stored with the entry.
	Labels map[string]string
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

func (p RefundParams) toPB(w *writer) *creditdv1.RefundRequest {
	request := &creditdv1.RefundRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		EntryId:   p.EntryID,
		Labels:    p.Labels,
	}
	if p.Credits.Valid {
		credits := w.credits("credits", p.Credits.Decimal)
		request.Credits = &credits
	}
	return request
}

// Refund gives back what a charge or a settlement took, or a part of it. The
// result's Entry has what came back: its Spent is that, negative.
func (c *Client) Refund(ctx context.Context, params RefundParams, opts ...grpc.CallOption) (*EntryResult, error) {
	return invoke(ctx, c.ledger.Refund, params.toPB, entryResultFromPB, opts)
}
