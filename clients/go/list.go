package creditd

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
)

// ListEntriesParams says which entries [Client.ListEntries] reads. An entry must
// pass all filters that are set.
type ListEntriesParams struct {
	Account string
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same account and filters.
	PageToken string
	// StartTime and EndTime filter by CreateTime: from StartTime on, and before
	// EndTime.
	StartTime time.Time
	EndTime   time.Time
	// Kinds are the kinds of entries to read; empty: all.
	Kinds   []EntryKind
	Service string
	HoldID  string
	// KeyID is who did it.
	KeyID string
}

func (p ListEntriesParams) toPB(*writer) *creditdv1.ListEntriesRequest {
	return &creditdv1.ListEntriesRequest{
		Account:   p.Account,
		PageSize:  p.PageSize,
		PageToken: p.PageToken,
		StartTime: timeToPB(p.StartTime),
		EndTime:   timeToPB(p.EndTime),
		Kinds:     each(p.Kinds, entryKindToPB),
		Service:   p.Service,
		HoldId:    p.HoldID,
		KeyId:     p.KeyID,
	}
}

// EntryPage is a page of the entries of an account, newest first. It may have fewer
// than were asked for, or none, and not be the last.
type EntryPage struct {
	Entries []Entry
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
	// OpeningBalance stands, on the last page, for older entries that could pass the
	// filters and were moved to an archive; nil where there are none.
	OpeningBalance *OpeningBalance `json:",omitzero"`
}

// OpeningBalance is what an account had after the newest of its entries that were moved
// to an archive.
type OpeningBalance struct {
	Available decimal.Decimal
	Held      decimal.Decimal
	// EntryID and CreateTime are of that entry. Balances of then and later are known.
	EntryID    string
	CreateTime time.Time `json:",omitzero"`
	// Archive counts archives: the newest one that has entries of the account.
	Archive int64
}

func entryPageFromPB(r *reader, reply *creditdv1.ListEntriesResponse) EntryPage {
	page := EntryPage{Entries: each(reply.GetEntries(), r.entry), NextPageToken: reply.GetNextPageToken()}
	if opening := reply.GetOpeningBalance(); opening != nil {
		page.OpeningBalance = &OpeningBalance{
			Available:  r.decimal("opening_balance.available", opening.GetAvailable()),
			Held:       r.decimal("opening_balance.held", opening.GetHeld()),
			EntryID:    opening.GetEntryId(),
			CreateTime: timeFromPB(opening.GetCreateTime()),
			Archive:    opening.GetArchive(),
		}
	}
	return page
}

// ListEntries iterates over the entries of an account, newest first, and fetches
// pages as they are needed. Each page is a call of its own, with a deadline and
// retries of its own. An error ends the iteration.
//
//	for entry, err := range client.ListEntries(ctx, creditd.ListEntriesParams{Account: "team-a"}) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// Where older entries were moved to an archive, the last page of
// [Client.ListEntriesPage] has the opening balance that stands for them.
func (c *Client) ListEntries(ctx context.Context, params ListEntriesParams, opts ...grpc.CallOption) iter.Seq2[Entry, error] {
	// The pages are read later, when the caller may use its slices for something else.
	params.Kinds, opts = slices.Clone(params.Kinds), slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]Entry, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListEntriesPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Entries, page.NextPageToken, nil
	})
}

// ListEntriesPage reads one page of [Client.ListEntries].
func (c *Client) ListEntriesPage(ctx context.Context, params ListEntriesParams, opts ...grpc.CallOption) (*EntryPage, error) {
	return invoke(ctx, c.ledger.ListEntries, params.toPB, entryPageFromPB, opts)
}

// ListHoldsParams says which open holds [Client.ListHolds] reads. A hold must pass
// all filters that are set.
type ListHoldsParams struct {
	Account string
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same account and filters.
	PageToken string
	// RequestID filters by the call that made the hold.
	RequestID string
	// Labels are those that a hold must have, with these values. It may have more.
	Labels map[string]string
	// StartTime and EndTime filter by CreateTime: from StartTime on, and before
	// EndTime.
	StartTime time.Time
	EndTime   time.Time
}

func (p ListHoldsParams) toPB(*writer) *creditdv1.ListHoldsRequest {
	return &creditdv1.ListHoldsRequest{
		Account:   p.Account,
		PageSize:  p.PageSize,
		PageToken: p.PageToken,
		RequestId: p.RequestID,
		Labels:    p.Labels,
		StartTime: timeToPB(p.StartTime),
		EndTime:   timeToPB(p.EndTime),
	}
}

// HoldPage is a page of the open holds of an account, oldest first. It may have
// fewer than were asked for and not be the last.
type HoldPage struct {
	Holds []Hold
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

func holdPageFromPB(r *reader, reply *creditdv1.ListHoldsResponse) HoldPage {
	return HoldPage{Holds: each(reply.GetHolds(), r.hold), NextPageToken: reply.GetNextPageToken()}
}

// ListHolds iterates over the open holds of an account, oldest first, and fetches
// pages as [Client.ListEntries] does.
func (c *Client) ListHolds(ctx context.Context, params ListHoldsParams, opts ...grpc.CallOption) iter.Seq2[Hold, error] {
	params.Labels, opts = maps.Clone(params.Labels), slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]Hold, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListHoldsPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Holds, page.NextPageToken, nil
	})
}

// ListHoldsPage reads one page of [Client.ListHolds].
func (c *Client) ListHoldsPage(ctx context.Context, params ListHoldsParams, opts ...grpc.CallOption) (*HoldPage, error) {
	return invoke(ctx, c.ledger.ListHolds, params.toPB, holdPageFromPB, opts)
}

// overPages starts again at the first token each time that it is ranged over. Only
// an empty token ends it: a page before the last may be empty.
func overPages[T any](first string, fetch func(token string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		token := first
		for {
			items, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}
