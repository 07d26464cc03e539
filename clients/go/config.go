package creditd

import (
	"context"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// ConfigChange is something of a server's configuration that is another than before.
type ConfigChange struct {
	// What is the key of an option, or what else it is: "certificate".
	What string
	// Before is empty where there was none.
	Before string
	// After is empty where there is none.
	After string
}

func (r *reader) configChange(pb *creditdv1.ConfigChange) ConfigChange {
	return ConfigChange{What: pb.GetWhat(), Before: pb.GetBefore(), After: pb.GetAfter()}
}

// ReloadConfigParams is empty: the server knows where its configuration is.
type ReloadConfigParams struct{}

func (p ReloadConfigParams) toPB(*writer) *creditdv1.ReloadConfigRequest {
	return &creditdv1.ReloadConfigRequest{}
}

// ReloadConfigResult is the answer to [Client.ReloadConfig].
type ReloadConfigResult struct {
	// Changes are what is another than before.
	Changes []ConfigChange
	// NeedRestart are options of the file that only a restart takes.
	NeedRestart []ConfigChange
}

func reloadConfigResultFromPB(r *reader, reply *creditdv1.ReloadConfigResponse) ReloadConfigResult {
	return ReloadConfigResult{
		Changes:     each(reply.GetChanges(), r.configChange),
		NeedRestart: each(reply.GetNeedRestart(), r.configChange),
	}
}

// ReloadConfig has the server read its configuration again, as SIGHUP does: its file, and
// the rate cards, certificates and keys that this names. All of it is taken, or nothing
// where something is wrong, with [ReasonConfigNotReloaded] and all problems in the
// message. The same again changes nothing.
func (c *Client) ReloadConfig(ctx context.Context, params ReloadConfigParams, opts ...grpc.CallOption) (*ReloadConfigResult, error) {
	return invoke(ctx, c.admin.ReloadConfig, params.toPB, reloadConfigResultFromPB, opts)
}
