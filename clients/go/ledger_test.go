package creditd_test

import (
	"slices"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// How calls of the ledger fit together, on the real server. What each of them
// does is for the scenarios.

func credits(text string) decimal.Decimal {
	return decimal.RequireFromString(text)
}

func TestAJobIsHeldSettledAndRefunded(t *testing.T) {
	client := newClient(t)
	ctx := testContext(t)
	account := newAccount()
	granted, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: decimal.NewFromInt(10)})
	if err != nil {
		t.Fatal(err)
	}
	held, err := client.Hold(ctx, creditd.HoldParams{Account: account, Cost: creditd.Count("motion_2_0_pro", 2), TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	hold := held.Hold
	if !held.Available.Equal(credits("4")) || !hold.Held.Equal(credits("6")) || hold.Status != creditd.HoldOpen ||
		hold.ExpireTime.Sub(hold.CreateTime) != time.Minute {
		t.Errorf("got %+v", held)
	}
	extended, err := client.ExtendHold(ctx, creditd.ExtendHoldParams{Account: account, HoldID: hold.HoldID, TTL: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if extended.Hold.ExpireTime.Sub(hold.ExpireTime) < time.Hour {
		t.Errorf("it was extended from %v to %v", hold.ExpireTime, extended.Hold.ExpireTime)
	}
	_, err = client.SettleHold(ctx, creditd.SettleHoldParams{Account: account, HoldID: hold.HoldID, Cost: creditd.Count("motion_2_0_pro", 4)})
	exceeded, is := creditd.AsHoldExceeded(err)
	if !is || exceeded.HoldID != hold.HoldID || !exceeded.Required.Equal(credits("12")) || !exceeded.Held.Equal(credits("6")) {
		t.Errorf("got %v", err)
	}
	settled, err := client.SettleHold(ctx, creditd.SettleHoldParams{Account: account, HoldID: hold.HoldID, Cost: creditd.Once("motion_2_0_pro")})
	if err != nil {
		t.Fatal(err)
	}
	if settled.Hold.Status != creditd.HoldSettled || !settled.Entry.Spent.Equal(credits("3")) || !settled.Available.Equal(credits("7")) {
		t.Errorf("got %+v", settled)
	}
	_, err = client.ReleaseHold(ctx, creditd.ReleaseHoldParams{Account: account, HoldID: hold.HoldID})
	if closed, is := creditd.AsHoldClosed(err); !is || closed.HoldID != hold.HoldID || closed.Status != creditd.HoldSettled {
		t.Errorf("got %v", err)
	}
	refunded, err := client.Refund(ctx, creditd.RefundParams{Account: account, EntryID: settled.Entry.EntryID, Credits: decimal.NewNullDecimal(one)})
	if err != nil {
		t.Fatal(err)
	}
	if !refunded.Available.Equal(credits("8")) || refunded.Entry.RefundedEntryID != settled.Entry.EntryID {
		t.Errorf("got %+v", refunded)
	}
	_, err = client.Refund(ctx, creditd.RefundParams{
		Account: account, EntryID: settled.Entry.EntryID, Credits: decimal.NewNullDecimal(decimal.NewFromInt(3)),
	})
	exceeds, is := creditd.AsRefundExceedsCharge(err)
	if !is || exceeds.EntryID != settled.Entry.EntryID || !exceeds.Requested.Equal(credits("3")) || !exceeds.Refundable.Equal(credits("2")) {
		t.Errorf("got %v", err)
	}
	revoked, err := client.RevokeGrant(ctx, creditd.RevokeGrantParams{Account: account, GrantID: granted.Entry.GrantID})
	if err != nil {
		t.Fatal(err)
	}
	if !revoked.Available.IsZero() || !revoked.Entry.Credits.Equal(credits("-8")) {
		t.Errorf("got %+v", revoked)
	}

	// Newest first, over pages of two; their sum is what is available.
	var kinds []creditd.EntryKind
	var sum decimal.Decimal
	for entry, err := range client.ListEntries(ctx, creditd.ListEntriesParams{Account: account, PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, entry.Kind)
		sum = sum.Add(entry.Credits)
	}
	want := []creditd.EntryKind{
		creditd.EntryRevoke, creditd.EntryRefund, creditd.EntrySettle, creditd.EntryHold, creditd.EntryGrant,
	}
	if !slices.Equal(kinds, want) || !sum.IsZero() {
		t.Errorf("the entries are %v, and their sum is %v", kinds, sum)
	}
}

func TestOpenHoldsAreFound(t *testing.T) {
	client := newClient(t)
	ctx := testContext(t)
	account := newAccount()
	if _, err := client.Grant(ctx, creditd.GrantParams{Account: account, Credits: decimal.NewFromInt(10)}); err != nil {
		t.Fatal(err)
	}
	var made []string
	for range 5 {
		held, err := client.Hold(ctx, creditd.HoldParams{Account: account, Cost: creditd.Credits(one)})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, held.Hold.HoldID)
	}
	own := map[string]string{"worker": "w1"}
	clip := creditd.Duration("lip_sync_video", 31*time.Second)
	mine, err := client.Hold(ctx, creditd.HoldParams{Account: account, Cost: clip, RequestID: "video-4", Labels: own})
	if err != nil {
		t.Fatal(err)
	}
	for name, filter := range map[string]creditd.ListHoldsParams{
		"its labels": {Labels: own},
		"its call":   {RequestID: "video-4"},
		"its time":   {StartTime: mine.Hold.CreateTime},
	} {
		var found []creditd.Hold
		filter.Account, filter.PageSize = account, 1
		for hold, err := range client.ListHolds(ctx, filter) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, hold)
		}
		if len(found) != 1 || found[0].HoldID != mine.Hold.HoldID || found[0].RequestID != "video-4" ||
			found[0].Labels["worker"] != "w1" || found[0].Usage == nil || found[0].Usage.Service != clip.Service {
			t.Errorf("by %s %+v was found", name, found)
		}
	}
	if _, err := client.ReleaseHold(ctx, creditd.ReleaseHoldParams{Account: account, HoldID: mine.Hold.HoldID}); err != nil {
		t.Fatal(err)
	}
	released, err := client.ReleaseHold(ctx, creditd.ReleaseHoldParams{Account: account, HoldID: made[2]})
	if err != nil {
		t.Fatal(err)
	}
	if released.Hold.Status != creditd.HoldReleased || !released.Available.Equal(credits("6")) {
		t.Errorf("got %+v", released)
	}
	again, err := client.GetHold(ctx, creditd.GetHoldParams{Account: account, HoldID: made[2]})
	if err != nil {
		t.Fatal(err)
	}
	if again.Status != creditd.HoldReleased || again.Account != account {
		t.Errorf("got %+v", again)
	}
	var open []string
	for hold, err := range client.ListHolds(ctx, creditd.ListHoldsParams{Account: account, PageSize: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, hold.HoldID)
	}
	if !slices.Equal(open, slices.Delete(slices.Clone(made), 2, 3)) {
		t.Errorf("of %v, %v are open", made, open)
	}
}

