package threats

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

// play is what an origin says to the request for /case/<name>, as it stands; the connection stays open unless close is set.
type play struct {
	say   string
	close bool
	reset bool
}

// stage is an edge with an origin that plays by the request's target; any other target is mirrored.
func stage(t *testing.T, plays map[string]play) *bed {
	t.Helper()
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			p, ok := plays[strings.TrimPrefix(q.Target, "/case/")]
			if !ok {
				p.say = mirrored(q)
			}
			if c.Say(p.say) != nil || p.close {
				return
			}
			if p.reset {
				c.Reset()
				return
			}
		}
	})
	return &bed{Edge: rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("response_timeout = \"2s\"\nretries = 0\n", origin)}), origin: origin}
}

// told reads a case's whole answer: the response, or how it was cut off.
func (b *bed) told(t *testing.T, method, name string) (*strict.Response, error) {
	t.Helper()
	c := rig.Dial(t, b.Addr)
	c.Send(method + " /case/" + name + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for {
		p, err := c.TryNext(method)
		if err != nil || p.Status >= 200 {
			return p, err
		}
	}
}

// TestU81U85BadHeads: an origin's head that is not sound never reaches the client; it gets a 502 of edge's own.
func TestU81U85BadHeads(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	body := "Content-Length: 4\r\n\r\nEVIL"
	names := map[string]play{
		"U81-CR-in-value":       {say: ok + "X: a\rSet-Cookie: evil=1\r\n" + body},
		"U81-LF-in-value":       {say: ok + "X: a\nSet-Cookie: evil=1\r\n" + body},
		"U81-NUL-in-value":      {say: ok + "X: a\x00b\r\n" + body},
		"U81-control-in-value":  {say: ok + "X: a\x01b\r\n" + body},
		"U81-LF-status-line":    {say: "HTTP/1.1 200 OK\n" + body},
		"U81-CR-in-reason":      {say: "HTTP/1.1 200 O\rK\r\n" + body},
		"U81-bad-name":          {say: ok + "X Y: a\r\n" + body},
		"U81-empty-name":        {say: ok + ": a\r\n" + body},
		"U81-space-colon":       {say: ok + "X : a\r\n" + body},
		"U82-CL-and-TE":         {say: ok + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n"},
		"U82-two-CL":            {say: ok + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nEVIL!"},
		"U82-CL-list":           {say: ok + "Content-Length: 4, 5\r\n\r\nEVIL!"},
		"U82-CL-negative":       {say: ok + "Content-Length: -4\r\n\r\nEVIL"},
		"U82-CL-plus":           {say: ok + "Content-Length: +4\r\n\r\nEVIL"},
		"U82-CL-huge":           {say: ok + "Content-Length: 99999999999999999999\r\n\r\nEVIL"},
		"U82-TE-unknown":        {say: ok + "Transfer-Encoding: gzip\r\n\r\nEVIL", close: true},
		"U82-TE-twice":          {say: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n"},
		"U82-TE-in-1.0":         {say: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n", close: true},
		"U85-status-99":         {say: "HTTP/1.1 99 X\r\n" + body},
		"U85-status-word":       {say: "HTTP/1.1 OK\r\n" + body},
		"U85-status-4-digits":   {say: "HTTP/1.1 2000 OK\r\n" + body},
		"U85-HTTP-2.0":          {say: "HTTP/2.0 200 OK\r\n" + body},
		"U85-no-HTTP":           {say: "EVIL\r\n\r\n", close: true},
		"U85-HTTP-0.9":          {say: "<html>EVIL</html>", close: true},
		"U85-many-headers":      {say: ok + strings.Repeat("X: y\r\n", 100000) + body},
		"U85-one-header-of-1MB": {say: ok + "X: " + strings.Repeat("y", 1<<20) + "\r\n" + body},
		"U85-endless-reason":    {say: "HTTP/1.1 200 " + strings.Repeat("x", 1<<20) + "\r\n" + body},
		"U85-nothing":           {close: true},
		"U85-reset":             {reset: true},
		"U85-half-a-head":       {say: ok + "X: y\r\n", close: true},
		"U92-101-unasked":       {say: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nEVIL"},
	}
	b := stage(t, names)
	for name := range names {
		t.Run(strings.Replace(name, "-", " ", 1), func(t *testing.T) {
			p, err := b.told(t, "GET", name)
			if err != nil || p.Status != 502 || strings.Contains(string(p.Body), "EVIL") || p.Header.Has("set-cookie") {
				t.Errorf("answer is %+v, %v; want 502", p, err)
			}
			b.fence(t)
		})
	}
}

// TestS21ObsFoldInResponse: an obs-fold from an origin is refused or made one line, never passed on (S21).
func TestS21ObsFoldInResponse(t *testing.T) {
	b := stage(t, map[string]play{"fold": {say: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"}})
	p, err := b.told(t, "GET", "fold")
	if err != nil || !(p.Status == 502 || (p.Status == 200 && p.Header.Get("x") == "a b")) {
		t.Errorf("answer is %+v, %v", p, err)
	}
	b.fence(t)
}

// TestU82BadBodies: a body that ends wrongly ends wrongly for the client too. It may be answered 502 where nothing was sent
// yet; it is never a sound 200.
func TestU82BadBodies(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const te = ok + "Transfer-Encoding: chunked\r\n\r\n"
	big := strings.Repeat("x", 300<<10)
	names := map[string]play{
		"U82-short-length":        {say: ok + "Content-Length: 10\r\n\r\nshort", close: true},
		"U82-short-length-reset":  {say: ok + "Content-Length: 10\r\n\r\nshort", reset: true},
		"U82-short-length-big":    {say: ok + "Content-Length: 1000000\r\n\r\n" + big, close: true},
		"U82-chunked-no-end":      {say: te + "5\r\nshort\r\n", close: true},
		"U82-chunked-mid-chunk":   {say: te + "a\r\nshort", close: true},
		"U82-chunked-big-no-end":  {say: te + fmt.Sprintf("%x\r\n%s\r\n", len(big), big), close: true},
		"U82-chunk-size-bad":      {say: te + "5\r\nshort\r\nzz\r\nEVIL\r\n0\r\n\r\n"},
		"U82-chunk-size-0x":       {say: te + "0x5\r\nshort\r\n0\r\n\r\n"},
		"U82-chunk-size-overflow": {say: te + "10000000000000005\r\nshort\r\n0\r\n\r\n"},
		"U82-chunk-no-CRLF":       {say: te + "5\r\nshortXX0\r\n\r\n"},
		"U82-chunk-LF":            {say: te + "5\nshort\n0\n\n"},
		"U82-trailer-bad":         {say: te + "5\r\nshort\r\n0\r\nX Y: z\r\n\r\n"},
		"U82-trailer-missing-end": {say: te + "5\r\nshort\r\n0\r\n", close: true},
		"U82-stalls":              {say: ok + "Content-Length: 10\r\n\r\nshort"}, // and nothing more
	}
	b := stage(t, names)
	for name := range names {
		t.Run(strings.Replace(name, "-", " ", 1), func(t *testing.T) {
			p, err := b.told(t, "GET", name)
			if err == nil && p.Status != 502 && p.Status != 504 {
				t.Errorf("answer is a sound %d with %d bytes by %s", p.Status, len(p.Body), p.Framing)
			}
			if err != nil && p == nil && !errors.Is(err, io.EOF) {
				t.Logf("cut off before the head: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "i/o timeout") {
				t.Errorf("the client was left waiting: %v", err)
			}
			b.fence(t)
		})
	}
}

// TestU82HTTP10 is the same for a client that can tell a body's end only by the close: it must see a reset, or no length less
// than promised as an end. A close-delimited answer that was cut off ends with a reset.
func TestU82HTTP10(t *testing.T) {
	b := stage(t, map[string]play{"cut": {say: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", close: true}})
	c := rig.Dial(t, b.Addr)
	c.Send("GET /case/cut HTTP/1.0\r\nHost: a\r\n\r\n")
	p, err := c.TryNext("GET")
	if err == nil && p.Status == 200 {
		t.Errorf("a body cut off at the origin ends cleanly for an HTTP/1.0 client: %q", p.Body)
	}
}

// TestU83LateBytes: what an origin sends after its response is nobody's answer.
func TestU83LateBytes(t *testing.T) {
	evil := rig.OK("EVIL")
	for name, say := range map[string]string{
		"U83 a second response":          rig.OK("one") + evil,
		"U83 bytes above the length":     rig.OK("one") + "EVIL",
		"U83 after a chunked body":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n" + evil,
		"U84 204 with a body":            "HTTP/1.1 204 No Content\r\n\r\n" + evil,
		"U84 204 with a length and body": "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL",
		"U84 304 with a body":            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nEVIL",
		"U84 HEAD with a body":           "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
	} {
		t.Run(name, func(t *testing.T) {
			b := stage(t, map[string]play{"late": {say: say}})
			method := "GET"
			if strings.Contains(name, "HEAD") {
				method = "HEAD"
			}
			for range 4 {
				p, err := b.told(t, method, "late")
				if err != nil || p.Status >= 400 && p.Status != 502 || strings.Contains(string(p.Body), "EVIL") {
					t.Errorf("answer is %+v, %v", p, err)
				}
				b.fence(t)
			}
		})
	}
}

// TestU83LateBytesLater is the same where the bytes come while the connection rests in the pool.
func TestU83LateBytesLater(t *testing.T) {
	rested := make(chan *rig.OriginConn, 16)
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			if c.Say(mirrored(q)) != nil {
				return
			}
			if q.Target == "/rest" {
				rested <- c
			}
		}
	})
	origin.Lax = true
	b := &bed{Edge: rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("", origin)}), origin: origin}
	for range 5 {
		if p := rig.Dial(t, b.Addr).Get("/rest", "Connection: close\r\n"); p.Status != 200 {
			t.Fatalf("answer is %d", p.Status)
		}
		_ = (<-rested).Say(rig.OK("EVIL"))
		b.fence(t) // checks that the answer is the fence's own
	}
}

// TestU84Sound: answers without a body keep their connection in step.
func TestU84Sound(t *testing.T) {
	b := stage(t, map[string]play{
		"204":        {say: "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"},
		"304":        {say: "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 100\r\n\r\n"},
		"304chunked": {say: "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n"},
		"head":       {say: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"},
	})
	for _, c := range []struct {
		method, name string
		status       int
	}{{"GET", "204", 204}, {"GET", "304", 304}, {"GET", "304chunked", 304}, {"HEAD", "head", 200}} {
		p, err := b.told(t, c.method, c.name)
		if err != nil || p.Status != c.status || len(p.Body) != 0 {
			t.Errorf("U84 %s %s: %+v, %v", c.method, c.name, p, err)
		}
		if c.method == "HEAD" && p.Header.Get("content-length") != "100" {
			t.Errorf("U84 HEAD loses the length: %+v", p.Header)
		}
		b.fence(t)
	}
}

// TestU86Connection: Connection names take away hop-by-hop fields only.
func TestU86Connection(t *testing.T) {
	b := newBed(t, rig.Config{})
	rig.Dial(t, b.Addr).Get("/p", "Connection: close, X-Forwarded-For, Authorization, Host, Cookie, Content-Length, X-Request-Id, Via, X-Mine, Keep-Alive\r\n"+
		"Authorization: secret\r\nCookie: a=b\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nProxy-Authorization: x\r\n"+
		"Trailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")
	got := b.seen()
	if len(got) != 1 {
		t.Fatalf("the origin saw %d requests", len(got))
	}
	h := got[0].Header
	for _, name := range []string{"authorization", "cookie", "host", "x-forwarded-for", "via"} {
		if len(h.Values(name)) != 1 {
			t.Errorf("U86: %s is %q at the origin, want one", name, h.Values(name))
		}
	}
	for _, name := range []string{"x-mine", "keep-alive", "proxy-connection", "upgrade", "http2-settings"} {
		if h.Has(name) {
			t.Errorf("U86: %s: %q reached the origin", name, h.Get(name))
		}
	}
	if te := h.Get("te"); te != "" && te != "trailers" {
		t.Errorf("U86: te is %q at the origin", te)
	}
	if c := strings.ToLower(h.Get("connection")); strings.Contains(c, "forwarded") || strings.Contains(c, "authorization") {
		t.Errorf("U86: connection is %q at the origin", c)
	}
}

// TestU87Forwarded: what a client says about itself in these fields is replaced.
func TestU87Forwarded(t *testing.T) {
	b := newBed(t, rig.Config{})
	rig.Dial(t, b.Addr).Get("/p", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n"+
		"X-Forwarded-Server: evil\r\nForwarded: for=6.6.6.6;host=evil\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: evil-id\r\nx_forwarded_for: 6.6.6.6\r\n")
	got := b.seen()
	if len(got) != 1 {
		t.Fatalf("the origin saw %d requests", len(got))
	}
	h := got[0].Header
	for _, f := range h {
		if strings.Contains(f.Value, "6.6.6.6") || strings.Contains(f.Value, "7.7.7.7") || strings.Contains(f.Value, "evil") {
			t.Errorf("U87: the client's %s: %q reached the origin", f.Name, f.Value)
		}
	}
	if v := h.Values("x-forwarded-for"); len(v) != 1 || !strings.HasPrefix(v[0], "127.") {
		t.Errorf("U87: x-forwarded-for is %q at the origin, want the client's address", v)
	}
	if v := h.Values("x-forwarded-proto"); len(v) != 1 || v[0] != "http" {
		t.Errorf("U87: x-forwarded-proto is %q at the origin", v)
	}
	if v := h.Values("x-forwarded-host"); len(v) != 1 || v[0] != "edge.test" {
		t.Errorf("U87: x-forwarded-host is %q at the origin", v)
	}
	if v := h.Values("x-request-id"); len(v) != 1 || v[0] == "" {
		t.Errorf("U87: x-request-id is %q at the origin", v)
	}
}

// TestU88Retry: another server is tried for safe requests only, and only while nothing was answered.
func TestU88Retry(t *testing.T) {
	for _, c := range []struct {
		name, method, body string
		say                string // before it closes
		retried            bool
	}{
		{"U88 GET, closed without a word", "GET", "", "", true},
		{"U88 HEAD, closed without a word", "HEAD", "", "", true},
		{"U88 POST, closed without a word", "POST", "hello", "", false},
		{"U88 PATCH, closed without a word", "PATCH", "hello", "", false},
		{"U88 GET, closed within the body", "GET", "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			serve := func(k *rig.OriginConn) {
				q, err := k.ReadRequest()
				if err != nil {
					return
				}
				if calls.Add(1) == 1 { // the first to be asked fails, whichever it is
					_ = k.Say(c.say)
					return
				}
				_ = k.Say(mirrored(q))
			}
			one, two := rig.NewOrigin(t, serve), rig.NewOrigin(t, serve)
			e := rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("retries = 1", one, two)})
			k := rig.Dial(t, e.Addr)
			k.Send(fmt.Sprintf("%s /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", c.method, len(c.body), c.body))
			p, err := k.TryNext(c.method)
			if c.retried && (err != nil || p.Status != 200) {
				t.Errorf("answer is %+v, %v; want the other server's 200", p, err)
			}
			if !c.retried && err == nil && p.Status != 502 {
				t.Errorf("answer is %d, want 502 or a cut", p.Status)
			}
			want := int32(1)
			if c.retried {
				want = 2
			}
			if n := calls.Load(); n != want {
				t.Errorf("the servers saw %d requests, want %d", n, want)
			}
		})
	}
}

// TestU89Loop: an edge that is its own upstream ends the circle.
func TestU89Loop(t *testing.T) {
	var back atomic.Value // edge's own address
	relay := rig.NewOrigin(t, func(c *rig.OriginConn) {
		q, err := c.ReadRequest()
		if err != nil {
			return
		}
		next, err := net.Dial("tcp", back.Load().(string))
		if err != nil {
			return
		}
		defer next.Close()
		var b strings.Builder
		fmt.Fprintf(&b, "GET %s HTTP/1.1\r\n", q.Target)
		for _, f := range q.Header {
			if !strings.EqualFold(f.Name, "connection") {
				fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
			}
		}
		_, _ = io.WriteString(next, b.String()+"Connection: close\r\n\r\n")
		_, _ = io.Copy(c.TCPConn, next)
	})
	e := rig.Start(t, rig.Config{Rest: rig.Upstream("", relay)})
	back.Store(e.Addr)
	began := time.Now()
	p := rig.Dial(t, e.Addr).Get("/loop", "")
	if p.Status != 508 {
		t.Errorf("answer is %d, want 508", p.Status)
	}
	if n := len(relay.Requests()); n > 32 || time.Since(began) > 10*time.Second {
		t.Errorf("the circle was run %d times in %v", n, time.Since(began))
	}
	if p := rig.Dial(t, e.Addr).Get("/max", "Max-Forwards: 0\r\nVia: 1.1 somebody-else\r\n"); p.Status >= 500 && p.Status != 508 {
		t.Errorf("Max-Forwards: 0 on GET is answered %d", p.Status)
	}
}

// TestU92Upgrade: a tunnel is made only after a valid 101 that was asked for.
func TestU92Upgrade(t *testing.T) {
	const ask = "GET /%s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: %d\r\n\r\n"
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			switch q.Target {
			case "/ws":
				_ = c.Say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
				_, _ = io.Copy(c.TCPConn, c.R)
				return
			case "/version":
				_ = c.Say("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n")
			case "/other":
				_ = c.Say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nEVIL")
			case "/bare":
				_ = c.Say("HTTP/1.1 101 Switching Protocols\r\n\r\nEVIL")
			default:
				_ = c.Say(mirrored(q))
			}
		}
	})
	origin.Lax = true // after 101 it is no HTTP
	b := &bed{Edge: rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("", origin)}), origin: origin}

	t.Run("U92 bytes before the 101 wait", func(t *testing.T) {
		c := rig.Dial(t, b.Addr)
		c.Send(fmt.Sprintf(ask, "ws", 13) + "early")
		if p := c.Response("GET"); p.Status != 101 || !strings.EqualFold(p.Header.Get("upgrade"), "websocket") || !strings.EqualFold(p.Header.Get("connection"), "upgrade") {
			t.Fatalf("answer is %+v", p)
		}
		c.Send(" late")
		got := make([]byte, len("hello early late"))
		rig.Must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		if _, err := io.ReadFull(c.R, got); err != nil || string(got) != "hello early late" {
			t.Errorf("through the tunnel came %q, %v", got, err)
		}
	})
	t.Run("U92 426 keeps HTTP", func(t *testing.T) {
		c := rig.Dial(t, b.Addr)
		c.Send(fmt.Sprintf(ask, "version", 777))
		if p := c.Response("GET"); p.Status != 426 {
			t.Fatalf("answer is %d", p.Status)
		}
		c.Send("GET /smuggled HTTP/1.1\r\n\r\n") // no Host: were it a tunnel, the origin would see it
		if p := c.Response("GET"); p.Status != 400 {
			t.Errorf("after a 426 the connection is not HTTP: %+v", p)
		}
	})
	for _, path := range []string{"other", "bare"} {
		t.Run("U92 101 "+path, func(t *testing.T) {
			c := rig.Dial(t, b.Addr)
			c.Send(fmt.Sprintf(ask, path, 13))
			p, err := c.TryNext("GET")
			if err == nil && p.Status != 502 {
				t.Errorf("a 101 that does not match is answered %d", p.Status)
			}
		})
	}
	t.Run("U92 upgrade with a body", func(t *testing.T) {
		c := rig.Dial(t, b.Addr)
		c.Send("POST /plain HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 43\r\n\r\n" + smuggled)
		if p := c.Response("POST"); p.Status != 400 && !(p.Status == 200 && string(p.Body) == "POST /plain "+smuggled) {
			t.Errorf("answer is %d %q", p.Status, p.Body)
		}
	})
	b.fence(t)
	for _, q := range b.seen() {
		if q.Target == "/smuggled" {
			t.Error("the origin saw /smuggled")
		}
	}
}

// TestU91NoCache: nothing is stored, so no key can be poisoned: every request reaches the origin.
func TestU91NoCache(t *testing.T) {
	b := stage(t, map[string]play{"c": {say: "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: 2\r\n\r\nok"}})
	for range 3 {
		if p, err := b.told(t, "GET", "c"); err != nil || p.Status != 200 {
			t.Fatalf("answer is %+v, %v", p, err)
		}
	}
	if n := len(b.seen()); n != 3 {
		t.Errorf("the origin saw %d of 3 requests", n)
	}
}
