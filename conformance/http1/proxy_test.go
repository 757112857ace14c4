package http1

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
	"edge/conformance/strict"
)

// TestChunkedBothWays: chunked bodies with trailers pass through in both directions.
func TestChunkedBothWays(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			_ = c.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n%x\r\n%s\r\n3\r\nend\r\n0\r\nX-Sum: %s\r\n\r\n",
				len(q.Body), q.Body, q.Trailer.Get("x-sum")))
		}
	})
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for i := range 3 {
		c.Send("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n", "5\r\nhel", "lo\r\n6;x=y\r\n world\r\n", "0\r\nX-Sum: 11\r\n\r\n")
		p := c.Response("POST")
		if p.Status != 200 || string(p.Body) != "hello worldend" || p.Framing != strict.Chunked {
			t.Fatalf("round %d: %+v", i, p)
		}
		if p.Trailer.Get("x-sum") != "11" {
			t.Errorf("round %d: trailers are %+v", i, p.Trailer)
		}
	}
	if q := o.Requests(); q[0].Framing != strict.Chunked || q[0].Trailer.Get("x-sum") != "11" {
		t.Errorf("the origin saw %+v", q[0])
	}
}

// TestBodyStreams: pieces of a body pass on as they come, both ways; edge does not wait for the end.
func TestBodyStreams(t *testing.T) {
	steps := make(chan string)
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadHead(); err != nil {
			return
		}
		_ = c.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			line, err := c.R.ReadString('\n') // chunk size
			if err != nil {
				return
			}
			piece := make([]byte, 3)
			if _, err := io.ReadFull(c.R, piece[:1]); err != nil || line != "1\r\n" {
				return
			}
			_, _ = io.ReadFull(c.R, piece[1:])
			steps <- string(piece[:1])
			_ = c.Say("1\r\n" + strings.ToUpper(string(piece[:1])) + "\r\n")
		}
		_ = c.Say("0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c.R)
	})
	o.Lax = true
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	c.Send("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	rig.Must(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	p, _, err := strict.ReadResponseHead(c.R, "POST")
	if err != nil || p.Status != 200 {
		t.Fatalf("the response's head while the request's body is still to come: %+v, %v", p, err)
	}
	for _, piece := range []string{"a", "b", "c"} {
		c.Send("1\r\n" + piece + "\r\n")
		if got := <-steps; got != piece {
			t.Fatalf("the origin got %q, want %q", got, piece)
		}
		back := make([]byte, len("1\r\nX\r\n"))
		if _, err := io.ReadFull(c.R, back); err != nil || string(back) != "1\r\n"+strings.ToUpper(piece)+"\r\n" {
			t.Fatalf("back came %q, %v", back, err)
		}
	}
	c.Send("0\r\n\r\n")
}

// TestExpect100: the client is told to go on, and the origin gets the body.
func TestExpect100(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadHead()
			if err != nil {
				return
			}
			if q.Header.Has("expect") {
				_ = c.Say("HTTP/1.1 100 Continue\r\n\r\n")
			}
			body := make([]byte, 5)
			if _, err := io.ReadFull(c.R, body); err != nil {
				return
			}
			_ = c.Say(rig.OK(string(body)))
		}
	})
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for range 2 {
		c.Send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if p := c.Next("POST"); p.Status != 100 {
			t.Fatalf("first came %+v, want 100", p)
		}
		c.Send("hello")
		if p := c.Next("POST"); p.Status != 200 || string(p.Body) != "hello" {
			t.Fatalf("then came %+v", p)
		}
	}
	// The body may come with the head: then 100 may be left out, and nothing may go wrong.
	c.Send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
	if p := c.Response("POST"); p.Status != 200 || string(p.Body) != "hello" {
		t.Errorf("body with the head: %+v", p)
	}
}

// TestEarlyHints: 103 passes through, before the final response and more than once.
func TestEarlyHints(t *testing.T) {
	o := rig.NewOrigin(t, rig.Script("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n"+rig.OK("end")))
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for range 2 {
		c.Send("GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
		for _, link := range []string{"</a.css>; rel=preload", "</b.css>; rel=preload"} {
			if p := c.Next("GET"); p.Status != 103 || p.Header.Get("link") != link {
				t.Fatalf("interim is %+v, want 103 with %s", p, link)
			}
		}
		if p := c.Next("GET"); p.Status != 200 || string(p.Body) != "end" {
			t.Fatalf("final is %+v", p)
		}
	}
}

// TestEarlyResponse: an origin that answers before it has the body is heard at once.
func TestEarlyResponse(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadHead(); err == nil {
			_ = c.Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			_, _ = io.Copy(io.Discard, c.R)
		}
	})
	e := start(t, "linger_timeout = \"2s\"", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	c.Send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\npart")
	if p := c.Response("POST"); p.Status != 403 || string(p.Body) != "no" {
		t.Errorf("answer is %+v", p)
	}
}