func TestChargesOfABatchFailAlone(t *testing.T) {
	client := newClient(t)
	account := newAccount()
	if _, err := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(testContext(t), "x-request-id", "go-test-19")
	charges := creditd.BatchChargeParams{Charges: []creditd.ChargeParams{
		{Account: account, Cost: creditd.Duration("lip_sync_video", 31*time.Second), RequestID: "clip-1"},
		{Account: account, Cost: creditd.Once("motion_1_0"), RequestID: "clip-2"},
		{Account: account, RequestID: "clip-3"},
		{Account: account, Cost: creditd.Credits(credits("0.1"))},
	}}
	batch, err := client.BatchCharge(ctx, charges)
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Results) != 4 || batch.FailedCount != 3 {
		t.Fatalf("got %+v", batch)
	}
	good := batch.Results[0]
	if good.Err != nil || good.Charge == nil || !good.Charge.Available.Equal(credits("0.752")) ||
		good.Charge.Entry.RequestID != "clip-1" {
		t.Errorf("result 0 is %+v", good)
	}
	short, is := creditd.AsInsufficientCredits(batch.Results[1].Err)
	if !is || !short.Required.Equal(credits("2")) || !short.Available.Equal(credits("0.752")) || !short.Shortfall.Equal(credits("1.248")) {
		t.Errorf("result 1 is %+v", batch.Results[1])
	}
	if creditd.IsReason(batch.Results[0].Err, "") {
		t.Error("result 0 has a reason")
	}
	for i := 1; i <= 3; i++ {
		failed := batch.Results[i]
		if failed.Charge != nil || failed.Err.RequestID != charges.Charges[i].RequestID || failed.Err.XRequestID != "go-test-19" {
			t.Errorf("result %d is %+v", i, failed)
		}
	}
	// Without a cost, and without a request id.
	for _, failed := range batch.Results[2:] {
		if !creditd.IsReason(failed.Err, creditd.ReasonFieldRequired) {
			t.Errorf("got %+v", failed.Err)
		}
	}

	// Sent again, it is answered again.
	again, err := client.BatchCharge(ctx, charges)
	if err != nil {
		t.Fatal(err)
	}
	if first := again.Results[0].Charge; first == nil || !first.Replayed || first.Entry.EntryID != good.Charge.Entry.EntryID {
		t.Errorf("the second time, result 0 is %+v", again.Results[0])
	}
}

