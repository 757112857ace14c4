package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http1"
	"edge/runtime/metrics"
	"edge/runtime/route"
	"edge/runtime/upstream"
)

// patience is how long a test waits for what must happen; nothing waits that long when all is well.
const patience = 3 * time.Second

// bed is a server on a real engine, on loopback.
type bed struct {
	t      *testing.T
	addr   string
	server *Server
	engine *mpm.Engine
	pools  map[string]*upstream.Pool
	panics *panics
}

// plot says what a bed serves. Zero values give generous limits and one route to the pool "app".
type plot struct {
	options   func(*Options)
	engine    func(*mpm.Options)
	pool      func(*upstream.Options)
	servers   []string // of the pool "app"
	filters   []filters.Filter
	routes    []Route
	noPool    bool
	workers   int
	entry     *Entry // of the listener
	keepFiles bool   // descriptors are not counted
}

// panics collects what the engine logs as an error: a handler's panic, above all.
type panics struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (p *panics) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (p *panics) Handle(_ context.Context, r slog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	p.lines = append(p.lines, line)
	return nil
}
func (p *panics) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p *panics) WithGroup(string) slog.Handler      { return p }

// grow starts a bed. When the test ends the engine is stopped, and descriptors and goroutines must be back to what they were.
func grow(t testing.TB, p plot) *bed {
	t.Helper()
	fds, goroutines := openFiles(), runtime.NumGoroutine()
	b := &bed{panics: &panics{}}
	b.t, _ = t.(*testing.T)
	const pollers = 2
	if *overTLS && p.entry == nil {
		p.entry = secureEntry(t)
	}
	if p.workers == 0 {
		p.workers = 4
	}
	set := metrics.New("test")
	po := upstream.Options{Name: "app", Keepalive: 8, ConnectTimeout: patience, ResponseTimeout: patience, BodyTimeout: patience,
		Retries: 1, Pollers: pollers, Random: rand.Uint64}
	for _, s := range p.servers {
		po.Servers = append(po.Servers, upstream.ServerOptions{Label: s, Weight: 1, Address: mpm.TCP(netip.MustParseAddrPort(s))})
	}
	if p.pool != nil {
		p.pool(&po)
	}
	b.pools = map[string]*upstream.Pool{}
	if len(po.Servers) > 0 {
		b.pools["app"] = upstream.NewPool(po)
	}
	routes := p.routes
	if len(routes) == 0 {
		routes = []Route{{Name: "all", Filters: p.filters, Action: Action{Pool: b.pools["app"]}}}
	}
	for i := range routes {
		if a := &routes[i].Action; *a == (Action{}) {
			a.Pool = b.pools["app"]
		}
	}
	o := Options{Limits: http1.DefaultLimits, ResponseLimits: http1.DefaultLimits, HeaderTimeout: patience, Timeout: patience,
		KeepaliveTimeout: patience, RateBytes: 1, RatePer: patience, Metrics: set}
	if p.options != nil {
		p.options(&o)
	}
	b.server = New(o, NewSite(routes, b.pools, set))
	fd, err := mpm.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	b.addr = fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	eo := mpm.Options{Pollers: pollers, Workers: p.workers, Times: mpm.Times{FirstByte: patience, WriteTimeout: patience, Linger: time.Second},
		Log: slog.New(b.panics)}
	if p.engine != nil {
		p.engine(&eo)
	}
	beds[b.addr] = p.entry != nil && p.entry.Certificates != nil
	if b.engine, err = mpm.New(eo, []mpm.Listener{{FD: fd, Handler: b.server, Name: "test", Data: p.entry}}); err != nil {
		t.Fatal(err)
	}
	b.engine.Start()
	if err := b.engine.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.end(t, fds, goroutines, p.keepFiles) })
	return b
}

