package creditd

import (
	"time"

	"github.com/shopspring/decimal"
)

// Entry is one move of credits. Entries are never changed.
type Entry struct {
	EntryID string
	Account string
	Kind    EntryKind
	// Credits is the change of what is available: negative where credits leave it.
	// The entries of an account add up to its available balance.
	Credits decimal.Decimal
	// Available is what was available after it.
	Available  decimal.Decimal
	CreateTime time.Time `json:",omitzero"`
	// RequestID is empty where no call made the entry, such as for an expiry.
	RequestID string
	Service   string
	RateCard  string
	Revision  string
	Labels    map[string]string
	// Spent is what was paid for work: negative for a refund, 0 where nothing was.
	Spent decimal.Decimal
	// Held is the change of what is held.
	Held decimal.Decimal
	// Usage is what was priced; nil where nothing was.
	Usage *Usage `json:",omitzero"`
	// GrantID is the grant that a grant, expiry or revocation is about.
	GrantID string
	HoldID  string
	// RefundedEntryID is the charge or settlement that a refund gives back.
	RefundedEntryID string
	// Version is [Balance.Version] after this entry.
	Version int64
	// Grants are those from which credits were taken, or to which they returned.
	Grants []GrantShare
	// Source and what follows are what was granted, in entries of kind [EntryGrant].
	Source string
	// ExpireTime is zero where the grant never expires.
	ExpireTime time.Time `json:",omitzero"`
	Priority   int32
	// Services are those that the credits may pay for, in ascending order; none: all.
	Services []string
	// PriceValues are the attributes by which Usage was priced that did not come from
	// the caller but from the account or the clock.
	PriceValues Attributes
	// PriceTime is the time for which it was priced, where that decided an attribute or
	// the request named it; else zero: it is CreateTime, or that of the estimate whose
	// revision was named.
	PriceTime time.Time `json:",omitzero"`
	// KeyID is who did it; empty: the server, or authentication was off.
	KeyID string
}

// EntryKind is what an [Entry] did. A later server may have more kinds.
type EntryKind string

// The kinds of entries.
const (
	EntryGrant   EntryKind = "GRANT"
	EntryCharge  EntryKind = "CHARGE"
	EntryRefund  EntryKind = "REFUND"
	EntryHold    EntryKind = "HOLD"
	EntrySettle  EntryKind = "SETTLE"
	EntryRelease EntryKind = "RELEASE"
	EntryExpire  EntryKind = "EXPIRE"
	EntryRevoke  EntryKind = "REVOKE"
)

// GrantShare is what an [Entry] did to one grant.
type GrantShare struct {
	GrantID string
	// Credits is the change of the grant's remaining credits.
	Credits decimal.Decimal
	// Held is the change of the grant's held credits.
	Held decimal.Decimal
}
