package creditd

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// AdminEvent is something that was done to keys or rate cards. It never changes.
type AdminEvent struct {
	CreateTime time.Time `json:",omitzero"`
	// KeyID is who did it; empty: anybody, since authentication was off.
	KeyID string
	// Action is "create_key", "revoke_key", "publish_rate_card" or
	// "withdraw_rate_card". A later server may have more.
	Action string
	// Subject is the KeyID or the revision that it was done to.
	Subject string
	// Title is the key's, or the name of the rate card.
	Title string
}

func (r *reader) adminEvent(pb *creditdv1.AdminEvent) AdminEvent {
	return AdminEvent{
		CreateTime: timeFromPB(pb.GetCreateTime()),
		KeyID:      pb.GetKeyId(),
		Action:     pb.GetAction(),
		Subject:    pb.GetSubject(),
		Title:      pb.GetTitle(),
	}
}

// ListAdminEventsParams says which events [Client.ListAdminEvents] reads.
type ListAdminEventsParams struct {
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same KeyID.
	PageToken string
	// KeyID filters by who did it; empty: all.
	KeyID string
}

func (p ListAdminEventsParams) toPB(*writer) *creditdv1.ListAdminEventsRequest {
	return &creditdv1.ListAdminEventsRequest{PageSize: p.PageSize, PageToken: p.PageToken, KeyId: p.KeyID}
}

// AdminEventPage is a page of events, newest first. It may have fewer than were asked
// for and not be the last.
type AdminEventPage struct {
	Events []AdminEvent
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

func adminEventPageFromPB(r *reader, reply *creditdv1.ListAdminEventsResponse) AdminEventPage {
	return AdminEventPage{Events: each(reply.GetEvents(), r.adminEvent), NextPageToken: reply.GetNextPageToken()}
}

// ListAdminEvents iterates over what was done to keys and rate cards, and by whom,
// newest first. It fetches pages as [Client.ListEntries] does.
func (c *Client) ListAdminEvents(ctx context.Context, params ListAdminEventsParams, opts ...grpc.CallOption) iter.Seq2[AdminEvent, error] {
	opts = slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]AdminEvent, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListAdminEventsPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Events, page.NextPageToken, nil
	})
}

// ListAdminEventsPage reads one page of [Client.ListAdminEvents].
func (c *Client) ListAdminEventsPage(ctx context.Context, params ListAdminEventsParams, opts ...grpc.CallOption) (*AdminEventPage, error) {
	return invoke(ctx, c.admin.ListAdminEvents, params.toPB, adminEventPageFromPB, opts)
}
