package creditd_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
)

// A scenario of a list reads pages. That the iterators read the same pages is
// for list_test.go.

func callListEntries(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Account   string     `json:"account"`
		PageSize  int32      `json:"page_size"`
		PageToken string     `json:"page_token"`
		StartTime *time.Time `json:"start_time"`
		EndTime   *time.Time `json:"end_time"`
		Kinds     []any      `json:"kinds"`
		Service   string     `json:"service"`
		HoldID    string     `json:"hold_id"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	var kinds []creditd.EntryKind
	for _, kind := range req.Kinds {
		kinds = append(kinds, creditd.EntryKind(enumOfJSON(kind, "ENTRY_KIND_")))
	}
	options := []creditd.EntriesOption{
		creditd.PageSize(req.PageSize),
		creditd.OfKinds(kinds...),
		creditd.OfService(req.Service),
		creditd.OfHold(req.HoldID),
	}
	if req.StartTime != nil {
		options = append(options, creditd.Since(*req.StartTime))
	}
	if req.EndTime != nil {
		options = append(options, creditd.Before(*req.EndTime))
	}
	page, err := client.ListEntriesPage(ctx, req.Account, req.PageToken, options...)
	if err != nil {
		return nil, err
	}
	entries := []any{}
	for _, entry := range page.Entries {
		entries = append(entries, entryToJSON(entry))
	}
	return map[string]any{"entries": entries, "next_page_token": page.NextPageToken}, nil
}

func callListHolds(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Account   string            `json:"account"`
		PageSize  int32             `json:"page_size"`
		PageToken string            `json:"page_token"`
		RequestID string            `json:"request_id"`
		Labels    map[string]string `json:"labels"`
		StartTime *time.Time        `json:"start_time"`
		EndTime   *time.Time        `json:"end_time"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	options := []creditd.HoldsOption{
		creditd.PageSize(req.PageSize),
		creditd.OfRequestID(req.RequestID),
		creditd.OfLabels(req.Labels),
	}
	if req.StartTime != nil {
		options = append(options, creditd.Since(*req.StartTime))
	}
	if req.EndTime != nil {
		options = append(options, creditd.Before(*req.EndTime))
	}
	page, err := client.ListHoldsPage(ctx, req.Account, req.PageToken, options...)
	if err != nil {
		return nil, err
	}
	holds := []any{}
	for _, hold := range page.Holds {
		holds = append(holds, holdToJSON(hold))
	}
	return map[string]any{"holds": holds, "next_page_token": page.NextPageToken}, nil
}

// enumOfJSON takes a name, or the number of a value that has none.
func enumOfJSON(value any, prefix string) string {
	return strings.TrimPrefix(fmt.Sprint(value), prefix)
}
