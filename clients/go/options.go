package creditd

import (
	"context"
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

// Option changes how a [Client] works; [New] takes them.
type Option interface {
	applyTo(*config)
}

type optionFunc func(*config)

func (o optionFunc) applyTo(c *config) { o(c) }

// CallOption changes how calls are sent. [New] takes it for all calls of the
// client. A method takes it for one call, as it takes all options of grpc, and so do
// the methods of the generated clients. A watch has no use for it.
type CallOption interface {
	Option
	grpc.CallOption
}

type callOption struct {
	grpc.EmptyCallOption
	set func(*callConfig)
}

func (o callOption) applyTo(c *config) { o.set(&c.calls) }

// callConfig is what a [CallOption] can set. What it has not set is nil.
type callConfig struct {
	timeout *time.Duration
	retry   *RetryPolicy
}

// callConfigOf has what the options of one call set.
func callConfigOf(opts []grpc.CallOption) callConfig {
	var config callConfig
	for _, opt := range opts {
		if ours, is := opt.(callOption); is {
			ours.set(&config)
		}
	}
	return config
}

// timeoutOr is the timeout of the call, or the client's where the context has no
// deadline; 0: none.
func (c callConfig) timeoutOr(ctx context.Context, client callConfig) time.Duration {
	if c.timeout != nil {
		return *c.timeout
	}
	if _, has := ctx.Deadline(); has {
		return 0
	}
	return *client.timeout
}

func (c callConfig) check() error {
	if c.timeout != nil && *c.timeout < 0 {
		return fmt.Errorf("creditd: a timeout of %v; it must be 0 or more", *c.timeout)
	}
	if c.retry != nil {
		return c.retry.check()
	}
	return nil
}

type config struct {
	credentials credentials.TransportCredentials
	insecure    bool
	tls         *TLS
	// key is nil without one.
	key *callKey
	// calls has no nil.
	calls    callConfig
	liveness livenessLimits
	// keepaliveMin bounds liveness.stream.
	keepaliveMin time.Duration
	extra        []grpc.DialOption
}

func defaultConfig() config {
	timeout, retry := defaultTimeout, DefaultRetryPolicy()
	return config{
		calls:        callConfig{timeout: &timeout, retry: &retry},
		liveness:     defaultLivenessLimits(),
		keepaliveMin: keepaliveMin,
	}
}

// WithInsecure asks for plaintext. Only loopback and Unix socket targets are
// spoken to in plaintext without it.
func WithInsecure() Option {
	return optionFunc(func(c *config) { c.insecure = true })
}

// WithTransportCredentials sets the credentials of the connection; for TLS by files
// see [WithTLS].
func WithTransportCredentials(credentials credentials.TransportCredentials) Option {
	return optionFunc(func(c *config) { c.credentials = credentials })
}

// WithTimeout sets how long a call may take, all attempts together; zero: as long
// as its context lets it. Given to [New], it is for calls whose context has no
// deadline; default: 10 s. Given to a call, it holds also where the context has a
// later deadline.
func WithTimeout(timeout time.Duration) CallOption {
	return callOption{set: func(c *callConfig) { c.timeout = &timeout }}
}

// WithRetry sets what happens after an answer of UNAVAILABLE, or of RATE_LIMITED.
// Default: [DefaultRetryPolicy].
func WithRetry(policy RetryPolicy) CallOption {
	return callOption{set: func(c *callConfig) { c.retry = &policy }}
}

// WithKeepalive sets after how long without a byte from the server a probe is sent
// while a stream is open, such as a watch, and no call waits. At least 10 s;
// default: 45 s. While a call waits, it is 3 s. The probe is a call to the server's
// health service; where nothing comes for 5 s after it, the connection counts as
// lost.
func WithKeepalive(interval time.Duration) Option {
	return optionFunc(func(c *config) { c.liveness.stream = interval })
}

// WithDialOptions adds options of grpc itself. They come last, so they win;
// interceptors added with grpc.WithChainUnaryInterceptor see each attempt, and the
// probes of the connection. For credentials use [WithTransportCredentials]: over
// those of grpc.WithTransportCredentials no probes are sent.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return optionFunc(func(c *config) { c.extra = slices.Concat(c.extra, opts) })
}

func (c *config) dialOptions(target string, live *liveness) ([]grpc.DialOption, error) {
	if c.insecure && c.credentials != nil {
		return nil, errors.New("creditd: WithInsecure and WithTransportCredentials exclude each other")
	}
	if c.tls != nil && (c.insecure || c.credentials != nil) {
		return nil, errors.New("creditd: WithTLS excludes WithInsecure and WithTransportCredentials")
	}
	if c.liveness.stream < c.keepaliveMin {
		return nil, fmt.Errorf("creditd: a keepalive of %v; it must be at least %v", c.liveness.stream, c.keepaliveMin)
	}
	if err := checkTarget(target, len(c.extra) > 0); err != nil {
		return nil, err
	}
	if err := c.calls.check(); err != nil {
		return nil, err
	}
	credentials := c.credentials
	switch {
	case c.tls != nil:
		var err error
		if credentials, err = c.tls.newCredentials(); err != nil {
			return nil, err
		}
	case credentials == nil:
		credentials = credentialsFor(target, c.insecure)
	}
	if c.key != nil {
		if err := c.key.check(target, credentials); err != nil {
			return nil, err
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(live.credentials(credentials)),
		grpc.WithUserAgent("creditd-go"),
		// Interceptors that the caller adds come after it and see each attempt.
		grpc.WithChainUnaryInterceptor(callInterceptor(c.calls, c.key, live)),
		grpc.WithChainStreamInterceptor(streamInterceptor(c.key, live)),
		// callInterceptor retries, and grpc does not.
		grpc.WithDisableRetry(),
		// A lost connection is made again at the pace of retries: grpc's own waits of up
		// to 2 minutes would answer retries with the old failure.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  c.calls.retry.BaseDelay,
				Multiplier: backoffFactor,
				Jitter:     0.2,
				MaxDelay:   c.calls.retry.MaxDelay,
			},
			MinConnectTimeout: connectTimeout,
		}),
		// For connections over credentials of a caller's dial option, which have no
		// probes, and for the kernel's timeout that grpc sets by it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    pingInterval,
			Timeout: pingTimeout,
		}),
	}
	if c.key != nil {
		options = append(options, grpc.WithPerRPCCredentials(keyCredentials{key: c.key, local: isLocal(target)}))
	}
	return slices.Concat(options, c.extra), nil
}
