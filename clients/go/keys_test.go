package creditd_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Keys of a real server.

func createKey(t *testing.T, admin *creditd.Client, params creditd.CreateKeyParams) *creditd.CreateKeyResult {
	t.Helper()
	created, err := admin.CreateKey(testContext(t), params)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func keyOf(created *creditd.CreateKeyResult) creditd.Option {
	return creditd.WithKey(string(created.Secret))
}

func grantedAccount(t *testing.T, admin *creditd.Client) string {
	t.Helper()
	account := newAccount()
	if _, err := admin.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one}); err != nil {
		t.Fatal(err)
	}
	return account
}

func getBalance(t *testing.T, client *creditd.Client, account string) error {
	t.Helper()
	_, err := client.GetBalance(testContext(t), creditd.GetBalanceParams{Account: account})
	return err
}

func TestAServerThatAsksForKeys(t *testing.T) {
	server := startServerWithKeys(t)
	admin := newClientOf(t, server.address, creditd.WithKey(adminKey))

	t.Run("refuses others", func(t *testing.T) {
		for _, test := range []struct {
			opts   []creditd.Option
			reason creditd.Reason
		}{
			{nil, creditd.ReasonKeyRequired},
			{[]creditd.Option{creditd.WithKey("x")}, creditd.ReasonKeyInvalid},
			{[]creditd.Option{creditd.WithKey(adminKey[1:])}, creditd.ReasonKeyInvalid},
		} {
			client := newClientOf(t, server.address, test.opts...)
			_, failures := watchAll(testContext(t), client, "team-a")
			for _, err := range append(failures, getBalance(t, client, "team-a")) {
				if failure := asError(t, err); failure.Code != codes.Unauthenticated || failure.Reason != test.reason || failure.Attempts != 1 {
					t.Errorf("got %+v", failure)
				}
			}
			if len(failures) != 1 {
				t.Errorf("the watch had %v", failures)
			}
		}
	})

	t.Run("says what a key may do", func(t *testing.T) {
		account := grantedAccount(t, admin)
		until := time.Now().Add(time.Hour).Truncate(time.Microsecond)
		created := createKey(t, admin, creditd.CreateKeyParams{
			Title: "renderer", Scopes: []creditd.Scope{creditd.ScopeCharge, creditd.ScopeRead}, Accounts: []string{account}, ExpireTime: until,
		})
		if !strings.HasPrefix(string(created.Secret), "creditd_") || created.Key.Title != "renderer" || !created.Key.ExpireTime.Equal(until) {
			t.Errorf("it created %+v", created)
		}
		client := newClientOf(t, server.address, keyOf(created))
		charged, err := client.Charge(testContext(t), creditd.ChargeParams{Account: account, Cost: creditd.Credits(one)})
		if err != nil {
			t.Fatal(err)
		}
		if charged.Entry.KeyID != created.Key.KeyID {
			t.Errorf("the entry is %+v", charged.Entry)
		}
		page, err := client.ListEntriesPage(testContext(t), creditd.ListEntriesParams{Account: account, KeyID: created.Key.KeyID})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].EntryID != charged.Entry.EntryID {
			t.Errorf("it did %+v (%v)", page, err)
		}
		_, granted := client.Grant(testContext(t), creditd.GrantParams{Account: account, Credits: one})
		_, revoked := client.RevokeKey(testContext(t), creditd.RevokeKeyParams{KeyID: created.Key.KeyID})
		for scope, err := range map[creditd.Scope]error{
			creditd.ScopeGrant: granted,
			creditd.ScopeAdmin: revoked,
			creditd.ScopeRead:  getBalance(t, client, "somebody-else"),
		} {
			if refused, is := creditd.AsNotAllowed(err); !is || refused.Scope != scope || asError(t, err).Code != codes.PermissionDenied {
				t.Errorf("%s: got %v", scope, err)
			}
		}
	})

	t.Run("ends what a revoked key does", func(t *testing.T) {
		account := grantedAccount(t, admin)
		created := createKey(t, admin, creditd.CreateKeyParams{Scopes: []creditd.Scope{creditd.ScopeRead}})
		client := newClientOf(t, server.address, keyOf(created))
		var ended error
		for balance, err := range client.WatchBalance(testContext(t), creditd.WatchBalanceParams{Account: account}) {
			if err != nil {
				ended = err
				break
			}
			revoked, err := admin.RevokeKey(testContext(t), creditd.RevokeKeyParams{KeyID: created.Key.KeyID})
			if err != nil || revoked.RevokeTime.IsZero() || balance == nil {
				t.Fatalf("got %+v (%v)", revoked, err)
			}
		}
		for _, err := range []error{ended, getBalance(t, client, account)} {
			if !creditd.IsReason(err, creditd.ReasonKeyInvalid) {
				t.Errorf("got %v", err)
			}
		}
		_, err := admin.RevokeKey(testContext(t), creditd.RevokeKeyParams{KeyID: "none"})
		if !creditd.IsReason(err, creditd.ReasonKeyNotFound) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("takes keys that are exchanged", func(t *testing.T) {
		account := grantedAccount(t, admin)
		var keys []*creditd.CreateKeyResult
		for range 2 {
			keys = append(keys, createKey(t, admin, creditd.CreateKeyParams{Scopes: []creditd.Scope{creditd.ScopeRead}}))
		}
		var asked atomic.Int32
		client := newClientOf(t, server.address, creditd.WithKeyFunc(func(context.Context) (string, error) {
			// It is behind: the key is revoked between the question and the call.
			if asked.Add(1) <= 2 {
				return string(keys[0].Secret), nil
			}
			return string(keys[1].Secret), nil
		}))
		if err := getBalance(t, client, account); err != nil {
			t.Error(err)
		}
		if _, err := admin.RevokeKey(testContext(t), creditd.RevokeKeyParams{KeyID: keys[0].Key.KeyID}); err != nil {
			t.Fatal(err)
		}
		if err := getBalance(t, client, account); err != nil || asked.Load() != 3 {
			t.Errorf("it was asked %d times, and got %v", asked.Load(), err)
		}
	})

	t.Run("limits how often", func(t *testing.T) {
		created := createKey(t, admin, creditd.CreateKeyParams{Scopes: []creditd.Scope{creditd.ScopePrice}, CallsPerSecondMax: 2})
		estimate := func(client *creditd.Client) error {
			_, err := client.Estimate(testContext(t), creditd.EstimateParams{Usage: creditd.Once("ai_scripts")})
			return err
		}
		once := newClientOf(t, server.address, keyOf(created), creditd.WithRetry(creditd.NoRetry()))
		var refused error
		for end := time.Now().Add(20 * time.Second); refused == nil && time.Now().Before(end); {
			refused = estimate(once)
		}
		if limited, is := creditd.AsRateLimited(refused); !is || limited != (creditd.RateLimited{Limit: 2, Of: "key"}) {
			t.Fatalf("got %v", refused)
		}
		patient, began := newClientOf(t, server.address, keyOf(created)), time.Now()
		for range 3 {
			if err := estimate(patient); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took < 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})

	t.Run("lists keys and what was done", func(t *testing.T) {
		var ids []string
		for range 3 {
			ids = append(ids, createKey(t, admin, creditd.CreateKeyParams{Title: "listed", Scopes: []creditd.Scope{creditd.ScopeRead}}).Key.KeyID)
		}
		if _, err := admin.RevokeKey(testContext(t), creditd.RevokeKeyParams{KeyID: ids[1]}); err != nil {
			t.Fatal(err)
		}
		for revoked, want := range map[bool][]string{false: {ids[0], ids[2]}, true: ids} {
			var listed []string
			for key, err := range admin.ListKeys(testContext(t), creditd.ListKeysParams{PageSize: 2, ShowRevoked: revoked}) {
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(ids, key.KeyID) {
					listed = append(listed, key.KeyID)
				}
			}
			if !slices.Equal(listed, want) {
				t.Errorf("with revoked ones %v: %q, want %q", revoked, listed, want)
			}
		}
		var done []string
		for event, err := range admin.ListAdminEvents(testContext(t), creditd.ListAdminEventsParams{PageSize: 3, KeyID: "admin"}) {
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(ids, event.Subject) && event.KeyID == "admin" && event.Title == "listed" && !event.CreateTime.IsZero() {
				done = append(done, event.Action+" "+event.Subject)
			}
		}
		if want := []string{"revoke_key " + ids[1], "create_key " + ids[2], "create_key " + ids[1], "create_key " + ids[0]}; !slices.Equal(done, want) {
			t.Errorf("got %q, want %q", done, want)
		}
	})
}

// The target is no local one for the client, so grpc asks for TLS itself, too.
func TestAKeyGoesByTLS(t *testing.T) {
	dir := t.TempDir()
	ca, cert, private := issue(t, dir)
	encrypted := startServerWithKeys(t, "--tls-cert", cert, "--tls-key", private)
	plaintext := startServerWithKeys(t)
	for address, works := range map[string]bool{encrypted.address: true, plaintext.address: false} {
		dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		})
		client := newClientOf(t, "passthrough:///"+tlsName+":443", creditd.WithKey(adminKey), creditd.WithTLS(creditd.TLS{CAFile: ca}),
			creditd.WithDialOptions(dialer), creditd.WithRetry(creditd.NoRetry()))
		_, err := client.Grant(testContext(t), creditd.GrantParams{Account: "team-a", Credits: one})
		if works != (err == nil) || creditd.IsReason(err, creditd.ReasonKeyInvalid) || creditd.IsReason(err, creditd.ReasonKeyRequired) {
			t.Errorf("works %v: got %v", works, err)
		}
	}
}
