package creditd

import (
	"maps"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
)

// BalanceOption is an option of [Client.GetBalance].
type BalanceOption func(*creditdv1.GetBalanceRequest)

// AsOf asks for the balance as it was at that time, which must not be in the
// future.
func AsOf(t time.Time) BalanceOption {
	return func(req *creditdv1.GetBalanceRequest) { req.AsOf = timeToPB(t) }
}

// GrantOption is an option of [Client.Grant].
type GrantOption interface {
	applyToGrant(*creditdv1.GrantRequest)
}

type grantOptionFunc func(*creditdv1.GrantRequest)

func (o grantOptionFunc) applyToGrant(req *creditdv1.GrantRequest) { o(req) }

// RevokeGrantOption is an option of [Client.RevokeGrant].
type RevokeGrantOption interface {
	applyToRevokeGrant(*creditdv1.RevokeGrantRequest)
}

// RequestIDOption is what [RequestID] returns: an option of every call that takes
// a request_id.
type RequestIDOption string

func (o RequestIDOption) applyToGrant(req *creditdv1.GrantRequest) { req.RequestId = string(o) }
func (o RequestIDOption) applyToRevokeGrant(req *creditdv1.RevokeGrantRequest) {
	req.RequestId = string(o)
}
func (o RequestIDOption) applyToCharge(config *chargeConfig)     { config.requestID = string(o) }
func (o RequestIDOption) applyToRefund(config *refundConfig)     { config.req.RequestId = string(o) }
func (o RequestIDOption) applyToHold(req *creditdv1.HoldRequest) { req.RequestId = string(o) }
func (o RequestIDOption) applyToExtendHold(req *creditdv1.ExtendHoldRequest) {
	req.RequestId = string(o)
}
func (o RequestIDOption) applyToSettleHold(req *creditdv1.SettleHoldRequest) {
	req.RequestId = string(o)
}
func (o RequestIDOption) applyToReleaseHold(req *creditdv1.ReleaseHoldRequest) {
	req.RequestId = string(o)
}

// RequestID names the call, 1 to 256 printable ASCII characters, unique within the
// account. Choose it from what is paid for, such as "order-17", and the call can
// be repeated by any process for as long as the server knows it, three days, and
// 90 for grants, refunds and revocations: the first answer comes back.
// Without this option the client makes one up, which only covers its own retries;
// it stands in [Error.RequestID] and in the entry that the call makes.
func RequestID(id string) RequestIDOption {
	return RequestIDOption(id)
}

// LabelsOption is what [Labels] returns: an option of every call that makes an
// entry, but for a release.
type LabelsOption map[string]string

func (o LabelsOption) applyToGrant(req *creditdv1.GrantRequest)             { req.Labels = o }
func (o LabelsOption) applyToRevokeGrant(req *creditdv1.RevokeGrantRequest) { req.Labels = o }
func (o LabelsOption) applyToCharge(config *chargeConfig)                   { config.labels = o }
func (o LabelsOption) applyToRefund(config *refundConfig)                   { config.req.Labels = o }
func (o LabelsOption) applyToHold(req *creditdv1.HoldRequest)               { req.Labels = o }
func (o LabelsOption) applyToSettleHold(req *creditdv1.SettleHoldRequest)   { req.Labels = o }

// Labels are kept with the entry. It copies them: a [Charge] stays as it was made.
func Labels(labels map[string]string) LabelsOption {
	return maps.Clone(labels)
}

// ExpireAt ends the granted credits at that time, which must be in the future.
// Without it they never expire.
func ExpireAt(t time.Time) GrantOption {
	return grantOptionFunc(func(req *creditdv1.GrantRequest) { req.ExpireTime = timeToPB(t) })
}

// Priority decides which credits burn first: lower does, then the soonest to
// expire, then the oldest. Default: 0.
func Priority(priority int32) GrantOption {
	return grantOptionFunc(func(req *creditdv1.GrantRequest) { req.Priority = priority })
}

// Source says where the credits come from, such as "purchase".
func Source(source string) GrantOption {
	return grantOptionFunc(func(req *creditdv1.GrantRequest) { req.Source = source })
}

// ForServices lets the credits pay for these services only. Without it they pay
// for all.
func ForServices(services ...string) GrantOption {
	services = slices.Clone(services)
	return grantOptionFunc(func(req *creditdv1.GrantRequest) { req.Services = services })
}
