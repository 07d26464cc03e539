package creditd_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Rate cards with meters, published to the real server, and accounts that are priced by
// them. What each call does is for the scenarios.

// chatCard prices tokens by model, plan and hour. Its plan is an attribute that no other
// test has, so that they do not depend on each other.
const chatCard = `
format = 2
name = "NAME"
title = "Chat"
EFFECTIVE

[[service]]
key = "chat"
title = "Chat"
rule = "by model and plan"
rounding = "up"
may_fall = ["cached_tokens"]
meters.prompt_tokens = { unit = "token" }
meters.cached_tokens = { unit = "token", default = "0" }
attributes.model = ["small", "large"]
attributes.go_plan = { values = ["payg", "growth"], default = "payg", from = "account" }
lines = [
  { key = "prompt", quantity = "prompt_tokens - cached_tokens", per = "1000" },
  { key = "cached", quantity = "cached_tokens", price = "0.5", per = "1000" },
]
prices = [
  { model = "small", prompt = "1" },
  { model = "large", go_plan = "growth", prompt = "3" },
  { model = "large", go_plan = "payg", refuse = "large is sold with growth" },
]

[[service]]
key = "image"
title = "Image"
rule = "1 credit per image"
meters.count = { unit = "image", default = "1" }
lines = [{ key = "image", quantity = "count", price = "1" }]
`

// publishChat publishes the card under a name of its own.
func publishChat(t *testing.T, client *creditd.Client, effective string) creditd.RateCardRevision {
	t.Helper()
	text := strings.NewReplacer("NAME", newAccount(), "EFFECTIVE", effective).Replace(chatCard)
	published, err := client.PublishRateCard(testContext(t), creditd.PublishRateCardParams{TOML: text})
	if err != nil {
		t.Fatal(err)
	}
	if published.RateCard.TOML != text {
		t.Errorf("got %q", published.RateCard.TOML)
	}
	return published.RateCard
}

func chat(model string, prompt, cached int) creditd.Usage {
	return creditd.Usage{
		Service:    "chat",
		Meters:     creditd.Meters{"prompt_tokens": creditd.Whole(prompt), "cached_tokens": creditd.Whole(cached)},
		Attributes: creditd.Attributes{"model": model},
	}
}

