package creditd

import (
	"context"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
)

// GrantParams says what [Client.Grant] adds to an account.
type GrantParams struct {
	Account string
	Credits decimal.Decimal
	// ExpireTime is when the credits expire, in the future; zero: never.
	ExpireTime time.Time
	// Priority decides which credits burn first: lower does, then the soonest to
	// expire, then the oldest.
	Priority int32
	// Source says where the credits come from, such as "purchase".
	Source string
	// Services are those that the credits may pay for; empty: all.
	Services []string
	// Labels are stored with the entry.
	Labels map[string]string
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

func (p GrantParams) toPB(w *writer) *creditdv1.GrantRequest {
	return &creditdv1.GrantRequest{
		RequestId:  requestIDOrNew(p.RequestID),
		Account:    p.Account,
		Credits:    w.credits("credits", p.Credits),
		ExpireTime: timeToPB(p.ExpireTime),
		Priority:   p.Priority,
		Source:     p.Source,
		Services:   p.Services,
		Labels:     p.Labels,
	}
}

// Grant adds credits to an account; the first grant opens it.
func (c *Client) Grant(ctx context.Context, params GrantParams, opts ...grpc.CallOption) (*EntryResult, error) {
	return invoke(ctx, c.ledger.Grant, params.toPB, entryResultFromPB, opts)
}

// RevokeGrantParams says which grant [Client.RevokeGrant] takes back.
type RevokeGrantParams struct {
	Account string
	GrantID string
	// Labels are stored with the entry.
	Labels map[string]string
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

func (p RevokeGrantParams) toPB(*writer) *creditdv1.RevokeGrantRequest {
	return &creditdv1.RevokeGrantRequest{
		RequestId: requestIDOrNew(p.RequestID),
		Account:   p.Account,
		GrantId:   p.GrantID,
		Labels:    p.Labels,
	}
}

// RevokeGrant takes back what is neither spent nor held of a grant. What is held
// stays with its holds, and what returns from them leaves at once. The result's
// Entry has what was taken back: its Credits are that, negative.
func (c *Client) RevokeGrant(ctx context.Context, params RevokeGrantParams, opts ...grpc.CallOption) (*EntryResult, error) {
	return invoke(ctx, c.ledger.RevokeGrant, params.toPB, entryResultFromPB, opts)
}
