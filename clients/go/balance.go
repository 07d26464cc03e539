package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
)

// Balance is the balance of an account at one moment.
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

// GetBalanceParams says which balance [Client.GetBalance] reads.
type GetBalanceParams struct {
	Account string
	// AsOf asks for the balance as it was at that time, which must not be in the
	// future; zero: now.
	AsOf time.Time
}

func (p GetBalanceParams) toPB(*writer) *creditdv1.GetBalanceRequest {
	return &creditdv1.GetBalanceRequest{Account: p.Account, AsOf: timeToPB(p.AsOf)}
}

// GetBalance reads the balance of an account.
func (c *Client) GetBalance(ctx context.Context, params GetBalanceParams, opts ...grpc.CallOption) (*Balance, error) {
	return invoke(ctx, c.ledger.GetBalance, params.toPB, balanceResultFromPB, opts)
}
