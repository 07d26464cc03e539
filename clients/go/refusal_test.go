package creditd_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
)

// detailsOf calls one of the functions As….
func detailsOf[T any](as func(error) (T, bool)) func(error) (any, bool) {
	return func(err error) (any, bool) {
		details, is := as(err)
		return details, is
	}
}

var refusals = []struct {
	reason   creditd.Reason
	read     func(error) (any, bool)
	metadata map[string]string
	want     any
}{
	{
		creditd.ReasonRateCardInvalid, detailsOf(creditd.AsRateCardInvalid),
		map[string]string{"field": "toml", "line": "12", "problem": "no amount"},
		creditd.RateCardInvalid{Line: 12, Problem: "no amount"},
	},
	{
		creditd.ReasonUnknownAttributeValue, detailsOf(creditd.AsUnknownAttributeValue),
		map[string]string{"attribute": "region", "value": "eu", "values": "global, us", "service": "messages"},
		creditd.UnknownAttributeValue{Service: "messages", Attribute: "region", Value: "eu", Values: []string{"global", "us"}},
	},
	{
		creditd.ReasonUnknownAttributeValue, detailsOf(creditd.AsUnknownAttributeValue),
		map[string]string{"attribute": "plan", "value": "", "values": "growth"},
		creditd.UnknownAttributeValue{Attribute: "plan", Values: []string{"growth"}},
	},
	{
		creditd.ReasonNotOffered, detailsOf(creditd.AsNotOffered),
		map[string]string{"service": "ray_3_2", "why": "clips are 5 s or 10 s"},
		creditd.NotOffered{Service: "ray_3_2", Why: "clips are 5 s or 10 s"},
	},
	{
		creditd.ReasonMetersDisagree, detailsOf(creditd.AsMetersDisagree),
		map[string]string{"service": "gpt", "formula": "prompt_tokens - cached_tokens", "value": "-1", "meter": "cached_tokens"},
		creditd.MetersDisagree{Service: "gpt", Formula: "prompt_tokens - cached_tokens", Value: credits("-1"), Meter: "cached_tokens"},
	},
	{
		creditd.ReasonInvalidMask, detailsOf(creditd.AsInvalidMask),
		map[string]string{"paths": "balance,labels"},
		creditd.InvalidMask{Paths: []string{"balance", "labels"}},
	},
	{
		creditd.ReasonInvalidMask, detailsOf(creditd.AsInvalidMask),
		map[string]string{"paths": ""},
		creditd.InvalidMask{},
	},
	{
		creditd.ReasonRateCardNameTaken, detailsOf(creditd.AsRateCardNameTaken),
		map[string]string{"rate_card": "studio", "origin": "file"},
		creditd.RateCardNameTaken{RateCard: "studio", Origin: "file"},
	},
	{
		creditd.ReasonRateCardNameTaken, detailsOf(creditd.AsRateCardNameTaken),
		map[string]string{"rate_card": "studio", "origin": "published", "revision": "0123abcd", "effective_time": "2026-11-22T12:00:00.000001Z"},
		creditd.RateCardNameTaken{
			RateCard: "studio", Origin: "published", Revision: "0123abcd",
			EffectiveTime: time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC),
		},
	},
	{
		creditd.ReasonRateCardNotScheduled, detailsOf(creditd.AsRateCardNotScheduled),
		map[string]string{"revision": "0123abcd", "origin": "published", "state": "in force"},
		creditd.RateCardNotScheduled{Revision: "0123abcd", Origin: "published", State: creditd.RateCardInForce},
	},
	{
		creditd.ReasonTooManyRateCards, detailsOf(creditd.AsTooManyRateCards),
		map[string]string{"rate_card": "studio", "limit": "64"},
		creditd.TooManyRateCards{RateCard: "studio", Limit: 64},
	},
	{
		creditd.ReasonNotAllowed, detailsOf(creditd.AsNotAllowed),
		map[string]string{"scope": "charge"},
		creditd.NotAllowed{Scope: creditd.ScopeCharge},
	},
	{
		creditd.ReasonRateLimited, detailsOf(creditd.AsRateLimited),
		map[string]string{"limit": "100", "of": "key"},
		creditd.RateLimited{Limit: 100, Of: "key"},
	},
}

func TestRefusalsHaveTheirDetails(t *testing.T) {
	for _, test := range refusals {
		details, is := test.read(fmt.Errorf("wrapped: %w", refusedFor(t, string(test.reason), test.metadata)))
		if !is || !reflect.DeepEqual(details, test.want) {
			t.Errorf("%s: got %+v, %v, want %+v", test.reason, details, is, test.want)
		}
	}
}

func TestOnlyTheRefusalHasDetails(t *testing.T) {
	for _, test := range refusals {
		for name, err := range map[string]error{
			"no error":         nil,
			"another error":    errors.New("another"),
			"another refusal":  refusedFor(t, "HOLD_CLOSED", test.metadata),
			"without metadata": refusedFor(t, string(test.reason), nil),
		} {
			if details, is := test.read(err); is {
				t.Errorf("%s: %s has %+v", test.reason, name, details)
			}
		}
	}
	for _, spoilt := range []struct {
		reason   creditd.Reason
		read     func(error) (any, bool)
		metadata map[string]string
	}{
		{creditd.ReasonRateCardInvalid, detailsOf(creditd.AsRateCardInvalid), map[string]string{"line": "the first"}},
		{creditd.ReasonMetersDisagree, detailsOf(creditd.AsMetersDisagree), map[string]string{"value": "less"}},
		{creditd.ReasonRateCardNameTaken, detailsOf(creditd.AsRateCardNameTaken), map[string]string{"rate_card": "a", "effective_time": "noon"}},
		{creditd.ReasonRateLimited, detailsOf(creditd.AsRateLimited), map[string]string{"limit": "some", "of": "key"}},
		{creditd.ReasonTooManyRateCards, detailsOf(creditd.AsTooManyRateCards), map[string]string{"limit": "some"}},
	} {
		if details, is := spoilt.read(refusedFor(t, string(spoilt.reason), spoilt.metadata)); is {
			t.Errorf("%s: %v has %+v", spoilt.reason, spoilt.metadata, details)
		}
	}
}
