package creditd

import (
	"context"
	"iter"
	"slices"

	"github.com/creditd/creditd/clients/go/creditdv1"
)

// EntryPage is some entries of an account, newest first. It may have fewer than
// were asked for, or none, and not be the last.
type EntryPage struct {
	Entries []Entry
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

// HoldPage is some open holds of an account, oldest first.
type HoldPage struct {
	Holds []Hold
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

// ListEntries goes over the entries of an account, newest first, and fetches
// pages as they are needed. Each page is a call of its own, with a deadline and
// retries of its own. An error ends it.
//
//	for entry, err := range client.ListEntries(ctx, "team-a") {
//		if err != nil {
//			return err
//		}
//		…
//	}
func (c *Client) ListEntries(ctx context.Context, account string, opts ...EntriesOption) iter.Seq2[Entry, error] {
	// It is read later, when the caller may use its slice for something else.
	opts = slices.Clone(opts)
	return overPages(func(token string) ([]Entry, string, error) {
		page, err := c.ListEntriesPage(ctx, account, token, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Entries, page.NextPageToken, nil
	})
}

// ListEntriesPage reads one page of [Client.ListEntries]. The token is empty for
// the first, and else the [EntryPage.NextPageToken] of the page before, which is
// good for the same account and options.
func (c *Client) ListEntriesPage(ctx context.Context, account, token string, opts ...EntriesOption) (*EntryPage, error) {
	req := &creditdv1.ListEntriesRequest{Account: account, PageToken: token}
	for _, opt := range opts {
		opt.applyToEntries(req)
	}
	reply, err := c.ledger.ListEntries(ctx, req)
	if err != nil {
		return nil, err
	}
	page, err := entryPageFromPB(reply)
	if err != nil {
		return nil, malformed("ListEntries", "", err)
	}
	return page, nil
}

// ListHolds goes over the open holds of an account, oldest first, and fetches
// pages as [Client.ListEntries] does.
func (c *Client) ListHolds(ctx context.Context, account string, opts ...HoldsOption) iter.Seq2[Hold, error] {
	opts = slices.Clone(opts)
	return overPages(func(token string) ([]Hold, string, error) {
		page, err := c.ListHoldsPage(ctx, account, token, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Holds, page.NextPageToken, nil
	})
}

// ListHoldsPage reads one page of [Client.ListHolds]. The token is empty for the
// first, and else the [HoldPage.NextPageToken] of the page before, which is good for
// the same account and options.
func (c *Client) ListHoldsPage(ctx context.Context, account, token string, opts ...HoldsOption) (*HoldPage, error) {
	req := &creditdv1.ListHoldsRequest{Account: account, PageToken: token}
	for _, opt := range opts {
		opt.applyToHolds(req)
	}
	reply, err := c.ledger.ListHolds(ctx, req)
	if err != nil {
		return nil, err
	}
	page, err := holdPageFromPB(reply)
	if err != nil {
		return nil, malformed("ListHolds", "", err)
	}
	return page, nil
}

// overPages begins anew each time that it is ranged over. Only an empty token ends
// it: a page may be empty before the last.
func overPages[T any](fetch func(token string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		token := ""
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
