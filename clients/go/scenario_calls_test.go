package creditd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
)

// calls makes a typed call of a scenario's request, and its JSON form of the
// typed reply. An error that is not a *creditd.Error means that this client
// cannot express the request.
var calls = map[string]func(context.Context, *creditd.Client, []byte) (map[string]any, error){
	"Estimate":      callEstimate,
	"BatchEstimate": callBatchEstimate,
	"GetRateCard":   callGetRateCard,
	"GetBalance":    callGetBalance,
	"Grant":         callGrant,
	"RevokeGrant":   callRevokeGrant,
	"Charge":        callCharge,
	"BatchCharge":   callBatchCharge,
	"Refund":        callRefund,
	"Hold":          callHold,
	"ExtendHold":    callExtendHold,
	"SettleHold":    callSettleHold,
	"ReleaseHold":   callReleaseHold,
	"GetHold":       callGetHold,
	"ListHolds":     callListHolds,
	"ListEntries":   callListEntries,
}

type usageJSON struct {
	Service    string            `json:"service"`
	Duration   *string           `json:"duration"`
	Count      *int64            `json:"count"`
	Attributes map[string]string `json:"attributes"`
	Meters     map[string]string `json:"meters"`
}

func (u usageJSON) usage() (creditd.Usage, error) {
	usage := creditd.Usage{Service: u.Service, Attributes: u.Attributes, Meters: u.Meters}
	switch {
	case u.Duration != nil && u.Count != nil:
		return usage, errors.New("a usage has one quantity")
	case u.Duration != nil:
		duration, err := durationOfJSON(*u.Duration)
		if err != nil {
			return usage, err
		}
		usage.Quantity = creditd.QuantityOfTime(duration)
	case u.Count != nil:
		usage.Quantity = creditd.QuantityOfPieces(*u.Count)
	}
	return usage, nil
}

func durationOfJSON(text string) (time.Duration, error) {
	var pb durationpb.Duration
	if err := protojson.Unmarshal(mustMarshal(text), &pb); err != nil {
		return 0, err
	}
	duration := pb.AsDuration()
	if durationpb.New(duration).GetSeconds() != pb.GetSeconds() {
		return 0, fmt.Errorf("a time.Duration cannot be %s", text)
	}
	return duration, nil
}

type pricesJSON struct {
	Account   string     `json:"account"`
	RateCard  string     `json:"rate_card"`
	Revision  string     `json:"revision"`
	PriceTime *time.Time `json:"price_time"`
}

func (p pricesJSON) options() []creditd.PriceOption {
	options := []creditd.PriceOption{
		creditd.ForAccount(p.Account),
		creditd.OnRateCard(p.RateCard),
		creditd.AtRevision(p.Revision),
	}
	if p.PriceTime != nil {
		options = append(options, creditd.AtTime(*p.PriceTime))
	}
	return options
}

type estimateJSON struct {
	Usage        *usageJSON  `json:"usage"`
	Usages       []usageJSON `json:"usages"`
	Prices       pricesJSON  `json:"prices"`
	Explain      bool        `json:"explain"`
	CheckBalance bool        `json:"check_balance"`
}

func (e estimateJSON) options() []creditd.EstimateOption {
	var options []creditd.EstimateOption
	for _, option := range e.Prices.options() {
		options = append(options, option)
	}
	if e.Explain {
		options = append(options, creditd.WithExplain())
	}
	if e.CheckBalance {
		options = append(options, creditd.WithBalanceCheck())
	}
	return options
}

func callEstimate(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req estimateJSON
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	if req.Usage == nil {
		return nil, errors.New("this client cannot leave out the usage")
	}
	usage, err := req.Usage.usage()
	if err != nil {
		return nil, err
	}
	estimate, err := client.Estimate(ctx, usage, req.options()...)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"estimate":      estimateToJSON(estimate),
		"affordability": affordabilityToJSON(estimate.Affordability),
	}, nil
}

func callBatchEstimate(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req estimateJSON
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	usages := make([]creditd.Usage, len(req.Usages))
	for i, item := range req.Usages {
		var err error
		if usages[i], err = item.usage(); err != nil {
			return nil, err
		}
	}
	batch, err := client.BatchEstimate(ctx, usages, req.options()...)
	if err != nil {
		return nil, err
	}
	results := []any{}
	for _, result := range batch.Results {
		if result.Err != nil {
			results = append(results, map[string]any{"refusal": result.Err})
			continue
		}
		results = append(results, map[string]any{"estimate": estimateToJSON(result.Estimate)})
	}
	return map[string]any{
		"results":       results,
		"total_credits": batch.TotalCredits.String(),
		"failed_count":  numberToJSON(int64(batch.FailedCount)),
		"affordability": affordabilityToJSON(batch.Affordability),
	}, nil
}

func callGetRateCard(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Prices pricesJSON `json:"prices"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	var options []creditd.RateCardOption
	for _, option := range req.Prices.options() {
		options = append(options, option)
	}
	card, err := client.GetRateCard(ctx, options...)
	if err != nil {
		return nil, err
	}
	services := []any{}
	for _, price := range card.Services {
		services = append(services, map[string]any{
			"service": price.Service, "title": price.Title, "rule": price.Rule, "meters": textsToJSON(price.Meters),
			"quantity_max": price.QuantityMax,
		})
	}
	return map[string]any{"rate_card": card.Name, "revision": card.Revision, "services": services}, nil
}

func callGetBalance(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Account string     `json:"account"`
		AsOf    *time.Time `json:"as_of"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	var options []creditd.BalanceOption
	if req.AsOf != nil {
		options = append(options, creditd.AsOf(*req.AsOf))
	}
	balance, err := client.GetBalance(ctx, req.Account, options...)
	if err != nil {
		return nil, err
	}
	return map[string]any{"balance": balanceToJSON(balance)}, nil
}

func callGrant(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		RequestID  string            `json:"request_id"`
		Account    string            `json:"account"`
		Credits    string            `json:"credits"`
		ExpireTime *time.Time        `json:"expire_time"`
		Priority   int32             `json:"priority"`
		Source     string            `json:"source"`
		Services   []string          `json:"services"`
		Labels     map[string]string `json:"labels"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	credits, err := decimal.NewFromString(req.Credits)
	if err != nil {
		return nil, err
	}
	options := []creditd.GrantOption{
		creditd.RequestID(req.RequestID),
		creditd.Priority(req.Priority),
		creditd.Source(req.Source),
		creditd.ForServices(req.Services...),
		creditd.Labels(req.Labels),
	}
	if req.ExpireTime != nil {
		options = append(options, creditd.ExpireAt(*req.ExpireTime))
	}
	granted, err := client.Grant(ctx, req.Account, credits, options...)
	if err != nil {
		return nil, err
	}
	return entryReplyToJSON(granted.Entry, granted.Available, granted.Replayed), nil
}

func callRevokeGrant(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		RequestID string            `json:"request_id"`
		Account   string            `json:"account"`
		GrantID   string            `json:"grant_id"`
		Labels    map[string]string `json:"labels"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	revoked, err := client.RevokeGrant(ctx, req.Account, req.GrantID,
		creditd.RequestID(req.RequestID), creditd.Labels(req.Labels))
	if err != nil {
		return nil, err
	}
	return entryReplyToJSON(revoked.Entry, revoked.Available, revoked.Replayed), nil
}

func mustMarshal(value any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return encoded
}
