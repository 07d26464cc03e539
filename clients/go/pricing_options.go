package creditd

import (
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
)

// EstimateOption is an option of [Client.Estimate] and [Client.BatchEstimate].
type EstimateOption interface {
	applyToEstimate(*estimateConfig)
}

// RateCardOption is an option of [Client.GetRateCard].
type RateCardOption interface {
	applyToRateCard(*creditdv1.PriceSelector)
}

// estimateConfig has what the requests of Estimate and BatchEstimate share.
type estimateConfig struct {
	prices       *creditdv1.PriceSelector
	explain      bool
	checkBalance bool
}

// PriceOption says which prices apply: to an estimate, or to a usage that is
// charged, held or settled. Without one, the server's default card as it is in
// force now does.
type PriceOption func(*creditdv1.PriceSelector)

func (o PriceOption) applyToEstimate(config *estimateConfig)             { o.applyTo(&config.prices) }
func (o PriceOption) applyToRateCard(prices *creditdv1.PriceSelector)    { o(prices) }
func (o PriceOption) applyToCharge(config *chargeConfig)                 { o.applyTo(&config.prices) }
func (o PriceOption) applyToHold(req *creditdv1.HoldRequest)             { o.applyTo(&req.Prices) }
func (o PriceOption) applyToSettleHold(req *creditdv1.SettleHoldRequest) { o.applyTo(&req.Prices) }

// applyTo makes the selector where the request has none yet.
func (o PriceOption) applyTo(prices **creditdv1.PriceSelector) {
	if *prices == nil {
		*prices = &creditdv1.PriceSelector{}
	}
	o(*prices)
}

// ForAccount applies the overrides and discounts of the account. A charge or a
// hold takes those of the account that pays, and no others.
func ForAccount(account string) PriceOption {
	return func(prices *creditdv1.PriceSelector) { prices.Account = account }
}

// OnRateCard chooses a rate card by name.
func OnRateCard(name string) PriceOption {
	return func(prices *creditdv1.PriceSelector) { prices.RateCard = name }
}

// AtRevision prices exactly as when the server gave out that [Estimate.Revision].
func AtRevision(revision string) PriceOption {
	return func(prices *creditdv1.PriceSelector) { prices.Revision = revision }
}

// AtTime takes the prices in force at that time. It does not go together with
// [AtRevision].
func AtTime(t time.Time) PriceOption {
	return func(prices *creditdv1.PriceSelector) { prices.PriceTime = timeToPB(t) }
}

type estimateOptionFunc func(*estimateConfig)

func (o estimateOptionFunc) applyToEstimate(config *estimateConfig) { o(config) }

// WithExplain also returns how the cost adds up, as [Estimate.Lines].
func WithExplain() EstimateOption {
	return estimateOptionFunc(func(config *estimateConfig) { config.explain = true })
}

// WithBalanceCheck also returns whether the account of [ForAccount], which must
// be given, can pay this now.
func WithBalanceCheck() EstimateOption {
	return estimateOptionFunc(func(config *estimateConfig) { config.checkBalance = true })
}
