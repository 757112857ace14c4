package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/upstream"
)

// TestSniff: both protocols on one port, told apart by the first bytes, however they are cut.
func TestSniff(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: sniffed})
	for _, c := range []struct {
		client *http.Client
		proto  string
	}{{client2(t), "HTTP/2.0"}, {&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/1.1"}} {
		resp, err := c.client.Get("http://" + b.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.Proto != c.proto || string(body) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", resp.Proto, body, err)
		}
	}
	slow := dial(t, b.addr)
	for _, c := range http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" {
		slow.say(string(c))
		time.Sleep(time.Millisecond / 4) // a packet of its own, most of the time
	}
	if got := slow.take(3); got != "\x00\x00\x1e" {
		t.Errorf("a preface in pieces is answered with %q", got)
	}
	p := dial(t, b.addr)
	p.say("PRI * HTTP/1.1\r\n\r\n")
	p.want("GET", 400, "*")
	q := dial(t, b.addr)
	q.say("P")
	q.say("OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	q.want("POST", 200, "hello")
}

// TestSniffTimeout: R70 runs against a preface too.
func TestSniffTimeout(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("")}, entry: sniffed, options: func(o *Options) { o.HeaderTimeout = 50 * time.Millisecond }})
	p := dial(t, b.addr)
	p.say("PRI * HTTP")
	p.closed()
}

// TestHTTP2Proxy: bodies both ways, many at a time, byte for byte, and trailers.
func TestHTTP2Proxy(t *testing.T) {
	var sum atomic.Int64
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		for {
			r, err := http.ReadRequest(c.in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			sum.Add(int64(len(body)))
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n")
			for len(body) > 0 {
				n := min(len(body), 7777)
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, body[:n])
				body = body[n:]
			}
			fmt.Fprintf(c, "0\r\nx-sum: %s\r\n\r\n", r.Trailer.Get("x-count"))
		}
	})}})
	client := client2(t)
	var wg sync.WaitGroup
	var total atomic.Int64
	for i := range 40 {
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte(i), byte(i >> 3), 'x'}, 1+i*i*100)
			total.Add(int64(len(data)))
			req, _ := http.NewRequest("POST", "http://"+b.addr+"/", struct{ io.Reader }{bytes.NewReader(data)})
			req.Trailer = http.Header{"X-Count": {fmt.Sprint(i)}}
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d: %d bytes of %d came back, %v", i, len(got), len(data), err)
			}
			if resp.Trailer.Get("X-Sum") != fmt.Sprint(i) {
				t.Errorf("%d: trailers %v", i, resp.Trailer)
			}
		})
	}
	wg.Wait()
	if sum.Load() != total.Load() {
		t.Errorf("the origin got %d bytes of %d", sum.Load(), total.Load())
	}
}

// TestHTTP2Files: a file larger than every window and buffer, and one that is asked for by HEAD.
func TestHTTP2Files(t *testing.T) {
	const size = 5 << 20
	b := grow(t, plot{routes: []Route{fileRoute(t, size)}, entry: entry2(t)})
	client := client2(t)
	for range 3 {
		resp, err := client.Get("http://" + b.addr + "/big")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != size || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	resp, err := client.Head("http://" + b.addr + "/big")
	if err != nil || resp.ContentLength != size {
		t.Errorf("HEAD: %v, %v", resp, err)
	}
}

// TestHTTP2Pause: a filter that pauses a stream pauses nothing else of the connection.
func TestHTTP2Pause(t *testing.T) {
	paused := make(chan filters.Exchange, 1)
	f := &fake{name: "f", wants: filters.OnRequestHead, head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		if x.Request().Target == "/wait" {
			paused <- x
			return filters.Pause
		}
		return filters.Continue
	}}
	route := fixed("hello")
	route.Filters = []filters.Filter{f}
	b := grow(t, plot{routes: []Route{route}, entry: entry2(t)})
	c := dial2(t, b.addr)
	c.ask(1, true, get2("/wait")...)
	x := <-paused
	for id := uint32(3); id < 9; id += 2 {
		c.ask(id, true, get2("/")...)
		c.want(fmt.Sprintf("HEADERS %d :status=200*", id))
		c.want(fmt.Sprintf("DATA %d 5 end", id))
	}
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseSuspended] == 1 }) {
		t.Errorf("H1: phases are %v", b.engine.Load().Phases)
	}
	go x.Continue(filters.Request)
	c.want("HEADERS 1 :status=200*")
	c.want("DATA 1 5 end")
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseKeepAlive] == 1 }) {
		t.Errorf("H6: phases are %v", b.engine.Load().Phases)
	}
}

