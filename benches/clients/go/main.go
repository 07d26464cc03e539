// This program measures how fast Estimate is through the Go client, beside
// the bare generated stub.
//
// Both call the server at ADDRESS over a connection each, each goroutine one call
// after the other, and both do what a caller would: make the request, wait for
// the answer, read its credits. The runs of a pair are cut into short turns, and
// the one that begins changes from turn to turn, so that what else the machine
// does slows both. Of all pairs the one with the middle ratio is reported: a line
// of JSON on stdout for each number of goroutines, all pairs on stderr.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	goal    = 0.9
	service = "lip_sync_video"
	used    = 31 * time.Second
	turn    = 50 * time.Millisecond
)

var errNoCost = errors.New("the server says that it costs nothing")

// call makes one call and looks at its credits.
type call func(context.Context) error

// run is what was done in all turns together.
type run struct {
	calls int
	took  time.Duration
}

// rate is the calls a second.
func (r run) rate() float64 { return float64(r.calls) / r.took.Seconds() }

// pair has runs that took turns.
type pair struct {
	client, stub run
}

func (p pair) ratio() float64 { return p.client.rate() / p.stub.rate() }

// row is one line of the report.
type row struct {
	Name      string  `json:"name"`
	Creditd   float64 `json:"creditd"`
	Yardstick float64 `json:"yardstick"`
	Ratio     float64 `json:"ratio"`
	Goal      float64 `json:"goal"`
	Unit      string  `json:"unit"`
}

func main() {
	seconds := flag.Float64("seconds", 1, "of each run")
	pairs := flag.Int("pairs", 5, "of runs")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "go run . [-seconds N] [-pairs N] ADDRESS")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || *seconds <= 0 || *pairs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	runTime := time.Duration(*seconds * float64(time.Second))
	if err := measure(context.Background(), flag.Arg(0), runTime, *pairs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, address string, runTime time.Duration, pairs int) error {
	client, err := creditd.New(address)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	byClient, byStub := throughClient(client), throughStub(creditdv1.NewPricingServiceClient(conn))
	for _, setup := range []struct {
		name       string
		goroutines int
	}{
		{"Estimate, Go client", 1},
		{"Estimate, Go client, 16 goroutines", 16},
	} {
		found, err := inTurn(ctx, byClient, byStub, setup.goroutines, runTime, pairs)
		if err != nil {
			return err
		}
		if err := report(setup.name, found); err != nil {
			return err
		}
	}
	return nil
}

func throughClient(client *creditd.Client) call {
	return func(ctx context.Context) error {
		estimate, err := client.Estimate(ctx, creditd.EstimateParams{Usage: creditd.Duration(service, used)})
		if err != nil {
			return err
		}
		if estimate.Credits.IsZero() {
			return errNoCost
		}
		return nil
	}
}

func throughStub(stub creditdv1.PricingServiceClient) call {
	return func(ctx context.Context) error {
		reply, err := stub.Estimate(ctx, &creditdv1.EstimateRequest{
			Usage: &creditdv1.Usage{
				Service:  service,
				Quantity: &creditdv1.Usage_Duration{Duration: durationpb.New(used)},
			},
		})
		if err != nil {
			return err
		}
		if reply.GetEstimate().GetCredits() == "" {
			return errNoCost
		}
		return nil
	}
}

// inTurn makes the runs, after a call of each that connects it.
func inTurn(ctx context.Context, byClient, byStub call, goroutines int, runTime time.Duration, pairs int) ([]pair, error) {
	if err := errors.Join(byClient(ctx), byStub(ctx)); err != nil {
		return nil, err
	}
	found := make([]pair, pairs)
	for i := range found {
		p := &found[i]
		for p.client.took+p.stub.took < 2*runTime {
			err := errors.Join(
				p.stub.takeTurn(ctx, byStub, goroutines),
				p.client.takeTurn(ctx, byClient, goroutines),
				p.client.takeTurn(ctx, byClient, goroutines),
				p.stub.takeTurn(ctx, byStub, goroutines),
			)
			if err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// takeTurn lets all goroutines call for the time of a turn.
func (r *run) takeTurn(ctx context.Context, do call, goroutines int) error {
	calls := make([]int, goroutines)
	errs := make([]error, goroutines)
	start := time.Now()
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			made := 0
			for errs[i] == nil && time.Since(start) < turn {
				errs[i] = do(ctx)
				made++
			}
			calls[i] = made
		})
	}
	group.Wait()
	r.took += time.Since(start)
	for _, made := range calls {
		r.calls += made
	}
	return errors.Join(errs...)
}

// report writes all pairs for people, the middle one for programs.
func report(name string, pairs []pair) error {
	for _, p := range pairs {
		fmt.Fprintf(os.Stderr, "%s: %.0f calls/s, stub %.0f, ratio %.3f\n", name, p.client.rate(), p.stub.rate(), p.ratio())
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.ratio(), b.ratio()) })
	middle := pairs[len(pairs)/2]
	return json.NewEncoder(os.Stdout).Encode(row{
		Name:      name,
		Creditd:   round(middle.client.rate(), 1),
		Yardstick: round(middle.stub.rate(), 1),
		Ratio:     round(middle.ratio(), 4),
		Goal:      goal,
		Unit:      "calls/s",
	})
}

func round(value float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(value*scale) / scale
}