// TestClientGoneCancelsUpstream: when the client leaves, the origin is let go.
func TestClientGoneCancelsUpstream(t *testing.T) {
	for name, say := range map[string]string{"before the answer": "", "within the answer": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"} {
		t.Run(name, func(t *testing.T) {
			o := rig.NewOrigin(t, func(c *rig.OriginConn) {
				if _, err := c.ReadRequest(); err == nil {
					_ = c.Say(say)
					_, _ = c.R.ReadByte() // until edge closes
				}
			})
			e := start(t, "", rig.Upstream("response_timeout = \"60s\"", o))
			c := rig.Dial(t, e.Addr)
			c.Send("GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
			if !rig.Eventually(10*time.Second, func() bool { return len(o.Requests()) == 1 }) {
				t.Fatal("the request did not reach the origin")
			}
			c.Abort()
			select {
			case <-o.Conns()[0].Ended():
			case <-time.After(10 * time.Second):
				t.Error("10 s after the client left, the origin's connection is still open")
			}
		})
	}
}

// TestRetryOnRefusedAndStale: a server that refuses, and an idle connection that the origin has closed, are passed over.
func TestRetryOnRefusedAndStale(t *testing.T) {
	dead, err := proc.FreeAddr()
	rig.Must(t, err)
	o := rig.NewOrigin(t, rig.Echo)
	e := start(t, "", fmt.Sprintf("[upstreams.app]\nservers = [%q, %q]\nretries = 1\n[[routes]]\nupstream = \"app\"\n", dead, o.Addr))
	c := rig.Dial(t, e.Addr)
	for i := range 20 {
		if p := c.Get("/p", ""); p.Status != 200 {
			t.Fatalf("request %d with one of two servers refusing: %d", i, p.Status)
		}
	}

	// Every connection serves one request and is closed a moment after, while it rests in the pool.
	closes := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			_ = c.Say(rig.OK("once"))
		}
	})
	e = start(t, "", rig.Upstream("", closes))
	c = rig.Dial(t, e.Addr)
	for i := range 50 {
		if p := c.Get("/p", ""); p.Status != 200 || string(p.Body) != "once" {
			t.Fatalf("request %d to an origin that closes idle connections: %+v", i, p)
		}
	}
}

// TestUpstreamCauses: 502, 503 and 504 say different things.
func TestUpstreamCauses(t *testing.T) {
	dead, err := proc.FreeAddr()
	rig.Must(t, err)
	silent := rig.NewOrigin(t, func(c *rig.OriginConn) { _, _ = io.Copy(io.Discard, c.R) })
	garbage := rig.NewOrigin(t, rig.Script("nonsense\r\n\r\n"))
	full := fullBacklog(t)
	e := start(t, "", fmt.Sprintf(`
[upstreams.dead]
servers = [%q]
[upstreams.silent]
servers = [%q]
response_timeout = "1s"
[upstreams.garbage]
servers = [%q]
[upstreams.full]
servers = [%q]
connect_timeout = "1s"
retries = 0
[[routes]]
match = { path = "/dead" }
upstream = "dead"
[[routes]]
match = { path = "/silent" }
upstream = "silent"
[[routes]]
match = { path = "/garbage" }
upstream = "garbage"
[[routes]]
match = { path = "/full" }
upstream = "full"
`, dead, silent.Addr, garbage.Addr, full))
	c := rig.Dial(t, e.Addr)
	for _, k := range []struct {
		path string
		want string
	}{{"/dead", "502 503"}, {"/garbage", "502"}, {"/silent", "504"}, {"/full", "502 503 504"}} {
		began := time.Now()
		p := c.Get(k.path, "")
		if !strings.Contains(k.want, fmt.Sprint(p.Status)) {
			t.Errorf("%s is answered %d, want %s", k.path, p.Status, k.want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", k.path, took)
		}
	}
	e.Stop()
	if log := e.AccessLog(); strings.Count(log, "\n") != 4 {
		t.Errorf("access log is %q, want 4 lines", log)
	}
}

// fullBacklog is an address that neither accepts nor refuses: its queue of connections is full.
func fullBacklog(t *testing.T) string {
	t.Helper()
	addr, listener := smallBacklog(t)
	t.Cleanup(listener)
	for range 8 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("the kernel accepts more connections than the backlog allows")
	return ""
}

// TestForwardingFields: what edge adds for the origin and for the client.
func TestForwardingFields(t *testing.T) {
	o := rig.NewOrigin(t, rig.Script("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: x\r\nX-Stays: 1\r\nServer: origin\r\n\r\nok"))
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	p := c.Get("/p", "User-Agent: test\r\nAccept: */*\r\n")
	q := o.Requests()[0]
	if v := q.Header.Values("via"); len(v) != 1 || !strings.HasPrefix(v[0], "1.1 ") {
		t.Errorf("via at the origin is %q", v)
	}
	if v := p.Header.Values("via"); len(v) != 1 || !strings.HasPrefix(v[0], "1.1 ") {
		t.Errorf("via at the client is %q", v)
	}
	host, _, _ := net.SplitHostPort(c.LocalAddr().String())
	for name, want := range map[string]string{"x-forwarded-for": host, "x-forwarded-proto": "http", "x-forwarded-host": "edge.test", "user-agent": "test", "accept": "*/*", "host": "edge.test"} {
		if v := q.Header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s at the origin is %q, want %q", name, v, want)
		}
	}
	first := q.Header.Get("x-request-id")
	c.Get("/p", "")
	if second := o.Requests()[1].Header.Get("x-request-id"); first == "" || second == "" || first == second {
		t.Errorf("request ids are %q and %q", first, second)
	}
	for _, name := range []string{"x-gone", "keep-alive", "proxy-connection"} {
		if p.Header.Has(name) {
			t.Errorf("%s reached the client", name)
		}
	}
	if p.Header.Get("x-stays") != "1" || !p.Header.Has("date") {
		t.Errorf("the client got %+v", p.Header)
	}
}

