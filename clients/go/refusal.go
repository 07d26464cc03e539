package creditd

import (
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// InsufficientCredits has the details of a refusal with [ReasonInsufficientCredits].
type InsufficientCredits struct {
	Account string
	// Required is what the call costs.
	Required decimal.Decimal
	// Available is what this call could have spent.
	Available decimal.Decimal
	// Shortfall is how much is missing.
	Shortfall decimal.Decimal
}

// AsInsufficientCredits returns the amounts where err is, or wraps, such a refusal.
func AsInsufficientCredits(err error) (InsufficientCredits, bool) {
	return refusalAs(err, ReasonInsufficientCredits, insufficientCreditsFromMetadata)
}

func insufficientCreditsFromMetadata(r *reader, metadata map[string]string) InsufficientCredits {
	return InsufficientCredits{
		Account:   metadata["account"],
		Required:  r.decimal("required", metadata["required"]),
		Available: r.decimal("available", metadata["available"]),
		Shortfall: r.decimal("shortfall", metadata["shortfall"]),
	}
}

// HoldClosed has the details of a refusal with [ReasonHoldClosed].
type HoldClosed struct {
	HoldID string
	// Status is where the hold stands.
	Status HoldStatus
}

// AsHoldClosed returns what became of the hold where err is, or wraps, such a
// refusal.
func AsHoldClosed(err error) (HoldClosed, bool) {
	return refusalAs(err, ReasonHoldClosed, holdClosedFromMetadata)
}

func holdClosedFromMetadata(r *reader, metadata map[string]string) HoldClosed {
	// The message has the status in lower case, and so has the metadata.
	return HoldClosed{HoldID: metadata["hold_id"], Status: HoldStatus(strings.ToUpper(r.text("status", metadata)))}
}

// HoldExceeded has the details of a refusal with [ReasonHoldExceeded].
type HoldExceeded struct {
	HoldID string
	// Required is what the settlement costs.
	Required decimal.Decimal
	// Held is what the hold has left.
	Held decimal.Decimal
}

// AsHoldExceeded returns the amounts where err is, or wraps, such a refusal.
func AsHoldExceeded(err error) (HoldExceeded, bool) {
	return refusalAs(err, ReasonHoldExceeded, holdExceededFromMetadata)
}

func holdExceededFromMetadata(r *reader, metadata map[string]string) HoldExceeded {
	return HoldExceeded{
		HoldID:   metadata["hold_id"],
		Required: r.decimal("required", metadata["required"]),
		Held:     r.decimal("held", metadata["held"]),
	}
}

// RefundExceedsCharge has the details of a refusal with [ReasonRefundExceedsCharge].
type RefundExceedsCharge struct {
	EntryID string
	// Requested is what was to be given back.
	Requested decimal.Decimal
	// Refundable is what can still be given back.
	Refundable decimal.Decimal
}

// AsRefundExceedsCharge returns the amounts where err is, or wraps, such a refusal.
func AsRefundExceedsCharge(err error) (RefundExceedsCharge, bool) {
	return refusalAs(err, ReasonRefundExceedsCharge, refundExceedsChargeFromMetadata)
}

func refundExceedsChargeFromMetadata(r *reader, metadata map[string]string) RefundExceedsCharge {
	return RefundExceedsCharge{
		EntryID:    metadata["entry_id"],
		Requested:  r.decimal("requested", metadata["requested"]),
		Refundable: r.decimal("refundable", metadata["refundable"]),
	}
}

// RateCardInvalid has the details of a refusal with [ReasonRateCardInvalid].
type RateCardInvalid struct {
	// Line is where in the text it is, from 1.
	Line int
	// Problem is what is wrong there and what to do, for people.
	Problem string
}

// AsRateCardInvalid returns what is wrong with the text of a rate card where err is,
// or wraps, such a refusal.
func AsRateCardInvalid(err error) (RateCardInvalid, bool) {
	return refusalAs(err, ReasonRateCardInvalid, rateCardInvalidFromMetadata)
}

func rateCardInvalidFromMetadata(r *reader, metadata map[string]string) RateCardInvalid {
	return RateCardInvalid{Line: r.number("line", metadata["line"]), Problem: metadata["problem"]}
}

// UnknownAttributeValue has the details of a refusal with
// [ReasonUnknownAttributeValue].
type UnknownAttributeValue struct {
	// Service is the one that was priced; empty where an account was updated.
	Service   string
	Attribute string
	// Value is the one that was refused.
	Value string
	// Values are those that the attribute can have.
	Values []string
}

// AsUnknownAttributeValue returns the values that an attribute can have where err is,
// or wraps, such a refusal.
func AsUnknownAttributeValue(err error) (UnknownAttributeValue, bool) {
	return refusalAs(err, ReasonUnknownAttributeValue, unknownAttributeValueFromMetadata)
}

func unknownAttributeValueFromMetadata(r *reader, metadata map[string]string) UnknownAttributeValue {
	return UnknownAttributeValue{
		Service:   metadata["service"],
		Attribute: r.text("attribute", metadata),
		Value:     metadata["value"],
		Values:    list(metadata["values"], ", "),
	}
}

// NotOffered has the details of a refusal with [ReasonNotOffered].
type NotOffered struct {
	Service string
	// Why is what the rate card says about it.
	Why string
}

// AsNotOffered returns why something is not sold where err is, or wraps, such a
// refusal.
func AsNotOffered(err error) (NotOffered, bool) {
	return refusalAs(err, ReasonNotOffered, notOfferedFromMetadata)
}

func notOfferedFromMetadata(r *reader, metadata map[string]string) NotOffered {
	return NotOffered{Service: r.text("service", metadata), Why: metadata["why"]}
}

// MetersDisagree has the details of a refusal with [ReasonMetersDisagree].
type MetersDisagree struct {
	Service string
	// Formula is what cannot be less than 0, "prompt_tokens - cached_tokens".
	Formula string
	// Value is what it came to.
	Value decimal.Decimal
	// Meter is the part that is more than the whole, "cached_tokens".
	Meter string
}

// AsMetersDisagree returns which meters of a usage do not fit together where err is,
// or wraps, such a refusal.
func AsMetersDisagree(err error) (MetersDisagree, bool) {
	return refusalAs(err, ReasonMetersDisagree, metersDisagreeFromMetadata)
}

func metersDisagreeFromMetadata(r *reader, metadata map[string]string) MetersDisagree {
	return MetersDisagree{
		Service: metadata["service"],
		Formula: metadata["formula"],
		Value:   r.decimal("value", metadata["value"]),
		Meter:   metadata["meter"],
	}
}

// InvalidMask has the details of a refusal with [ReasonInvalidMask].
type InvalidMask struct {
	// Paths are those that the update_mask had; none: nothing was to be set.
	Paths []string
}

// AsInvalidMask returns the paths of an update where err is, or wraps, such a refusal.
func AsInvalidMask(err error) (InvalidMask, bool) {
	return refusalAs(err, ReasonInvalidMask, invalidMaskFromMetadata)
}

func invalidMaskFromMetadata(r *reader, metadata map[string]string) InvalidMask {
	if _, has := metadata["paths"]; !has {
		r.fail("paths is missing")
	}
	return InvalidMask{Paths: list(metadata["paths"], ",")}
}

// RateCardNameTaken has the details of a refusal with [ReasonRateCardNameTaken].
type RateCardNameTaken struct {
	RateCard string
	// Origin is that of the card that has the name: "built-in", "file" or "published".
	Origin string
	// Revision and EffectiveTime are those of a published card with the same name and
	// EffectiveTime whose time has come; else they are empty.
	Revision      string
	EffectiveTime time.Time `json:",omitzero"`
}

// AsRateCardNameTaken returns what has the name of a rate card where err is, or wraps,
// such a refusal.
func AsRateCardNameTaken(err error) (RateCardNameTaken, bool) {
	return refusalAs(err, ReasonRateCardNameTaken, rateCardNameTakenFromMetadata)
}

func rateCardNameTakenFromMetadata(r *reader, metadata map[string]string) RateCardNameTaken {
	return RateCardNameTaken{
		RateCard:      r.text("rate_card", metadata),
		Origin:        metadata["origin"],
		Revision:      metadata["revision"],
		EffectiveTime: r.time("effective_time", metadata["effective_time"]),
	}
}

// RateCardNotScheduled has the details of a refusal with
// [ReasonRateCardNotScheduled].
type RateCardNotScheduled struct {
	Revision string
	// Origin is "built-in", "file" or "published".
	Origin string
	// State is where the card stands.
	State RateCardState
}

// AsRateCardNotScheduled returns where a rate card stands that cannot be withdrawn
// where err is, or wraps, such a refusal.
func AsRateCardNotScheduled(err error) (RateCardNotScheduled, bool) {
	return refusalAs(err, ReasonRateCardNotScheduled, rateCardNotScheduledFromMetadata)
}

func rateCardNotScheduledFromMetadata(r *reader, metadata map[string]string) RateCardNotScheduled {
	// The message has the state in words, "in force", and so has the metadata.
	state := strings.ReplaceAll(strings.ToUpper(r.text("state", metadata)), " ", "_")
	return RateCardNotScheduled{
		Revision: metadata["revision"],
		Origin:   metadata["origin"],
		State:    RateCardState(state),
	}
}

// TooManyRateCards has the details of a refusal with [ReasonTooManyRateCards].
type TooManyRateCards struct {
	RateCard string
	// Limit is how many there may be.
	Limit int
}

// AsTooManyRateCards returns the limit where err is, or wraps, such a refusal.
func AsTooManyRateCards(err error) (TooManyRateCards, bool) {
	return refusalAs(err, ReasonTooManyRateCards, tooManyRateCardsFromMetadata)
}

func tooManyRateCardsFromMetadata(r *reader, metadata map[string]string) TooManyRateCards {
	return TooManyRateCards{RateCard: metadata["rate_card"], Limit: r.number("limit", metadata["limit"])}
}

// NotAllowed has the details of a refusal with [ReasonNotAllowed].
type NotAllowed struct {
	// Scope is what the call needs.
	Scope Scope
}

// AsNotAllowed returns what a key may not do where err is, or wraps, such a refusal.
func AsNotAllowed(err error) (NotAllowed, bool) {
	return refusalAs(err, ReasonNotAllowed, notAllowedFromMetadata)
}

func notAllowedFromMetadata(r *reader, metadata map[string]string) NotAllowed {
	return NotAllowed{Scope: Scope(r.text("scope", metadata))}
}

// RateLimited has the details of a refusal with [ReasonRateLimited].
type RateLimited struct {
	// Limit is how many calls a second are allowed.
	Limit int
	// Of is what was called for too often: "key" or "account".
	Of string
}

// AsRateLimited returns the limit where err is, or wraps, such a refusal.
func AsRateLimited(err error) (RateLimited, bool) {
	return refusalAs(err, ReasonRateLimited, rateLimitedFromMetadata)
}

func rateLimitedFromMetadata(r *reader, metadata map[string]string) RateLimited {
	return RateLimited{Limit: r.number("limit", metadata["limit"]), Of: metadata["of"]}
}

// refusalAs reads the metadata of a refusal with that reason.
func refusalAs[T any](err error, reason Reason, read func(*reader, map[string]string) T) (T, bool) {
	var none T
	refusal, is := withReason(err, reason)
	if !is {
		return none, false
	}
	var r reader
	details := read(&r, refusal.Metadata)
	if r.err != nil {
		return none, false
	}
	return details, true
}

// text is metadata that is never empty.
func (r *reader) text(key string, metadata map[string]string) string {
	if metadata[key] == "" {
		r.fail("%s is missing", key)
	}
	return metadata[key]
}

func (r *reader) number(key, text string) int {
	number, err := strconv.Atoi(text)
	if err != nil {
		r.fail("%s %q is not a whole number", key, text)
	}
	return number
}

// time is zero where there is none.
func (r *reader) time(key, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		r.fail("%s %q is not a time", key, text)
	}
	return moment
}

// list has no element where the text is empty.
func list(text, separator string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, separator)
}
