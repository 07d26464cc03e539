package creditd

import (
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// HoldOption is an option of [Client.Hold].
type HoldOption interface {
	applyToHold(*creditdv1.HoldRequest)
}

// ExtendHoldOption is an option of [Client.ExtendHold].
type ExtendHoldOption interface {
	applyToExtendHold(*creditdv1.ExtendHoldRequest)
}

// SettleHoldOption is an option of [Client.SettleHold].
type SettleHoldOption interface {
	applyToSettleHold(*creditdv1.SettleHoldRequest)
}

// ReleaseHoldOption is an option of [Client.ReleaseHold].
type ReleaseHoldOption interface {
	applyToReleaseHold(*creditdv1.ReleaseHoldRequest)
}

type holdOptionFunc func(*creditdv1.HoldRequest)

func (o holdOptionFunc) applyToHold(req *creditdv1.HoldRequest) { o(req) }

// TTL releases an open hold by itself after this long, at most 24 h.
// Default: 1 h.
func TTL(ttl time.Duration) HoldOption {
	return holdOptionFunc(func(req *creditdv1.HoldRequest) { req.Ttl = durationpb.New(ttl) })
}

type settleHoldOptionFunc func(*creditdv1.SettleHoldRequest)

func (o settleHoldOptionFunc) applyToSettleHold(req *creditdv1.SettleHoldRequest) { o(req) }

// KeepOpen keeps the rest held for a further settlement, also where the rest is 0.
func KeepOpen() SettleHoldOption {
	return settleHoldOptionFunc(func(req *creditdv1.SettleHoldRequest) { req.KeepOpen = true })
}

// OnOverage says what to do where the cost is more than what is held.
// Default: [OverageReject].
func OnOverage(overage Overage) SettleHoldOption {
	return settleHoldOptionFunc(func(req *creditdv1.SettleHoldRequest) { req.Overage = overageToPB(overage) })
}
