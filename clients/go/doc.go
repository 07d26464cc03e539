// Package creditd is the Go client of creditd, a gRPC service that prices usage
// in credits and keeps a prepaid ledger.
//
//	client, err := creditd.New("127.0.0.1:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	usage := creditd.Duration("lip_sync_video", 31*time.Second)
//	estimate, err := client.Estimate(ctx, usage)
//	…
//	charged, err := client.Charge(ctx, "team-a", usage, creditd.AtRevision(estimate.Revision))
//
// A [Client] has one method for each method of the API. A method takes a
// context, what the call cannot do without, and options for the rest; an option
// that a method does not know does not compile. Lists and watches are iterators;
// [Client.ListEntriesPage] and [Client.ListHoldsPage] read a list by the page.
//
// # Values
//
// Credits are decimal.Decimal, of github.com/shopspring/decimal, in both
// directions: no float is on the way. A time that the server leaves open, such
// as the expiry of a grant that never expires, is the zero [time.Time]. Nothing
// is checked here that the server checks: it answers with all that is wrong with
// a request at once.
//
// # Errors
//
// Every failed call returns an [*Error], which [errors.As] finds. Write code
// against its Reason and its Metadata, never against the message.
//
// # Deadlines and retries
//
// A call whose context has no deadline gets one ([WithTimeout]). It spans all
// attempts of the call. A call that was answered UNAVAILABLE is sent again for as
// long as its deadline allows ([WithRetry]). That is safe for calls that move
// credits too: they carry a request_id, which stays the same over the attempts, and
// the server carries out a request_id once. Neither is for [Client.WatchBalance]: it
// lasts as long as its context lets it, and its end is the caller's to see.
//
// A refusal does not use up its request_id: a charge that was refused, and is sent
// again after the account was topped up, is carried out.
package creditd