// TestHTTP2Cancel: F58. A client that gives a stream up ends the work for it at once, and nothing else.
func TestHTTP2Cancel(t *testing.T) {
	asked, gone := make(chan bool, 2), make(chan bool, 2)
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		r, err := http.ReadRequest(c.in)
		if err != nil {
			return
		}
		if r.URL.Path == "/quick" {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return
		}
		asked <- true
		io.Copy(io.Discard, c.in)
		gone <- true
	})}})
	c := dial2(t, b.addr)
	c.ask(1, true, get2("/slow")...)
	<-asked
	c.WriteRSTStream(1, http2.ErrCodeCancel)
	<-gone
	c.ask(3, true, get2("/quick")...)
	c.want("HEADERS 3 :status=200 content-length=2")
	if got := c.body(3); got != "ok" {
		t.Errorf("got %q", got)
	}
}

// TestHTTP2UpstreamBreaks: U82. An answer that stays incomplete is reset, and the connection goes on.
func TestHTTP2UpstreamBreaks(t *testing.T) {
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		c.head()
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
	})}})
	c := dial2(t, b.addr)
	for id := uint32(1); id < 7; id += 2 {
		c.ask(id, true, get2("/")...)
		c.want(fmt.Sprintf("HEADERS %d :status=200 content-length=10", id))
		c.want(fmt.Sprintf("DATA %d 5", id))
		c.want(fmt.Sprintf("RST %d INTERNAL_ERROR", id))
	}
}

// TestHTTP2EarlyAnswer: the rest of a request that is answered early is read and dropped, up to a window; then it is stopped with
// NO_ERROR. What is wrong with it is an error all the same.
func TestHTTP2EarlyAnswer(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry2(t)})
	c := dial2(t, b.addr)
	early := func(id uint32, pairs ...string) {
		t.Helper()
		c.ask(id, false, post2("/", pairs...)...)
		c.want(fmt.Sprintf("HEADERS %d :status=200*", id))
		c.want(fmt.Sprintf("DATA %d 5 end", id))
	}
	early(1)
	c.WriteData(1, true, make([]byte, 1000))
	early(3)
	for range 4 {
		c.WriteData(3, false, make([]byte, 16<<10))
	}
	c.want("RST 3 NO_ERROR")
	c.WriteData(3, true, nil) // sent before the client knew
	early(5, "content-length", "3")
	c.WriteData(5, true, make([]byte, 4))
	c.want("RST 5 PROTOCOL_ERROR")
	early(7)
	c.WriteRSTStream(7, http2.ErrCodeCancel)
	c.WriteData(7, true, nil)
	c.want("GOAWAY 7 STREAM_CLOSED")
}

// TestHTTP2Continue: the body is asked for where somebody takes it.
func TestHTTP2Continue(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, echo)}, entry: entry2(t)})
	c := dial2(t, b.addr)
	c.ask(1, false, post2("/x", "expect", "100-continue", "content-length", "2")...)
	c.want("HEADERS 1 :status=100")
	c.WriteData(1, true, []byte("ab"))
	c.want("HEADERS 1 :status=200*")
	if got := c.body(1); got != "POST /x ab" {
		t.Errorf("got %q", got)
	}
}

