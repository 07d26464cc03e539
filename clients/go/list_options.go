package creditd

import (
	"maps"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
)

// EntriesOption is an option of [Client.ListEntries] and
// [Client.ListEntriesPage]. Of the filters, all that are given must hold.
type EntriesOption interface {
	applyToEntries(*creditdv1.ListEntriesRequest)
}

// HoldsOption is an option of [Client.ListHolds] and [Client.ListHoldsPage]. Of the
// filters, all that are given must hold.
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

type holdsOptionFunc func(*creditdv1.ListHoldsRequest)

func (o holdsOptionFunc) applyToHolds(req *creditdv1.ListHoldsRequest) { o(req) }

// SinceOption is what [Since] returns.
type SinceOption time.Time

func (o SinceOption) applyToEntries(req *creditdv1.ListEntriesRequest) {
	req.StartTime = timeToPB(time.Time(o))
}
func (o SinceOption) applyToHolds(req *creditdv1.ListHoldsRequest) {
	req.StartTime = timeToPB(time.Time(o))
}

// Since leaves out entries, or holds that were made, before that time.
func Since(t time.Time) SinceOption {
	return SinceOption(t)
}

// BeforeOption is what [Before] returns.
type BeforeOption time.Time

func (o BeforeOption) applyToEntries(req *creditdv1.ListEntriesRequest) {
	req.EndTime = timeToPB(time.Time(o))
}
func (o BeforeOption) applyToHolds(req *creditdv1.ListHoldsRequest) {
	req.EndTime = timeToPB(time.Time(o))
}

// Before leaves out entries, or holds that were made, at that time or later.
func Before(t time.Time) BeforeOption {
	return BeforeOption(t)
}

// OfRequestID leaves out holds that another call made.
func OfRequestID(requestID string) HoldsOption {
	return holdsOptionFunc(func(req *creditdv1.ListHoldsRequest) { req.RequestId = requestID })
}

// OfLabels leaves out holds that lack one of these labels or have another value for
// it. They may have more. It copies them: all pages have the same filter.
func OfLabels(labels map[string]string) HoldsOption {
	labels = maps.Clone(labels)
	return holdsOptionFunc(func(req *creditdv1.ListHoldsRequest) { req.Labels = labels })
}

// OfKinds leaves out entries of all other kinds.
func OfKinds(kinds ...EntryKind) EntriesOption {
	pbs := entryKindsToPB(kinds)
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.Kinds = pbs })
}

// OfService leaves out entries of other services, and those without one.
func OfService(service string) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.Service = service })
}

// OfHold leaves out entries that are not about that hold.
func OfHold(holdID string) EntriesOption {
	return entriesOptionFunc(func(req *creditdv1.ListEntriesRequest) { req.HoldId = holdID })
}