func (b *bed) end(t testing.TB, fds, goroutines int, keepFiles bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := b.engine.Stop(ctx); err != nil {
		t.Errorf("the engine does not drain: %v; phases %v", err, b.engine.Load().Phases)
	}
	for _, p := range b.pools {
		p.Close()
	}
	for _, line := range b.panics.lines {
		t.Errorf("the engine says: %s", line)
	}
	if n := b.engine.Load().Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if !keepFiles && !within(patience, func() bool { return openFiles() <= fds }) {
		t.Errorf("%d descriptors before, %d after", fds, openFiles())
	}
	if !within(patience, func() bool { return runtime.NumGoroutine() <= goroutines }) {
		buf := make([]byte, 64<<10)
		t.Errorf("%d goroutines before, %d after\n%s", goroutines, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	}
}

func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// within asks until a condition holds, and says whether it came to hold in time.
func within(limit time.Duration, holds func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}

// peer is one end of a connection that a test holds.
type peer struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func newPeer(t testing.TB, c net.Conn) *peer {
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, Conn: c, in: bufio.NewReader(c)}
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if *overTLS && beds[addr] {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return newPeer(t, c)
}

func (p *peer) say(parts ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, strings.Join(parts, "")); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

// answer reads one response, its body included. err is set where the body does not end soundly.
func (p *peer) answer(method string) (r *http.Response, body string, err error) {
	r, err = http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// want reads one response and compares status and body ("*" is any body).
func (p *peer) want(method string, status int, body string) *http.Response {
	p.t.Helper()
	r, got, err := p.answer(method)
	if err != nil {
		p.t.Fatalf("no sound answer: %v (%v)", err, r)
	}
	if r.StatusCode != status || body != "*" && got != body {
		p.t.Fatalf("answer is %d %.200q, want %d %.200q", r.StatusCode, got, status, body)
	}
	return r
}

// closed reads to the end of the stream, and wants nothing but that.
func (p *peer) closed() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.t.Errorf("the connection ends with %.200q, %v", rest, err)
	}
}

// head reads a message's head as it stands, the empty line included.
func (p *peer) head() (string, error) {
	var b strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// take reads n bytes.
func (p *peer) take(n int) string {
	p.t.Helper()
	b := make([]byte, n)
	if m, err := io.ReadFull(p.in, b); err != nil {
		p.t.Errorf("read %q, %v", b[:m], err)
	}
	return string(b)
}

// origin is a server that plays a script on each connection. It is closed, and its scripts are waited for, when the test ends.
func origin(t testing.TB, script func(c *peer, n int)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				script(newPeer(t, c), n)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// echo answers each request with its own bytes' account: method, target and body.
func echo(c *peer, _ int) {
	for {
		r, err := http.ReadRequest(c.in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		text := r.Method + " " + r.RequestURI + " " + string(body)
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text); err != nil {
			return
		}
	}
}

// says answers each request, once its head is there, with the same bytes.
func says(answer string) func(*peer, int) {
	return func(c *peer, _ int) {
		for {
			if _, err := c.head(); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

// fake is a filter made of functions; those that are nil do nothing.
type fake struct {
	name     string
	wants    filters.Callbacks
	limits   filters.Limits
	head     func(filters.Exchange, filters.Direction, bool) filters.Action
	body     func(filters.Exchange, filters.Direction, *message.Body, []byte, bool) filters.Action
	trailers func(filters.Exchange, filters.Direction) filters.Action
	called   func(filters.Exchange, uint32, *filters.CallAnswer) filters.Action
	close    func(filters.Exchange) bool
}

type fakeStream struct {
	*fake
	x filters.Exchange
}

func (f *fake) Name() string                 { return f.name }
func (f *fake) Callbacks() filters.Callbacks { return f.wants }
func (f *fake) Limits() filters.Limits       { return f.limits }
func (f *fake) NewStream(x filters.Exchange) (filters.Stream, bool) {
	return &fakeStream{f, x}, true
}

func (s *fakeStream) Head(d filters.Direction, end bool) filters.Action {
	if s.head == nil {
		return filters.Continue
	}
	return s.head(s.x, d, end)
}

func (s *fakeStream) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	held.Append(chunk)
	if s.body == nil {
		return filters.Continue
	}
	return s.body(s.x, d, held, chunk, end)
}

func (s *fakeStream) Trailers(d filters.Direction) filters.Action {
	if s.trailers == nil {
		return filters.Continue
	}
	return s.trailers(s.x, d)
}

func (s *fakeStream) CallDone(id uint32, a *filters.CallAnswer) filters.Action {
	if s.called == nil {
		return filters.Continue
	}
	return s.called(s.x, id, a)
}

func (s *fakeStream) Close() bool { return s.close == nil || s.close(s.x) }

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func fixed(body string) Route {
	return Route{Name: "fixed", Action: Action{Respond: &route.Respond{Status: 200, Body: []byte(body)}}}
}