// TestHTTP2Goaway: H3, H5. The client says goodbye, or closes its side, right behind its requests; every answer comes whole, then ours
// and the end.
func TestHTTP2Goaway(t *testing.T) {
	for _, end := range []string{"goaway", "fin", "both"} {
		t.Run(end, func(t *testing.T) {
			b := grow(t, plot{servers: []string{origin(t, echo)}, entry: entry2(t)})
			c := dial2(t, b.addr)
			for id := uint32(1); id < 9; id += 2 {
				c.ask(id, true, get2(fmt.Sprintf("/%d", id))...)
			}
			if end != "fin" {
				c.WriteGoAway(0, http2.ErrCodeNo, nil)
			}
			if end != "goaway" {
				closeWrite(c.Conn)
			}
			frames := c.over()
			for id := uint32(1); id < 9; id += 2 {
				if got, want := c.bodies[id], fmt.Sprintf("GET /%d ", id); got != want {
					t.Errorf("H5: stream %d got %q, want %q", id, got, want)
				}
			}
			if last := frames[len(frames)-1]; last != "GOAWAY 7 NO_ERROR" {
				t.Errorf("ends with %q", last)
			}
		})
	}
}

// TestHTTP2Drain: the engine stops. What is under way is answered, what comes before the client has heard of it too, then the end.
func TestHTTP2Drain(t *testing.T) {
	hold := make(chan bool)
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		if _, err := c.head(); err == nil {
			<-hold
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})}})
	busy, idle := dial2(t, b.addr), dial2(t, b.addr)
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseKeepAlive] == 2 }) {
		t.Fatalf("phases are %v", b.engine.Load().Phases)
	}
	busy.ask(1, true, get2("/")...)
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseUpstream] == 1 }) {
		t.Fatalf("phases are %v", b.engine.Load().Phases)
	}
	drained := make(chan error)
	go func() { drained <- b.engine.Drain(t.Context()) }()
	if frames := idle.over(); len(frames) != 1 || frames[0] != "GOAWAY 0 NO_ERROR" {
		t.Errorf("an idle connection ends with %q", frames)
	}
	idle.Close()
	busy.ask(3, true, get2("/")...)
	busy.want("GOAWAY 2147483647 NO_ERROR")
	busy.want("GOAWAY 3 NO_ERROR")
	close(hold)
	frames := busy.over()
	if busy.bodies[1] != "ok" || busy.bodies[3] != "ok" {
		t.Errorf("answers are lost: %q", frames)
	}
	busy.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestHTTP2IdleEnd: C3. An idle connection ends with GOAWAY.
func TestHTTP2IdleEnd(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry2(t), options: func(o *Options) { o.KeepaliveTimeout = 30 * time.Millisecond }})
	c := dial2(t, b.addr)
	c.ask(1, true, get2("/")...)
	if frames := c.over(); len(frames) != 3 || frames[2] != "GOAWAY 1 NO_ERROR" {
		t.Errorf("got %q", frames)
	}
}