// TestTunnel: a WebSocket upgrade makes a tunnel that carries bytes both ways, half-closes included, and outlives timeout.
func TestTunnel(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			_ = c.Say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
			_, _ = io.Copy(c.TCPConn, c.R)
			_ = c.Say("goodbye")
		}
	})
	e := start(t, "keepalive_timeout = \"1s\"", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if p := c.Response("GET"); p.Status != 101 || p.Header.Get("sec-websocket-accept") != "x" {
		t.Fatalf("answer is %+v", p)
	}
	q := o.Requests()[0]
	if !strings.EqualFold(q.Header.Get("upgrade"), "websocket") || !strings.Contains(strings.ToLower(q.Header.Get("connection")), "upgrade") || q.Header.Get("sec-websocket-key") != "x" {
		t.Errorf("the origin was asked %+v", q.Header)
	}
	echo := func(size int) {
		t.Helper()
		out := []byte(strings.Repeat("0123456789abcdef", size/16))
		go func() { _, _ = c.TCPConn.Write(out) }()
		in := make([]byte, len(out))
		rig.Must(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		if _, err := io.ReadFull(c.R, in); err != nil || string(in) != string(out) {
			t.Fatalf("echo of %d bytes: %v", size, err)
		}
	}
	echo(16)
	if !c.Silent(1500 * time.Millisecond) {
		t.Fatal("a quiet tunnel is closed after keepalive_timeout")
	}
	echo(16)
	echo(8 << 20)
	rig.Must(t, c.CloseWrite())
	if rest := c.Rest(); rest != "goodbye" {
		t.Errorf("after a half-close came %q", rest)
	}
}

// TestEveryMethod: any method reaches the origin as it is.
func TestEveryMethod(t *testing.T) {
	o := rig.NewOrigin(t, rig.Echo)
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for i, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "M-SEARCH", "get", "X"} {
		c.Send(m + " /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		if p := c.Response(m); p.Status != 200 {
			t.Errorf("%s is answered %d", m, p.Status)
		} else if q := o.Requests(); q[i].Method != m {
			t.Errorf("%s reached the origin as %s", m, q[i].Method)
		}
	}
}

// TestBigBodies: bodies far above any buffer pass through whole, in both directions at once.
func TestBigBodies(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadHead(); err == nil {
			_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
			_, _ = io.CopyN(c.TCPConn, c.R, 32<<20)
			_, _ = c.R.ReadByte()
		}
	})
	e := start(t, "", rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	out := make([]byte, 32<<20)
	for i := range out {
		out[i] = byte(i * 7 >> 3)
	}
	go func() { _ = c.TrySend("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n" + string(out)) }()
	if p := c.Response("POST"); p.Status != 200 || string(p.Body) != string(out) {
		t.Errorf("answer is %d with %d bytes", p.Status, len(p.Body))
	}
}
