package creditd

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"
)

// probeMethod is answered by every gRPC server, if only by UNIMPLEMENTED.
const probeMethod = "/grpc.health.v1.Health/Check"

// livenessLimits say how long a connection may be idle, that is, bring no byte.
type livenessLimits struct {
	// call is for how long the connection may be idle while a call waits, before a
	// probe is sent.
	call time.Duration
	// stream is the same while a stream is open and no call waits.
	stream time.Duration
	// answer is for how long the connection may be idle after a probe was sent,
	// beside the time that the bytes sent before it may take.
	answer time.Duration
}

// A probe arrives after the bytes that were sent before it: a large batch takes time
// on a slow connection.
const (
	sendRatePerSecond = 64 * 1024
	sendTimeMax       = 20 * time.Second
)

func defaultLivenessLimits() livenessLimits {
	return livenessLimits{call: 3 * time.Second, stream: keepaliveDefault, answer: 5 * time.Second}
}

// liveness finds connections that no longer carry a byte although nobody closed
// them, such as one whose state a firewall or a NAT has dropped. Where a call or a
// stream waits and the connection is idle for too long, it sends a probe, which is a
// call to the server's health service. Where the connection stays idle, it closes
// it: calls fail with UNAVAILABLE and are sent again, with the same request_id, and
// grpc makes a new connection.
//
// HTTP/2 has pings for this. A gRPC server counts them: by its default policy it
// closes the connection, with ENHANCE_YOUR_CALM, of a client that sends one more
// often than every 5 minutes. A call is allowed at any time.
//
// All connections of a client count as one. That is exact with grpc's default
// balancer, which has one at a time.
type liveness struct {
	limits livenessLimits
	start  time.Time
	// lastRead is when a byte was last read, counted from start.
	lastRead atomic.Int64
	// written is how many bytes were written since then.
	written atomic.Int64
	// call is the call to the server's health service.
	call func(context.Context) error

	mutex   sync.Mutex
	conns   map[*trackedConn]struct{}
	probing bool
	closed  bool
	probes  sync.WaitGroup
}

func newLiveness(limits livenessLimits) *liveness {
	return &liveness{limits: limits, start: time.Now(), conns: map[*trackedConn]struct{}{}}
}

// now is the time since start, by the monotonic clock.
func (l *liveness) now() int64 {
	return int64(time.Since(l.start))
}

// pending is a call or a stream that waits for the server.
type pending struct {
	live  *liveness
	limit time.Duration
	began int64
	// stream is nil for a call.
	stream context.Context
	timer  *time.Timer
	ended  atomic.Bool
}

func (l *liveness) beginCall() *pending {
	return l.begin(l.limits.call, nil)
}

func (l *liveness) beginStream(ctx context.Context) *pending {
	return l.begin(l.limits.stream, ctx)
}

func (l *liveness) begin(limit time.Duration, stream context.Context) *pending {
	p := &pending{live: l, limit: limit, began: l.now(), stream: stream}
	// checkIdle uses p.timer, so the timer must not fire before p.timer is set.
	p.timer = time.AfterFunc(time.Hour, p.checkIdle)
	p.timer.Reset(limit)
	return p
}

// checkIdle sends a probe where the connection is idle for too long.
func (p *pending) checkIdle() {
	// A caller that leaves a stream cancels its context or closes the client, and need
	// not read the stream to its end.
	if p.ended.Load() || (p.stream != nil && p.stream.Err() != nil) || p.live.isClosed() {
		return
	}
	idle := time.Duration(p.live.now() - max(p.began, p.live.lastRead.Load()))
	if idle < p.limit {
		p.timer.Reset(p.limit - idle)
		return
	}
	p.live.startProbe()
	p.timer.Reset(p.limit)
}

// end is called when the call or the stream has ended. Where a call ended by its
// deadline and the connection was idle meanwhile, a probe is sent.
func (p *pending) end(byDeadline bool) {
	p.ended.Store(true)
	p.timer.Stop()
	if byDeadline && p.live.lastRead.Load() <= p.began {
		p.live.startProbe()
	}
}

var errSilent = errors.New("creditd: the connection carries no byte any more; the server did not answer a health check over it either")

type probeKey struct{}

