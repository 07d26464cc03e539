package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
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

// HoldResult is the answer to a hold.
type HoldResult struct {
	Hold Hold
	// Available is what is available beside the hold.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// ExtendHoldResult is the answer to an extension, which moves no credits.
type ExtendHoldResult struct {
	Hold Hold
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// SettleHoldResult is the answer to a settlement.
type SettleHoldResult struct {
	// Entry has what the work cost, as Spent, and what returned, as Credits.
	Entry Entry
	// Hold is the hold after the settlement.
	Hold Hold
	// Available is what is available after the settlement.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// ReleaseHoldResult is the answer to a release.
type ReleaseHoldResult struct {
	Hold Hold
	// Available is what is available after the release.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// Hold sets credits aside, as [Client.Charge] would take them. The hold is
// released by itself after one hour, or after [TTL].
func (c *Client) Hold(ctx context.Context, account string, cost Cost, opts ...HoldOption) (*HoldResult, error) {
	req := &creditdv1.HoldRequest{RequestId: NewRequestID(), Account: account}
	for _, opt := range opts {
		opt.applyToHold(req)
	}
	if err := setHoldCost(req, cost); err != nil {
		return nil, notSent(err, req.RequestId)
	}
	reply, err := c.ledger.Hold(ctx, req)
	if err != nil {
		return nil, err
	}
	held, err := holdFromPB(reply)
	if err != nil {
		return nil, malformed("Hold", req.RequestId, err)
	}
	return held, nil
}

// ExtendHold sets the end of an open hold anew: ttl from now, which may also be
// sooner than before.
func (c *Client) ExtendHold(ctx context.Context, account, holdID string, ttl time.Duration, opts ...ExtendHoldOption) (*ExtendHoldResult, error) {
	req := &creditdv1.ExtendHoldRequest{
		RequestId: NewRequestID(),
		Account:   account,
		HoldId:    holdID,
		Ttl:       durationpb.New(ttl),
	}
	for _, opt := range opts {
		opt.applyToExtendHold(req)
	}
	reply, err := c.ledger.ExtendHold(ctx, req)
	if err != nil {
		return nil, err
	}
	extended, err := extendHoldFromPB(reply)
	if err != nil {
		return nil, malformed("ExtendHold", req.RequestId, err)
	}
	return extended, nil
}

// SettleHold charges what the work cost and returns the rest of the hold, unless
// [KeepOpen] keeps it for a further settlement. The cost may be 0 credits. A usage
// is priced as the hold was, unless price options say otherwise.
func (c *Client) SettleHold(ctx context.Context, account, holdID string, cost Cost, opts ...SettleHoldOption) (*SettleHoldResult, error) {
	req := &creditdv1.SettleHoldRequest{RequestId: NewRequestID(), Account: account, HoldId: holdID}
	for _, opt := range opts {
		opt.applyToSettleHold(req)
	}
	if err := setSettleHoldCost(req, cost); err != nil {
		return nil, notSent(err, req.RequestId)
	}
	reply, err := c.ledger.SettleHold(ctx, req)
	if err != nil {
		return nil, err
	}
	settled, err := settleHoldFromPB(reply)
	if err != nil {
		return nil, malformed("SettleHold", req.RequestId, err)
	}
	return settled, nil
}

// ReleaseHold returns all that an open hold has.
func (c *Client) ReleaseHold(ctx context.Context, account, holdID string, opts ...ReleaseHoldOption) (*ReleaseHoldResult, error) {
	req := &creditdv1.ReleaseHoldRequest{RequestId: NewRequestID(), Account: account, HoldId: holdID}
	for _, opt := range opts {
		opt.applyToReleaseHold(req)
	}
	reply, err := c.ledger.ReleaseHold(ctx, req)
	if err != nil {
		return nil, err
	}
	released, err := releaseHoldFromPB(reply)
	if err != nil {
		return nil, malformed("ReleaseHold", req.RequestId, err)
	}
	return released, nil
}

// GetHold reads one hold, open or not.
func (c *Client) GetHold(ctx context.Context, account, holdID string) (*Hold, error) {
	reply, err := c.ledger.GetHold(ctx, &creditdv1.GetHoldRequest{Account: account, HoldId: holdID})
	if err != nil {
		return nil, err
	}
	hold, err := getHoldFromPB(reply)
	if err != nil {
		return nil, malformed("GetHold", "", err)
	}
	return hold, nil
}
