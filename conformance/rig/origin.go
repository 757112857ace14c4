package rig

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/strict"
)

// recordLimit bounds the bytes an OriginConn keeps of what it received.
const recordLimit = 4 << 20

// Origin is a scripted origin: for every connection it runs a function that reads and writes as it likes. It records what
// it received, byte for byte. A request that the strict parser refuses fails the test, unless Lax is set first.
type Origin struct {
	Addr string
	Lax  bool

	t        testing.TB
	listener net.Listener
	serve    func(*OriginConn)
	mu       sync.Mutex
	conns    []*OriginConn
	requests []*strict.Request // of all connections, in the order they came
	running  sync.WaitGroup
}

// OriginConn is one connection that an origin accepted.
type OriginConn struct {
	*net.TCPConn
	R      *bufio.Reader
	Number int // 0 for the origin's first connection

	origin   *Origin
	mu       sync.Mutex
	received []byte
	ended    chan struct{} // closed when serve has returned
}

// NewOrigin starts an origin. serve runs in a goroutine per connection; the connection is closed after it.
func NewOrigin(t testing.TB, serve func(*OriginConn)) *Origin {
	t.Helper()
	addr, err := proc.FreeAddr()
	Must(t, err)
	return NewOriginAt(t, addr, serve)
}

// NewOriginAt is NewOrigin at an address of the test's choice.
func NewOriginAt(t testing.TB, addr string, serve func(*OriginConn)) *Origin {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	Must(t, err)
	o := &Origin{t: t, Addr: addr, listener: l, serve: serve}
	o.running.Add(1)
	go o.accept()
	t.Cleanup(o.Close)
	return o
}

// Close stops the origin: no connection is accepted any more, those there are are closed. It waits for their functions.
func (o *Origin) Close() {
	o.listener.Close()
	for _, c := range o.Conns() {
		c.TCPConn.Close()
	}
	o.running.Wait()
}

func (o *Origin) accept() {
	defer o.running.Done()
	for {
		conn, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		c := &OriginConn{TCPConn: conn.(*net.TCPConn), Number: len(o.conns), origin: o, ended: make(chan struct{})}
		c.R = bufio.NewReader(recorder{c})
		o.conns = append(o.conns, c)
		o.running.Add(1)
		o.mu.Unlock()
		go func() {
			defer o.running.Done()
			defer close(c.ended)
			defer c.TCPConn.Close()
			o.serve(c)
		}()
	}
}

// recorder reads from a connection and keeps what it read.
type recorder struct{ c *OriginConn }

func (r recorder) Read(p []byte) (int, error) {
	n, err := r.c.TCPConn.Read(p)
	r.c.mu.Lock()
	r.c.received = append(r.c.received, p[:min(n, recordLimit-len(r.c.received))]...)
	r.c.mu.Unlock()
	return n, err
}

// Conns are the connections so far, in the order they were accepted.
func (o *Origin) Conns() []*OriginConn {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*OriginConn(nil), o.conns...)
}

// Requests are the requests that connections have read so far with ReadRequest and ReadHead, in the order they came.
func (o *Origin) Requests() []*strict.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*strict.Request(nil), o.requests...)
}

// Received is every byte received so far, connection by connection.
func (o *Origin) Received() string {
	var b bytes.Buffer
	for _, c := range o.Conns() {
		b.WriteString(c.Received())
	}
	return b.String()
}

// Received is every byte received on the connection so far.
func (c *OriginConn) Received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.received)
}

// Ended is closed when the connection's function has returned.
func (c *OriginConn) Ended() <-chan struct{} { return c.ended }

// ReadRequest reads one request strictly and records it. The error io.EOF says that edge closed between two requests.
func (c *OriginConn) ReadRequest() (*strict.Request, error) { return c.read(strict.ReadRequest) }

// ReadHead reads one request's head strictly and records it; the body is the caller's.
func (c *OriginConn) ReadHead() (*strict.Request, error) { return c.read(strict.ReadRequestHead) }

func (c *OriginConn) read(from func(*bufio.Reader) (*strict.Request, error)) (*strict.Request, error) {
	_ = c.SetReadDeadline(time.Now().Add(6 * ioLimit))
	q, err := from(c.R)
	var refused *strict.Error
	switch {
	case err == nil:
		c.origin.mu.Lock()
		c.origin.requests = append(c.origin.requests, q)
		c.origin.mu.Unlock()
	case errors.As(err, &refused) && !c.origin.Lax:
		c.origin.t.Errorf("origin connection %d received what is no request: %v\n%.600q", c.Number, err, c.Received())
	}
	return q, err
}

// Say writes bytes as they are.
func (c *OriginConn) Say(s string) error {
	_, err := io.WriteString(c.TCPConn, s)
	return err
}

// Reset closes the connection with a reset.
func (c *OriginConn) Reset() {
	_ = c.SetLinger(0)
	_ = c.TCPConn.Close()
}

// OK is a whole 200 response with a body.
func OK(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// Echo answers every request with 200 and its body, until edge closes.
func Echo(c *OriginConn) {
	for {
		q, err := c.ReadRequest()
		if err != nil {
			return
		}
		answer := OK(string(q.Body))
		if q.Method == "HEAD" {
			answer = strings.TrimSuffix(answer, string(q.Body))
		}
		if c.Say(answer) != nil {
			return
		}
	}
}

// Script answers each request on a connection, whatever it is, with the same bytes, until edge closes.
func Script(answer string) func(*OriginConn) {
	return func(c *OriginConn) {
		for {
			if _, err := c.ReadRequest(); err != nil || c.Say(answer) != nil {
				return
			}
		}
	}
}

// Upstream is the TOML text of an upstream "app" with these origins and a route to it for everything.
func Upstream(more string, origins ...*Origin) string {
	var addrs []string
	for _, o := range origins {
		addrs = append(addrs, fmt.Sprintf("%q", o.Addr))
	}
	return fmt.Sprintf("[upstreams.app]\nservers = [%s]\n%s\n[[routes]]\nupstream = \"app\"\n", strings.Join(addrs, ", "), more)
}

// WebSocketAccept is what an origin answers to a client's key (RFC 6455 section 4.2.2).
func WebSocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
