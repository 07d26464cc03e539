package creditd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const authorizationKey = "authorization"

// WithKey sends a key with every call and watch, as "authorization: Bearer" and the
// key. [New] fails where that would be in plaintext to another machine: use TLS
// there. The client's own probes of its connection ask for the server's health,
// which needs no key, and have none.
func WithKey(key string) Option {
	bearer, err := bearerOf(key)
	return optionFunc(func(c *config) { c.key = &callKey{bearer: bearer, err: err} })
}

// WithKeyFunc is [WithKey] for keys that change: ask is called before each attempt of
// a call, with the call's context, and for each watch. It should keep a key for as
// long as that is valid. Where the server refuses a key with [ReasonKeyInvalid], ask is
// called once more, and the call is sent again if the key is another one then. Where ask
// fails, so does the call, with an [*Error] of code UNAUTHENTICATED that wraps its error.
func WithKeyFunc(ask func(context.Context) (string, error)) Option {
	var err error
	if ask == nil {
		err = errors.New("creditd: WithKeyFunc needs a function")
	}
	return optionFunc(func(c *config) { c.key = &callKey{ask: ask, err: err} })
}

// callKey is what a client knows of its key. It is a pointer wherever it is stored, so
// that nothing prints it.
type callKey struct {
	// ask is nil for a key that stays as it is, which is bearer.
	ask    func(context.Context) (string, error)
	bearer string
	// err is why the key cannot be used.
	err error
}

// bearerOf is the text of the header. No error shows the key.
func bearerOf(key string) (string, error) {
	switch {
	case key == "":
		return "", errors.New("creditd: the key is empty")
	case strings.TrimSpace(key) != key:
		return "", errors.New("creditd: the key begins or ends with white space, as the text of a file may; trim it")
	}
	for _, char := range key {
		if char <= ' ' || char > '~' {
			return "", errors.New(`creditd: the key has a character that no key has: only visible ASCII is allowed, and no space; give it without "Bearer"`)
		}
	}
	return "Bearer " + key, nil
}

// check refuses to send the key in plaintext to another machine.
func (k *callKey) check(target string, transport credentials.TransportCredentials) error {
	if k.err != nil {
		return k.err
	}
	if transport.Info().SecurityProtocol == plaintextProtocol && !isLocal(target) {
		return fmt.Errorf("creditd: a key is not sent in plaintext to %q, which may be another machine; use TLS: leave out WithInsecure, or give WithTLS", target)
	}
	return nil
}

// plaintextProtocol is what grpc calls credentials that are none.
const plaintextProtocol = "insecure"

// askedKey is the key of one attempt. Contexts store a pointer to it, which they do
// not print.
type askedKey struct{ bearer string }

type askedKeyKey struct{}

// isFunc tells whether another key can be had by asking again.
func (k *callKey) isFunc() bool {
	return k != nil && k.ask != nil
}

// askFor returns the context of an attempt, and the key where it was asked for.
func (k *callKey) askFor(ctx context.Context) (context.Context, string, *Error) {
	if k == nil {
		return ctx, "", nil
	}
	if outgoing, has := metadata.FromOutgoingContext(ctx); has && len(outgoing.Get(authorizationKey)) > 0 {
		const message = "the context's metadata has \"authorization\", and the client has a key; make another client for another key"
		return ctx, "", newError(status.New(codes.InvalidArgument, message), "", "")
	}
	if k.ask == nil {
		return ctx, k.bearer, nil
	}
	key, err := k.ask(ctx)
	if err != nil {
		return ctx, "", keyError("the function that gives the key failed: "+err.Error(), err)
	}
	bearer, err := bearerOf(key)
	if err != nil {
		return ctx, "", keyError("the function gave a key that cannot be sent: "+strings.TrimPrefix(err.Error(), "creditd: "), err)
	}
	return context.WithValue(ctx, askedKeyKey{}, &askedKey{bearer}), bearer, nil
}

// keyError is that of a call for which there is no key: it was not sent.
func keyError(message string, err error) *Error {
	code := codes.Unauthenticated
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = status.FromContextError(err).Code()
	}
	failure := newError(status.New(code, message), "", "")
	failure.inner = err
	return failure
}

// keyCredentials has grpc send the key. grpc itself then refuses credentials of a
// caller's dial option that are plaintext, and connections that are less than
// encrypted.
type keyCredentials struct {
	key   *callKey
	local bool
}

// GetRequestMetadata is called for each attempt.
func (c keyCredentials) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	bearer := c.key.bearer
	if asked, has := ctx.Value(askedKeyKey{}).(*askedKey); has {
		bearer = asked.bearer
	}
	if bearer == "" || isProbe(ctx) {
		return nil, nil
	}
	return map[string]string{authorizationKey: bearer}, nil
}

// RequireTransportSecurity is false where bytes stay on this machine.
func (c keyCredentials) RequireTransportSecurity() bool {
	return !c.local
}
