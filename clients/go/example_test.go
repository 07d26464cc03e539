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
