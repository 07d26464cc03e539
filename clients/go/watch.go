package creditd

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// WatchBalanceParams says which balance [Client.WatchBalance] reads.
type WatchBalanceParams struct {
	Account string
}

// WatchBalance iterates over the balances of an account: as it is now, and after
// each change, expiry included. Where changes come faster than they are read, it
// has the newest and leaves out those between.
//
// It ends without an error when the server stops, or ends a connection that is old
// (after an hour): watch again. An error ends it too, such as UNAVAILABLE where the
// connection is lost; nothing is retried. To end it, leave the loop or end the
// context, whose deadline is the only one that it has.
//
//	for balance, err := range client.WatchBalance(ctx, creditd.WatchBalanceParams{Account: "team-a"}) {
//		if err != nil {
//			return err
//		}
//		…
//	}
func (c *Client) WatchBalance(ctx context.Context, params WatchBalanceParams, opts ...grpc.CallOption) iter.Seq2[*Balance, error] {
	opts = slices.Clone(opts)
	return func(yield func(*Balance, error) bool) {
		// Cancels the stream also where the caller breaks out of the loop.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.ledger.WatchBalance(ctx, &creditdv1.WatchBalanceRequest{Account: params.Account}, opts...)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			reply, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			var r reader
			balance := balanceResultFromPB(&r, reply)
			if r.err != nil {
				cancelAndDrain(cancel, stream)
				yield(nil, malformed("WatchBalance", "", r.err))
				return
			}
			if !yield(&balance, nil) {
				cancelAndDrain(cancel, stream)
				return
			}
		}
	}
}

// cancelAndDrain cancels a stream and receives until its end, which interceptors need
// that count or log the ends of streams.
func cancelAndDrain(cancel context.CancelFunc, stream grpc.ServerStreamingClient[creditdv1.WatchBalanceResponse]) {
	cancel()
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}
