package creditd_test

import (
	"slices"
	"testing"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// writes are all methods that take a request_id as their idempotency key: their
// replies say whether it was replayed. In other requests it is a filter.
func writes(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var writes []protoreflect.MethodDescriptor
	for _, method := range unaryMethods() {
		if method.Input().Fields().ByName("request_id") != nil && method.Output().Fields().ByName("replayed") != nil {
			writes = append(writes, method)
		}
	}
	if len(writes) < 8 {
		t.Fatalf("there are no more writes than %v", writes)
	}
	return writes
}

// write calls a method with that request_id, or with none where it is empty, and
// with all else set. It returns the error.
func write(t *testing.T, client *creditd.Client, method protoreflect.MethodDescriptor, requestID string) error {
	t.Helper()
	var filler filler
	request := filler.message(t, method.Input())
	request.ProtoReflect().Set(method.Input().Fields().ByName("request_id"), protoreflect.ValueOfString(requestID))
	_, err := callByDescriptor(testContext(t), client, method, request)
	return err
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
	for _, method := range writes(t) {
		t.Run(string(method.Name()), func(t *testing.T) {
			fake := (&fakeServer{answer: failsFor(2)}).start(t)
			client := fake.newClient(t, quickRetry(3))
			made := asError(t, write(t, client, method, "")).RequestID
			if made == "" || made == asError(t, write(t, client, method, "")).RequestID {
				t.Errorf("the request id %q was made up", made)
			}
			given := asError(t, write(t, client, method, "order-17"))
			if given.Code != codes.AlreadyExists || given.RequestID != "order-17" {
				t.Errorf("got %+v", given)
			}
			received := fake.received()
			if len(received) != 5 { // three attempts, and one each
				t.Fatalf("there were %d attempts", len(received))
			}
			for _, attempt := range received[:3] {
				if !proto.Equal(attempt, received[0]) || idOf(attempt) != made {
					t.Errorf("an attempt was %v", attempt)
				}
			}
			if idOf(received[4]) != "order-17" {
				t.Errorf("the last call was %v", received[4])
			}
		})
	}
}

func idOf(req any) string {
	return req.(interface{ GetRequestId() string }).GetRequestId()
}

// A request_id that the client made up for a charge of a batch would be another one
// where the caller sends the batch again, and the charge would be carried out twice.
func TestABatchHasTheRequestIDsOfItsCharges(t *testing.T) {
	params := creditd.BatchChargeParams{Charges: []creditd.ChargeParams{
		{Account: "team-a", Cost: creditd.Credits(one), RequestID: "order-17"},
		{Account: "team-a", Cost: creditd.Credits(one), RequestID: "order-18"},
		{Account: "team-a", Cost: creditd.Credits(one)},
	}}
	fake := (&fakeServer{answer: failsFor(2)}).start(t)
	client := fake.newClient(t, quickRetry(2))
	_, err := client.BatchCharge(testContext(t), params)
	if failure := asError(t, err); failure.Code != codes.Unavailable || failure.RequestID != "" {
		t.Errorf("got %+v", failure)
	}
	received := fake.received()
	if len(received) != 2 {
		t.Fatalf("there were %d attempts", len(received))
	}
	for _, attempt := range received {
		var sent []string
		for _, charge := range attempt.(*creditdv1.BatchChargeRequest).GetCharges() {
			sent = append(sent, charge.GetRequestId())
		}
		if !slices.Equal(sent, []string{"order-17", "order-18", ""}) {
			t.Errorf("an attempt had the request ids %q", sent)
		}
	}
}
