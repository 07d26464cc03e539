package creditd_test

import (
	"context"
	"errors"

	creditd "github.com/creditd/creditd/clients/go"
)

func callHold(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		costJSON
		RequestID string            `json:"request_id"`
		Account   string            `json:"account"`
		Prices    *pricesJSON       `json:"prices"`
		TTL       *string           `json:"ttl"`
		Labels    map[string]string `json:"labels"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	cost, err := req.cost()
	if err != nil {
		return nil, err
	}
	options := []creditd.HoldOption{creditd.RequestID(req.RequestID), creditd.Labels(req.Labels)}
	if req.Prices != nil {
		for _, option := range req.Prices.options() {
			options = append(options, option)
		}
	}
	if req.TTL != nil {
		ttl, err := durationOfJSON(*req.TTL)
		if err != nil {
			return nil, err
		}
		options = append(options, creditd.TTL(ttl))
	}
	held, err := client.Hold(ctx, req.Account, cost, options...)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"hold":      holdToJSON(held.Hold),
		"available": held.Available.String(),
		"replayed":  held.Replayed,
	}, nil
}

func callExtendHold(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		RequestID string  `json:"request_id"`
		Account   string  `json:"account"`
		HoldID    string  `json:"hold_id"`
		TTL       *string `json:"ttl"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	if req.TTL == nil {
		return nil, errors.New("this client cannot leave out the ttl")
	}
	ttl, err := durationOfJSON(*req.TTL)
	if err != nil {
		return nil, err
	}
	extended, err := client.ExtendHold(ctx, req.Account, req.HoldID, ttl, creditd.RequestID(req.RequestID))
	if err != nil {
		return nil, err
	}
	return map[string]any{"hold": holdToJSON(extended.Hold), "replayed": extended.Replayed}, nil
}

func callSettleHold(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		costJSON
		RequestID string            `json:"request_id"`
		Account   string            `json:"account"`
		HoldID    string            `json:"hold_id"`
		KeepOpen  bool              `json:"keep_open"`
		Overage   any               `json:"overage"`
		Prices    *pricesJSON       `json:"prices"`
		Labels    map[string]string `json:"labels"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	cost, err := req.cost()
	if err != nil {
		return nil, err
	}
	options := []creditd.SettleHoldOption{creditd.RequestID(req.RequestID), creditd.Labels(req.Labels)}
	if req.KeepOpen {
		options = append(options, creditd.KeepOpen())
	}
	if req.Overage != nil {
		options = append(options, creditd.OnOverage(creditd.Overage(enumOfJSON(req.Overage, "OVERAGE_"))))
	}
	if req.Prices != nil {
		for _, option := range req.Prices.options() {
			options = append(options, option)
		}
	}
	settled, err := client.SettleHold(ctx, req.Account, req.HoldID, cost, options...)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"entry":     entryToJSON(settled.Entry),
		"hold":      holdToJSON(settled.Hold),
		"available": settled.Available.String(),
		"replayed":  settled.Replayed,
	}, nil
}

func callReleaseHold(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		RequestID string `json:"request_id"`
		Account   string `json:"account"`
		HoldID    string `json:"hold_id"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	released, err := client.ReleaseHold(ctx, req.Account, req.HoldID, creditd.RequestID(req.RequestID))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"hold":      holdToJSON(released.Hold),
		"available": released.Available.String(),
		"replayed":  released.Replayed,
	}, nil
}

func callGetHold(ctx context.Context, client *creditd.Client, request []byte) (map[string]any, error) {
	var req struct {
		Account string `json:"account"`
		HoldID  string `json:"hold_id"`
	}
	if err := decodeStrictly(request, &req); err != nil {
		return nil, err
	}
	hold, err := client.GetHold(ctx, req.Account, req.HoldID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"hold": holdToJSON(*hold)}, nil
}
