package creditd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const (
	defaultTimeout   = 10 * time.Second
	keepaliveDefault = 45 * time.Second
	keepaliveMin     = 10 * time.Second
	connectTimeout   = 5 * time.Second
	// pingInterval is longer than the 5 minutes that gRPC servers ask for by default.
	pingInterval = 330 * time.Second
	// pingTimeout is also how long Linux waits for sent bytes to be acknowledged.
	pingTimeout = 20 * time.Second
)

// Option changes how a [Client] works.
type Option func(*config)

type config struct {
	credentials credentials.TransportCredentials
	insecure    bool
	timeout     time.Duration
	retry       RetryPolicy
	liveness    livenessLimits
	// keepaliveMin bounds liveness.stream.
	keepaliveMin time.Duration
	extra        []grpc.DialOption
}

func defaultConfig() config {
	return config{
		timeout:      defaultTimeout,
		retry:        DefaultRetryPolicy(),
		liveness:     defaultLivenessLimits(),
		keepaliveMin: keepaliveMin,
	}
}

// WithInsecure asks for plaintext. Only loopback and Unix socket targets are
// spoken to in plaintext without it.
func WithInsecure() Option {
	return func(c *config) { c.insecure = true }
}

// WithTransportCredentials sets the credentials of the connection, such as TLS
// with a client certificate.
func WithTransportCredentials(credentials credentials.TransportCredentials) Option {
	return func(c *config) { c.credentials = credentials }
}

// WithTimeout sets how long a call may take, all attempts together, where its
// context has no deadline. Default: 10 s. Zero: as long as it takes. A watch may
// always take as long as its context lets it.
func WithTimeout(timeout time.Duration) Option {
	return func(c *config) { c.timeout = timeout }
}

// WithRetry sets what happens after an answer of UNAVAILABLE.
// Default: [DefaultRetryPolicy].
func WithRetry(policy RetryPolicy) Option {
	return func(c *config) { c.retry = policy }
}

// WithKeepalive sets after how long without a byte from the server the connection
// is checked while a stream is open, such as a watch, and no call waits. At least
// 10 s; default: 45 s. While a call waits, it is 3 s. The check is a call to the
// server's health service; where nothing comes for 5 s after it, the connection
// counts as lost.
func WithKeepalive(interval time.Duration) Option {
	return func(c *config) { c.liveness.stream = interval }
}

// WithDialOptions adds options of grpc itself. They come last, so they win;
// interceptors added with grpc.WithChainUnaryInterceptor see each attempt, and the
// checks of the connection. For credentials use [WithTransportCredentials]: over
// those of grpc.WithTransportCredentials the connection is not checked.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(c *config) { c.extra = slices.Concat(c.extra, opts) }
}

func (c *config) dialOptions(target string, live *liveness) ([]grpc.DialOption, error) {
	if c.insecure && c.credentials != nil {
		return nil, errors.New("creditd: WithInsecure and WithTransportCredentials exclude each other")
	}
	if c.timeout < 0 {
		return nil, fmt.Errorf("creditd: a timeout of %v; it must be 0 or more", c.timeout)
	}
	if c.liveness.stream < c.keepaliveMin {
		return nil, fmt.Errorf("creditd: a keepalive of %v; it must be at least %v", c.liveness.stream, c.keepaliveMin)
	}
	if err := checkTarget(target, len(c.extra) > 0); err != nil {
		return nil, err
	}
	if err := c.retry.check(); err != nil {
		return nil, err
	}
	credentials := c.credentials
	if credentials == nil {
		credentials = credentialsFor(target, c.insecure)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(live.credentials(credentials)),
		grpc.WithUserAgent("creditd-go"),
		// What the caller adds comes after it and sees each attempt.
		grpc.WithChainUnaryInterceptor(callInterceptor(c.timeout, c.retry, live)),
		grpc.WithChainStreamInterceptor(streamInterceptor(live)),
		// The retries above are the only ones.
		grpc.WithDisableRetry(),
		// A lost connection is made again as eagerly as calls are: with grpc's own
		// pauses of up to 2 minutes, retries would only meet the old failure.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  c.retry.BaseDelay,
				Multiplier: backoffFactor,
				Jitter:     0.2,
				MaxDelay:   c.retry.MaxDelay,
			},
			MinConnectTimeout: connectTimeout,
		}),
		// For connections that are not checked, those over credentials of a caller's
		// dial option, and for the kernel's limit that comes with it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    pingInterval,
			Timeout: pingTimeout,
		}),
	}
	return slices.Concat(options, c.extra), nil
}
