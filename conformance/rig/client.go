package rig

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"edge/conformance/strict"
)

// Client is one connection to a server, driven byte by byte. Its methods fail the test where the connection does not do
// what they say; the test's end closes it. It is for one goroutine.
type Client struct {
	*net.TCPConn
	R *bufio.Reader

	t testing.TB
}

// Dial connects.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, ioLimit)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{TCPConn: conn.(*net.TCPConn), R: bufio.NewReader(conn), t: t}
	t.Cleanup(func() { conn.Close() })
	return c
}

// Send writes the parts one after the other, each in a write of its own.
func (c *Client) Send(parts ...string) {
	c.t.Helper()
	for _, p := range parts {
		rest := []byte(p)
		Must(c.t, c.SetWriteDeadline(time.Now().Add(ioLimit)))
		if _, err := c.Write(rest); err != nil {
			c.t.Fatalf("send %.60q: %v", p, err)
		}
	}
}

// TrySend is Send where the other side may close meanwhile.
func (c *Client) TrySend(p string) error {
	Must(c.t, c.SetWriteDeadline(time.Now().Add(ioLimit)))
	_, err := io.WriteString(c.TCPConn, p)
	return err
}

// Response reads the final response to a request of that method; interim responses before it are dropped.
func (c *Client) Response(method string) *strict.Response {
	c.t.Helper()
	for {
		p := c.Next(method)
		if p.Status >= 200 || p.Status == 101 {
			return p
		}
	}
}

// Next reads the next response, interim or final.
func (c *Client) Next(method string) *strict.Response {
	c.t.Helper()
	p, err := c.TryNext(method)
	if err != nil {
		c.t.Fatalf("response to %s: %v (head: %+v)", method, err, p)
	}
	return p
}

// TryNext is Next with the error.
func (c *Client) TryNext(method string) (*strict.Response, error) {
	c.t.Helper()
	Must(c.t, c.SetReadDeadline(time.Now().Add(ioLimit)))
	return strict.ReadResponse(c.R, method)
}

// Get sends a GET for a target with more field lines (each with its CRLF) and reads the response.
func (c *Client) Get(target, fields string) *strict.Response {
	c.t.Helper()
	c.Send("GET " + target + " HTTP/1.1\r\nHost: edge.test\r\n" + fields + "\r\n")
	return c.Response("GET")
}

// Rest reads until the server closes and returns what came. A reset counts as a close.
func (c *Client) Rest() string {
	c.t.Helper()
	Must(c.t, c.SetReadDeadline(time.Now().Add(ioLimit)))
	b, err := io.ReadAll(c.R)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("waiting for the server to close, after %.200q: %v", b, err)
	}
	return string(b)
}

// Closed waits for the server to close without another byte.
func (c *Client) Closed() {
	c.t.Helper()
	if rest := c.Rest(); rest != "" {
		c.t.Fatalf("before it closed, the server sent %.200q", rest)
	}
}

// Silent says whether nothing came for as long as d, neither a byte nor a close.
func (c *Client) Silent(d time.Duration) bool {
	c.t.Helper()
	Must(c.t, c.SetReadDeadline(time.Now().Add(d)))
	_, err := c.R.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Abort closes with a reset.
func (c *Client) Abort() {
	_ = c.SetLinger(0)
	_ = c.TCPConn.Close()
}
