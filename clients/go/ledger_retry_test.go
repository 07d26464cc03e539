package creditd_test

import (
	"context"
	"slices"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// moves has every call that takes a request_id, once without one and once with
// "order-17".
var moves = map[string]func(context.Context, *creditd.Client, ...creditd.RequestIDOption) error{
	"Grant": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.Grant(ctx, "team-a", one, as[creditd.GrantOption](ids)...)
		return err
	},
	"RevokeGrant": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.RevokeGrant(ctx, "team-a", "g1", as[creditd.RevokeGrantOption](ids)...)
		return err
	},
	"Charge": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.Charge(ctx, "team-a", creditd.Once("ai_scripts"), as[creditd.ChargeOption](ids)...)
		return err
	},
	"Refund": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.Refund(ctx, "team-a", "e1", as[creditd.RefundOption](ids)...)
		return err
	},
	"Hold": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.Hold(ctx, "team-a", creditd.Credits(one), as[creditd.HoldOption](ids)...)
		return err
	},
	"ExtendHold": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.ExtendHold(ctx, "team-a", "h1", time.Hour, as[creditd.ExtendHoldOption](ids)...)
		return err
	},
	"SettleHold": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.SettleHold(ctx, "team-a", "h1", creditd.Credits(one), as[creditd.SettleHoldOption](ids)...)
		return err
	},
	"ReleaseHold": func(ctx context.Context, client *creditd.Client, ids ...creditd.RequestIDOption) error {
		_, err := client.ReleaseHold(ctx, "team-a", "h1", as[creditd.ReleaseHoldOption](ids)...)
		return err
	},
}

// as makes options of a call of request ids.
func as[T any](ids []creditd.RequestIDOption) []T {
	var options []T
	for _, id := range ids {
		options = append(options, any(id).(T))
	}
	return options
}

func TestEachCallWithARequestIDIsAmongTheMoves(t *testing.T) {
	methods := creditdv1.File_creditd_v1_ledger_proto.Services().Get(0).Methods()
	count := 0
	for i := range methods.Len() {
		// In requests whose reply cannot be a replay it is a filter.
		if methods.Get(i).Input().Fields().ByName("request_id") == nil || methods.Get(i).Output().Fields().ByName("replayed") == nil {
			continue
		}
		count++
		if name := string(methods.Get(i).Name()); moves[name] == nil {
			t.Errorf("%s is not", name)
		}
	}
	if count != len(moves) {
		t.Errorf("there are %d moves, and %d in the API", len(moves), count)
	}
}

// failsFor is the answer of a server that is away for that many calls, and then
// says what it would not say if the call had not arrived.
func failsFor(attempts int) func(string, proto.Message) (proto.Message, error) {
	return func(string, proto.Message) (proto.Message, error) {
		if attempts > 0 {
			attempts--
			return nil, unavailable()
		}
		return nil, status.Error(codes.AlreadyExists, "the test says so")
	}
}

func TestRetriesKeepTheRequestID(t *testing.T) {
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			fake := (&fakeServer{answer: failsFor(2)}).start(t)
			client := fake.newClient(t, quickRetry(3))
			made := asError(t, move(testContext(t), client)).RequestID
			if made == "" || made == asError(t, move(testContext(t), client)).RequestID {
				t.Errorf("the request id %q was made up", made)
			}
			given := asError(t, move(testContext(t), client, creditd.RequestID("order-17")))
			if given.Code != codes.AlreadyExists || given.RequestID != "order-17" {
				t.Errorf("got %+v", given)
			}
			asked := fake.asked()
			if len(asked) != 5 { // three attempts, and one each
				t.Fatalf("there were %d attempts", len(asked))
			}
			for _, attempt := range asked[:3] {
				if !proto.Equal(attempt, asked[0]) || idOf(attempt) != made {
					t.Errorf("an attempt was %v", attempt)
				}
			}
			if idOf(asked[4]) != "order-17" {
				t.Errorf("the last call was %v", asked[4])
			}
		})
	}
}

func idOf(req any) string {
	return req.(interface{ GetRequestId() string }).GetRequestId()
}

func TestABatchKeepsItsRequestIDs(t *testing.T) {
	charges := []creditd.Charge{
		creditd.NewCharge("team-a", creditd.Credits(one)),
		creditd.NewCharge("team-a", creditd.Credits(one)),
		creditd.NewCharge("team-a", creditd.Credits(one), creditd.RequestID("order-17")),
	}
	var ids []string
	for _, charge := range charges {
		ids = append(ids, charge.RequestID())
	}
	if ids[0] == "" || ids[0] == ids[1] || ids[2] != "order-17" {
		t.Fatalf("the request ids are %q", ids)
	}
	fake := (&fakeServer{answer: failsFor(2)}).start(t)
	client := fake.newClient(t, quickRetry(2))
	_, err := client.BatchCharge(testContext(t), charges)
	if failure := asError(t, err); failure.Code != codes.Unavailable || failure.RequestID != "" {
		t.Errorf("got %+v", failure)
	}
	// By the caller this time.
	_, err = client.BatchCharge(testContext(t), charges)
	asError(t, err)
	asked := fake.asked()
	if len(asked) != 3 {
		t.Fatalf("there were %d attempts", len(asked))
	}
	for _, attempt := range asked {
		var sent []string
		for _, charge := range attempt.(*creditdv1.BatchChargeRequest).GetCharges() {
			sent = append(sent, charge.GetRequestId())
		}
		if !slices.Equal(sent, ids) {
			t.Errorf("an attempt had the request ids %q, want %q", sent, ids)
		}
	}
}