func TestABatchThatIsAnsweredInPartIsAnError(t *testing.T) {
	charges := []creditd.ChargeParams{{Account: "team-a", Cost: creditd.Credits(one)}}
	for name, results := range map[string][]*creditdv1.BatchChargeResult{
		"no result":   nil,
		"two results": {{}, {}},
		"neither":     {{}},
		"no entry":    {{Result: &creditdv1.BatchChargeResult_Charge{Charge: &creditdv1.ChargeResponse{Available: "1"}}}},
	} {
		fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) {
			return &creditdv1.BatchChargeResponse{Results: results}, nil
		}}).start(t)
		batch, err := fake.newClient(t).BatchCharge(testContext(t), creditd.BatchChargeParams{Charges: charges})
		if failure := asError(t, err); batch != nil || failure.Code != codes.Internal {
			t.Errorf("%s: got %+v and %v", name, batch, err)
		}
	}
}

func TestAnswersThatAreEmptyAreErrors(t *testing.T) {
	for _, method := range writes(t) {
		fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) {
			return newMessage(t, method.Output()).Interface(), nil
		}}).start(t)
		failure := asError(t, write(t, fake.newClient(t), method, "order-17"))
		if failure.Code != codes.Internal || failure.RequestID != "order-17" {
			t.Errorf("%s: got %+v", method.Name(), failure)
		}
	}
	fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) {
		return &creditdv1.GetHoldResponse{}, nil
	}}).start(t)
	hold, err := fake.newClient(t).GetHold(testContext(t), creditd.GetHoldParams{Account: "team-a", HoldID: "h1"})
	if hold != nil || status.Code(err) != codes.Internal {
		t.Errorf("got %+v and %v", hold, err)
	}
}

func TestAmountsThatCannotBeSentAreRefused(t *testing.T) {
	fake := (&fakeServer{answer: failsFor(0)}).start(t)
	client := fake.newClient(t)
	ctx := testContext(t)
	huge := decimal.New(1, 101)
	for field, call := range map[string]func() error{
		"credits": func() error {
			_, err := client.Charge(ctx, creditd.ChargeParams{Account: "team-a", Cost: creditd.Credits(huge)})
			return err
		},
		"charges[1].credits": func() error {
			_, err := client.BatchCharge(ctx, creditd.BatchChargeParams{Charges: []creditd.ChargeParams{
				{Account: "team-a", Cost: creditd.Credits(one)}, {Account: "team-a", Cost: creditd.Credits(huge)},
			}})
			return err
		},
	} {
		failure := asError(t, call())
		if failure.Reason != creditd.ReasonInvalidAmount || len(failure.Fields) != 1 || failure.Fields[0].Field != field {
			t.Errorf("%s: got %+v", field, failure)
		}
	}
	for name, call := range map[string]func() error{
		"Refund": func() error {
			_, err := client.Refund(ctx, creditd.RefundParams{Account: "team-a", EntryID: "e1", Credits: decimal.NewNullDecimal(huge)})
			return err
		},
		"Hold": func() error {
			_, err := client.Hold(ctx, creditd.HoldParams{Account: "team-a", Cost: creditd.Credits(huge)})
			return err
		},
		"SettleHold": func() error {
			_, err := client.SettleHold(ctx, creditd.SettleHoldParams{Account: "team-a", HoldID: "h1", Cost: creditd.Credits(huge)})
			return err
		},
	} {
		if err := call(); !creditd.IsReason(err, creditd.ReasonInvalidAmount) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if received := fake.received(); len(received) > 0 {
		t.Errorf("it was sent: %v", received)
	}
}
