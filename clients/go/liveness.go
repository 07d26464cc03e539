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

// checkMethod is answered by every gRPC server, if only by UNIMPLEMENTED.
const checkMethod = "/grpc.health.v1.Health/Check"

// livenessLimits say how long a connection may be silent.
type livenessLimits struct {
	// call is for how long nothing may come while a call waits, before the server is
	// asked whether it is there.
	call time.Duration
	// stream is the same while no call waits, and a stream is open.
	stream time.Duration
	// answer is for how long nothing may come after that, beside the time that what
	// was sent before may take.
	answer time.Duration
}

// What was sent before a check is ahead of it on the way, and a large batch takes
// its time on a slow one.
const (
	sendRatePerSecond = 64 * 1024
	sendTimeMax       = 20 * time.Second
)

func defaultLivenessLimits() livenessLimits {
	return livenessLimits{call: 3 * time.Second, stream: keepaliveDefault, answer: 5 * time.Second}
}

// liveness finds out about a connection that no longer moves a byte although
// nobody closed it, such as one whose state a firewall or a NAT has forgotten.
// Where a call or a stream waits for something and nothing comes, it asks the
// server by a call to its health service. Where nothing comes then either, it
// closes the connection: calls fail with UNAVAILABLE, are sent again, and with the
// same request_id, and grpc makes a new connection.
//
// HTTP/2 has pings for this. A gRPC server counts them: by its default policy a
// client that sends one more often than every 5 minutes is sent away with
// ENHANCE_YOUR_CALM. A call is allowed at any time.
//
// All connections of a client count as one. That is exact with grpc's usual
// balancer, which has one at a time.
type liveness struct {
	limits livenessLimits
	start  time.Time
	// heard is when something last came, counted from start.
	heard atomic.Int64
	// sent is how many bytes were sent since then.
	sent atomic.Int64
	// call is the call to the server's health service.
	call func(context.Context) error

	mutex    sync.Mutex
	conns    map[*heardConn]struct{}
	checking bool
	closed   bool
	checks   sync.WaitGroup
}

func newLiveness(limits livenessLimits) *liveness {
	return &liveness{limits: limits, start: time.Now(), conns: map[*heardConn]struct{}{}}
}

// now is counted from start, by the clock that does not jump.
func (l *liveness) now() int64 {
	return int64(time.Since(l.start))
}

// waiting is one call or stream that waits.
type waiting struct {
	live  *liveness
	limit time.Duration
	began int64
	// stream is nil for a call.
	stream context.Context
	timer  *time.Timer
	ended  atomic.Bool
}

func (l *liveness) beginCall() *waiting {
	return l.begin(l.limits.call, nil)
}

func (l *liveness) beginStream(ctx context.Context) *waiting {
	return l.begin(l.limits.stream, ctx)
}

func (l *liveness) begin(limit time.Duration, stream context.Context) *waiting {
	w := &waiting{live: l, limit: limit, began: l.now(), stream: stream}
	// Made first and set after, since look sets it again.
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Reset(limit)
	return w
}

// look has the connection checked where nothing came for too long.
func (w *waiting) look() {
	// Who leaves a stream ends its context, or closes the client, and need not read it
	// to its end.
	if w.ended.Load() || (w.stream != nil && w.stream.Err() != nil) || w.live.isClosed() {
		return
	}
	quiet := time.Duration(w.live.now() - max(w.began, w.live.heard.Load()))
	if quiet < w.limit {
		w.timer.Reset(w.limit - quiet)
		return
	}
	w.live.check()
	w.timer.Reset(w.limit)
}

// end is called when nothing is waited for any more. A call that ended by its
// deadline, and nothing came meanwhile, has the connection checked.
func (w *waiting) end(byDeadline bool) {
	w.ended.Store(true)
	w.timer.Stop()
	if byDeadline && w.live.heard.Load() <= w.began {
		w.live.check()
	}
}

var errSilent = errors.New("creditd: nothing came over the connection, also after the server was asked whether it is there")

type checkKey struct{}

