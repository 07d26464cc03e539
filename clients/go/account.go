package creditd

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// Account is who pays: by which prices, what is known of it, and its balance.
type Account struct {
	// Account is its name.
	Account    string
	CreateTime time.Time `json:",omitzero"`
	// RateCard is the name of the rate card by which it is priced where a request names
	// none; empty: the server's default.
	RateCard string
	// Attributes are those that rate cards take from the account, such as
	// {"plan": "growth"}. One that is not set has the default that the card gives it.
	Attributes Attributes
	// Labels are for people: names, ids elsewhere.
	Labels map[string]string
	// Balance is of the same moment as the rest. In lists it has no Grants.
	Balance Balance
}

// GetAccountParams says which account [Client.GetAccount] reads.
type GetAccountParams struct {
	Account string
}

func (p GetAccountParams) toPB(*writer) *creditdv1.GetAccountRequest {
	return &creditdv1.GetAccountRequest{Account: p.Account}
}

func accountResultFromPB(r *reader, reply *creditdv1.GetAccountResponse) Account {
	return r.account(reply.GetAccount())
}

// GetAccount reads one account.
func (c *Client) GetAccount(ctx context.Context, params GetAccountParams, opts ...grpc.CallOption) (*Account, error) {
	return invoke(ctx, c.ledger.GetAccount, params.toPB, accountResultFromPB, opts)
}

// ListAccountsParams says which accounts [Client.ListAccounts] reads.
type ListAccountsParams struct {
	// Prefix is how the names begin; empty: all accounts.
	Prefix string
	// PageSize is how many to fetch at a time, at most 1,000; zero: 50.
	PageSize int32
	// PageToken is where to begin: empty, or the NextPageToken of a page that was
	// read with the same prefix.
	PageToken string
}

func (p ListAccountsParams) toPB(*writer) *creditdv1.ListAccountsRequest {
	return &creditdv1.ListAccountsRequest{Prefix: p.Prefix, PageSize: p.PageSize, PageToken: p.PageToken}
}

// AccountPage is a page of the accounts, by name, in ascending order of its bytes. It
// may have fewer than were asked for and not be the last.
type AccountPage struct {
	Accounts []Account
	// NextPageToken is where the next page begins; empty on the last.
	NextPageToken string
}

func accountPageFromPB(r *reader, reply *creditdv1.ListAccountsResponse) AccountPage {
	return AccountPage{Accounts: each(reply.GetAccounts(), r.account), NextPageToken: reply.GetNextPageToken()}
}

// ListAccounts iterates over accounts by name, in ascending order of its bytes, and
// fetches pages as [Client.ListEntries] does.
func (c *Client) ListAccounts(ctx context.Context, params ListAccountsParams, opts ...grpc.CallOption) iter.Seq2[Account, error] {
	opts = slices.Clone(opts)
	return overPages(params.PageToken, func(token string) ([]Account, string, error) {
		params := params
		params.PageToken = token
		page, err := c.ListAccountsPage(ctx, params, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.Accounts, page.NextPageToken, nil
	})
}

// ListAccountsPage reads one page of [Client.ListAccounts].
func (c *Client) ListAccountsPage(ctx context.Context, params ListAccountsParams, opts ...grpc.CallOption) (*AccountPage, error) {
	return invoke(ctx, c.ledger.ListAccounts, params.toPB, accountPageFromPB, opts)
}

// Setting is a new value of a field, which [Set] makes. Its zero value leaves the
// field as it is, which is not the same as Set("").
type Setting[T any] struct {
	value T
	isSet bool
}

// Set is a new value of a field. An empty one empties the field.
func Set[T any](value T) Setting[T] {
	return Setting[T]{value: value, isSet: true}
}

// Value returns the new value, where there is one.
func (s Setting[T]) Value() (T, bool) {
	return s.value, s.isSet
}

// UpdateAccountParams says what [Client.UpdateAccount] sets, at least one thing. What
// is left out stays as it is.
type UpdateAccountParams struct {
	Account string
	// RateCard is the rate card by which the account is priced where a request names
	// none; Set(""): the server's default.
	RateCard Setting[string]
	// Attributes take the place of all that the account has; Set(Attributes{}): none.
	Attributes Setting[Attributes]
	// Labels take the place of all that the account has.
	Labels Setting[map[string]string]
	// AllowMissing opens the account, without credits, if the ledger does not know it.
	AllowMissing bool
	// RequestID is the idempotency key; empty: the client makes one up.
	RequestID string
}

func (p UpdateAccountParams) toPB(*writer) *creditdv1.UpdateAccountRequest {
	account, mask := &creditdv1.Account{Account: p.Account}, &fieldmaskpb.FieldMask{}
	set(mask, "rate_card", p.RateCard, &account.RateCard)
	set(mask, "attributes", p.Attributes, &account.Attributes)
	set(mask, "labels", p.Labels, &account.Labels)
	return &creditdv1.UpdateAccountRequest{
		RequestId:    requestIDOrNew(p.RequestID),
		Account:      account,
		UpdateMask:   mask,
		AllowMissing: p.AllowMissing,
	}
}

// set names a field in the mask where it has a new value.
func set[T any](mask *fieldmaskpb.FieldMask, path string, setting Setting[T], field *T) {
	if value, isSet := setting.Value(); isSet {
		mask.Paths = append(mask.Paths, path)
		*field = value
	}
}

// UpdateAccountResult is the answer to [Client.UpdateAccount].
type UpdateAccountResult struct {
	// Account is as it is after the update.
	Account Account
	// Replayed is true where the server gave this answer before to the same
	// request_id.
	Replayed bool
}

func updateAccountResultFromPB(r *reader, reply *creditdv1.UpdateAccountResponse) UpdateAccountResult {
	return UpdateAccountResult{Account: r.account(reply.GetAccount()), Replayed: reply.GetReplayed()}
}

// UpdateAccount sets the rate card, the attributes or the labels of an account. It
// moves no credits and writes no entry.
func (c *Client) UpdateAccount(ctx context.Context, params UpdateAccountParams, opts ...grpc.CallOption) (*UpdateAccountResult, error) {
	return invoke(ctx, c.ledger.UpdateAccount, params.toPB, updateAccountResultFromPB, opts)
}
