package creditd

import (
	"fmt"

	"github.com/creditd/creditd/clients/go/creditdv1"
	"google.golang.org/grpc"
)

// Client talks to one creditd server over one HTTP/2 connection. It is safe for
// concurrent use; a program needs one, and a few more only where the throughput
// of a single connection is its limit.
type Client struct {
	conn    *grpc.ClientConn
	live    *liveness
	pricing creditdv1.PricingServiceClient
	ledger  creditdv1.LedgerServiceClient
	admin   creditdv1.AdminServiceClient
}

// New makes a client of the server at target, a gRPC target such as
// "127.0.0.1:50051", "unix:/run/creditd.sock" or
// "dns:///credits.example.com:443". It is no URL: one that begins with http:// or
// https:// is refused, as is all else that could never lead to a server. New does
// not connect: the first call does, so a server that is away shows in the calls,
// not here.
//
// A loopback or Unix socket target is spoken to in plaintext. Any other gets TLS
// with the system's root certificates unless [WithInsecure] or
// [WithTransportCredentials] says otherwise.
func New(target string, opts ...Option) (*Client, error) {
	config := defaultConfig()
	for _, opt := range opts {
		opt.applyTo(&config)
	}
	live := newLiveness(config.liveness)
	dialOptions, err := config.dialOptions(target, live)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, dialOptions...)
	if err != nil {
		return nil, fmt.Errorf("creditd: target %q: %w", target, err)
	}
	live.useConn(conn)
	return &Client{
		conn:    conn,
		live:    live,
		pricing: creditdv1.NewPricingServiceClient(conn),
		ledger:  creditdv1.NewLedgerServiceClient(conn),
		admin:   creditdv1.NewAdminServiceClient(conn),
	}, nil
}

// Close ends the connection. Calls in flight fail with code CANCELED.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.live.close()
	return err
}

// Conn returns the connection, for generated clients of other services that the
// server has, such as health checks. Unary calls over it have the client's
// deadline, retries and errors; streams have its errors.
func (c *Client) Conn() grpc.ClientConnInterface {
	return c.conn
}

// Pricing returns the generated client of PricingService, over the same
// connection and with the same deadline, retries and errors, for what this
// package does not express.
func (c *Client) Pricing() creditdv1.PricingServiceClient {
	return c.pricing
}

// Ledger returns the generated client of LedgerService in the same way. Calls
// over it that move credits need a request_id of yours; [NewRequestID] makes one.
func (c *Client) Ledger() creditdv1.LedgerServiceClient {
	return c.ledger
}

// Admin returns the generated client of AdminService in the same way.
func (c *Client) Admin() creditdv1.AdminServiceClient {
	return c.admin
}
