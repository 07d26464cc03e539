package creditd_test

import (
	"context"
	"slices"
	"testing"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A caller's slices and maps stay the caller's: none is written to, and none is
// read after the call that it was given to.

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
	for i, behind := range options[:cap(options)][1:] {
		if behind != nil {
			t.Errorf("option %d is %T", i+1, behind)
		}
	}
}

func TestDialOptionsAreNotWrittenTo(t *testing.T) {
	dials := make([]grpc.DialOption, 1, 8)
	dials[0] = grpc.WithUserAgent("test")
	opts := []creditd.Option{creditd.WithDialOptions(dials...), creditd.WithDialOptions(grpc.WithUserAgent("other"))}
	newClient(t, opts...)
	newClient(t, opts...)
	for i, behind := range dials[:cap(dials)][1:] {
		if behind != nil {
			t.Errorf("option %d is %T", i+1, behind)
		}
	}
}

func TestOptionsOfAListAreReadAtOnce(t *testing.T) {
	fake := pageServer(t, [][]string{{"a"}, {"b"}})
	client := fake.newClient(t)
	kinds := []creditd.EntryKind{creditd.EntryCharge}
	labels := map[string]string{"job": "7"}
	ofEntries := []creditd.EntriesOption{creditd.PageSize(1), creditd.OfKinds(kinds...)}
	ofHolds := []creditd.HoldsOption{creditd.PageSize(1), creditd.OfLabels(labels)}
	entries := client.ListEntries(testContext(t), "team-a", ofEntries...)
	holds := client.ListHolds(testContext(t), "team-a", ofHolds...)
	kinds[0] = creditd.EntryGrant
	labels["job"] = "8"
	ofEntries[0], ofHolds[0] = creditd.PageSize(2), creditd.PageSize(2)
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
	for _, asked := range fake.asked() {
		switch asked := asked.(type) {
		case *creditdv1.ListEntriesRequest:
			if asked.GetPageSize() != 1 || !slices.Equal(asked.GetKinds(), []creditdv1.EntryKind{creditdv1.EntryKind_ENTRY_KIND_CHARGE}) {
				t.Errorf("it asked for %v", asked)
			}
		case *creditdv1.ListHoldsRequest:
			if asked.GetPageSize() != 1 || asked.GetLabels()["job"] != "7" {
				t.Errorf("it asked for %v", asked)
			}
		}
	}
}

func TestAChargeStaysAsItWasMade(t *testing.T) {
	labels := map[string]string{"job": "7"}
	usage := creditd.Usage{Service: "ai_scripts", Attributes: map[string]string{"size": "s"}, Meters: map[string]string{"tokens": "1"}}
	charges := []creditd.Charge{
		creditd.NewCharge("team-a", usage, creditd.Labels(labels)),
		creditd.NewCharge("team-a", &usage, creditd.Labels(labels)),
	}
	labels["job"] = "8"
	usage.Service = "motion_1_0"
	usage.Attributes["size"] = "l"
	usage.Meters["tokens"] = "2"
	fake := (&fakeServer{answer: failsFor(0)}).start(t)
	_, err := fake.newClient(t).BatchCharge(testContext(t), charges)
	asError(t, err)
	for _, sent := range fake.asked()[0].(*creditdv1.BatchChargeRequest).GetCharges() {
		usage := sent.GetUsage()
		if sent.GetLabels()["job"] != "7" || usage.GetService() != "ai_scripts" || usage.GetAttributes()["size"] != "s" || usage.GetMeters()["tokens"] != "1" {
			t.Errorf("it was sent as %v", sent)
		}
	}
}

func TestAGrantsServicesStayAsTheyWere(t *testing.T) {
	services := []string{"ai_scripts"}
	option := creditd.ForServices(services...)
	services[0] = "motion_1_0"
	fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) { return nil, unavailable() }}).start(t)
	_, err := fake.newClient(t, creditd.WithRetry(creditd.NoRetry())).Grant(context.Background(), "team-a", one, option)
	asError(t, err)
	if sent := fake.asked()[0].(*creditdv1.GrantRequest); !slices.Equal(sent.GetServices(), []string{"ai_scripts"}) {
		t.Errorf("it was sent as %v", sent)
	}
}
