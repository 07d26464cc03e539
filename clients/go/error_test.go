package creditd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

func TestRefusalHasAllThatTheServerSays(t *testing.T) {
	client := newClient(t)
	ctx := metadata.AppendToOutgoingContext(testContext(t), "x-request-id", "go-test-17")
	_, err := client.Estimate(ctx, creditd.EstimateParams{Usage: creditd.Duration("lip_sink_video", time.Second)})
	refusal := asError(t, fmt.Errorf("wrapped: %w", err))

	if refusal.Code != codes.InvalidArgument || refusal.Reason != creditd.ReasonUnknownService {
		t.Errorf("got %v %q", refusal.Code, refusal.Reason)
	}
	if got := refusal.Metadata["nearest_service"]; got != "lip_sync_video" {
		t.Errorf("the nearest service is %q", got)
	}
	if len(refusal.Fields) != 1 || refusal.Fields[0].Field != "usage.service" ||
		refusal.Fields[0].Reason != creditd.ReasonUnknownService || refusal.Fields[0].Description == "" {
		t.Errorf("the fields are %+v", refusal.Fields)
	}
	if refusal.XRequestID != "go-test-17" {
		t.Errorf("the x-request-id is %q", refusal.XRequestID)
	}
	if refusal.Message == "" || !strings.Contains(refusal.Error(), "UNKNOWN_SERVICE: "+refusal.Message) {
		t.Errorf("the text is %q", refusal.Error())
	}
}

func TestErrorIsStillAStatus(t *testing.T) {
	client := newClient(t)
	_, err := client.GetBalance(testContext(t), creditd.GetBalanceParams{Account: newAccount()})
	wrapped := fmt.Errorf("wrapped: %w", err)
	if !creditd.IsReason(wrapped, creditd.ReasonAccountNotFound) {
		t.Errorf("got %v", err)
	}
	if creditd.IsReason(wrapped, creditd.ReasonUnknownService) || creditd.IsReason(nil, creditd.ReasonUnknownService) {
		t.Error("it has another reason")
	}
	if status.Code(wrapped) != codes.NotFound {
		t.Errorf("status.Code is %v", status.Code(wrapped))
	}
	if status.Code(errors.Unwrap(err)) != codes.NotFound {
		t.Errorf("it unwraps to %v", errors.Unwrap(err))
	}
}

func TestAllBadFieldsAreNamed(t *testing.T) {
	client := newClient(t)
	_, err := client.Grant(testContext(t), creditd.GrantParams{Account: "team a", RequestID: strings.Repeat("r", 257)})
	refusal := asError(t, err)
	named := map[string]bool{}
	for _, violation := range refusal.Fields {
		named[violation.Field] = true
	}
	if len(named) != 3 || !named["account"] || !named["credits"] || !named["request_id"] {
		t.Errorf("the fields are %+v", refusal.Fields)
	}
}

