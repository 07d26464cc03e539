package creditd

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
)

// RateCard lists what a rate card prices.
type RateCard struct {
	// RateCard is its name.
	RateCard string
	// Title is the name people read.
	Title string
	// Revision identifies the card's prices as they are now; see [PriceSelector].
	Revision string
	// EffectiveTime is since when the card is in force; zero: always.
	EffectiveTime time.Time `json:",omitzero"`
	// NextEffectiveTime is when another card of this name takes its place; zero where
	// none is known.
	NextEffectiveTime time.Time `json:",omitzero"`
	// Services are in the order of the card.
	Services []ServicePrice
	// NextPageToken is where the next page of the Services begins; empty where no more
	// follow. [Client.RateCardServices] reads all pages.
	NextPageToken string
}

// ServicePrice is one row of a rate card.
type ServicePrice struct {
	// Service is the key, "lip_sync_video".
	Service string
	// Title is the name people read, "Lip Sync Video".
	Title string
	// Rule is the price in words.
	Rule string
	// Meters are "duration", "count" or the names of the meters.
	Meters []string
	// QuantityMax is the largest quantity of one usage with its unit, "3600 s"; empty
	// without a limit.
	QuantityMax string
	// MeterDetails are what is known of each of the Meters.
	MeterDetails []Meter
	// Attributes are the words that the price depends on.
	Attributes []Attribute
}

// Meter is a number that a usage brings.
type Meter struct {
	// Meter is its name. "duration" and "count" are [Usage.Quantity]; all others are
	// keys of [Usage.Meters].
	Meter string
	// Unit is what one of it is called: "s", "token".
	Unit string
	// Decimals is how many it may have.
	Decimals int32
	// DefaultValue is its value where a usage does not bring it; null: it must be sent.
	DefaultValue decimal.NullDecimal `json:",omitzero"`
	// Min and Max are the least and the most of it; null: it has no limit of its own.
	Min decimal.NullDecimal `json:",omitzero"`
	Max decimal.NullDecimal `json:",omitzero"`
}

// Attribute is a word that a price depends on, such as a model or a plan.
type Attribute struct {
	// Attribute is its name.
	Attribute string
	// Values are those that it can have.
	Values []string
	// DefaultValue is its value where there is no other; empty: it must be sent.
	DefaultValue string
	// Source is where its value comes from.
	Source AttributeSource
}

// AttributeSource is where the value of an [Attribute] comes from. A later server may
// have more.
type AttributeSource string

// Where the value of an attribute comes from. Callers send those of the first kind
// only.
const (
	// AttributeOfCaller is one of [Usage.Attributes].
	AttributeOfCaller AttributeSource = "CALLER"
	// AttributeOfAccount is one of [Account.Attributes], of the account that is priced.
	AttributeOfAccount AttributeSource = "ACCOUNT"
	// AttributeOfClock is made of the time for which it is priced.
	AttributeOfClock AttributeSource = "CLOCK"
)

// GetRateCardParams says which card [Client.GetRateCard] lists, and what of it.
type GetRateCardParams struct {
	Prices PriceSelector
	// Services are the only ones to list, at most 1,000; empty: all. One that the card
	// does not have is refused.
	Services []string
	// PageSize is how many to fetch at a time, at most 1,000; zero: all that fit into a
	// reply.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a card that was read
	// with the same revision and services.
	PageToken string
}

func (p GetRateCardParams) toPB(*writer) *creditdv1.GetRateCardRequest {
	return &creditdv1.GetRateCardRequest{
		Prices:    pricesToPB(p.Prices),
		Services:  p.Services,
		PageSize:  p.PageSize,
		PageToken: p.PageToken,
	}
}

func rateCardResultFromPB(r *reader, reply *creditdv1.GetRateCardResponse) RateCard {
	return RateCard{
		RateCard:          reply.GetRateCard(),
		Title:             reply.GetTitle(),
		Revision:          reply.GetRevision(),
		EffectiveTime:     timeFromPB(reply.GetEffectiveTime()),
		NextEffectiveTime: timeFromPB(reply.GetNextEffectiveTime()),
		Services:          each(reply.GetServices(), r.servicePrice),
		NextPageToken:     reply.GetNextPageToken(),
	}
}

// GetRateCard lists what a rate card prices: service keys, meters, attributes and
// rules in words. A card that is too large for one reply, or for a PageSize, has a
// NextPageToken.
func (c *Client) GetRateCard(ctx context.Context, params GetRateCardParams, opts ...grpc.CallOption) (*RateCard, error) {
	return invoke(ctx, c.pricing.GetRateCard, params.toPB, rateCardResultFromPB, opts)
}

// RateCardServices iterates over the services of [Client.GetRateCard], and fetches
// pages as [Client.ListEntries] does. All are of the revision of the first page,
// though another card took its place meanwhile.
func (c *Client) RateCardServices(ctx context.Context, params GetRateCardParams, opts ...grpc.CallOption) iter.Seq2[ServicePrice, error] {
	params.Services, opts = slices.Clone(params.Services), slices.Clone(opts)
	return func(yield func(ServicePrice, error) bool) {
		// Of one iteration: the next one begins anew.
		params := params
		pages := overPages(params.PageToken, func(token string) ([]ServicePrice, string, error) {
			params.PageToken = token
			card, err := c.GetRateCard(ctx, params, opts...)
			if err != nil {
				return nil, "", err
			}
			params.Prices = PriceSelector{Revision: card.Revision}
			return card.Services, card.NextPageToken, nil
		})
		pages(yield)
	}
}
