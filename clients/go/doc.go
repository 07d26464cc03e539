// Package creditd is the Go client of creditd, a gRPC service that prices usage
// in credits and keeps a prepaid ledger.
//
//	client, err := creditd.New("127.0.0.1:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	usage := creditd.Duration("lip_sync_video", 31*time.Second)
//	estimate, err := client.Estimate(ctx, creditd.EstimateParams{Usage: usage})
//	…
//	charged, err := client.Charge(ctx, creditd.ChargeParams{
//		Account: "team-a",
//		Cost:    usage,
//		Prices:  creditd.PriceSelector{Revision: estimate.Revision},
//	})
//
// A [Client] has one method for each method of the API. A method takes a context, a
// struct of params, whose fields have the names that they have in the API, and
// options of the call, such as [WithTimeout] and those of grpc. A field that is left
// out has the API's default. Lists and watches are iterators; the methods that end in
// Page, such as [Client.ListEntriesPage], read a list by the page.
//
// # Usages
//
// A [Usage] has a quantity, or meters and attributes that a rate card names:
//
//	creditd.Usage{
//		Service:    "messages",
//		Meters:     creditd.Meters{"input_tokens": "2000", "output_tokens": creditd.Whole(n)},
//		Attributes: creditd.Attributes{"model": "opus-5"},
//	}
//
// # Values
//
// Credits are decimal.Decimal, of github.com/shopspring/decimal, in both
// directions: they never pass through a float. A time that is not set, such as the
// expiry of a grant that never expires, is the zero [time.Time]. Nothing is checked
// here that the server checks: it answers with all that is wrong with a request at
// once. An update sets what [Set] was called for, and leaves all else as it is.
//
// # Errors
//
// Every failed call returns an [*Error], which [errors.As] finds. Write code
// against its Reason and its Metadata, never against the message. Functions such as
// [AsInsufficientCredits] read the Metadata of one reason.
//
// # Deadlines and retries
//
// A call whose context has no deadline gets one ([WithTimeout]). It spans all
// attempts of the call. A call that was answered UNAVAILABLE, or RATE_LIMITED, is sent
// again for as long as its deadline allows ([WithRetry]). That is safe for writes too:
// each has a request_id, its idempotency key, which stays the same over the attempts,
// and the server carries out a request_id once. Publishing and withdrawing a rate card
// and revoking a key have none: the same again is the same answer. [Client.CreateKey]
// is sent again only where nothing was done. A watch has neither deadline nor retries: it
// lasts as long as its context lets it, and the caller decides whether to watch
// again.
//
// # Traces
//
// A call carries the trace of the span in its context, by the propagators that the
// program has set with otel.SetTextMapPropagator. The client makes no spans of its own.
//
// # Keys
//
// A server that asks for keys takes one with every call: [WithKey], or [WithKeyFunc]
// for keys that change. A key is never sent in plaintext to another machine, and nothing
// prints it.
//
// # Request ids
//
// A request_id has 1 to 256 printable ASCII characters and is unique within the
// account. Choose it from what is paid for, such as "order-17", and any process can
// repeat the call for as long as the server knows it, three days, and 90 for grants,
// refunds and revocations: the first answer comes back. Where RequestID is empty the
// client makes one up, which covers only its own attempts; [Error.RequestID] and the
// entry that the call writes have it. In a batch it makes up none.
//
// A refusal does not use up its request_id: a charge that was refused, and is sent
// again after the account was topped up, is carried out.
package creditd
