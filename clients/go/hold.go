package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Hold is credits that are set aside for work whose cost is not known yet.
type Hold struct {
	HoldID  string
	Account string
	// Service is what the hold pays for; empty for a hold by amount.
	Service string
	Status  HoldStatus
	// Held is what is still set aside.
	Held decimal.Decimal
	// Settled is what its settlements cost.
	Settled    decimal.Decimal
	CreateTime time.Time `json:",omitzero"`
	// ExpireTime is when an open hold is released by itself.
	ExpireTime time.Time `json:",omitzero"`
	// RequestID is that of the call that made the hold, and Labels are those of that
	// call.
	RequestID string
	Labels    map[string]string
	// Usage is what was priced; nil for a hold by amount.
	Usage *Usage `json:",omitzero"`
	// PriceValues are the attributes by which it was priced that did not come from the
	// caller. Its settlements are priced by them too, unless they name other prices.
	PriceValues Attributes
}

// HoldStatus is where a [Hold] stands. A later server may have more.
type HoldStatus string

// Where a hold stands. Only an open one can change.
const (
	HoldOpen     HoldStatus = "OPEN"
	HoldSettled  HoldStatus = "SETTLED"
	HoldReleased HoldStatus = "RELEASED"
	HoldExpired  HoldStatus = "EXPIRED"
)

// Overage says what happens where a settlement costs more than is held.
type Overage string

// What a settlement does with a cost above what is held.
const (
	// OverageReject refuses it with [ReasonHoldExceeded]. It is the default.
	OverageReject Overage = "REJECT"
	// OverageFromAvailable takes the rest from what is available, or refuses whole.
	OverageFromAvailable Overage = "FROM_AVAILABLE"
)

// HoldResult is the answer to a call that makes or ends a hold.
type HoldResult struct {
	Hold Hold
	// Available is what is available after the call, beside the hold.
	Available decimal.Decimal
	// Replayed is true where the server gave this answer before to the same
	// request_id.
	Replayed bool
}

// HoldParams says what [Client.Hold] sets aside.
type HoldParams struct {
	Account string
	// Cost is required.
	Cost Cost
	// Prices are for a Usage: [Estimate.Revision] holds what was estimated.
	Prices PriceSelector
	// TTL is after how long the hold expires, at most 24 h; zero: after 1 h.
	TTL time.Duration
	// Labels are stored with the hold and its entry.
	Labels map[string]string
	// RequestID is the idempotency key; empty: the client makes one up. [Hold] has
	// it, and [Client.ListHolds] finds the hold by it.
	RequestID string
}

func (p HoldParams) toPB(w *writer) *creditdv1.HoldRequest {
	request := &creditdv1.HoldRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		Prices:    pricesToPB(p.Prices),
		Labels:    p.Labels,
	}
	if p.TTL != 0 {
		request.Ttl = durationpb.New(p.TTL)
	}
	switch usage, credits := w.cost(p.Cost); {
	case usage != nil:
		request.What = &creditdv1.HoldRequest_Usage{Usage: usage}
	case credits != "":
		request.What = &creditdv1.HoldRequest_Credits{Credits: credits}
	}
	return request
}

// Hold sets credits aside, as [Client.Charge] would take them. A hold that is
// neither settled nor released expires, and its credits return.
func (c *Client) Hold(ctx context.Context, params HoldParams, opts ...grpc.CallOption) (*HoldResult, error) {
	return invoke(ctx, c.ledger.Hold, params.toPB, holdResultFromPB, opts)
}

// ExtendHoldParams says until when [Client.ExtendHold] extends a hold.
type ExtendHoldParams struct {
	Account string
	HoldID  string
	// TTL counts from now and is required, at most 24 h. The hold may also expire
	// sooner by it than before.
	TTL time.Duration
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

// ExtendHoldResult is the answer to an extension, which moves no credits.
type ExtendHoldResult struct {
	Hold Hold
	// Replayed is true where the server gave this answer before to the same
	// request_id.
	Replayed bool
}

func (p ExtendHoldParams) toPB(*writer) *creditdv1.ExtendHoldRequest {
	return &creditdv1.ExtendHoldRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		HoldId:    p.HoldID,
		Ttl:       durationpb.New(p.TTL),
	}
}

