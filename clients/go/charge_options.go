package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
)

// ChargeOption is an option of [Client.Charge] and [NewCharge].
type ChargeOption interface {
	applyToCharge(*chargeConfig)
}

// RefundOption is an option of [Client.Refund].
type RefundOption interface {
	applyToRefund(*refundConfig)
}

// chargeConfig has what a charge has but for account and cost.
type chargeConfig struct {
	requestID string
	prices    *creditdv1.PriceSelector
	labels    map[string]string
}

// refundConfig has the amount apart: it may be one that cannot be sent.
type refundConfig struct {
	req     *creditdv1.RefundRequest
	credits *decimal.Decimal
}

type refundOptionFunc func(*refundConfig)

func (o refundOptionFunc) applyToRefund(config *refundConfig) { o(config) }

// RefundOnly gives back this much and not all that is left of the charge.
func RefundOnly(credits decimal.Decimal) RefundOption {
	return refundOptionFunc(func(config *refundConfig) { config.credits = &credits })
}
