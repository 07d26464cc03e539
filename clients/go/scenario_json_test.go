package creditd_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The typed replies in the JSON form of the scenarios.

func numberToJSON(number int64) json.Number {
	return json.Number(strconv.FormatInt(number, 10))
}

func timeToJSON(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func textsToJSON(texts []string) []any {
	list := []any{}
	for _, text := range texts {
		list = append(list, text)
	}
	return list
}

func pairsToJSON(pairs map[string]string) map[string]any {
	object := map[string]any{}
	for key, value := range pairs {
		object[key] = value
	}
	return object
}

func usageToJSON(usage *creditd.Usage) map[string]any {
	if usage == nil {
		return nil
	}
	object := map[string]any{
		"service":    usage.Service,
		"attributes": pairsToJSON(usage.Attributes),
		"meters":     pairsToJSON(usage.Meters),
	}
	if duration, is := usage.Quantity.Duration(); is {
		object["duration"] = strings.Trim(protojson.Format(durationpb.New(duration)), `"`)
	}
	if count, is := usage.Quantity.Count(); is {
		object["count"] = numberToJSON(count)
	}
	return object
}

func estimateToJSON(estimate *creditd.Estimate) map[string]any {
	lines := []any{}
	for _, line := range estimate.Lines {
		lines = append(lines, map[string]any{
			"description":  line.Description,
			"quantity":     line.Quantity.String(),
			"unit":         line.Unit,
			"unit_credits": line.UnitCredits.String(),
			"credits":      line.Credits.String(),
		})
	}
	return map[string]any{
		"service":         estimate.Service,
		"credits":         estimate.Credits.String(),
		"display_credits": estimate.DisplayCredits.String(),
		"rate_card":       estimate.RateCard,
		"revision":        estimate.Revision,
		"lines":           lines,
	}
}

func affordabilityToJSON(affordability *creditd.Affordability) map[string]any {
	if affordability == nil {
		return nil
	}
	return map[string]any{
		"sufficient": affordability.Sufficient,
		"available":  affordability.Available.String(),
		"shortfall":  affordability.Shortfall.String(),
	}
}

func balanceToJSON(balance *creditd.Balance) map[string]any {
	grants := []any{}
	for _, grant := range balance.Grants {
		grants = append(grants, map[string]any{
			"grant_id":    grant.GrantID,
			"granted":     grant.Granted.String(),
			"remaining":   grant.Remaining.String(),
			"held":        grant.Held.String(),
			"priority":    numberToJSON(int64(grant.Priority)),
			"expire_time": timeToJSON(grant.ExpireTime),
			"source":      grant.Source,
			"services":    textsToJSON(grant.Services),
			"create_time": timeToJSON(grant.CreateTime),
		})
	}
	return map[string]any{
		"account":   balance.Account,
		"available": balance.Available.String(),
		"held":      balance.Held.String(),
		"grants":    grants,
		"read_time": timeToJSON(balance.ReadTime),
		"version":   numberToJSON(balance.Version),
	}
}

// entryReplyToJSON is the reply of a call that makes an entry and no more.
func entryReplyToJSON(entry creditd.Entry, available decimal.Decimal, replayed bool) map[string]any {
	return map[string]any{
		"entry":     entryToJSON(entry),
		"available": available.String(),
		"replayed":  replayed,
	}
}

func holdToJSON(hold creditd.Hold) map[string]any {
	return map[string]any{
		"hold_id":     hold.HoldID,
		"held":        hold.Held.String(),
		"settled":     hold.Settled.String(),
		"expire_time": timeToJSON(hold.ExpireTime),
		"status":      "HOLD_STATUS_" + string(hold.Status),
		"account":     hold.Account,
		"create_time": timeToJSON(hold.CreateTime),
		"service":     hold.Service,
		"labels":      pairsToJSON(hold.Labels),
		"request_id":  hold.RequestID,
		"usage":       usageToJSON(hold.Usage),
	}
}

func entryToJSON(entry creditd.Entry) map[string]any {
	grants := []any{}
	for _, share := range entry.Grants {
		grants = append(grants, map[string]any{
			"grant_id": share.GrantID,
			"credits":  share.Credits.String(),
			"held":     share.Held.String(),
		})
	}
	return map[string]any{
		"entry_id":          entry.EntryID,
		"account":           entry.Account,
		"kind":              "ENTRY_KIND_" + string(entry.Kind),
		"credits":           entry.Credits.String(),
		"available":         entry.Available.String(),
		"create_time":       timeToJSON(entry.CreateTime),
		"request_id":        entry.RequestID,
		"service":           entry.Service,
		"rate_card":         entry.RateCard,
		"revision":          entry.Revision,
		"labels":            pairsToJSON(entry.Labels),
		"spent":             entry.Spent.String(),
		"held":              entry.Held.String(),
		"usage":             usageToJSON(entry.Usage),
		"grant_id":          entry.GrantID,
		"hold_id":           entry.HoldID,
		"refunded_entry_id": entry.RefundedEntryID,
		"version":           numberToJSON(entry.Version),
		"grants":            grants,
		"source":            entry.Source,
		"expire_time":       timeToJSON(entry.ExpireTime),
		"priority":          numberToJSON(int64(entry.Priority)),
		"services":          textsToJSON(entry.Services),
	}
}