// isProbe tells a probe from a caller's call.
func isProbe(ctx context.Context) bool {
	return ctx.Value(probeKey{}) != nil
}

// useConn sets the connection that probes are sent over.
func (l *liveness) useConn(conn *grpc.ClientConn) {
	l.call = func(ctx context.Context) error {
		// The request of a health check has no required field, and no field of its reply
		// matters here, so empty messages stand for both.
		return conn.Invoke(context.WithValue(ctx, probeKey{}, true), probeMethod, &emptypb.Empty{}, &emptypb.Empty{})
	}
}

// startProbe sends a probe in the background, unless one is on its way already or
// there is no connection.
func (l *liveness) startProbe() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed || l.probing || len(l.conns) == 0 {
		return
	}
	l.probing = true
	l.probes.Add(1)
	go func() {
		defer l.probes.Done()
		l.probe()
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.probing = false
	}()
}

// probe closes the connections where the server does not answer in time and they
// were idle meanwhile. A probe that failed sooner, such as in an interceptor of the
// caller's, proves nothing.
func (l *liveness) probe() {
	began := l.now()
	sending := min(time.Duration(l.written.Load())*(time.Second/sendRatePerSecond), sendTimeMax)
	ctx, cancel := context.WithTimeout(context.Background(), l.limits.answer+sending)
	defer cancel()
	// Any answer will do, an error too.
	_ = l.call(ctx)
	if ctx.Err() == nil || l.lastRead.Load() > began {
		return
	}
	l.mutex.Lock()
	silent := make([]*trackedConn, 0, len(l.conns))
	for conn := range l.conns {
		silent = append(silent, conn)
	}
	l.mutex.Unlock()
	for _, conn := range silent {
		conn.closeSilent()
	}
}

func (l *liveness) isClosed() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.closed
}

// close waits for the end of a probe, which is soon: the connection is closed
// already.
func (l *liveness) close() {
	l.mutex.Lock()
	l.closed = true
	l.mutex.Unlock()
	l.probes.Wait()
}

// credentials wraps each connection in a trackedConn. Credentials are given each
// connection, whatever dialer made it.
func (l *liveness) credentials(inner credentials.TransportCredentials) credentials.TransportCredentials {
	return trackingCredentials{inner, l}
}

type trackingCredentials struct {
	credentials.TransportCredentials
	live *liveness
}

func (c trackingCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.TransportCredentials.ClientHandshake(ctx, authority, &trackedConn{Conn: raw, live: c.live})
}

func (c trackingCredentials) Clone() credentials.TransportCredentials {
	return trackingCredentials{c.TransportCredentials.Clone(), c.live}
}

// UsesXDS is an optional method of credentials that grpc's xDS looks for.
func (c trackingCredentials) UsesXDS() bool {
	xds, has := c.TransportCredentials.(interface{ UsesXDS() bool })
	return has && xds.UsesXDS()
}

// trackedConn tells liveness when bytes are read and written.
type trackedConn struct {
	net.Conn
	live *liveness
	// registered is used by Read alone, which has one caller at a time.
	registered bool
	// closed is guarded by live.mutex.
	closed bool
	silent atomic.Bool
}

func (c *trackedConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if n > 0 {
		c.live.lastRead.Store(c.live.now())
		c.live.written.Store(0)
		if !c.registered {
			// Until its first byte the connection is still being made, which has a timeout
			// of its own.
			c.registered = true
			c.live.mutex.Lock()
			if !c.closed {
				c.live.conns[c] = struct{}{}
			}
			c.live.mutex.Unlock()
		}
	}
	if err != nil && c.silent.Load() {
		err = errSilent
	}
	return n, err
}

func (c *trackedConn) Write(from []byte) (int, error) {
	c.live.written.Add(int64(len(from)))
	return c.Conn.Write(from)
}

func (c *trackedConn) Close() error {
	c.live.mutex.Lock()
	c.closed = true
	delete(c.live.conns, c)
	c.live.mutex.Unlock()
	return c.Conn.Close()
}

// closeSilent ends the calls and streams that wait for the connection; grpc makes a
// new one.
func (c *trackedConn) closeSilent() {
	c.silent.Store(true)
	// A connection that fails to close cannot be used any more either.
	_ = c.Close()
}
