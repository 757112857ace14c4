package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/mpm"
	"edge/runtime/upstream"
)

// refusing is an address that nobody listens on.
func refusing(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// deaf is an address whose connections never get established: its queue is full.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, _ := syscall.Getsockname(fd)
	addr := "127.0.0.1:" + itoa(sa.(*syscall.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the kernel accepts whatever the queue's length")
	return ""
}

// staleOrigin answers one request on its first connection and closes at the next one; later connections are sound.
func staleOrigin(t *testing.T) (addr string, conns *atomic.Int32, pull chan struct{}) {
	conns, pull = new(atomic.Int32), make(chan struct{})
	return origin(t, func(c *peer, n int) {
		conns.Add(1)
		if n > 0 {
			echo(c, n)
			return
		}
		if _, err := http.ReadRequest(c.in); err != nil {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-pull
		c.head() // the second request has come: close without a word
	}), conns, pull
}

// TestU88Retry: what is asked again, and where. Each case sends one request first, on a connection that then goes stale.
func TestU88Retry(t *testing.T) {
	for _, c := range []struct {
		name, ask string
		status    int
		body      string
	}{
		{"safe method", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 200, "GET /x "},
		{"other method", "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n", 502, "*"},
		{"body was sent", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 502, "*"},
		{"safe method with a body", "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 502, "*"},
		{"chunked, no content", "GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "*"},
	} {
		t.Run("stale "+c.name, func(t *testing.T) {
			addr, conns, pull := staleOrigin(t)
			b := grow(t, plot{servers: []string{addr}, pool: func(o *upstream.Options) { o.Retries = 0; o.Pollers = 2 }})
			p := dial(t, b.addr)
			p.say(get)
			p.want("GET", 200, "")
			close(pull)
			p.say(c.ask)
			p.want("GET", c.status, c.body)
			if c.status == 200 && conns.Load() != 2 {
				t.Errorf("%d connections", conns.Load())
			}
		})
	}
	for _, c := range []struct {
		name, ask string
		want      string
	}{
		{"safe method", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x "},
		{"body", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "POST /x ab"},
		{"chunked body", "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "POST /x ab"},
		{"chunked, no content", "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST /x "},
	} {
		t.Run("refused "+c.name, func(t *testing.T) {
			b := grow(t, plot{servers: []string{refusing(t), origin(t, echo)}})
			p := dial(t, b.addr)
			for range 3 {
				p.say(c.ask)
				p.want("POST", 200, c.want)
			}
			if b.pools["app"].Stats().Retries.Load() == 0 {
				t.Error("nothing was tried again")
			}
		})
	}
}

// TestUpstreamCauses: 502, 503 and 504 told apart, and the client's connection kept where its request is whole.
func TestUpstreamCauses(t *testing.T) {
	const short = 50 * time.Millisecond
	var over chan struct{}
	silent := func(c *peer, _ int) { io.Copy(io.Discard, c.in) }
	for _, c := range []struct {
		name   string
		server func(t *testing.T) string
		ask    string
		pool   func(*upstream.Options)
		status int
		cause  upstream.Cause
	}{
		{"refused", refusing, get, nil, 502, upstream.ConnectFailed},
		{"connect_timeout", deaf, get, func(o *upstream.Options) { o.ConnectTimeout = short }, 504, upstream.ConnectTimeout},
		{"response_timeout", func(t *testing.T) string { return origin(t, silent) }, get,
			func(o *upstream.Options) { o.ResponseTimeout = short }, 504, upstream.ResponseTimeout},
		{"request not taken", func(t *testing.T) string {
			return origin(t, func(c *peer, _ int) {
				c.head()
				<-over // and nothing of the body
			})
		}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n",
			func(o *upstream.Options) { o.ResponseTimeout = short }, 504, upstream.ResponseTimeout},
		{"closed", func(t *testing.T) string { return origin(t, func(c *peer, _ int) { c.head() }) }, get, nil, 502, upstream.Closed},
		{"not HTTP", func(t *testing.T) string { return origin(t, says("HELLO\r\n\r\n")) }, get, nil, 502, upstream.BadResponse},
	} {
		t.Run(c.name, func(t *testing.T) {
			over = make(chan struct{})
			b := grow(t, plot{servers: []string{c.server(t)}, pool: c.pool})
			t.Cleanup(func() { close(over) })
			p := dial(t, b.addr)
			go func() {
				io.WriteString(p.Conn, c.ask)
				if strings.HasPrefix(c.ask, "POST") {
					io.WriteString(p.Conn, strings.Repeat("x", 30000000))
				}
			}()
			r := p.want("GET", c.status, "*")
			if n := b.pools["app"].Stats().Failures[c.cause].Load(); n == 0 {
				t.Errorf("%q was not counted", c.cause)
			}
			if c.ask == get && r.Close {
				t.Error("the client's connection is given up")
			}
			p.Close()
		})
	}
}

// TestU82Reset: a response that only the close ends must not be ended by a reset.
func TestU82Reset(t *testing.T) {
	seen := make(chan struct{})
	b := grow(t, plot{servers: []string{origin(t, func(c *peer, _ int) {
		c.head()
		c.say("HTTP/1.1 200 OK\r\n\r\nhalf of ")
		<-seen
		resetConn(c)
	})}})
	p := dial(t, b.addr)
	p.say(get)
	r, err := http.ReadResponse(p.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(r.Body, make([]byte, 8))
	close(seen)
	if rest, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("a sound end, after %q", rest)
	}
}

// TestBodyTimeout: a server that stops within its body is cut off; one that waits for a slow client, or for a filter, is not.
func TestBodyTimeout(t *testing.T) {
	const short = 300 * time.Millisecond
	body := func(o *upstream.Options) { o.BodyTimeout = short }
	t.Run("server stops", func(t *testing.T) {
		b := grow(t, plot{pool: body, servers: []string{origin(t, func(c *peer, _ int) {
			c.head()
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			c.in.ReadByte()
		})}})
		p := dial(t, b.addr)
		p.say(get)
		if r, _, err := p.answer("GET"); err == nil {
			t.Errorf("a sound answer: %v", r)
		}
	})
	t.Run("client is slow", func(t *testing.T) {
		const size = 24 << 20
		big := strings.Repeat("x", size)
		b := grow(t, plot{pool: body, servers: []string{origin(t, func(c *peer, _ int) {
			c.head()
			io.WriteString(c.Conn, "HTTP/1.1 200 OK\r\nContent-Length: 25165824\r\n\r\n")
			io.WriteString(c.Conn, big)
			c.in.ReadByte()
		})}})
		p := dial(t, b.addr)
		p.say(get)
		if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseWriting] == 1 }) {
			t.Fatalf("phases %v", b.engine.Load().Phases)
		}
		within(2*short, func() bool { return b.engine.Load().Connections == 0 }) // what would be wrong
		r, err := http.ReadResponse(p.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestU83U84BytesBehindResponse: what an origin says that nobody asked for is never anybody's answer, and ends the connection.
func TestU83U84BytesBehindResponse(t *testing.T) {
	for _, c := range []struct{ name, method, say string }{
		{"U83 second response", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"},
		{"U83 too much body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEVIL"},
		{"U84 204 with a body", "GET", "HTTP/1.1 204 No Content\r\n\r\nEVIL"},
		{"U84 304 with a body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nEVIL"},
		{"U84 HEAD with a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var conns atomic.Int32
			b := grow(t, plot{servers: []string{origin(t, func(p *peer, n int) {
				conns.Add(1)
				if n == 0 {
					says(c.say)(p, n)
					return
				}
				echo(p, n)
			})}})
			p := dial(t, b.addr)
			p.say(c.method, " / HTTP/1.1\r\nHost: a\r\n\r\n")
			p.want(c.method, 0+statusOf(c.say), "*")
			p.say(get)
			p.want("GET", 200, "GET / ")
			if conns.Load() != 2 {
				t.Errorf("%d connections", conns.Load())
			}
		})
	}
}

func statusOf(response string) int {
	return int(response[9]-'0')*100 + int(response[10]-'0')*10 + int(response[11]-'0')
}

// TestU83LateBytes: bytes that come while the connection is idle end it before anybody borrows it.
func TestU83LateBytes(t *testing.T) {
	late := make(chan struct{})
	b := grow(t, plot{servers: []string{origin(t, func(p *peer, n int) {
		if n > 0 {
			echo(p, n)
			return
		}
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-late
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
		p.in.ReadByte()
	})}})
	p := dial(t, b.addr)
	p.say(get)
	p.want("GET", 200, "ok")
	if !within(patience, func() bool { return b.pools["app"].Idle() == 1 }) {
		t.Fatal("not kept")
	}
	close(late)
	if !within(patience, func() bool { return b.pools["app"].Idle() == 0 }) {
		t.Error("still kept")
	}
	p.say(get)
	p.want("GET", 200, "GET / ")
}

// TestIdleBound: no more than keepalive idle connections stay on a poller.
func TestIdleBound(t *testing.T) {
	const clients = 12
	var wait [clients]*peer
	release := make(chan struct{})
	var asked atomic.Int32
	b := grow(t, plot{pool: func(o *upstream.Options) { o.Keepalive = 2 }, servers: []string{origin(t, func(p *peer, _ int) {
		for {
			if _, err := p.head(); err != nil {
				return
			}
			asked.Add(1)
			<-release
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})}})
	for i := range wait {
		wait[i] = dial(t, b.addr)
		wait[i].say(get)
	}
	if !within(patience, func() bool { return asked.Load() == clients }) {
		t.Fatal("not all are asked")
	}
	close(release)
	for _, p := range wait {
		p.want("GET", 200, "ok")
	}
	if n := b.pools["app"].Idle(); n < 2 || n > 4 {
		t.Errorf("%d idle connections on two pollers, at most 2 each", n)
	}
}

// TestEarlyResponse: an answer while the body is still coming reaches the client, whose connection then ends (S26).
func TestEarlyResponse(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, func(p *peer, _ int) {
		p.head()
		p.say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, p.in)
	})}})
	p := dial(t, b.addr)
	p.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", strings.Repeat("x", 1000))
	if r := p.want("POST", 413, "no"); !r.Close {
		t.Error("the connection is to stay")
	}
}

// TestInterims: 103 is passed on, 100 is not, and neither to an HTTP/1.0 client (S28).
func TestInterims(t *testing.T) {
	say := "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	b := grow(t, plot{servers: []string{origin(t, says(say))}})
	p := dial(t, b.addr)
	p.say(get)
	if h, _ := p.head(); h != "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" {
		t.Errorf("got %q", h)
	}
	p.want("GET", 200, "ok")
	p.say("GET / HTTP/1.0\r\n\r\n")
	p.want("GET", 200, "ok")
}

// TestTrailers: trailers pass both ways, to those who can take them.
func TestTrailers(t *testing.T) {
	got := make(chan string, 2)
	b := grow(t, plot{servers: []string{origin(t, func(p *peer, _ int) {
		for {
			r, err := http.ReadRequest(p.in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			got <- r.Trailer.Get("X-Up")
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-down\r\n\r\n2\r\nok\r\n0\r\nx-down: d\r\ncontent-length: 9\r\n\r\n")
		}
	})}})
	p := dial(t, b.addr)
	p.say("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\nTrailer: x-up\r\n\r\n",
		"2\r\nab\r\n0\r\nx-up: u\r\n\r\n")
	r := p.want("POST", 200, "ok")
	if up := <-got; up != "u" || r.Trailer.Get("X-Down") != "d" || len(r.Trailer) != 1 {
		t.Errorf("up %q, down %v", up, r.Trailer)
	}
	p.say("GET / HTTP/1.0\r\n\r\n")
	if r := p.want("GET", 200, "ok"); len(r.Trailer) != 0 || len(r.TransferEncoding) != 0 {
		t.Errorf("HTTP/1.0 got %v %v", r.Trailer, r.TransferEncoding)
	}
}

// TestResetWhileRequestWaits: a server that resets while it has not taken the request costs that request, and nothing else.
func TestResetWhileRequestWaits(t *testing.T) {
	full, over := make(chan struct{}), make(chan struct{})
	b := grow(t, plot{servers: []string{origin(t, func(p *peer, _ int) {
		p.head()
		<-full
		resetConn(p)
		<-over
	})}})
	t.Cleanup(func() { close(over) })
	p := dial(t, b.addr)
	go func() {
		io.WriteString(p.Conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n")
		io.WriteString(p.Conn, strings.Repeat("x", 30000000))
	}()
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseUpstream] == 1 }) { // the client's bytes are not taken
		t.Fatalf("phases %v", b.engine.Load().Phases)
	}
	close(full)
	p.want("POST", 502, "*")
	p.Close()
}
