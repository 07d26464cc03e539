package creditd

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// RateCardRevision is one revision of a rate card, as administrators see it;
// [Client.GetRateCard] lists what it prices.
type RateCardRevision struct {
	// RateCard is its name.
	RateCard string
	// Revision identifies its content.
	Revision string
	// Title is the name people read.
	Title string
	// EffectiveTime is from when on it is in force; zero: it always was.
	EffectiveTime time.Time `json:",omitzero"`
	State         RateCardState
	// Origin is "built-in", "file" or "published".
	Origin string
	// TOML is its text, where it was asked for. Empty for a card that came before texts
	// were kept, and for a file that fits into no reply.
	TOML string
}

// RateCardState is where a [RateCardRevision] stands. A later server may have more.
type RateCardState string

// Where a revision of a rate card stands. Quotes of all of them are honoured.
const (
	// RateCardInForce is what requests are priced by.
	RateCardInForce RateCardState = "IN_FORCE"
	// RateCardScheduled comes into force at its EffectiveTime.
	RateCardScheduled RateCardState = "SCHEDULED"
	// RateCardReplaced is one in whose place another came.
	RateCardReplaced RateCardState = "REPLACED"
	// RateCardWithdrawn never came into force. No list has it.
	RateCardWithdrawn RateCardState = "WITHDRAWN"
)

const rateCardStatePrefix = "RATE_CARD_STATE_"

func (r *reader) rateCard(pb *creditdv1.RateCard) RateCardRevision {
	if pb == nil {
		r.fail("rate_card is missing")
	}
	return RateCardRevision{
		RateCard:      pb.GetRateCard(),
		Revision:      pb.GetRevision(),
		Title:         pb.GetTitle(),
		EffectiveTime: timeFromPB(pb.GetEffectiveTime()),
		State:         RateCardState(enumFromPB(pb.GetState(), rateCardStatePrefix)),
		Origin:        pb.GetOrigin(),
		TOML:          pb.GetToml(),
	}
}

// PublishRateCardParams is the rate card that [Client.PublishRateCard] publishes.
type PublishRateCardParams struct {
	// TOML is the card as a file has it, at most 2 MiB.
	TOML string
	// ValidateOnly only checks it, and changes nothing.
	ValidateOnly bool
}

func (p PublishRateCardParams) toPB(*writer) *creditdv1.PublishRateCardRequest {
	return &creditdv1.PublishRateCardRequest{Toml: p.TOML, ValidateOnly: p.ValidateOnly}
}

// PublishRateCardResult is the answer to [Client.PublishRateCard].
type PublishRateCardResult struct {
	// RateCard has its text.
	RateCard RateCardRevision
	// Warnings are what is allowed but may not be meant.
	Warnings []string
}

func publishRateCardResultFromPB(r *reader, reply *creditdv1.PublishRateCardResponse) PublishRateCardResult {
	return PublishRateCardResult{RateCard: r.rateCard(reply.GetRateCard()), Warnings: reply.GetWarnings()}
}

// PublishRateCard takes up a rate card, which comes into force at its effective_time,
// or at once. What was priced before stays as it was. The same card again is the same
// answer; one with the name and the effective_time of a scheduled one takes its place.
// [AsRateCardInvalid] has what is wrong with a text, and in which line.
func (c *Client) PublishRateCard(ctx context.Context, params PublishRateCardParams, opts ...grpc.CallOption) (*PublishRateCardResult, error) {
	return invoke(ctx, c.admin.PublishRateCard, params.toPB, publishRateCardResultFromPB, opts)
}

// ListRateCardsParams says which rate cards [Client.ListRateCards] reads.
type ListRateCardsParams struct {
	// RateCard is the name of those to read; empty: all.
	RateCard string
	// WithTOML also returns their texts.
	WithTOML bool
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same RateCard and WithTOML.
	PageToken string
}

func (p ListRateCardsParams) toPB(*writer) *creditdv1.ListRateCardsRequest {
	return &creditdv1.ListRateCardsRequest{
		RateCard:  p.RateCard,
		WithToml:  p.WithTOML,
		PageSize:  p.PageSize,
		PageToken: p.PageToken,
	}
}

// RateCardPage is a page of rate cards. It may have fewer than were asked for and not
// be the last.
type RateCardPage struct {
	RateCards []RateCardRevision
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

func rateCardPageFromPB(r *reader, reply *creditdv1.ListRateCardsResponse) RateCardPage {
	return RateCardPage{RateCards: each(reply.GetRateCards(), r.rateCard), NextPageToken: reply.GetNextPageToken()}
}

// ListRateCards iterates over the rate cards of the server, by name, then by
// EffectiveTime: those in force, those that are scheduled, and all that were replaced.
// It fetches pages as [Client.ListEntries] does.
func (c *Client) ListRateCards(ctx context.Context, params ListRateCardsParams, opts ...grpc.CallOption) iter.Seq2[RateCardRevision, error] {
	opts = slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]RateCardRevision, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListRateCardsPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.RateCards, page.NextPageToken, nil
	})
}

// ListRateCardsPage reads one page of [Client.ListRateCards].
func (c *Client) ListRateCardsPage(ctx context.Context, params ListRateCardsParams, opts ...grpc.CallOption) (*RateCardPage, error) {
	return invoke(ctx, c.admin.ListRateCards, params.toPB, rateCardPageFromPB, opts)
}

// WithdrawRateCardParams says what [Client.WithdrawRateCard] withdraws.
type WithdrawRateCardParams struct {
	// Revision is that of a card that is scheduled.
	Revision string
}

func (p WithdrawRateCardParams) toPB(*writer) *creditdv1.WithdrawRateCardRequest {
	return &creditdv1.WithdrawRateCardRequest{Revision: p.Revision}
}

func withdrawRateCardResultFromPB(r *reader, reply *creditdv1.WithdrawRateCardResponse) RateCardRevision {
	return r.rateCard(reply.GetRateCard())
}

// WithdrawRateCard withdraws a published rate card that has not come into force yet,
// and returns it with its text. The same again is the same answer.
func (c *Client) WithdrawRateCard(ctx context.Context, params WithdrawRateCardParams, opts ...grpc.CallOption) (*RateCardRevision, error) {
	return invoke(ctx, c.admin.WithdrawRateCard, params.toPB, withdrawRateCardResultFromPB, opts)
}
