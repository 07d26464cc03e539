package creditd

import (
	"github.com/creditd/creditd/clients/go/creditdv1"
)

// Messages of LedgerService about holds; convert.go says what holds for all
// conversions.

const (
	holdStatusPrefix = "HOLD_STATUS_"
	overagePrefix    = "OVERAGE_"
)

// setHoldCost writes the oneof of a request that has all else.
func setHoldCost(req *creditdv1.HoldRequest, cost Cost) error {
	usage, credits, err := costToPB(cost, "credits")
	switch {
	case usage != nil:
		req.What = &creditdv1.HoldRequest_Usage{Usage: usage}
	case credits != "":
		req.What = &creditdv1.HoldRequest_Credits{Credits: credits}
	}
	return err
}

func setSettleHoldCost(req *creditdv1.SettleHoldRequest, cost Cost) error {
	usage, credits, err := costToPB(cost, "credits")
	switch {
	case usage != nil:
		req.What = &creditdv1.SettleHoldRequest_Usage{Usage: usage}
	case credits != "":
		req.What = &creditdv1.SettleHoldRequest_Credits{Credits: credits}
	}
	return err
}

func overageToPB(overage Overage) creditdv1.Overage {
	return creditdv1.Overage(enumToPB(creditdv1.Overage_value, overagePrefix, string(overage)))
}

func (r *reader) hold(pb *creditdv1.HoldState) Hold {
	if pb == nil {
		r.fail("hold is missing")
	}
	return Hold{
		HoldID:     pb.GetHoldId(),
		Account:    pb.GetAccount(),
		Service:    pb.GetService(),
		Status:     HoldStatus(enumFromPB(pb.GetStatus(), holdStatusPrefix)),
		Held:       r.decimal("hold.held", pb.GetHeld()),
		Settled:    r.decimal("hold.settled", pb.GetSettled()),
		CreateTime: timeFromPB(pb.GetCreateTime()),
		ExpireTime: timeFromPB(pb.GetExpireTime()),
		RequestID:  pb.GetRequestId(),
		Labels:     pb.GetLabels(),
		Usage:      r.usage(pb.GetUsage()),
	}
}

func holdFromPB(pb *creditdv1.HoldResponse) (*HoldResult, error) {
	var r reader
	held := &HoldResult{
		Hold:      r.hold(pb.GetHold()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return held, r.err
}

func extendHoldFromPB(pb *creditdv1.ExtendHoldResponse) (*ExtendHoldResult, error) {
	var r reader
	extended := &ExtendHoldResult{Hold: r.hold(pb.GetHold()), Replayed: pb.GetReplayed()}
	return extended, r.err
}

func settleHoldFromPB(pb *creditdv1.SettleHoldResponse) (*SettleHoldResult, error) {
	var r reader
	settled := &SettleHoldResult{
		Entry:     r.entry(pb.GetEntry()),
		Hold:      r.hold(pb.GetHold()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return settled, r.err
}

func releaseHoldFromPB(pb *creditdv1.ReleaseHoldResponse) (*ReleaseHoldResult, error) {
	var r reader
	released := &ReleaseHoldResult{
		Hold:      r.hold(pb.GetHold()),
		Available: r.decimal("available", pb.GetAvailable()),
		Replayed:  pb.GetReplayed(),
	}
	return released, r.err
}

func getHoldFromPB(pb *creditdv1.GetHoldResponse) (*Hold, error) {
	var r reader
	hold := r.hold(pb.GetHold())
	return &hold, r.err
}

func holdPageFromPB(pb *creditdv1.ListHoldsResponse) (*HoldPage, error) {
	var r reader
	page := &HoldPage{NextPageToken: pb.GetNextPageToken()}
	for _, hold := range pb.GetHolds() {
		page.Holds = append(page.Holds, r.hold(hold))
	}
	return page, r.err
}