// TestHTTP2Timeouts: C1, C2, R70, R71, R72, each on its stream alone but for the connection's own.
func TestHTTP2Timeouts(t *testing.T) {
	const short = 60 * time.Millisecond
	quick := func(o *Options) { o.Timeout = short }
	rate := func(o *Options) { o.RateBytes, o.RatePer = 1<<20, short }
	for _, c := range []struct {
		name    string
		options func(*Options)
		ask     func(c *framer)
		want    []string
	}{
		{"C1 body", quick, func(c *framer) { c.ask(1, false, post2("/")...) },
			[]string{"HEADERS 1 :status=408*", "DATA 1 *"}},
		{"R71 slow body", rate, func(c *framer) { c.ask(1, false, post2("/")...); c.WriteData(1, false, []byte("a")) },
			[]string{"HEADERS 1 :status=408*", "DATA 1 *"}},
		{"F65 C2 no window", quick, func(c *framer) { c.ask(1, true, get2("/big")...) },
			[]string{"HEADERS 1 :status=200*", "RST 1 CANCEL"}},
		{"F65 R72 window of a byte", rate, func(c *framer) { c.ask(1, true, get2("/big")...); c.WriteWindowUpdate(1, 1) },
			[]string{"HEADERS 1 :status=200*", "RST 1 CANCEL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			big := strings.Repeat("b", 200<<10)
			b := grow(t, plot{entry: entry2(t), options: c.options, servers: []string{origin(t, func(p *peer, _ int) {
				for {
					r, err := http.ReadRequest(p.in)
					if err != nil {
						return
					}
					if _, err := io.ReadAll(r.Body); err != nil {
						return
					}
					text := "ok"
					if r.URL.Path == "/big" {
						text = big
					}
					fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
				}
			})}})
			f := dial2(t, b.addr)
			if strings.HasPrefix(c.name, "F65") {
				f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
				f.want("SETTINGS ack")
			}
			c.ask(f)
			for _, w := range c.want {
				if w == "RST 1 CANCEL" {
					f.skip("DATA 1 ")
				}
				f.want(w)
			}
			f.ask(3, true, get2("/")...)
			f.want("HEADERS 3 :status=200*")
			if got := f.body(3); got != "ok" {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("R70 head", func(t *testing.T) {
		b := grow(t, plot{routes: []Route{fixed("")}, entry: entry2(t), options: func(o *Options) { o.HeaderTimeout = short }})
		f := dial2(t, b.addr)
		f.Write([]byte("\x00\x00\x10\x01\x05\x00"))
		if got := f.over(); len(got) != 1 || got[0] != "GOAWAY 0 NO_ERROR" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("C2 socket", func(t *testing.T) {
		b := grow(t, plot{routes: []Route{fileRoute(t, 64<<20)}, entry: entry2(t), options: quick})
		f := dial2(t, b.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		f.WriteWindowUpdate(0, 1<<31-1-65535)
		f.ask(1, true, get2("/big")...)
		if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
			t.Error("a client that takes nothing stays for ever")
		}
	})
}

// TestHTTP2Held: a request that a filter holds is not its client's to blame.
func TestHTTP2Held(t *testing.T) {
	exchanges := make(chan filters.Exchange, 1)
	f := &fake{name: "f", wants: filters.OnRequestHead, limits: filters.Limits{Pause: patience},
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			exchanges <- x
			return filters.Pause
		}}
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, echo)}, filters: []filters.Filter{f},
		options: func(o *Options) { o.Timeout = 30 * time.Millisecond }})
	c := dial2(t, b.addr)
	c.ask(1, false, post2("/", "content-length", "3")...)
	c.WriteData(1, true, []byte("abc"))
	x := <-exchanges
	time.AfterFunc(100*time.Millisecond, func() { x.Continue(filters.Request) })
	c.want("HEADERS 1 :status=200*")
	if got := c.body(1); got != "POST / abc" {
		t.Errorf("got %q", got)
	}
	// Where the origin's connection is there already nothing but the filter has the request go on.
	c.ask(3, false, post2("/again")...)
	c.WriteData(3, true, []byte("abc"))
	x = <-exchanges
	time.AfterFunc(100*time.Millisecond, func() { x.Continue(filters.Request) })
	c.want("HEADERS 3 :status=200*")
	if got := c.body(3); got != "POST /again abc" {
		t.Errorf("got %q", got)
	}
}

// TestHTTP2WebSocket: RFC 8441, to an origin that speaks HTTP/1.1.
func TestHTTP2WebSocket(t *testing.T) {
	heads := make(chan string, 1)
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		head, _ := c.head()
		heads <- head
		sum := upstream.WebSocketAccept(strings.Join(lines(head, "sec-websocket-key"), ""))
		accept := string(sum[:])
		if strings.Contains(head, "/liar ") {
			accept = "dGhlIHNhbXBsZSBub25jZQ=="
		}
		c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: ", accept, "\r\n\r\nfirst")
		if io.Copy(c, c.in); !strings.Contains(head, "/liar ") {
			c.say("last")
		}
	})}})
	c := dial2(t, b.addr)
	chat := func(id uint32, path string) {
		c.ask(id, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", path, "sec-websocket-version", "13")
	}
	chat(1, "/chat")
	head := <-heads
	for _, want := range []string{"GET /chat HTTP/1.1\r\n", "via: 2 edge\r\n", "upgrade: websocket\r\n", "connection: upgrade\r\n", "sec-websocket-version: 13\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("the origin was asked %q", head)
		}
	}
	if key := lines(head, "sec-websocket-key"); len(key) != 1 || len(key[0]) != 24 {
		t.Errorf("the key is %q", key)
	}
	c.want("HEADERS 1 :status=200")
	c.WriteData(1, false, []byte("ping "))
	c.WriteData(1, false, []byte("pong "))
	c.WriteData(1, true, nil)
	if got := c.body(1); got != "firstping pong last" {
		t.Errorf("came back: %q", got)
	}
	chat(3, "/liar")
	<-heads
	c.want("RST 3 INTERNAL_ERROR")
}

