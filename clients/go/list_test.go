package creditd_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// pageServer serves lists in pages: each element is the ids of one page. A token
// is the number of its page; one that is not there is refused.
func pageServer(t *testing.T, pages [][]string) *fakeServer {
	t.Helper()
	page := func(token string) (ids []string, next string, err error) {
		index := 0
		if token != "" {
			if index, err = strconv.Atoi(token); err != nil || index >= len(pages) {
				return nil, "", status.Error(codes.InvalidArgument, "no such page")
			}
		}
		if index+1 < len(pages) {
			next = strconv.Itoa(index + 1)
		}
		return pages[index], next, nil
	}
	return (&fakeServer{answer: func(_ string, req proto.Message) (proto.Message, error) {
		switch req := req.(type) {
		case *creditdv1.ListEntriesRequest:
			ids, next, err := page(req.GetPageToken())
			reply := &creditdv1.ListEntriesResponse{NextPageToken: next}
			for _, id := range ids {
				reply.Entries = append(reply.Entries, entryPB(id))
			}
			return reply, err
		case *creditdv1.ListHoldsRequest:
			ids, next, err := page(req.GetPageToken())
			reply := &creditdv1.ListHoldsResponse{NextPageToken: next}
			for _, id := range ids {
				reply.Holds = append(reply.Holds, holdPB(id))
			}
			return reply, err
		case *creditdv1.ListAccountsRequest:
			ids, next, err := page(req.GetPageToken())
			reply := &creditdv1.ListAccountsResponse{NextPageToken: next}
			for _, id := range ids {
				reply.Accounts = append(reply.Accounts, &creditdv1.Account{
					Account: id, Balance: &creditdv1.Balance{Available: "0", Held: "0"},
				})
			}
			return reply, err
		case *creditdv1.ListRateCardsRequest:
			ids, next, err := page(req.GetPageToken())
			reply := &creditdv1.ListRateCardsResponse{NextPageToken: next}
			for _, id := range ids {
				reply.RateCards = append(reply.RateCards, &creditdv1.RateCard{RateCard: id})
			}
			return reply, err
		case *creditdv1.GetRateCardRequest:
			ids, next, err := page(req.GetPageToken())
			reply := &creditdv1.GetRateCardResponse{Revision: "r1", NextPageToken: next}
			for _, id := range ids {
				reply.Services = append(reply.Services, &creditdv1.ServicePrice{Service: id})
			}
			return reply, err
		}
		return nil, status.Error(codes.Unimplemented, "not faked")
	}}).start(t)
}

func entryPB(id string) *creditdv1.Entry {
	return &creditdv1.Entry{EntryId: id, Credits: "0", Available: "0", Spent: "0", Held: "0"}
}

func holdPB(id string) *creditdv1.HoldState {
	return &creditdv1.HoldState{HoldId: id, Held: "0", Settled: "0"}
}

func TestListsGoOverAllPages(t *testing.T) {
	for name, test := range map[string]struct {
		pages [][]string
		want  []string
	}{
		"nothing":           {pages: [][]string{{}}},
		"one page":          {pages: [][]string{{"a", "b"}}, want: []string{"a", "b"}},
		"three pages":       {pages: [][]string{{"a", "b"}, {"c"}, {"d"}}, want: []string{"a", "b", "c", "d"}},
		"empty ones before": {pages: [][]string{{}, {"a"}, {}, {}, {"b"}}, want: []string{"a", "b"}},
		"an empty last":     {pages: [][]string{{"a"}, {}}, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := pageServer(t, test.pages)
			client := fake.newClient(t)
			ctx := testContext(t)
			lists := map[string]iter.Seq2[string, error]{
				"entries": idsOf(client.ListEntries(ctx, creditd.ListEntriesParams{Account: "team-a"}),
					func(entry creditd.Entry) string { return entry.EntryID }),
				"holds": idsOf(client.ListHolds(ctx, creditd.ListHoldsParams{Account: "team-a"}),
					func(hold creditd.Hold) string { return hold.HoldID }),
				"accounts": idsOf(client.ListAccounts(ctx, creditd.ListAccountsParams{}),
					func(account creditd.Account) string { return account.Account }),
				"rate cards": idsOf(client.ListRateCards(ctx, creditd.ListRateCardsParams{}),
					func(card creditd.RateCardRevision) string { return card.RateCard }),
				"services": idsOf(client.RateCardServices(ctx, creditd.GetRateCardParams{}),
					func(price creditd.ServicePrice) string { return price.Service }),
			}
			// The second time begins anew.
			for range 2 {
				for name, list := range lists {
					var ids []string
					for id, err := range list {
						if err != nil {
							t.Fatal(err)
						}
						ids = append(ids, id)
					}
					if !slices.Equal(ids, test.want) {
						t.Errorf("the %s are %v, want %v", name, ids, test.want)
					}
				}
			}
			if got, want := len(fake.received()), 2*len(lists)*len(test.pages); got != want {
				t.Errorf("there were %d calls, want %d", got, want)
			}
		})
	}
}

func idsOf[T any](list iter.Seq2[T, error], id func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range list {
			if !yield(id(item), err) {
				return
			}
		}
	}
}

func TestEachPageIsAskedForWithTheSameFilters(t *testing.T) {
	fake := pageServer(t, [][]string{{"a"}, {"b"}, {"c"}})
	from := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	entries := fake.newClient(t).ListEntries(testContext(t), creditd.ListEntriesParams{
		Account:   "team-a",
		PageSize:  7,
		StartTime: from,
		EndTime:   from.Add(time.Hour),
		Kinds:     []creditd.EntryKind{creditd.EntryCharge, creditd.EntryRefund},
		Service:   "ai_scripts",
		HoldID:    "h1",
	})
	for _, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
	}
	received := fake.received()
	if len(received) != 3 {
		t.Fatalf("there were %d calls", len(received))
	}
	for i, token := range []string{"", "1", "2"} {
		page, is := received[i].(*creditdv1.ListEntriesRequest)
		if !is || page.GetPageToken() != token {
			t.Errorf("call %d was %v, want token %q", i, received[i], token)
			continue
		}
		page.PageToken = ""
		if !proto.Equal(page, received[0]) || page.GetPageSize() != 7 || len(page.GetKinds()) != 2 {
			t.Errorf("call %d was %v", i, page)
		}
	}
}

