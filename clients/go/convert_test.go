package creditd

import (
	"strings"
	"testing"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestAmountsAreWrittenWithoutExponent(t *testing.T) {
	// What String prints depends on these; what is sent must not.
	decimal.UseScientificNotation = true
	decimal.TrimTrailingZeros = false
	defer func() {
		decimal.UseScientificNotation = false
		decimal.TrimTrailingZeros = true
	}()
	for _, test := range []struct {
		credits decimal.Decimal
		want    string
	}{
		{decimal.Decimal{}, "0"},
		{decimal.New(0, 5), "0"},
		{decimal.New(0, -5), "0"},
		{decimal.New(-0, 0), "0"},
		{decimal.New(1, 0), "1"},
		{decimal.New(100, 0), "100"},
		{decimal.New(9, 9), "9000000000"},
		{decimal.New(1, 30), "1" + strings.Repeat("0", 30)},
		{decimal.New(1, -9), "0.000000001"},
		{decimal.New(1, -30), "0." + strings.Repeat("0", 29) + "1"},
		{decimal.New(-2880, -2), "-28.8"},
		{decimal.New(1000, -3), "1"},
		{decimal.New(100, -1), "10"},
		{decimal.RequireFromString("1e3"), "1000"},
		{decimal.RequireFromString("12345678901234567890.123456789012345678900"), "12345678901234567890.1234567890123456789"},
		{decimal.NewFromFloat(1e21), "1" + strings.Repeat("0", 21)},
	} {
		if got, err := creditsToPB("credits", test.credits); err != nil || got != test.want {
			t.Errorf("%#v is written %q (%v), want %q", test.credits, got, err, test.want)
		}
	}
}

func TestAmountsThatAreTooLongToWriteAreRefused(t *testing.T) {
	for _, exponent := range []int32{101, -101, 1 << 30, -1 << 31} {
		_, failure := creditsToPB("credits", decimal.New(1, exponent))
		if failure == nil || failure.Code != codes.InvalidArgument || failure.Reason != ReasonInvalidAmount ||
			len(failure.Fields) != 1 || failure.Fields[0].Field != "credits" {
			t.Errorf("1e%d: got %v", exponent, failure)
		}
	}
}

func TestAnswersThatCannotBeReadAreErrors(t *testing.T) {
	good := func() *creditdv1.EstimateResponse {
		return &creditdv1.EstimateResponse{Estimate: &creditdv1.Estimate{Credits: "1", DisplayCredits: "1"}}
	}
	if err := errorOf(estimateResultFromPB, good()); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*creditdv1.EstimateResponse){
		"estimate is missing":          func(r *creditdv1.EstimateResponse) { r.Estimate = nil },
		`credits "" is not a decimal`:  func(r *creditdv1.EstimateResponse) { r.Estimate.Credits = "" },
		`credits "x" is not a decimal`: func(r *creditdv1.EstimateResponse) { r.Estimate.DisplayCredits = "x" },
		`shortfall "" is not a decimal`: func(r *creditdv1.EstimateResponse) {
			r.Affordability = &creditdv1.Affordability{Available: "1"}
		},
	} {
		reply := good()
		spoil(reply)
		if err := errorOf(estimateResultFromPB, reply); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := errorOf(balanceResultFromPB[*creditdv1.GetBalanceResponse], &creditdv1.GetBalanceResponse{}); err == nil {
		t.Error("a missing balance was read")
	}
	if err := errorOf(entryResultFromPB[*creditdv1.GrantResponse], &creditdv1.GrantResponse{Available: "1"}); err == nil {
		t.Error("a missing entry was read")
	}
	if err := errorOf(accountResultFromPB, &creditdv1.GetAccountResponse{Account: &creditdv1.Account{}}); err == nil {
		t.Error("an account without a balance was read")
	}
	if err := errorOf(withdrawRateCardResultFromPB, &creditdv1.WithdrawRateCardResponse{}); err == nil {
		t.Error("a missing rate card was read")
	}
	meter := &creditdv1.ServicePrice{MeterDetails: []*creditdv1.Meter{{Max: "much"}}}
	if err := errorOf(rateCardResultFromPB, &creditdv1.GetRateCardResponse{Services: []*creditdv1.ServicePrice{meter}}); err == nil {
		t.Error("a limit that is no decimal was read")
	}
	failure := malformed("Grant", "order-17", errAny{})
	if failure.Code != codes.Internal || failure.RequestID != "order-17" {
		t.Errorf("got %+v", failure)
	}
}

// errorOf is what is wrong with a reply.
func errorOf[Reply, Result any](read func(*reader, Reply) Result, reply Reply) error {
	var r reader
	read(&r, reply)
	return r.err
}

type errAny struct{}

func (errAny) Error() string { return "any" }

func TestUsageGoesOutAndComesBack(t *testing.T) {
	for _, usage := range []Usage{
		Once("a"),
		Count("a", 0),
		Count("a", -1),
		Duration("a", 0),
		Duration("a", -time.Nanosecond),
		Duration("a", 31*time.Second+123456789),
		Once("a").WithMeter("tokens", "12").WithAttribute("resolution", "1080p"),
	} {
		var r reader
		got := r.usage(usageToPB(usage))
		if r.err != nil || got.Service != usage.Service || got.Quantity != usage.Quantity ||
			got.Meters["tokens"] != usage.Meters["tokens"] || got.Attributes["resolution"] != usage.Attributes["resolution"] {
			t.Errorf("%+v came back as %+v (%v)", usage, got, r.err)
		}
	}
	if usageToPB(Once("a")).Quantity != nil || usageToPB(Count("a", 0)).Quantity == nil {
		t.Error("no quantity and a quantity of zero are the same")
	}
	var r reader
	r.usage(&creditdv1.Usage{Quantity: &creditdv1.Usage_Duration{Duration: &durationpb.Duration{Seconds: 1e11}}})
	if r.err == nil {
		t.Error("a duration of 3,000 years was cut short")
	}
}

func TestNamesAreThoseOfTheAPI(t *testing.T) {
	for prefix, test := range map[string]struct {
		numbers map[string]int32
		names   []string
	}{
		entryKindPrefix: {creditdv1.EntryKind_value, names(
			EntryGrant, EntryCharge, EntryRefund, EntryHold, EntrySettle, EntryRelease, EntryExpire, EntryRevoke)},
		holdStatusPrefix:      {creditdv1.HoldStatus_value, names(HoldOpen, HoldSettled, HoldReleased, HoldExpired)},
		attributeSourcePrefix: {creditdv1.AttributeSource_value, names(AttributeOfCaller, AttributeOfAccount, AttributeOfClock)},
		rateCardStatePrefix: {creditdv1.RateCardState_value, names(
			RateCardInForce, RateCardScheduled, RateCardReplaced, RateCardWithdrawn)},
		overagePrefix: {creditdv1.Overage_value, names(OverageReject, OverageFromAvailable)},
	} {
		if len(test.names) != len(test.numbers)-1 {
			t.Errorf("%s has %d names, and %d in the API", prefix, len(test.names), len(test.numbers)-1)
		}
		for _, name := range test.names {
			if _, known := test.numbers[prefix+name]; !known {
				t.Errorf("the API has no %s%s", prefix, name)
			}
		}
	}
}

func names[T ~string](values ...T) []string {
	var names []string
	for _, value := range values {
		names = append(names, string(value))
	}
	return names
}

func TestNamesGoOutAndComeBack(t *testing.T) {
	for name, want := range map[string]int32{
		"":            0,
		"UNSPECIFIED": 0,
		"CHARGE":      2,
		"REVOKE":      8,
		"77":          77,
		"-77":         -77,
		"charge":      notAnEnumValue,
		"NO_SUCH":     notAnEnumValue,
		"9999999999":  notAnEnumValue,
	} {
		if got := entryKindToPB(EntryKind(name)); int32(got) != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
	for number := range int32(20) {
		name := enumFromPB(creditdv1.EntryKind(number), entryKindPrefix)
		if got := enumToPB(creditdv1.EntryKind_value, entryKindPrefix, name); got != number {
			t.Errorf("%d came back as %d, by the name %q", number, got, name)
		}
	}
	if overageToPB(OverageFromAvailable) != creditdv1.Overage_OVERAGE_FROM_AVAILABLE {
		t.Error("an overage is another one")
	}
}

func TestACostIsOneOfBothOrNothing(t *testing.T) {
	usage := Once("ai_scripts")
	var none *Usage
	for name, test := range map[string]struct {
		cost    Cost
		service string
		credits string
	}{
		"usage":            {cost: usage, service: "ai_scripts"},
		"usage of a reply": {cost: &usage, service: "ai_scripts"},
		"empty usage":      {cost: Usage{}},
		"credits":          {cost: Credits(decimal.New(15, -1)), credits: "1.5"},
		"no credits":       {cost: Credits(decimal.Decimal{}), credits: "0"},
		"nothing":          {},
		"no usage":         {cost: none},
	} {
		var w writer
		pb, credits := w.cost(test.cost)
		if w.err != nil || credits != test.credits || pb.GetService() != test.service {
			t.Errorf("%s: got %v and %q (%v)", name, pb, credits, w.err)
		}
		if wanted := name == "empty usage" || test.service != ""; (pb != nil) != wanted {
			t.Errorf("%s: got %v", name, pb)
		}
	}
}
