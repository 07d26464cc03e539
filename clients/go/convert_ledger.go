package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
)

// Messages of LedgerService about balances, grants and entries; convert.go says
// what holds for all conversions.

func balanceFromPB(pb *creditdv1.Balance) (*Balance, error) {
	var r reader
	if pb == nil {
		r.fail("balance is missing")
	}
	balance := &Balance{
		Account:   pb.GetAccount(),
		Available: r.decimal("available", pb.GetAvailable()),
		Held:      r.decimal("held", pb.GetHeld()),
		ReadTime:  timeFromPB(pb.GetReadTime()),
		Version:   pb.GetVersion(),
	}
	for _, grant := range pb.GetGrants() {
		balance.Grants = append(balance.Grants, GrantBalance{
			GrantID:    grant.GetGrantId(),
			Granted:    r.decimal("grants.granted", grant.GetGranted()),
			Remaining:  r.decimal("grants.remaining", grant.GetRemaining()),
			Held:       r.decimal("grants.held", grant.GetHeld()),
			Priority:   grant.GetPriority(),
			ExpireTime: timeFromPB(grant.GetExpireTime()),
			Source:     grant.GetSource(),
			Services:   grant.GetServices(),
			CreateTime: timeFromPB(grant.GetCreateTime()),
		})
	}
	return balance, r.err
}

const entryKindPrefix = "ENTRY_KIND_"

func entryKindsToPB(kinds []EntryKind) []creditdv1.EntryKind {
	pbs := make([]creditdv1.EntryKind, len(kinds))
	for i, kind := range kinds {
		pbs[i] = creditdv1.EntryKind(enumToPB(creditdv1.EntryKind_value, entryKindPrefix, string(kind)))
	}
	return pbs
}

func grantedFromPB(pb *creditdv1.GrantResponse) (*Granted, error) {
	var r reader
	granted := &Granted{
		Entry:     r.entry(pb.GetEntry()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return granted, r.err
}

func (r *reader) entry(pb *creditdv1.Entry) Entry {
	if pb == nil {
		r.fail("entry is missing")
	}
	entry := Entry{
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
		Source:          pb.GetSource(),
		ExpireTime:      timeFromPB(pb.GetExpireTime()),
		Priority:        pb.GetPriority(),
		Services:        pb.GetServices(),
	}
	for _, share := range pb.GetGrants() {
		entry.Grants = append(entry.Grants, GrantShare{
			GrantID: share.GetGrantId(),
			Credits: r.decimal("entry.grants.credits", share.GetCredits()),
			Held:    r.decimal("entry.grants.held", share.GetHeld()),
		})
	}
	return entry
}

func revokeGrantFromPB(pb *creditdv1.RevokeGrantResponse) (*RevokeGrantResult, error) {
	var r reader
	revoked := &RevokeGrantResult{
		Entry:     r.entry(pb.GetEntry()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return revoked, r.err
}

func entryPageFromPB(pb *creditdv1.ListEntriesResponse) (*EntryPage, error) {
	var r reader
	page := &EntryPage{NextPageToken: pb.GetNextPageToken()}
	for _, entry := range pb.GetEntries() {
		page.Entries = append(page.Entries, r.entry(entry))
	}
	return page, r.err
}
