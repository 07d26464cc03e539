package creditd

import (
	"fmt"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc/status"
)

// Messages of LedgerService about charges and refunds; convert.go says what holds
// for all conversions.

// costToPB returns one of both: usage, or an amount that is not empty. Without a
// cost it returns neither, which the server refuses.
func costToPB(cost Cost, field string) (usage *creditdv1.Usage, credits string, err error) {
	switch cost := cost.(type) {
	case Usage:
		usage = usageToPB(cost)
	case *Usage:
		if cost != nil {
			usage = usageToPB(*cost)
		}
	case creditsCost:
		credits, err = creditsToPB(field, cost.credits)
	}
	return usage, credits, err
}

// chargeToPB names fields as a single charge does; where says of which one in a
// batch they are.
func chargeToPB(charge Charge, where string) (*creditdv1.ChargeRequest, error) {
	pb := &creditdv1.ChargeRequest{
		RequestId: charge.config.requestID,
		Account:   charge.account,
		Prices:    charge.config.prices,
		Labels:    charge.config.labels,
	}
	usage, credits, err := costToPB(charge.cost, where+"credits")
	switch {
	case err != nil:
		return nil, err
	case usage != nil:
		pb.What = &creditdv1.ChargeRequest_Usage{Usage: usage}
	case credits != "":
		pb.What = &creditdv1.ChargeRequest_Credits{Credits: credits}
	}
	return pb, nil
}

func batchChargeToPB(charges []Charge) (*creditdv1.BatchChargeRequest, error) {
	pb := &creditdv1.BatchChargeRequest{Charges: make([]*creditdv1.ChargeRequest, len(charges))}
	for i, charge := range charges {
		var err error
		if pb.Charges[i], err = chargeToPB(charge, fmt.Sprintf("charges[%d].", i)); err != nil {
			return nil, err
		}
	}
	return pb, nil
}

func (r *reader) charge(pb *creditdv1.ChargeResponse) *ChargeResult {
	if pb == nil {
		r.fail("charge is missing")
		return nil
	}
	return &ChargeResult{
		Entry:     r.entry(pb.GetEntry()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
}

func chargeFromPB(pb *creditdv1.ChargeResponse) (*ChargeResult, error) {
	var r reader
	return r.charge(pb), r.err
}

// batchChargeFromPB puts the x-request-id of the call and the request_id of the
// charge into the items' errors.
func batchChargeFromPB(pb *creditdv1.BatchChargeResponse, charges []Charge, xRequestID string) (*BatchCharge, error) {
	var r reader
	if len(pb.GetResults()) != len(charges) {
		r.fail("there are %d results for %d charges", len(pb.GetResults()), len(charges))
		return nil, r.err
	}
	batch := &BatchCharge{
		Results:     make([]BatchChargeResult, len(charges)),
		FailedCount: int(pb.GetFailedCount()),
	}
	for i, result := range pb.GetResults() {
		if failed := result.GetError(); failed != nil {
			batch.Results[i].Err = newError(status.FromProto(failed), charges[i].RequestID(), xRequestID)
			continue
		}
		batch.Results[i].Charge = r.charge(result.GetCharge())
	}
	return batch, r.err
}

func refundFromPB(pb *creditdv1.RefundResponse) (*RefundResult, error) {
	var r reader
	refunded := &RefundResult{
		Entry:     r.entry(pb.GetEntry()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return refunded, r.err
}