// TestHTTP2OverTLS: agreed on by ALPN, beside clients that want HTTP/1.1 or say nothing; where there is no HTTP/1, they are sent away.
func TestHTTP2OverTLS(t *testing.T) {
	entry := secureEntry(t, "h2", "http/1.1")
	b := grow(t, plot{servers: []string{origin(t, echo)}, entry: entry})
	data := strings.Repeat("0123456789abcdef", 1<<16)
	resp, err := client2(t).Post("https://"+b.addr+"/x", "text/plain", strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.Proto != "HTTP/2.0" || string(body) != "POST /x "+data || err != nil {
		t.Errorf("%s: %d bytes, %v", resp.Proto, len(body), err)
	}
	for _, protocols := range [][]string{{"http/1.1"}, nil} {
		c, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, c)
		p.say("GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		p.want("GET", 200, "GET /y ")
		c.Close()
	}
	only := secureEntry(t, "h2")
	only.NoHTTP1 = true
	b = grow(t, plot{routes: []Route{fixed("hello")}, entry: only})
	c, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := newPeer(t, c)
	p.say("GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
	if rest, _ := io.ReadAll(p.in); !bytes.Contains(rest, []byte{7, 0, 0, 0, 0, 0}) || bytes.Contains(rest, []byte("HTTP/1")) {
		t.Errorf("a client that does not speak HTTP/2 gets %q, want SETTINGS and GOAWAY", rest)
	}
}

// TestHTTP2Tools: clients that others wrote.
func TestHTTP2Tools(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, echo)}, entry: sniffed})
	run := func(name string, args ...string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(name + " is not installed")
		}
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	t.Run("curl", func(t *testing.T) {
		if got := run("curl", "-s", "-w", " %{http_version}", "--http2-prior-knowledge", "-d", "abc", "http://"+b.addr+"/x"); got != "POST /x abc 2" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("h2load", func(t *testing.T) {
		got := run("h2load", "-n", "2000", "-c", "5", "-m", "10", "http://"+b.addr+"/x")
		if !regexp.MustCompile(`2000 succeeded, 0 failed`).MatchString(got) {
			t.Errorf("H5: %s", got)
		}
	})
}

// TestHTTP2EarlyTunnelBytes: D54, U92. What a client says through a tunnel before there is one reaches no origin: it would be taken for
// another request.
func TestHTTP2EarlyTunnelBytes(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	got := make(chan string, 1)
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, func(c *peer, _ int) {
		if head, _ := c.head(); !strings.Contains(head, "/chat ") {
			got <- head
			return
		}
		time.Sleep(20 * time.Millisecond)
		c.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		rest, _ := io.ReadAll(c.in)
		got <- string(rest)
	})}})
	c := dial2(t, b.addr)
	c.ask(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/chat")
	c.WriteData(1, false, []byte(smuggled))
	c.want("HEADERS 1 :status=403*")
	if rest := <-got; rest != "" {
		t.Errorf("the origin got %q", rest)
	}
}