func TestAnAccountIsPricedByItsCardAndItsPlan(t *testing.T) {
	client, ctx, account := newClient(t), testContext(t), newAccount()
	card := publishChat(t, client, "")
	opened, err := client.UpdateAccount(ctx, creditd.UpdateAccountParams{
		Account:      account,
		RateCard:     creditd.Set(card.RateCard),
		Attributes:   creditd.Set(creditd.Attributes{"go_plan": "growth"}),
		Labels:       creditd.Set(map[string]string{"crm": "4711"}),
		AllowMissing: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := opened.Account; opened.Replayed || got.Account != account || got.RateCard != card.RateCard || got.CreateTime.IsZero() ||
		got.Attributes["go_plan"] != "growth" || got.Labels["crm"] != "4711" || !got.Balance.Available.IsZero() {
		t.Errorf("got %+v", opened)
	}
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: decimal.NewFromInt(20)}); err != nil {
		t.Fatal(err)
	}
	estimate, err := client.Estimate(ctx, creditd.EstimateParams{
		Usage: chat("large", 1000, 200), Prices: creditd.PriceSelector{Account: account}, Explain: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, len(estimate.Lines))
	for i, line := range estimate.Lines {
		keys[i] = line.Key
	}
	if !estimate.Credits.Equal(credits("2.5")) || !estimate.AccountKnown || estimate.RateCard != card.RateCard ||
		!slices.Equal(keys, []string{"prompt", "cached"}) {
		t.Errorf("got %+v", estimate)
	}
	held, err := client.Hold(ctx, creditd.HoldParams{Account: account, Cost: chat("large", 2000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if held.Hold.PriceValues["go_plan"] != "growth" || !held.Hold.Held.Equal(credits("6")) {
		t.Errorf("got %+v", held.Hold)
	}

	// The other plan. What was quoted and what is held keep theirs.
	changed, err := client.UpdateAccount(ctx, creditd.UpdateAccountParams{
		Account: account, Attributes: creditd.Set(creditd.Attributes{}), RequestID: "plan-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed.Account; len(got.Attributes) > 0 || got.RateCard != card.RateCard || got.Labels["crm"] != "4711" {
		t.Errorf("got %+v", got)
	}
	_, err = client.Charge(ctx, creditd.ChargeParams{Account: account, Cost: chat("large", 1000, 200)})
	if refused, is := creditd.AsNotOffered(err); !is || refused.Service != "chat" || refused.Why != "large is sold with growth" {
		t.Errorf("got %v", err)
	}
	charged, err := client.Charge(ctx, creditd.ChargeParams{
		Account: account, Cost: chat("large", 1000, 200), Prices: creditd.PriceSelector{Revision: estimate.Revision},
	})
	if err != nil {
		t.Fatal(err)
	}
	if entry := charged.Entry; !entry.Spent.Equal(credits("2.5")) || entry.PriceValues["go_plan"] != "growth" ||
		entry.Usage.Meters["prompt_tokens"] != "1000" || entry.Usage.Attributes["model"] != "large" {
		t.Errorf("got %+v", entry)
	}
	settled, err := client.SettleHold(ctx, creditd.SettleHoldParams{Account: account, HoldID: held.Hold.HoldID, Cost: chat("large", 1000, 0)})
	if err != nil || !settled.Entry.Spent.Equal(credits("3")) {
		t.Errorf("got %+v, %v", settled, err)
	}
	batch, err := client.BatchCharge(ctx, creditd.BatchChargeParams{Charges: []creditd.ChargeParams{
		{Account: account, Cost: chat("small", 1000, 0), RequestID: "chat-1"},
		{Account: account, Cost: chat("small", 1, 2), RequestID: "chat-2"},
		{Account: account, Cost: chat("tiny", 1, 0), RequestID: "chat-3"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if first := batch.Results[0].Charge; first == nil || !first.Entry.Spent.Equal(one) || first.Entry.PriceValues["go_plan"] != "payg" {
		t.Errorf("got %+v", batch.Results[0])
	}
	if odd, is := creditd.AsMetersDisagree(batch.Results[1].Err); !is || odd.Meter != "cached_tokens" || !odd.Value.Equal(credits("-1")) ||
		odd.Formula != "prompt_tokens - cached_tokens" {
		t.Errorf("got %+v", batch.Results[1])
	}
	if unknown, is := creditd.AsUnknownAttributeValue(batch.Results[2].Err); !is || unknown.Service != "chat" ||
		unknown.Attribute != "model" || unknown.Value != "tiny" || !slices.Equal(unknown.Values, []string{"small", "large"}) {
		t.Errorf("got %+v", batch.Results[2])
	}
	again, err := client.UpdateAccount(ctx, creditd.UpdateAccountParams{
		Account: account, Attributes: creditd.Set(creditd.Attributes{}), RequestID: "plan-1",
	})
	if err != nil || !again.Replayed {
		t.Errorf("got %+v, %v", again, err)
	}

	// Back to the server's default card.
	if _, err := client.UpdateAccount(ctx, creditd.UpdateAccountParams{Account: account, RateCard: creditd.Set("")}); err != nil {
		t.Fatal(err)
	}
	last, err := client.GetAccount(ctx, creditd.GetAccountParams{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if last.RateCard != "" || last.Labels["crm"] != "4711" || !last.Balance.Available.Equal(credits("13.5")) || len(last.Balance.Grants) != 1 {
		t.Errorf("got %+v", last)
	}
}

func TestAnUpdateOfNothingIsRefused(t *testing.T) {
	client := newClient(t)
	_, err := client.UpdateAccount(testContext(t), creditd.UpdateAccountParams{Account: newAccount(), RequestID: "update-1"})
	if mask, is := creditd.AsInvalidMask(err); !is || len(mask.Paths) > 0 || asError(t, err).RequestID != "update-1" {
		t.Errorf("got %v", err)
	}
	_, err = client.UpdateAccount(testContext(t), creditd.UpdateAccountParams{
		Account: newAccount(), Attributes: creditd.Set(creditd.Attributes{"model": "small"}), AllowMissing: true,
	})
	if !creditd.IsReason(err, creditd.ReasonUnknownAttribute) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyWhatIsSetIsSent(t *testing.T) {
	none := map[string]string{}
	for name, test := range map[string]struct {
		params creditd.UpdateAccountParams
		paths  []string
	}{
		"nothing":      {creditd.UpdateAccountParams{}, nil},
		"a card":       {creditd.UpdateAccountParams{RateCard: creditd.Set("studio")}, []string{"rate_card"}},
		"no card":      {creditd.UpdateAccountParams{RateCard: creditd.Set("")}, []string{"rate_card"}},
		"empty maps":   {creditd.UpdateAccountParams{Attributes: creditd.Set(none), Labels: creditd.Set(none)}, []string{"attributes", "labels"}},
		"maps of null": {creditd.UpdateAccountParams{Labels: creditd.Set[map[string]string](nil)}, []string{"labels"}},
	} {
		fake := (&fakeServer{answer: failsFor(0)}).start(t)
		_, err := fake.newClient(t).UpdateAccount(testContext(t), test.params)
		if status.Code(err) != codes.AlreadyExists {
			t.Fatal(err)
		}
		request := fake.received()[0].(*creditdv1.UpdateAccountRequest)
		if !slices.Equal(request.GetUpdateMask().GetPaths(), test.paths) {
			t.Errorf("%s: got %v", name, request)
		}
	}
}

func TestAccountsAreListedByName(t *testing.T) {
	client, ctx, prefix := newClient(t), testContext(t), newAccount()
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("%s/%d", prefix, i)
		want = append(want, name)
		if _, err := client.Grant(ctx, creditd.GrantParams{Account: name, Credits: one}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for account, err := range client.ListAccounts(ctx, creditd.ListAccountsParams{Prefix: prefix, PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, account.Account)
		if !account.Balance.Available.Equal(one) || len(account.Balance.Grants) > 0 {
			t.Errorf("got %+v", account)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %v", names)
	}
}

func TestARateCardSaysWhatItNeeds(t *testing.T) {
	client, ctx := newClient(t), testContext(t)
	published := publishChat(t, client, "")
	card, err := client.GetRateCard(ctx, creditd.GetRateCardParams{
		Prices: creditd.PriceSelector{RateCard: published.RateCard}, Services: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if card.RateCard != published.RateCard || card.Title != "Chat" || card.Revision != published.Revision || len(card.Services) != 1 ||
		!card.EffectiveTime.Equal(published.EffectiveTime) || !card.NextEffectiveTime.IsZero() || card.NextPageToken != "" {
		t.Errorf("got %+v", card)
	}
	zero := decimal.NewNullDecimal(decimal.Decimal{})
	price := card.Services[0]
	slices.SortFunc(price.MeterDetails, func(a, b creditd.Meter) int { return strings.Compare(a.Meter, b.Meter) })
	for i, want := range []creditd.Meter{
		{Meter: "cached_tokens", Unit: "token", DefaultValue: zero},
		{Meter: "prompt_tokens", Unit: "token"},
	} {
		got := price.MeterDetails[i]
		if got.Meter != want.Meter || got.Unit != want.Unit || got.Decimals != 0 || got.DefaultValue.Valid != want.DefaultValue.Valid {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	slices.SortFunc(price.Attributes, func(a, b creditd.Attribute) int { return strings.Compare(a.Attribute, b.Attribute) })
	if want := []creditd.Attribute{
		{Attribute: "go_plan", Values: []string{"payg", "growth"}, DefaultValue: "payg", Source: creditd.AttributeOfAccount},
		{Attribute: "model", Values: []string{"small", "large"}, Source: creditd.AttributeOfCaller},
	}; !reflect.DeepEqual(price.Attributes, want) {
		t.Errorf("got %+v", price.Attributes)
	}
	var keys []string
	params := creditd.GetRateCardParams{Prices: creditd.PriceSelector{RateCard: published.RateCard, PriceTime: time.Now()}, PageSize: 1}
	for price, err := range client.RateCardServices(ctx, params) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, price.Service)
	}
	if !slices.Equal(keys, []string{"chat", "image"}) {
		t.Errorf("got %v", keys)
	}
}

func TestAllServicesAreOfOneRevision(t *testing.T) {
	fake := (&fakeServer{answer: func(_ string, req proto.Message) (proto.Message, error) {
		next := map[string]string{"": "1", "1": "2"}[req.(*creditdv1.GetRateCardRequest).GetPageToken()]
		return &creditdv1.GetRateCardResponse{
			RateCard: "studio", Revision: "r1", NextPageToken: next, Services: []*creditdv1.ServicePrice{{Service: "page" + next}},
		}, nil
	}}).start(t)
	services := []string{"a"}
	prices := fake.newClient(t).RateCardServices(testContext(t), creditd.GetRateCardParams{
		Prices: creditd.PriceSelector{RateCard: "studio", PriceTime: time.Now()}, Services: services, PageSize: 7,
	})
	services[0] = "changed"
	// The second time begins anew.
	for range 2 {
		var keys []string
		for price, err := range prices {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, price.Service)
		}
		if !slices.Equal(keys, []string{"page1", "page2", "page"}) {
			t.Errorf("got %v", keys)
		}
	}
	for i, received := range fake.received() {
		request := received.(*creditdv1.GetRateCardRequest)
		first := i%3 == 0
		if prices := request.GetPrices(); first != (prices.GetRateCard() == "studio") || first != (prices.GetPriceTime() != nil) || first == (prices.GetRevision() == "r1") {
			t.Errorf("call %d was %v", i, request)
		}
		if !slices.Equal(request.GetServices(), []string{"a"}) || request.GetPageSize() != 7 {
			t.Errorf("call %d was %v", i, request)
		}
	}
}

func TestARateCardIsPublishedAndWithdrawn(t *testing.T) {
	client, ctx := newClient(t), testContext(t)
	card := publishChat(t, client, "effective_time = 2126-01-01T00:00:00Z")
	if card.State != creditd.RateCardScheduled || card.Origin != "published" || card.EffectiveTime.Year() != 2126 {
		t.Errorf("got %+v", card)
	}
	now, err := client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: strings.Replace(card.TOML, "effective_time", "# ", 1)})
	if err != nil {
		t.Fatal(err)
	}
	var states []creditd.RateCardState
	for listed, err := range client.ListRateCards(ctx, creditd.ListRateCardsParams{RateCard: card.RateCard, PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, listed.State)
		if listed.TOML != "" || listed.RateCard != card.RateCard {
			t.Errorf("got %+v", listed)
		}
	}
	if !slices.Equal(states, []creditd.RateCardState{creditd.RateCardInForce, creditd.RateCardScheduled}) {
		t.Errorf("got %v", states)
	}
	current, err := client.GetRateCard(ctx, creditd.GetRateCardParams{Prices: creditd.PriceSelector{RateCard: card.RateCard}})
	if err != nil || !current.NextEffectiveTime.Equal(card.EffectiveTime) {
		t.Errorf("got %+v, %v", current, err)
	}
	// The same again is the same answer.
	for range 2 {
		withdrawn, err := client.WithdrawRateCard(ctx, creditd.WithdrawRateCardParams{Revision: card.Revision})
		if err != nil {
			t.Fatal(err)
		}
		if withdrawn.State != creditd.RateCardWithdrawn || withdrawn.TOML != card.TOML {
			t.Errorf("got %+v", withdrawn)
		}
	}
	page, err := client.ListRateCardsPage(ctx, creditd.ListRateCardsParams{RateCard: card.RateCard, WithTOML: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.RateCards) != 1 || page.RateCards[0].TOML != now.RateCard.TOML || page.NextPageToken != "" {
		t.Errorf("got %+v", page)
	}
	_, err = client.WithdrawRateCard(ctx, creditd.WithdrawRateCardParams{Revision: now.RateCard.Revision})
	if refused, is := creditd.AsRateCardNotScheduled(err); !is || refused.State != creditd.RateCardInForce ||
		refused.Origin != "published" || refused.Revision != now.RateCard.Revision {
		t.Errorf("got %v", err)
	}
}

func TestABadCardIsRefusedWithItsLine(t *testing.T) {
	client, ctx := newClient(t), testContext(t)
	_, err := client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: "format = 2\nname = \"studio\"\ntitle = 7\n", ValidateOnly: true})
	if invalid, is := creditd.AsRateCardInvalid(err); !is || invalid.Line != 3 || invalid.Problem == "" {
		t.Errorf("got %v", err)
	}
	_, err = client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: strings.NewReplacer("NAME", "models", "EFFECTIVE", "").Replace(chatCard)})
	if taken, is := creditd.AsRateCardNameTaken(err); !is || taken.RateCard != "models" || taken.Origin != "file" || taken.Revision != "" {
		t.Errorf("got %v", err)
	}
	// Only checked, it is not there.
	text := strings.NewReplacer("NAME", newAccount(), "EFFECTIVE", "").Replace(chatCard)
	checked, err := client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: text, ValidateOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.GetRateCard(ctx, creditd.GetRateCardParams{Prices: creditd.PriceSelector{RateCard: checked.RateCard.RateCard}})
	if !creditd.IsReason(err, creditd.ReasonRateCardNotFound) {
		t.Errorf("got %v", err)
	}
}

// They have no request_id, and need none: the same again is the same answer. Only
// CreateKey takes effect each time.
func TestAdministrationIsRetried(t *testing.T) {
	for _, method := range unaryMethods() {
		if method.Parent().Name() != "AdminService" || method.Name() == "CreateKey" {
			continue
		}
		fake := (&fakeServer{answer: failsFor(2)}).start(t)
		filler := filler{request: true}
		_, err := callByDescriptor(testContext(t), fake.newClient(t, quickRetry(3)), method, filler.message(t, method.Input()))
		if failure := asError(t, err); failure.Attempts != 3 || failure.Code != codes.AlreadyExists || failure.RequestID != "" {
			t.Errorf("%s: got %+v", method.Name(), failure)
		}
	}
}
