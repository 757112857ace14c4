package server

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/runtime/upstream"
)

// wsOrigin speaks HTTP/1.1. It takes WebSockets for /chat, says what it hears, and "last" behind the client's end; others it answers
// with 403.
func wsOrigin(c *peer, _ int) {
	for {
		head, err := c.head()
		if err != nil {
			return
		}
		if !strings.HasPrefix(head, "GET /chat ") {
			c.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: so\r\n\r\nno")
			continue
		}
		accept := upstream.WebSocketAccept(strings.Join(lines(head, "sec-websocket-key"), ""))
		c.say(strings.TrimSuffix(switching, "\r\n"), "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: ", string(accept[:]),
			"\r\n\r\nfirst ")
		io.Copy(c, c.in)
		c.say(" last")
		return
	}
}

// chain is an edge that asks another by HTTP/2 in the clear, which asks an origin by HTTP/1.1.
func chain(t *testing.T) *bed {
	inner := grow(t, plot{entry: sniffed, servers: []string{origin(t, wsOrigin)},
		pool: func(po *upstream.Options) { po.Keepalive = 0 }})
	return share(t, &origin2{addr: inner.addr}, plot{entry: sniffed})
}

const wsKey = "dGhlIHNhbXBsZSBub25jZQ=="

const wsAsk = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " + wsKey + "\r\n\r\n"

// TestSharedWebSocket: RFC 8441 in the client's role. A WebSocket of an HTTP/1.1 client is a stream to the server, and looks like one on a
// connection of its own to both; each direction ends by itself.
func TestSharedWebSocket(t *testing.T) {
	b := chain(t)
	for range 3 {
		c := dial(t, b.addr)
		c.say(wsAsk, "early ")
		head, err := c.head()
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Fatalf("%q, %v", head, err)
		}
		for _, want := range []string{"upgrade: websocket", "connection: upgrade", "sec-websocket-protocol: chat",
			"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="} {
			if !strings.Contains(head, "\r\n"+want+"\r\n") {
				t.Errorf("no %q in %q", want, head)
			}
		}
		if got := c.take(12); got != "first early " {
			t.Errorf("%q", got)
		}
		c.say("late")
		if got := c.take(4); got != "late" {
			t.Errorf("%q", got)
		}
		tcp(c.Conn).CloseWrite()
		if rest, err := io.ReadAll(c.in); string(rest) != " last" || err != nil {
			t.Errorf("at the end %q, %v", rest, err)
		}
	}
	if !within(5*time.Second, func() bool { _, streams := b.pools["app"].Shared(); return streams == 0 }) {
		t.Error("streams are left")
	}
}

// TestSharedWebSocketHTTP2: the same for a client of HTTP/2, beside other streams.
func TestSharedWebSocketHTTP2(t *testing.T) {
	b := chain(t)
	c := dial2(t, b.addr)
	chat := func(id uint32, path string) {
		c.ask(id, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", path)
	}
	chat(1, "/chat")
	c.want("HEADERS 1 :status=200*")
	c.WriteData(1, true, []byte("ping"))
	if got := c.body(1); got != "first ping last" {
		t.Errorf("%q", got)
	}
	chat(3, "/other")
	c.want("HEADERS 3 :status=403*")
	if got := c.body(3); got != "no" {
		t.Errorf("%q", got)
	}
}

// TestSharedWebSocketRefused: an answer that is no 2xx is an answer; what the client says behind its request is not for the server.
func TestSharedWebSocketRefused(t *testing.T) {
	b := chain(t)
	c := dial(t, b.addr)
	c.say(strings.Replace(wsAsk, "/chat", "/other", 1))
	r := c.want("GET", 403, "no")
	if r.Header.Get("X-Why") != "so" {
		t.Errorf("%v", r.Header)
	}
	c.say(strings.Replace(wsAsk, "/chat", "/other", 1)) // the connection goes on
	c.want("GET", 403, "no")
}

// TestSharedWebSocketUnknown: a server whose settings do not take WebSockets gets none.
func TestSharedWebSocketUnknown(t *testing.T) {
	asked := make(chan string, 9)
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method + r.URL.Path }))
	b := share(t, o, plot{entry: sniffed})
	c := dial(t, b.addr)
	c.say(wsAsk)
	c.want("GET", 501, "501 Not Implemented\n")
	if n := b.pools["app"].Stats().Failures[upstream.NoTunnel].Load(); n != 1 {
		t.Errorf("%d failures are counted", n)
	}
	c.say("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
	c.want("GET", 200, "")
	if len(asked) != 1 || <-asked != "GET/x" {
		t.Error("the server was asked")
	}
}

// TestSharedWebSocketBulk: megabytes both ways at once, through all windows, many at a time.
func TestSharedWebSocketBulk(t *testing.T) {
	b := chain(t)
	data := make([]byte, 3<<20)
	rand.Read(data)
	done := make(chan string, 8)
	for range cap(done) {
		go func() {
			c := dial(t, b.addr)
			c.say(wsAsk)
			if head, err := c.head(); err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
				done <- head
				return
			}
			go func() {
				c.Conn.Write(data)
				tcp(c.Conn).CloseWrite()
			}()
			got, err := io.ReadAll(c.in)
			want := append(append([]byte("first "), data...), " last"...)
			if err != nil || !bytes.Equal(got, want) {
				done <- "not what was said"
				return
			}
			done <- ""
		}()
	}
	for range cap(done) {
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	}
}

// TestSharedWebSocketBroken: where one side breaks the other is told.
func TestSharedWebSocketBroken(t *testing.T) {
	far := make(chan *peer, 1)
	done := make(chan struct{})
	inner := grow(t, plot{entry: sniffed, servers: []string{origin(t, func(c *peer, _ int) {
		head, _ := c.head()
		accept := upstream.WebSocketAccept(strings.Join(lines(head, "sec-websocket-key"), ""))
		c.say(strings.TrimSuffix(switching, "\r\n"), "Sec-WebSocket-Accept: ", string(accept[:]), "\r\n\r\n")
		far <- c
		<-done
	})}})
	defer close(done)
	b := share(t, &origin2{addr: inner.addr}, plot{entry: sniffed})
	open := func() (c, o *peer) {
		c = dial(t, b.addr)
		c.say(wsAsk)
		if head, err := c.head(); err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Fatalf("%q, %v", head, err)
		}
		return c, <-far
	}
	c, o := open()
	resetConn(c)
	if _, err := o.in.ReadByte(); err == nil {
		t.Error("the origin is not told that the client is gone")
	}
	c, o = open()
	resetConn(o)
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the client is not told that the origin is gone")
	}
}
