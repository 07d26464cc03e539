package creditd_test

import (
	"context"
	"fmt"
	"log"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
)

// exampleClient is a client of a server that runs, and an account on it that has
// 10 credits.
func exampleClient() (client *creditd.Client, account string) {
	client, err := creditd.New(shared.address)
	if err != nil {
		log.Fatal(err)
	}
	account = newAccount()
	grant := creditd.GrantParams{Account: account, Credits: decimal.NewFromInt(10)}
	if _, err := client.Grant(context.Background(), grant); err != nil {
		log.Fatal(err)
	}
	return client, account
}

func ExampleClient_Charge() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	charged, err := client.Charge(ctx, creditd.ChargeParams{
		Account:   account,
		Cost:      creditd.Duration("lip_sync_video", 31*time.Second),
		RequestID: "job-4711",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("charged", charged.Entry.Spent, "available", charged.Available)

	_, err = client.Charge(ctx, creditd.ChargeParams{
		Account: account,
		Cost:    creditd.Credits(decimal.NewFromInt(100)),
	})
	if short, is := creditd.AsInsufficientCredits(err); is {
		fmt.Println("short", short.Shortfall)
	}
	// Output:
	// charged 0.248 available 9.752
	// short 90.248
}

func ExampleClient_BatchCharge() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	charges := creditd.BatchChargeParams{Charges: []creditd.ChargeParams{
		{Account: account, Cost: creditd.Count("ai_scripts", 3), RequestID: "job-1"},
		{Account: account, Cost: creditd.Count("motion_1_0", 9), RequestID: "job-2"},
	}}
	// A call that was lost may be sent again as it was.
	for range 2 {
		batch, err := client.BatchCharge(ctx, charges)
		if err != nil {
			log.Fatal(err)
		}
		for _, result := range batch.Results {
			if result.Err != nil {
				fmt.Println(result.Err.Reason)
				continue
			}
			fmt.Println("available", result.Charge.Available, "replayed", result.Charge.Replayed)
		}
	}
	// Output:
	// available 9.4 replayed false
	// INSUFFICIENT_CREDITS
	// available 9.4 replayed true
	// INSUFFICIENT_CREDITS
}

func ExampleClient_Refund() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	charged, err := client.Charge(ctx, creditd.ChargeParams{Account: account, Cost: creditd.Once("motion_2_0_pro")})
	if err != nil {
		log.Fatal(err)
	}
	refund := creditd.RefundParams{
		Account: account,
		EntryID: charged.Entry.EntryID,
		Credits: decimal.NewNullDecimal(decimal.NewFromInt(1)),
	}
	part, err := client.Refund(ctx, refund)
	if err != nil {
		log.Fatal(err)
	}
	// No credits: all that is left.
	refund.Credits = decimal.NullDecimal{}
	rest, err := client.Refund(ctx, refund)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(charged.Available, part.Available, rest.Available)
	// Output: 7 8 10
}

func ExampleClient_SettleHold() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	held, err := client.Hold(ctx, creditd.HoldParams{
		Account: account,
		Cost:    creditd.Duration("video_generation", 10*time.Minute),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("held", held.Hold.Held, "available", held.Available)
	settled, err := client.SettleHold(ctx, creditd.SettleHoldParams{
		Account: account,
		HoldID:  held.Hold.HoldID,
		Cost:    creditd.Duration("video_generation", 3*time.Minute),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("paid", settled.Entry.Spent, "available", settled.Available, settled.Hold.Status)
	// Output:
	// held 5 available 5
	// paid 2 available 8 SETTLED
}

func ExampleClient_ListEntries() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	for range 2 {
		if _, err := client.Charge(ctx, creditd.ChargeParams{Account: account, Cost: creditd.Once("ai_scripts")}); err != nil {
			log.Fatal(err)
		}
	}
	for entry, err := range client.ListEntries(ctx, creditd.ListEntriesParams{Account: account}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Kind, entry.Credits, entry.Available)
	}
	// Output:
	// CHARGE -0.2 9.6
	// CHARGE -0.2 9.8
	// GRANT 10 10
}

func ExampleClient_WatchBalance() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()

	for balance, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: account}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("available", balance.Available)
		if balance.Available.IsZero() {
			break
		}
		all := creditd.ChargeParams{Account: account, Cost: creditd.Credits(balance.Available)}
		if _, err := client.Charge(ctx, all); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// available 10
	// available 0
}

const exampleCard = `
format = 2
name = "go-example"
title = "Example"

[[service]]
key = "messages"
title = "Messages"
rule = "500 credits per million tokens; 10 % off with growth"
meters.input_tokens = { unit = "token" }
attributes.example_plan = { values = ["free", "growth"], default = "free", from = "account" }
lines = [{ key = "input", quantity = "input_tokens", price = "500", per = "1000000" }]
rounding = "up"
factors = [{ example_plan = "growth", times = "0.9", title = "growth" }]
`

func ExampleClient_PublishRateCard() {
	ctx := context.Background()
	client, _ := exampleClient()
	defer client.Close()

	published, err := client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: exampleCard})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(published.RateCard.RateCard, "is", published.RateCard.State)

	_, err = client.PublishRateCard(ctx, creditd.PublishRateCardParams{
		TOML:         "format = 2\nname = 7",
		ValidateOnly: true,
	})
	if invalid, is := creditd.AsRateCardInvalid(err); is {
		fmt.Println("line", invalid.Line, "is wrong")
	}
	// Output:
	// go-example is IN_FORCE
	// line 2 is wrong
}

func ExampleClient_UpdateAccount() {
	ctx := context.Background()
	client, account := exampleClient()
	defer client.Close()
	if _, err := client.PublishRateCard(ctx, creditd.PublishRateCardParams{TOML: exampleCard}); err != nil {
		log.Fatal(err)
	}

	usage := creditd.Metered("messages", creditd.Meters{"input_tokens": creditd.Whole(2000)})
	for _, update := range []creditd.UpdateAccountParams{
		{RateCard: creditd.Set("go-example")},
		{Attributes: creditd.Set(creditd.Attributes{"example_plan": "growth"})},
	} {
		update.Account = account
		if _, err := client.UpdateAccount(ctx, update); err != nil {
			log.Fatal(err)
		}
		charged, err := client.Charge(ctx, creditd.ChargeParams{Account: account, Cost: usage})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("charged", charged.Entry.Spent, "by", charged.Entry.PriceValues)
	}

	// Set("") is not the same as nothing: the server's default card again.
	again, err := client.UpdateAccount(ctx, creditd.UpdateAccountParams{Account: account, RateCard: creditd.Set("")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q %v\n", again.Account.RateCard, again.Account.Attributes)
	// Output:
	// charged 1 by map[example_plan:free]
	// charged 0.9 by map[example_plan:growth]
	// "" map[example_plan:growth]
}
