package creditd_test

import (
	"context"
	"errors"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
)

// costJSON is the oneof of a request: neither of both is no cost.
type costJSON struct {
	Usage   *usageJSON `json:"usage"`
	Credits *string    `json:"credits"`
}

func (c costJSON) cost() (creditd.Cost, error) {
	switch {
	case c.Usage != nil && c.Credits != nil:
		return nil, errors.New("a cost is a usage or an amount")
	case c.Usage != nil:
		return c.Usage.usage()
	case c.Credits != nil:
		credits, err := decimal.NewFromString(*c.Credits)
		return creditd.Credits(credits), err
	}
	return nil, nil
}

type chargeJSON struct {
	costJSON
	RequestID string            `json:"request_id"`
	Account   string            `json:"account"`
	Prices    *pricesJSON       `json:"prices"`
	Labels    map[string]string `json:"labels"`
}

func (c chargeJSON) options() []creditd.ChargeOption {
	options := []creditd.ChargeOption{creditd.RequestID(c.RequestID), creditd.Labels(c.Labels)}
	if c.Prices != nil {
		for _, option := range c.Prices.options() {
			options = append(options, option)
		}
	}
	return options
}

func chargeToJSON(charged *creditd.ChargeResult) map[string]any {
	return entryReplyToJSON(charged.Entry, charged.Available, charged.Replayed)
}

func callCharge(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req chargeJSON
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	cost, err := req.cost()
	if err != nil {
		return nil, err
	}
	charged, err := client.Charge(ctx, req.Account, cost, req.options()...)
	if err != nil {
		return nil, err
	}
	return chargeToJSON(charged), nil
}

func callBatchCharge(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Charges []chargeJSON `json:"charges"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	charges := make([]creditd.Charge, len(req.Charges))
	for i, item := range req.Charges {
		cost, err := item.cost()
		if err != nil {
			return nil, err
		}
		charges[i] = creditd.NewCharge(item.Account, cost, item.options()...)
	}
	batch, err := client.BatchCharge(ctx, charges)
	if err != nil {
		return nil, err
	}
	results := []any{}
	for _, result := range batch.Results {
		if result.Err != nil {
			results = append(results, map[string]any{"refusal": result.Err})
			continue
		}
		results = append(results, map[string]any{"charge": chargeToJSON(result.Charge)})
	}
	return map[string]any{"results": results, "failed_count": numberToJSON(int64(batch.FailedCount))}, nil
}

func callRefund(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		RequestID string            `json:"request_id"`
		Account   string            `json:"account"`
		EntryID   string            `json:"entry_id"`
		Credits   *string           `json:"credits"`
		Labels    map[string]string `json:"labels"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	options := []creditd.RefundOption{creditd.RequestID(req.RequestID), creditd.Labels(req.Labels)}
	if req.Credits != nil {
		credits, err := decimal.NewFromString(*req.Credits)
		if err != nil {
			return nil, err
		}
		options = append(options, creditd.RefundOnly(credits))
	}
	refunded, err := client.Refund(ctx, req.Account, req.EntryID, options...)
	if err != nil {
		return nil, err
	}
	return entryReplyToJSON(refunded.Entry, refunded.Available, refunded.Replayed), nil
}
