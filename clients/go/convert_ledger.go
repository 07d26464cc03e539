package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
)

// The messages that replies of LedgerService are made of; convert.go says what
// holds for all conversions.

const (
	entryKindPrefix  = "ENTRY_KIND_"
	holdStatusPrefix = "HOLD_STATUS_"
	overagePrefix    = "OVERAGE_"
)

func entryKindToPB(kind EntryKind) creditdv1.EntryKind {
	return creditdv1.EntryKind(enumToPB(creditdv1.EntryKind_value, entryKindPrefix, string(kind)))
}

func overageToPB(overage Overage) creditdv1.Overage {
	return creditdv1.Overage(enumToPB(creditdv1.Overage_value, overagePrefix, string(overage)))
}

// entryReply is a reply to a call that writes one entry.
type entryReply interface {
	GetEntry() *creditdv1.Entry
	GetAvailable() string
	GetReplayed() bool
}

func entryResultFromPB[Reply entryReply](r *reader, reply Reply) EntryResult {
	return EntryResult{
		Entry:     r.entry(reply.GetEntry()),
		Available: r.decimal("available", reply.GetAvailable()),
		Replayed:  reply.GetReplayed(),
	}
}

// holdReply is a reply to a call that makes or ends a hold.
type holdReply interface {
	GetHold() *creditdv1.HoldState
	GetAvailable() string
	GetReplayed() bool
}

func holdResultFromPB[Reply holdReply](r *reader, reply Reply) HoldResult {
	return HoldResult{
		Hold:      r.hold(reply.GetHold()),
		Available: r.decimal("available", reply.GetAvailable()),
		Replayed:  reply.GetReplayed(),
	}
}

func (r *reader) entry(pb *creditdv1.Entry) Entry {
	if pb == nil {
		r.fail("entry is missing")
	}
	return Entry{
		EntryID:         pb.GetEntryId(),
		Account:         pb.GetAccount(),
		Kind:            EntryKind(enumFromPB(pb.GetKind(), entryKindPrefix)),
		Credits:         r.decimal("entry.credits", pb.GetCredits()),
		Available:       r.decimal("entry.available", pb.GetAvailable()),
		CreateTime:      timeFromPB(pb.GetCreateTime()),
		RequestID:       pb.GetRequestId(),
		Service:         pb.GetService(),
		RateCard:        pb.GetRateCard(),
		Revision:        pb.GetRevision(),
		Labels:          pb.GetLabels(),
		Spent:           r.decimal("entry.spent", pb.GetSpent()),
		Held:            r.decimal("entry.held", pb.GetHeld()),
		Usage:           r.usage(pb.GetUsage()),
		GrantID:         pb.GetGrantId(),
		HoldID:          pb.GetHoldId(),
		RefundedEntryID: pb.GetRefundedEntryId(),
		Version:         pb.GetVersion(),
		Grants:          each(pb.GetGrants(), r.grantShare),
		Source:          pb.GetSource(),
		ExpireTime:      timeFromPB(pb.GetExpireTime()),
		Priority:        pb.GetPriority(),
		Services:        pb.GetServices(),
		PriceValues:     pb.GetPriceValues(),
		PriceTime:       timeFromPB(pb.GetPriceTime()),
		KeyID:           pb.GetKeyId(),
	}
}

func (r *reader) grantShare(pb *creditdv1.GrantShare) GrantShare {
	return GrantShare{
		GrantID: pb.GetGrantId(),
		Credits: r.decimal("entry.grants.credits", pb.GetCredits()),
		Held:    r.decimal("entry.grants.held", pb.GetHeld()),
	}
}

func (r *reader) hold(pb *creditdv1.HoldState) Hold {
	if pb == nil {
		r.fail("hold is missing")
	}
	return Hold{
		HoldID:      pb.GetHoldId(),
		Account:     pb.GetAccount(),
		Service:     pb.GetService(),
		Status:      HoldStatus(enumFromPB(pb.GetStatus(), holdStatusPrefix)),
		Held:        r.decimal("hold.held", pb.GetHeld()),
		Settled:     r.decimal("hold.settled", pb.GetSettled()),
		CreateTime:  timeFromPB(pb.GetCreateTime()),
		ExpireTime:  timeFromPB(pb.GetExpireTime()),
		RequestID:   pb.GetRequestId(),
		Labels:      pb.GetLabels(),
		Usage:       r.usage(pb.GetUsage()),
		PriceValues: pb.GetPriceValues(),
	}
}

func (r *reader) account(pb *creditdv1.Account) Account {
	if pb == nil {
		r.fail("account is missing")
	}
	return Account{
		Account:    pb.GetAccount(),
		CreateTime: timeFromPB(pb.GetCreateTime()),
		RateCard:   pb.GetRateCard(),
		Attributes: pb.GetAttributes(),
		Labels:     pb.GetLabels(),
		Balance:    r.balance(pb.GetBalance()),
	}
}

func (r *reader) balance(pb *creditdv1.Balance) Balance {
	if pb == nil {
		r.fail("balance is missing")
	}
	return Balance{
		Account:   pb.GetAccount(),
		Available: r.decimal("available", pb.GetAvailable()),
		Held:      r.decimal("held", pb.GetHeld()),
		Grants:    each(pb.GetGrants(), r.grantBalance),
		ReadTime:  timeFromPB(pb.GetReadTime()),
		Version:   pb.GetVersion(),
	}
}

// balanceReply is a reply with a balance, of a call or of a watch.
type balanceReply interface {
	GetBalance() *creditdv1.Balance
}

func balanceResultFromPB[Reply balanceReply](r *reader, reply Reply) Balance {
	return r.balance(reply.GetBalance())
}

func (r *reader) grantBalance(pb *creditdv1.GrantBalance) GrantBalance {
	return GrantBalance{
		GrantID:    pb.GetGrantId(),
		Granted:    r.decimal("grants.granted", pb.GetGranted()),
		Remaining:  r.decimal("grants.remaining", pb.GetRemaining()),
		Held:       r.decimal("grants.held", pb.GetHeld()),
		Priority:   pb.GetPriority(),
		ExpireTime: timeFromPB(pb.GetExpireTime()),
		Source:     pb.GetSource(),
		Services:   pb.GetServices(),
		CreateTime: timeFromPB(pb.GetCreateTime()),
	}
}