func TestItemsOfABatchFailAlone(t *testing.T) {
	client := newClient(t)
	ctx := metadata.AppendToOutgoingContext(testContext(t), "x-request-id", "go-test-18")
	batch, err := client.BatchEstimate(ctx, creditd.BatchEstimateParams{Usages: []creditd.Usage{
		creditd.Duration("lip_sync_video", 31*time.Second),
		creditd.Count("ai_scripts", 0),
		creditd.Once("ai_scripts"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Results) != 3 || batch.FailedCount != 1 || !batch.TotalCredits.Equal(decimal.RequireFromString("0.448")) {
		t.Fatalf("got %+v", batch)
	}
	for _, i := range []int{0, 2} {
		if batch.Results[i].Err != nil || batch.Results[i].Estimate == nil {
			t.Errorf("result %d is %+v", i, batch.Results[i])
		}
		if creditd.IsReason(batch.Results[i].Err, "") {
			t.Errorf("result %d has a reason", i)
		}
	}
	failed := batch.Results[1]
	if failed.Estimate != nil || failed.Err == nil {
		t.Fatalf("result 1 is %+v", failed)
	}
	if failed.Err.Code != codes.InvalidArgument || failed.Err.Reason != creditd.ReasonInvalidQuantity || failed.Err.XRequestID != "go-test-18" {
		t.Errorf("its error is %+v", failed.Err)
	}
}

func TestGeneratedClientsHaveTheSameErrors(t *testing.T) {
	client := newClient(t)
	_, err := client.Ledger().Grant(testContext(t), &creditdv1.GrantRequest{Account: newAccount(), Credits: "1e3", RequestId: "r-1"})
	if refusal := asError(t, err); refusal.Reason != creditd.ReasonInvalidAmount || refusal.RequestID != "r-1" {
		t.Errorf("got %+v", refusal)
	}
	_, err = client.Pricing().Estimate(testContext(t), &creditdv1.EstimateRequest{})
	if refusal := asError(t, err); refusal.Reason != creditd.ReasonFieldRequired {
		t.Errorf("got %+v", refusal)
	}
	err = client.Conn().Invoke(testContext(t), "/creditd.v1.PricingService/Price", &creditdv1.EstimateRequest{}, &creditdv1.EstimateResponse{})
	if refusal := asError(t, err); refusal.Code != codes.Unimplemented {
		t.Errorf("got %+v", refusal)
	}
}

func TestTheTwoIdsAreKeptApart(t *testing.T) {
	internal, err := status.New(codes.Internal, "a fault").WithDetails(&errdetails.ErrorInfo{
		Reason: "INTERNAL", Domain: "creditd", Metadata: map[string]string{"x_request_id": "call-1"}})
	if err != nil {
		t.Fatal(err)
	}
	// An answer without headers, as of a proxy that does not pass them on.
	client := newClient(t, creditd.WithDialOptions(grpc.WithChainUnaryInterceptor(
		func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return internal.Err()
		})))
	_, err = client.Grant(testContext(t), creditd.GrantParams{Account: "team-a", Credits: one, RequestID: "order-17"})
	if failure := asError(t, err); failure.RequestID != "order-17" || failure.XRequestID != "call-1" || failure.Attempts != 1 {
		t.Errorf("got %+v", failure)
	}

	ctx := metadata.AppendToOutgoingContext(testContext(t), "x-request-id", "call-2")
	real, account := newClient(t), newAccount()
	_, err = real.Charge(ctx, creditd.ChargeParams{Account: account, Cost: creditd.Credits(one), RequestID: "order-18"})
	if failure := asError(t, err); failure.RequestID != "order-18" || failure.XRequestID != "call-2" {
		t.Errorf("got %+v", failure)
	}
	// There it is a filter, with which nothing can be repeated.
	_, err = real.ListHoldsPage(ctx, creditd.ListHoldsParams{Account: account, RequestID: "order-18"})
	if failure := asError(t, err); failure.RequestID != "" || failure.XRequestID != "call-2" {
		t.Errorf("got %+v", failure)
	}
	// What cannot be sent has the key too.
	far := decimal.New(1, 1000)
	for name, refused := range map[string]func() error{
		"grant": func() error {
			_, err := real.Grant(ctx, creditd.GrantParams{Account: account, Credits: far, RequestID: "order-19"})
			return err
		},
		"charge": func() error {
			_, err := real.Charge(ctx, creditd.ChargeParams{Account: account, Cost: creditd.Credits(far), RequestID: "order-19"})
			return err
		},
		"refund": func() error {
			_, err := real.Refund(ctx, creditd.RefundParams{Account: account, EntryID: "e1", Credits: decimal.NewNullDecimal(far), RequestID: "order-19"})
			return err
		},
		"hold": func() error {
			_, err := real.Hold(ctx, creditd.HoldParams{Account: account, Cost: creditd.Credits(far), RequestID: "order-19"})
			return err
		},
		"settle": func() error {
			_, err := real.SettleHold(ctx, creditd.SettleHoldParams{Account: account, HoldID: "h1", Cost: creditd.Credits(far), RequestID: "order-19"})
			return err
		},
	} {
		if failure := asError(t, refused()); failure.Code != codes.InvalidArgument || failure.RequestID != "order-19" || failure.Attempts != 0 {
			t.Errorf("%s: got %+v", name, failure)
		}
	}
}

func TestInsufficientCredits(t *testing.T) {
	err := refusedFor(t, "INSUFFICIENT_CREDITS", map[string]string{
		"account": "team-a", "required": "3", "available": "1.5", "shortfall": "1.5",
	})
	short, is := creditd.AsInsufficientCredits(fmt.Errorf("wrapped: %w", err))
	if !is || short.Account != "team-a" || short.Required.String() != "3" ||
		short.Available.String() != "1.5" || short.Shortfall.String() != "1.5" {
		t.Errorf("got %+v, %v", short, is)
	}
	if _, is := creditd.AsInsufficientCredits(errors.New("another")); is {
		t.Error("another error has details")
	}
	if _, is := creditd.AsHoldExceeded(err); is {
		t.Error("another refusal has details")
	}
}

func TestHoldClosed(t *testing.T) {
	err := refusedFor(t, "HOLD_CLOSED", map[string]string{"hold_id": "h12", "status": "expired"})
	closed, is := creditd.AsHoldClosed(fmt.Errorf("wrapped: %w", err))
	if !is || closed.HoldID != "h12" || closed.Status != creditd.HoldExpired {
		t.Errorf("got %+v, %v", closed, is)
	}
}

func TestHoldExceeded(t *testing.T) {
	err := refusedFor(t, "HOLD_EXCEEDED", map[string]string{"hold_id": "h12", "required": "5", "held": "0.248"})
	exceeded, is := creditd.AsHoldExceeded(fmt.Errorf("wrapped: %w", err))
	if !is || exceeded.HoldID != "h12" || exceeded.Required.String() != "5" || exceeded.Held.String() != "0.248" {
		t.Errorf("got %+v, %v", exceeded, is)
	}
}

func TestRefundExceedsCharge(t *testing.T) {
	err := refusedFor(t, "REFUND_EXCEEDS_CHARGE", map[string]string{"entry_id": "e7", "requested": "5", "refundable": "2.5"})
	exceeds, is := creditd.AsRefundExceedsCharge(fmt.Errorf("wrapped: %w", err))
	if !is || exceeds.EntryID != "e7" || exceeds.Requested.String() != "5" || exceeds.Refundable.String() != "2.5" {
		t.Errorf("got %+v, %v", exceeds, is)
	}
}

func TestARefusalWithoutItsMetadataHasNoDetails(t *testing.T) {
	for reason, read := range map[string]func(error) bool{
		"INSUFFICIENT_CREDITS":  func(err error) bool { _, is := creditd.AsInsufficientCredits(err); return is },
		"HOLD_CLOSED":           func(err error) bool { _, is := creditd.AsHoldClosed(err); return is },
		"HOLD_EXCEEDED":         func(err error) bool { _, is := creditd.AsHoldExceeded(err); return is },
		"REFUND_EXCEEDS_CHARGE": func(err error) bool { _, is := creditd.AsRefundExceedsCharge(err); return is },
	} {
		if read(refusedFor(t, reason, nil)) {
			t.Errorf("%s has details without metadata", reason)
		}
		if read(nil) {
			t.Errorf("no error has the details of %s", reason)
		}
	}
}

// refusedFor returns what a call returns that is refused for that reason.
func refusedFor(t *testing.T, reason string, metadata map[string]string) error {
	t.Helper()
	return refusedWith(t, status.New(codes.FailedPrecondition, "the test says so"),
		&errdetails.ErrorInfo{Reason: reason, Domain: "creditd", Metadata: metadata})
}

// refusedWith returns what a call returns that is answered with the status.
func refusedWith(t *testing.T, answer *status.Status, details ...protoadapt.MessageV1) error {
	t.Helper()
	answer, err := answer.WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, creditd.WithRetry(creditd.NoRetry()), creditd.WithDialOptions(grpc.WithChainUnaryInterceptor(
		func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return answer.Err()
		})))
	_, err = client.GetRateCard(testContext(t), creditd.GetRateCardParams{})
	return err
}
