package creditd_test

import (
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials/insecure"
)

func TestAClosedClientLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	client, err := creditd.New(shared.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{}); err != nil {
		t.Fatal(err)
	}
	away, err := creditd.New(freeAddress(t), quickRetry(3))
	if err != nil {
		t.Fatal(err)
	}
	_, err = away.GetRateCard(testContext(t), creditd.GetRateCardParams{})
	asError(t, err)
	for _, closing := range []*creditd.Client{client, away} {
		if err := closing.Close(); err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, before)
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for name, opts := range map[string][]creditd.Option{
		"two credentials": {creditd.WithInsecure(), creditd.WithTransportCredentials(insecure.NewCredentials())},
		"timeout":         {creditd.WithTimeout(-time.Second)},
		"keepalive":       {creditd.WithKeepalive(9 * time.Second)},
		"attempts":        {creditd.WithRetry(creditd.RetryPolicy{MaxAttempts: -1, BaseDelay: 1, MaxDelay: 1})},
		"no waits":        {creditd.WithRetry(creditd.RetryPolicy{MaxAttempts: 1})},
		"waits that fall": {creditd.WithRetry(creditd.RetryPolicy{MaxAttempts: 1, BaseDelay: 2, MaxDelay: 1})},
	} {
		if client, err := creditd.New(shared.address, opts...); err == nil {
			t.Errorf("%s: it was taken", name)
			_ = client.Close()
		}
	}
}

func TestAGrantIsSentAsItIsSaid(t *testing.T) {
	client := newClient(t, creditd.WithInsecure(), creditd.WithKeepalive(time.Minute))
	account := newAccount()
	expiry := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	granted, err := client.Grant(testContext(t), creditd.GrantParams{
		Account:    account,
		Credits:    decimal.RequireFromString("12.50"),
		ExpireTime: expiry,
		Priority:   -3,
		Source:     "purchase",
		Services:   []string{"ai_scripts"},
		Labels:     map[string]string{"team": "a"},
		RequestID:  "order-20",
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := granted.Entry
	if entry.Kind != creditd.EntryGrant || entry.RequestID != "order-20" || entry.Labels["team"] != "a" || entry.Source != "purchase" {
		t.Errorf("the entry is %+v", entry)
	}
	balance, err := client.GetBalance(testContext(t), creditd.GetBalanceParams{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if len(balance.Grants) != 1 {
		t.Fatalf("the grants are %+v", balance.Grants)
	}
	grant := balance.Grants[0]
	if grant.Granted.String() != "12.5" || !grant.ExpireTime.Equal(expiry) || grant.Priority != -3 ||
		len(grant.Services) != 1 || grant.Services[0] != "ai_scripts" || grant.GrantID != entry.GrantID {
		t.Errorf("the grant is %+v", grant)
	}
}

func TestBalanceAsOf(t *testing.T) {
	client := newClient(t)
	account := newAccount()
	first, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one})
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one})
	if err != nil {
		t.Fatal(err)
	}
	if first.Entry.RequestID == second.Entry.RequestID {
		t.Errorf("both grants have request id %s", first.Entry.RequestID)
	}
	before, err := client.GetBalance(testContext(t), creditd.GetBalanceParams{Account: account, AsOf: first.Entry.CreateTime.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if !before.Available.IsZero() {
		t.Errorf("an hour before, the balance was %v", before.Available)
	}
}

func TestPricesReachTheServer(t *testing.T) {
	client := newClient(t)
	ctx := testContext(t)
	account := newAccount()
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	usage := creditd.Duration("lip_sync_video", 250*time.Second)
	first, err := client.Estimate(ctx, creditd.EstimateParams{
		Usage: usage, Prices: creditd.PriceSelector{Account: account}, Explain: true, CheckBalance: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Lines) == 0 || first.Affordability == nil || first.Affordability.Sufficient || !first.Affordability.Shortfall.Equal(one) {
		t.Errorf("got %+v", first)
	}
	second, err := client.Estimate(ctx, creditd.EstimateParams{
		Usage: usage, Prices: creditd.PriceSelector{RateCard: first.RateCard, Revision: first.Revision},
	})
	if err != nil {
		t.Fatal(err)
	}
	if second.Revision != first.Revision || second.Affordability != nil || second.Lines != nil {
		t.Errorf("got %+v", second)
	}
	_, err = client.Estimate(ctx, creditd.EstimateParams{Usage: usage, Prices: creditd.PriceSelector{Revision: first.Revision, PriceTime: time.Now()}})
	if !creditd.IsReason(err, creditd.ReasonConflictingFields) {
		t.Errorf("got %v", err)
	}
	_, err = client.GetRateCard(ctx, creditd.GetRateCardParams{Prices: creditd.PriceSelector{RateCard: "no-such-card"}})
	if !creditd.IsReason(err, creditd.ReasonRateCardNotFound) {
		t.Errorf("got %v", err)
	}
}
