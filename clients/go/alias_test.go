package creditd_test

import (
	"slices"
	"testing"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// The client does not write to a caller's slices and maps, and does not read them
// after the call that they were given to.

func TestCallOptionsAreNotWrittenTo(t *testing.T) {
	client := newClient(t)
	// Room for more than there is, as append leaves it.
	options := make([]grpc.CallOption, 1, 8)
	options[0] = grpc.StaticMethod()
	err := client.Conn().Invoke(testContext(t), creditdv1.PricingService_GetRateCard_FullMethodName,
		&creditdv1.GetRateCardRequest{}, &creditdv1.GetRateCardResponse{}, options...)
	if err != nil {
		t.Fatal(err)
	}
	for i, past := range options[:cap(options)][1:] {
		if past != nil {
			t.Errorf("option %d is %T", i+1, past)
		}
	}
}

func TestDialOptionsAreNotWrittenTo(t *testing.T) {
	dials := make([]grpc.DialOption, 1, 8)
	dials[0] = grpc.WithUserAgent("test")
	opts := []creditd.Option{creditd.WithDialOptions(dials...), creditd.WithDialOptions(grpc.WithUserAgent("other"))}
	newClient(t, opts...)
	newClient(t, opts...)
	for i, past := range dials[:cap(dials)][1:] {
		if past != nil {
			t.Errorf("option %d is %T", i+1, past)
		}
	}
}

func TestTheParamsOfAListAreReadAtOnce(t *testing.T) {
	fake := pageServer(t, [][]string{{"a"}, {"b"}})
	client := fake.newClient(t)
	kinds := []creditd.EntryKind{creditd.EntryCharge}
	labels := map[string]string{"job": "7"}
	entries := client.ListEntries(testContext(t), creditd.ListEntriesParams{Account: "team-a", Kinds: kinds})
	holds := client.ListHolds(testContext(t), creditd.ListHoldsParams{Account: "team-a", Labels: labels})
	kinds[0] = creditd.EntryGrant
	labels["job"] = "8"
	for _, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range holds {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, received := range fake.received() {
		switch received := received.(type) {
		case *creditdv1.ListEntriesRequest:
			if !slices.Equal(received.GetKinds(), []creditdv1.EntryKind{creditdv1.EntryKind_ENTRY_KIND_CHARGE}) {
				t.Errorf("the request was %v", received)
			}
		case *creditdv1.ListHoldsRequest:
			if received.GetLabels()["job"] != "7" {
				t.Errorf("the request was %v", received)
			}
		}
	}
}
