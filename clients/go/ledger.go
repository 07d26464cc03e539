package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
)

// Balance has the figures of an account at one moment.
type Balance struct {
	Account string
	// Available counts live grants, restricted ones included, less holds.
	Available decimal.Decimal
	// Held is set aside by open holds.
	Held decimal.Decimal
	// Grants are the live ones with something left or held, in the order in which
	// they burn, at most 1,000.
	Grants []GrantBalance
	// ReadTime is the moment.
	ReadTime time.Time `json:",omitzero"`
	// Version rises with every entry of the account.
	Version int64
}

// GrantBalance is what is left of one grant.
type GrantBalance struct {
	GrantID string
	Granted decimal.Decimal
	// Remaining is what a charge can take: neither spent nor held.
	Remaining decimal.Decimal
	Held      decimal.Decimal
	Priority  int32
	// ExpireTime is zero where the grant never expires.
	ExpireTime time.Time `json:",omitzero"`
	Source     string
	// Services are what the credits may pay for; empty means all.
	Services   []string
	CreateTime time.Time `json:",omitzero"`
}

// Granted is the answer to a grant.
type Granted struct {
	Entry Entry
	// Available is what is available after the grant.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// RevokeGrantResult is the answer to a revocation.
type RevokeGrantResult struct {
	// Entry has what was taken back: its Credits are that, negative.
	Entry Entry
	// Available is what is available after the revocation.
	Available decimal.Decimal
	// Replayed is true where this answer was given before to the same request_id.
	Replayed bool
}

// GetBalance reads the balance of an account.
func (c *Client) GetBalance(ctx context.Context, account string, opts ...BalanceOption) (*Balance, error) {
	req := &creditdv1.GetBalanceRequest{Account: account}
	for _, opt := range opts {
		opt(req)
	}
	reply, err := c.ledger.GetBalance(ctx, req)
	if err != nil {
		return nil, err
	}
	balance, err := balanceFromPB(reply.GetBalance())
	if err != nil {
		return nil, malformed("GetBalance", "", err)
	}
	return balance, nil
}

// Grant adds credits to an account; the first grant opens it.
func (c *Client) Grant(ctx context.Context, account string, credits decimal.Decimal, opts ...GrantOption) (*Granted, error) {
	req := &creditdv1.GrantRequest{RequestId: NewRequestID(), Account: account}
	for _, opt := range opts {
		opt.applyToGrant(req)
	}
	var err error
	if req.Credits, err = creditsToPB("credits", credits); err != nil {
		return nil, notSent(err, req.RequestId)
	}
	reply, err := c.ledger.Grant(ctx, req)
	if err != nil {
		return nil, err
	}
	granted, err := grantedFromPB(reply)
	if err != nil {
		return nil, malformed("Grant", req.RequestId, err)
	}
	return granted, nil
}

// RevokeGrant takes back what is neither spent nor held of a grant. What is held
// stays with its holds, and what returns from them leaves at once.
func (c *Client) RevokeGrant(ctx context.Context, account, grantID string, opts ...RevokeGrantOption) (*RevokeGrantResult, error) {
	req := &creditdv1.RevokeGrantRequest{RequestId: NewRequestID(), Account: account, GrantId: grantID}
	for _, opt := range opts {
		opt.applyToRevokeGrant(req)
	}
	reply, err := c.ledger.RevokeGrant(ctx, req)
	if err != nil {
		return nil, err
	}
	revoked, err := revokeGrantFromPB(reply)
	if err != nil {
		return nil, malformed("RevokeGrant", req.RequestId, err)
	}
	return revoked, nil
}
