package creditd

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// Key is what a caller may do. It is not the [Secret] that is sent with calls.
type Key struct {
	// KeyID is given by the server. Entries have it.
	KeyID string
	// Title is for people: who uses it, and where.
	Title string
	// Scopes are what it may do.
	Scopes []Scope
	// Accounts are those that it may name: names, and prefixes with "*" behind them;
	// none: all.
	Accounts   []string
	CreateTime time.Time `json:",omitzero"`
	// ExpireTime is zero where it never expires.
	ExpireTime time.Time `json:",omitzero"`
	// LastUseTime is to the minute; zero where it was never used.
	LastUseTime time.Time `json:",omitzero"`
	// CallsPerSecondMax is 0 without a limit.
	CallsPerSecondMax int32
	// RevokeTime is zero where it was not revoked.
	RevokeTime time.Time `json:",omitzero"`
}

// Scope is something that a [Key] may do. A later server may have more.
type Scope string

// The scopes. None includes another, but for [ScopeAdmin].
const (
	// ScopePrice asks for prices.
	ScopePrice Scope = "price"
	// ScopeRead reads accounts.
	ScopeRead Scope = "read"
	// ScopeCharge spends what accounts have, and gives it back.
	ScopeCharge Scope = "charge"
	// ScopeGrant gives credits, takes them away and sets how accounts are priced.
	ScopeGrant Scope = "grant"
	// ScopeAdmin does all of that, keys and rate cards.
	ScopeAdmin Scope = "admin"
)

// Secret is the text of a key, which [WithKey] takes as string(secret). All that prints
// or encodes it writes "[secret]" instead: store the string.
type Secret string

const hiddenSecret = "[secret]"

// Format hides it, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) {
	// What an error of the writer means is for fmt to know.
	_, _ = io.WriteString(f, hiddenSecret)
}

// String hides it.
func (Secret) String() string { return hiddenSecret }

// MarshalText hides it from JSON and from logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }

func (r *reader) key(pb *creditdv1.Key) Key {
	if pb == nil {
		r.fail("key is missing")
	}
	return Key{
		KeyID:             pb.GetKeyId(),
		Title:             pb.GetTitle(),
		Scopes:            each(pb.GetScopes(), func(scope string) Scope { return Scope(scope) }),
		Accounts:          pb.GetAccounts(),
		CreateTime:        timeFromPB(pb.GetCreateTime()),
		ExpireTime:        timeFromPB(pb.GetExpireTime()),
		LastUseTime:       timeFromPB(pb.GetLastUseTime()),
		CallsPerSecondMax: pb.GetCallsPerSecondMax(),
		RevokeTime:        timeFromPB(pb.GetRevokeTime()),
	}
}

// CreateKeyParams is the key that [Client.CreateKey] creates.
type CreateKeyParams struct {
	// Title is for people: who uses it, and where.
	Title string
	// Scopes are what it may do, at least one.
	Scopes []Scope
	// Accounts are those that it may name: names, and prefixes with "*" behind them;
	// none: all.
	Accounts []string
	// ExpireTime is from when on it is refused; zero: never.
	ExpireTime time.Time
	// CallsPerSecondMax is beyond how many calls a second it is refused; 0: no limit.
	CallsPerSecondMax int32
}

func (p CreateKeyParams) toPB(*writer) *creditdv1.CreateKeyRequest {
	return &creditdv1.CreateKeyRequest{Key: &creditdv1.Key{
		Title:             p.Title,
		Scopes:            each(p.Scopes, func(scope Scope) string { return string(scope) }),
		Accounts:          p.Accounts,
		ExpireTime:        timeToPB(p.ExpireTime),
		CallsPerSecondMax: p.CallsPerSecondMax,
	}}
}

// CreateKeyResult is the answer to [Client.CreateKey].
type CreateKeyResult struct {
	Key Key
	// Secret is the key of another client; it is shown here alone.
	Secret Secret
}

func createKeyResultFromPB(r *reader, reply *creditdv1.CreateKeyResponse) CreateKeyResult {
	return CreateKeyResult{Key: r.key(reply.GetKey()), Secret: Secret(reply.GetSecret())}
}

// CreateKey creates a key. Authentication is on from the first key on. Sent twice, it
// creates two: where it is not known whether it took effect, it is not sent again but
// fails, and [Client.ListKeys] shows whether there is a key to revoke.
func (c *Client) CreateKey(ctx context.Context, params CreateKeyParams, opts ...grpc.CallOption) (*CreateKeyResult, error) {
	return invoke(ctx, c.admin.CreateKey, params.toPB, createKeyResultFromPB, opts)
}

// ListKeysParams says which keys [Client.ListKeys] reads.
type ListKeysParams struct {
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same ShowRevoked.
	PageToken string
	// ShowRevoked also returns those that were revoked.
	ShowRevoked bool
}

func (p ListKeysParams) toPB(*writer) *creditdv1.ListKeysRequest {
	return &creditdv1.ListKeysRequest{PageSize: p.PageSize, PageToken: p.PageToken, ShowRevoked: p.ShowRevoked}
}

// KeyPage is a page of keys. It may have fewer than were asked for and not be the
// last.
type KeyPage struct {
	Keys []Key
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

func keyPageFromPB(r *reader, reply *creditdv1.ListKeysResponse) KeyPage {
	return KeyPage{Keys: each(reply.GetKeys(), r.key), NextPageToken: reply.GetNextPageToken()}
}

// ListKeys iterates over the keys of the server, in the order of their creation, and
// fetches pages as [Client.ListEntries] does.
func (c *Client) ListKeys(ctx context.Context, params ListKeysParams, opts ...grpc.CallOption) iter.Seq2[Key, error] {
	opts = slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]Key, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListKeysPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Keys, page.NextPageToken, nil
	})
}

// ListKeysPage reads one page of [Client.ListKeys].
func (c *Client) ListKeysPage(ctx context.Context, params ListKeysParams, opts ...grpc.CallOption) (*KeyPage, error) {
	return invoke(ctx, c.admin.ListKeys, params.toPB, keyPageFromPB, opts)
}

// RevokeKeyParams says which key [Client.RevokeKey] revokes.
type RevokeKeyParams struct {
	KeyID string
}

func (p RevokeKeyParams) toPB(*writer) *creditdv1.RevokeKeyRequest {
	return &creditdv1.RevokeKeyRequest{KeyId: p.KeyID}
}

func revokeKeyResultFromPB(r *reader, reply *creditdv1.RevokeKeyResponse) Key {
	return r.key(reply.GetKey())
}

// RevokeKey revokes a key at once: its next call is refused, and its watches end. The
// same again is the same answer.
func (c *Client) RevokeKey(ctx context.Context, params RevokeKeyParams, opts ...grpc.CallOption) (*Key, error) {
	return invoke(ctx, c.admin.RevokeKey, params.toPB, revokeKeyResultFromPB, opts)
}
