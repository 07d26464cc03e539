package creditd_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// blackHole is a proxy whose connections can be made to move no byte any more,
// without being closed, while new ones work.
type blackHole struct {
	address string
	target  string

	// slow makes each 16 KB on the way to the server take that long.
	slow time.Duration

	mutex sync.Mutex
	conns []*swallowed
}

type swallowed struct {
	swallow  atomic.Bool
	outside  net.Conn
	inside   net.Conn
	finished sync.WaitGroup
}

func startBlackHole(t *testing.T, target string) *blackHole {
	t.Helper()
	return startProxy(t, &blackHole{target: target})
}

func startProxy(t *testing.T, proxy *blackHole) *blackHole {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy.address = listener.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			outside, err := listener.Accept()
			if err != nil {
				return
			}
			proxy.serve(outside)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
		for _, conn := range proxy.conns {
			_ = conn.outside.Close()
			_ = conn.inside.Close()
			conn.finished.Wait()
		}
	})
	return proxy
}

func (b *blackHole) serve(outside net.Conn) {
	inside, err := net.Dial("tcp", b.target)
	if err != nil {
		_ = outside.Close()
		return
	}
	conn := &swallowed{outside: outside, inside: inside}
	b.mutex.Lock()
	b.conns = append(b.conns, conn)
	b.mutex.Unlock()
	conn.finished.Add(2)
	go conn.move(outside, inside, b.slow)
	go conn.move(inside, outside, 0)
}

// move reads on where it swallows, as a network does that acknowledges and loses.
func (s *swallowed) move(from, to net.Conn, slow time.Duration) {
	defer s.finished.Done()
	buffer := make([]byte, 16*1024)
	for {
		n, err := from.Read(buffer)
		if n == len(buffer) {
			time.Sleep(slow)
		}
		if !s.swallow.Load() {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			// The end of a connection is swallowed too.
			if !s.swallow.Load() || err != io.EOF {
				_ = to.Close()
			}
			return
		}
	}
}

// swallowAll makes a black hole of all connections that there are.
func (b *blackHole) swallowAll() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, conn := range b.conns {
		conn.swallow.Store(true)
	}
}

func (b *blackHole) count() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return len(b.conns)
}
