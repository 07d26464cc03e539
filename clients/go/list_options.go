package creditd

import (
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
)

// EntriesOption is an option of [Client.ListEntries] and
// [Client.ListEntriesPage]. Of the filters, all that are given must hold.
type EntriesOption interface {
	applyToEntries(*creditdv1.ListEntriesRequest)
}

// HoldsOption is an option of [Client.ListHolds] and [Client.ListHoldsPage].
type HoldsOption interface {
	applyToHolds(*creditdv1.ListHoldsRequest)
}

// PageSizeOption is what [PageSize] returns.
type PageSizeOption int32

func (o PageSizeOption) applyToEntries(req *creditdv1.ListEntriesRequest) { req.PageSize = int32(o) }
func (o PageSizeOption) applyToHolds(req *creditdv1.ListHoldsRequest)     { req.PageSize = int32(o) }

// PageSize is how many to fetch at a time, at most 1,000. Default: 50.
func PageSize(size int32) PageSizeOption {
	return PageSizeOption(size)
}

type entriesOptionFunc func(*creditdv1.ListEntriesRequest)

func (o entriesOptionFunc) applyToEntries(req *creditdv1.ListEntriesRequest) { o(req) }

// Since leaves out entries from before that time.
func Since(t time.Time) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.StartTime = timeToPB(t) })
}

// Before leaves out entries from that time on.
func Before(t time.Time) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.EndTime = timeToPB(t) })
}

// OfKinds leaves out entries of all other kinds.
func OfKinds(kinds ...EntryKind) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.Kinds = entryKindsToPB(kinds) })
}

// OfService leaves out entries of other services, and those without one.
func OfService(service string) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.Service = service })
}

// OfHold leaves out entries that are not about that hold.
func OfHold(holdID string) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.HoldId = holdID })
}