// isCheck tells a check from the calls that are checked.
func isCheck(ctx context.Context) bool {
	return ctx.Value(checkKey{}) != nil
}

// useConn says over what to ask.
func (l *liveness) useConn(conn *grpc.ClientConn) {
	l.call = func(ctx context.Context) error {
		// Both messages have fields that say nothing here, so empty ones do.
		return conn.Invoke(context.WithValue(ctx, checkKey{}, true), checkMethod, &emptypb.Empty{}, &emptypb.Empty{})
	}
}

// check asks, unless somebody does already or there is no connection. It does not
// wait.
func (l *liveness) check() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed || l.checking || len(l.conns) == 0 {
		return
	}
	l.checking = true
	l.checks.Add(1)
	go func() {
		defer l.checks.Done()
		l.ask()
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.checking = false
	}()
}

// ask closes the connections where it is not answered in time, and nothing else
// came. A check that ended sooner, such as in an interceptor of the caller's, says
// nothing.
func (l *liveness) ask() {
	began := l.now()
	sending := min(time.Duration(l.sent.Load())*(time.Second/sendRatePerSecond), sendTimeMax)
	ctx, cancel := context.WithTimeout(context.Background(), l.limits.answer+sending)
	defer cancel()
	// Which answer comes does not matter.
	_ = l.call(ctx)
	if ctx.Err() == nil || l.heard.Load() > began {
		return
	}
	l.mutex.Lock()
	silent := make([]*heardConn, 0, len(l.conns))
	for conn := range l.conns {
		silent = append(silent, conn)
	}
	l.mutex.Unlock()
	for _, conn := range silent {
		conn.giveUp()
	}
}

func (l *liveness) isClosed() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.closed
}

// close waits until nothing is asked any more, which is soon: the connection is
// closed already.
func (l *liveness) close() {
	l.mutex.Lock()
	l.closed = true
	l.mutex.Unlock()
	l.checks.Wait()
}

// credentials makes connections that are listened to. It is the place that sees
// each connection, whoever dialled it.
func (l *liveness) credentials(inner credentials.TransportCredentials) credentials.TransportCredentials {
	return heardCredentials{inner, l}
}

type heardCredentials struct {
	credentials.TransportCredentials
	live *liveness
}

func (c heardCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.TransportCredentials.ClientHandshake(ctx, authority, &heardConn{Conn: raw, live: c.live})
}

func (c heardCredentials) Clone() credentials.TransportCredentials {
	return heardCredentials{c.TransportCredentials.Clone(), c.live}
}

// UsesXDS is looked for by grpc's xDS.
func (c heardCredentials) UsesXDS() bool {
	xds, has := c.TransportCredentials.(interface{ UsesXDS() bool })
	return has && xds.UsesXDS()
}

// heardConn is a connection that is listened to.
type heardConn struct {
	net.Conn
	live *liveness
	// known is used by Read alone, which is called by one at a time.
	known bool
	// closed is guarded by live.mutex.
	closed  bool
	givenUp atomic.Bool
}

func (c *heardConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if n > 0 {
		c.live.heard.Store(c.live.now())
		c.live.sent.Store(0)
		if !c.known {
			// Before that it is still being made, which has a limit of its own.
			c.known = true
			c.live.mutex.Lock()
			if !c.closed {
				c.live.conns[c] = struct{}{}
			}
			c.live.mutex.Unlock()
		}
	}
	if err != nil && c.givenUp.Load() {
		err = errSilent
	}
	return n, err
}

func (c *heardConn) Write(from []byte) (int, error) {
	c.live.sent.Add(int64(len(from)))
	return c.Conn.Write(from)
}

func (c *heardConn) Close() error {
	c.live.mutex.Lock()
	c.closed = true
	delete(c.live.conns, c)
	c.live.mutex.Unlock()
	return c.Conn.Close()
}

// giveUp ends what waits for the connection; grpc makes a new one.
func (c *heardConn) giveUp() {
	c.givenUp.Store(true)
	// What else could be done where that fails?
	_ = c.Close()
}
