package creditd

import (
	"context"
	"maps"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
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

// Charge is one charge of [Client.BatchCharge]; [NewCharge] makes it.
type Charge struct {
	account string
	cost    Cost
	config  chargeConfig
}

// NewCharge makes a charge, for which [Client.Charge] says the same. It has its
// request id from here on: a batch that is sent again with the same charges, such
// as after a failure, charges nothing twice.
func NewCharge(account string, cost Cost, opts ...ChargeOption) Charge {
	charge := Charge{account: account, cost: copyCost(cost), config: chargeConfig{requestID: NewRequestID()}}
	for _, opt := range opts {
		opt.applyToCharge(&charge.config)
	}
	return charge
}

// copyCost copies what a caller could change later.
func copyCost(cost Cost) Cost {
	if pointed, is := cost.(*Usage); is && pointed != nil {
		cost = *pointed
	}
	if usage, is := cost.(Usage); is {
		usage.Attributes = maps.Clone(usage.Attributes)
		usage.Meters = maps.Clone(usage.Meters)
		cost = usage
	}
	return cost
}

// RequestID is the one of the option, or the one that was made up.
func (c Charge) RequestID() string {
	return c.config.requestID
}

// ChargeResult is the answer to a charge.
type ChargeResult struct {
	// Entry has what was charged, as Spent.
	Entry Entry
	// Available is what is available after the charge.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
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
	Charge *ChargeResult `json:",omitzero"`
	Err    *Error        `json:",omitzero"`
}

// RefundResult is the answer to a refund.
type RefundResult struct {
	// Entry has what came back: its Spent is that, negative.
	Entry Entry
	// Available is what is available after the refund.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// Charge prices and deducts at once. It deducts the whole cost or, where the
// account cannot pay, nothing; [AsInsufficientCredits] has the figures of that
// refusal. A refusal does not use up the request_id: sent again after a top-up, the
// charge is carried out.
func (c *Client) Charge(ctx context.Context, account string, cost Cost, opts ...ChargeOption) (*ChargeResult, error) {
	charge := NewCharge(account, cost, opts...)
	req, err := chargeToPB(charge, "")
	if err != nil {
		return nil, notSent(err, charge.RequestID())
	}
	reply, err := c.ledger.Charge(ctx, req)
	if err != nil {
		return nil, err
	}
	charged, err := chargeFromPB(reply)
	if err != nil {
		return nil, malformed("Charge", req.RequestId, err)
	}
	return charged, nil
}

// BatchCharge does up to 10,000 charges in their order, each by itself: the error
// of one that was refused stands in its result, and the call succeeds. After a
// failure of the call as a whole, call it again with the same charges: each keeps
// its request id, and what was charged is not charged again.
func (c *Client) BatchCharge(ctx context.Context, charges []Charge) (*BatchCharge, error) {
	req, err := batchChargeToPB(charges)
	if err != nil {
		return nil, err
	}
	var header metadata.MD
	reply, err := c.ledger.BatchCharge(ctx, req, grpc.Header(&header))
	if err != nil {
		return nil, err
	}
	batch, err := batchChargeFromPB(reply, charges, xRequestID(header, nil))
	if err != nil {
		return nil, malformed("BatchCharge", "", err)
	}
	return batch, nil
}

// Refund gives back what the charge or settlement of that entry took and is not
// refunded yet, or with [RefundOnly] a part of it.
func (c *Client) Refund(ctx context.Context, account, entryID string, opts ...RefundOption) (*RefundResult, error) {
	config := refundConfig{
		req: &creditdv1.RefundRequest{RequestId: NewRequestID(), Account: account, EntryId: entryID},
	}
	for _, opt := range opts {
		opt.applyToRefund(&config)
	}
	req := config.req
	if config.credits != nil {
		credits, err := creditsToPB("credits", *config.credits)
		if err != nil {
			return nil, notSent(err, req.RequestId)
		}
		req.Credits = &credits
	}
	reply, err := c.ledger.Refund(ctx, req)
	if err != nil {
		return nil, err
	}
	refunded, err := refundFromPB(reply)
	if err != nil {
		return nil, malformed("Refund", req.RequestId, err)
	}
	return refunded, nil
}
