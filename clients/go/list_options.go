package creditd

import (
	"maps"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/protobuf/types/known/timestamppb"
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

// TimeOption is what [Since] and [Before] return.
type TimeOption struct {
	start, end *timestamppb.Timestamp
}

func (o TimeOption) applyToEntries(req *creditdv1.ListEntriesRequest) {
	o.applyTo(&req.StartTime, &req.EndTime)
}

func (o TimeOption) applyToHolds(req *creditdv1.ListHoldsRequest) {
	o.applyTo(&req.StartTime, &req.EndTime)
}

func (o TimeOption) applyTo(start, end **timestamppb.Timestamp) {
	if o.start != nil {
		*start = o.start
	}
	if o.end != nil {
		*end = o.end
	}
}

// Since leaves out what was made before that time.
func Since(t time.Time) TimeOption {
	return TimeOption{start: timeToPB(t)}
}

// Before leaves out what was made at that time or later.
func Before(t time.Time) TimeOption {
	return TimeOption{end: timeToPB(t)}
}

type entriesOptionFunc func(*creditdv1.ListEntriesRequest)

func (o entriesOptionFunc) applyToEntries(req *creditdv1.ListEntriesRequest) { o(req) }

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

type holdsOptionFunc func(*creditdv1.ListHoldsRequest)

func (o holdsOptionFunc) applyToHolds(req *creditdv1.ListHoldsRequest) { o(req) }

// OfRequestID leaves out all holds but the one that [Client.Hold] made with that
// request_id.
func OfRequestID(id string) HoldsOption {
	return holdsOptionFunc(func(req *creditdv1.ListHoldsRequest) { req.RequestId = id })
}

// OfLabels leaves out holds that do not have all of these labels, with these
// values. They may have more.
func OfLabels(labels map[string]string) HoldsOption {
	labels = maps.Clone(labels)
	return holdsOptionFunc(func(req *creditdv1.ListHoldsRequest) { req.Labels = labels })
}