func TestAPageIsOnlyFetchedWhenItIsNeeded(t *testing.T) {
	fake := pageServer(t, [][]string{{"a", "b"}, {"c"}})
	client := fake.newClient(t)
	entries := client.ListEntries(testContext(t), creditd.ListEntriesParams{Account: "team-a"})
	if len(fake.received()) != 0 {
		t.Error("something was fetched before it was read")
	}
	for entry, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		if entry.EntryID == "b" {
			break
		}
	}
	if got := len(fake.received()); got != 1 {
		t.Errorf("there were %d calls", got)
	}
}

func TestAnErrorEndsAList(t *testing.T) {
	fake := (&fakeServer{answer: func(_ string, req proto.Message) (proto.Message, error) {
		if req.(*creditdv1.ListHoldsRequest).GetPageToken() != "" {
			return nil, status.Error(codes.NotFound, "the test says so")
		}
		return &creditdv1.ListHoldsResponse{Holds: []*creditdv1.HoldState{holdPB("a")}, NextPageToken: "1"}, nil
	}}).start(t)
	var ids []string
	var failures []error
	for hold, err := range fake.newClient(t).ListHolds(testContext(t), creditd.ListHoldsParams{Account: "team-a"}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		ids = append(ids, hold.HoldID)
	}
	if !slices.Equal(ids, []string{"a"}) || len(failures) != 1 {
		t.Fatalf("got %v and %v", ids, failures)
	}
	if failure := asError(t, failures[0]); failure.Code != codes.NotFound || failure.XRequestID != "fake-1" {
		t.Errorf("got %+v", failure)
	}
}

func TestAListFollowsItsContext(t *testing.T) {
	fake := pageServer(t, [][]string{{"a"}, {"b"}, {"c"}})
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var last error
	for entry, err := range fake.newClient(t).ListEntries(ctx, creditd.ListEntriesParams{Account: "team-a"}) {
		if last = err; entry.EntryID == "a" {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("it ended with %v", last)
	}
}

func TestOnePageHasItsToken(t *testing.T) {
	fake := pageServer(t, [][]string{{"a", "b"}, {"c"}})
	client := fake.newClient(t)
	first, err := client.ListEntriesPage(testContext(t), creditd.ListEntriesParams{Account: "team-a", PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Entries) != 2 || first.NextPageToken != "1" {
		t.Errorf("got %+v", first)
	}
	last, err := client.ListHoldsPage(testContext(t), creditd.ListHoldsParams{Account: "team-a", PageToken: first.NextPageToken})
	if err != nil {
		t.Fatal(err)
	}
	if len(last.Holds) != 1 || last.Holds[0].HoldID != "c" || last.NextPageToken != "" {
		t.Errorf("got %+v", last)
	}
	_, err = client.ListEntriesPage(testContext(t), creditd.ListEntriesParams{Account: "team-a", PageToken: "nonsense"})
	if failure := asError(t, err); failure.Code != codes.InvalidArgument {
		t.Errorf("got %+v", failure)
	}
}

func TestListsOfAdministrationAreReadByThePage(t *testing.T) {
	fake := (&fakeServer{answer: func(_ string, req proto.Message) (proto.Message, error) {
		switch req := req.(type) {
		case *creditdv1.ListKeysRequest:
			if req.GetPageToken() == "" {
				return &creditdv1.ListKeysResponse{Keys: []*creditdv1.Key{{KeyId: "1"}, {KeyId: "2"}}, NextPageToken: "b"}, nil
			}
			return &creditdv1.ListKeysResponse{Keys: []*creditdv1.Key{{KeyId: "3"}}}, nil
		case *creditdv1.ListAdminEventsRequest:
			if req.GetPageToken() == "" {
				return &creditdv1.ListAdminEventsResponse{Events: []*creditdv1.AdminEvent{{Subject: "1"}, {Subject: "2"}}, NextPageToken: "b"}, nil
			}
			return &creditdv1.ListAdminEventsResponse{Events: []*creditdv1.AdminEvent{{Subject: "3"}}}, nil
		}
		return nil, errors.New("no list")
	}}).start(t)
	client := fake.newClient(t)
	var ids []string
	for key, err := range client.ListKeys(testContext(t), creditd.ListKeysParams{ShowRevoked: true, PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, key.KeyID)
	}
	for event, err := range client.ListAdminEvents(testContext(t), creditd.ListAdminEventsParams{KeyID: "k", PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, event.Subject)
	}
	if want := []string{"1", "2", "3", "1", "2", "3"}; !slices.Equal(ids, want) {
		t.Errorf("got %q", ids)
	}
	want := []proto.Message{
		&creditdv1.ListKeysRequest{ShowRevoked: true, PageSize: 2},
		&creditdv1.ListKeysRequest{ShowRevoked: true, PageSize: 2, PageToken: "b"},
		&creditdv1.ListAdminEventsRequest{KeyId: "k", PageSize: 2},
		&creditdv1.ListAdminEventsRequest{KeyId: "k", PageSize: 2, PageToken: "b"},
	}
	if got := fake.received(); !slices.EqualFunc(got, want, proto.Equal) {
		t.Errorf("it was sent %v", got)
	}
}