func extendHoldResultFromPB(r *reader, reply *creditdv1.ExtendHoldResponse) ExtendHoldResult {
	return ExtendHoldResult{Hold: r.hold(reply.GetHold()), Replayed: reply.GetReplayed()}
}

// ExtendHold sets the time at which an open hold expires.
func (c *Client) ExtendHold(ctx context.Context, params ExtendHoldParams, opts ...grpc.CallOption) (*ExtendHoldResult, error) {
	return invoke(ctx, c.ledger.ExtendHold, params.toPB, extendHoldResultFromPB, opts)
}

// SettleHoldParams says what [Client.SettleHold] charges.
type SettleHoldParams struct {
	Account string
	HoldID  string
	// Cost is required, and may be 0 credits.
	Cost Cost
	// KeepOpen leaves the rest held for a further settlement, also where the rest is
	// 0.
	KeepOpen bool
	// Overage says what to do where the cost is more than what is held; empty:
	// [OverageReject].
	Overage Overage
	// Prices are for a Usage; zero: those with which the hold was priced.
	Prices PriceSelector
	// Labels are stored with the entry.
	Labels map[string]string
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

// SettleHoldResult is the answer to a settlement.
type SettleHoldResult struct {
	// Entry has what the work cost, as Spent, and what returned, as Credits.
	Entry Entry
	// Hold is the hold after the settlement.
	Hold Hold
	// Available is what is available after the settlement.
	Available decimal.Decimal
	// Replayed is true where the server gave this answer before to the same
	// request_id.
	Replayed bool
}

func (p SettleHoldParams) toPB(w *writer) *creditdv1.SettleHoldRequest {
	request := &creditdv1.SettleHoldRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		HoldId:    p.HoldID,
		KeepOpen:  p.KeepOpen,
		Overage:   overageToPB(p.Overage),
		Prices:    pricesToPB(p.Prices),
		Labels:    p.Labels,
	}
	switch usage, credits := w.cost(p.Cost); {
	case usage != nil:
		request.What = &creditdv1.SettleHoldRequest_Usage{Usage: usage}
	case credits != "":
		request.What = &creditdv1.SettleHoldRequest_Credits{Credits: credits}
	}
	return request
}

func settleHoldResultFromPB(r *reader, reply *creditdv1.SettleHoldResponse) SettleHoldResult {
	return SettleHoldResult{
		Entry:     r.entry(reply.GetEntry()),
		Hold:      r.hold(reply.GetHold()),
		Available: r.decimal("available", reply.GetAvailable()),
		Replayed:  reply.GetReplayed(),
	}
}

// SettleHold charges what the work cost and returns the rest of the hold, unless
// KeepOpen leaves it held.
func (c *Client) SettleHold(ctx context.Context, params SettleHoldParams, opts ...grpc.CallOption) (*SettleHoldResult, error) {
	return invoke(ctx, c.ledger.SettleHold, params.toPB, settleHoldResultFromPB, opts)
}

// ReleaseHoldParams says which hold [Client.ReleaseHold] ends.
type ReleaseHoldParams struct {
	Account string
	HoldID  string
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

func (p ReleaseHoldParams) toPB(*writer) *creditdv1.ReleaseHoldRequest {
	return &creditdv1.ReleaseHoldRequest{RequestId: requestIDOrNew(p.RequestID), Account: p.Account, HoldId: p.HoldID}
}

// ReleaseHold returns all that an open hold has.
func (c *Client) ReleaseHold(ctx context.Context, params ReleaseHoldParams, opts ...grpc.CallOption) (*HoldResult, error) {
	return invoke(ctx, c.ledger.ReleaseHold, params.toPB, holdResultFromPB, opts)
}

// GetHoldParams says which hold [Client.GetHold] reads.
type GetHoldParams struct {
	Account string
	HoldID  string
}

func (p GetHoldParams) toPB(*writer) *creditdv1.GetHoldRequest {
	return &creditdv1.GetHoldRequest{Account: p.Account, HoldId: p.HoldID}
}

func getHoldResultFromPB(r *reader, reply *creditdv1.GetHoldResponse) Hold {
	return r.hold(reply.GetHold())
}

// GetHold reads one hold, open or not.
func (c *Client) GetHold(ctx context.Context, params GetHoldParams, opts ...grpc.CallOption) (*Hold, error) {
	return invoke(ctx, c.ledger.GetHold, params.toPB, getHoldResultFromPB, opts)
}
