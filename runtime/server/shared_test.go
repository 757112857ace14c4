package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/mpm"
	"edge/runtime/upstream"
)

// origin2 is x/net's HTTP/2 server, in the clear: the peer of edge's shared connections.
type origin2 struct {
	addr  string
	conns atomic.Int32 // that it has taken
	mu    sync.Mutex
	live  map[net.Conn]bool
}

func newOrigin2(t testing.TB, srv *http2.Server, h http.Handler) *origin2 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin2{addr: ln.Addr().String(), live: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			o.mu.Lock()
			o.live[c] = true
			o.mu.Unlock()
			all.Go(func() {
				defer c.Close()
				srv.ServeConn(c, &http2.ServeConnOpts{Handler: h})
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		o.cut()
		all.Wait()
	})
	return o
}

// cut closes all connections.
func (o *origin2) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.live {
		c.Close()
		delete(o.live, c)
	}
}

// share is a bed in front of an origin that speaks HTTP/2 with prior knowledge.
func share(t testing.TB, o *origin2, p plot) *bed {
	us := NewUnits()
	p.servers = []string{o.addr}
	pool := p.pool
	p.pool = func(po *upstream.Options) {
		for i := range po.Servers {
			po.Servers[i].H2C = true
		}
		if pool != nil {
			pool(po)
		}
	}
	engine := p.engine
	p.engine = func(eo *mpm.Options) {
		eo.Units = us
		if engine != nil {
			engine(eo)
		}
	}
	b := grow(t, p)
	us.Attach(b.engine, b.server)
	return b
}

func TestSharedMessages(t *testing.T) {
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Saw", fmt.Sprintf("%s %s %s te=%s len=%d tr=%s", r.Method, r.Host, r.RequestURI, r.Header.Get("Te"), r.ContentLength,
			r.Trailer.Get("X-Up")))
		if r.URL.Path == "/none" {
			w.WriteHeader(204)
			return
		}
		w.Write(body)
		w.Header().Set("X-Sum", fmt.Sprint(len(body)))
	}))
	for _, version := range []string{"http/1.1", "h2c"} {
		t.Run(version, func(t *testing.T) {
			b := share(t, o, plot{entry: sniffed})
			client := client1(t)
			if version == "h2c" {
				client = client2(t)
			} else {
				client = client1(t)
				t.Cleanup(client.CloseIdleConnections)
			}
			for _, c := range []struct {
				method, path string
				body         int
				chunked      bool
				saw          string
			}{
				{"GET", "/a?b=c", 0, false, "GET %s /a?b=c te=%s len=0 tr="},
				{"HEAD", "/a", 0, false, "HEAD %s /a te=%s len=0 tr="},
				{"GET", "/none", 0, false, "GET %s /none te=%s len=0 tr="},
				{"POST", "/", 10, false, "POST %s / te=%s len=10 tr="},
				{"PUT", "/", 5 << 20, false, "PUT %s / te=%s len=5242880 tr="},
				{"POST", "/", 1 << 20, true, "POST %s / te=%s len=-1 tr=up"},
			} {
				body := bytes.Repeat([]byte("0123456789"), c.body/10+1)[:c.body]
				var r io.Reader = bytes.NewReader(body)
				if c.chunked {
					r = struct{ io.Reader }{r}
				}
				if c.body == 0 {
					r = nil
				}
				req, _ := http.NewRequest(c.method, "http://"+b.addr+c.path, r)
				req.Header.Set("Te", "trailers")
				if c.chunked {
					req.Trailer = http.Header{"X-Up": {"up"}}
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(c.method, c.path, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || c.method != "HEAD" && !bytes.Equal(got, body) {
					t.Fatalf("%s %s: %d bytes of %d, %v", c.method, c.path, len(got), len(body), err)
				}
				te := "trailers"
				if want := fmt.Sprintf(c.saw, b.addr, te); resp.Header.Get("X-Saw") != want {
					t.Errorf("the origin saw %q, not %q", resp.Header.Get("X-Saw"), want)
				}
				if c.body > 0 && (version == "h2c" || resp.ContentLength < 0) && resp.Trailer.Get("X-Sum") != fmt.Sprint(c.body) {
					t.Errorf("%s %d: trailers %v", c.method, c.body, resp.Trailer)
				}
			}
		})
	}
}

// TestSharedMany has many clients' connections share few to the origin.
func TestSharedMany(t *testing.T) {
	o := newOrigin2(t, &http2.Server{MaxConcurrentStreams: 20}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	b := share(t, o, plot{entry: sniffed})
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			client := client1(t)
			defer client.CloseIdleConnections()
			for j := range 30 {
				body := strings.Repeat(fmt.Sprint(i, j, ","), 1+(i*j*37)%5000)
				resp, err := client.Post("http://"+b.addr+"/", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != body || resp.StatusCode != 200 {
					t.Errorf("%d %v: %d bytes of %d", resp.StatusCode, err, len(got), len(body))
				}
			}
		})
	}
	all.Wait()
	if n := o.conns.Load(); n > 16 {
		t.Errorf("%d connections to the origin", n)
	}
	if !within(patience, func() bool { _, streams := b.pools["app"].Shared(); return streams == 0 }) {
		sessions, streams := b.pools["app"].Shared()
		t.Errorf("%d sessions and %d streams are left", sessions, streams)
	}
}

// TestSharedDuplex has both directions of an exchange flow at once.
func TestSharedDuplex(t *testing.T) {
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	}))
	b := share(t, o, plot{entry: sniffed})
	in, out := io.Pipe()
	req, _ := http.NewRequest("POST", "http://"+b.addr+"/", in)
	resp, err := client2(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 20 {
		say := fmt.Sprintf("message %d", i)
		out.Write([]byte(say))
		got := make([]byte, len(say))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != say {
			t.Fatalf("%q %v", got, err)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

// TestSharedCancel has a client's reset reach the origin, and others on the same connection go on.
func TestSharedCancel(t *testing.T) {
	began, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		}
	}))
	b := share(t, o, plot{entry: sniffed, engine: func(eo *mpm.Options) { eo.Pollers = 1 }})
	client := client2(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+b.addr+"/slow", nil)
	failed := make(chan error, 1)
	go func() {
		_, err := client.Do(req)
		failed <- err
	}()
	<-began
	cancel()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the origin was not told")
	}
	<-failed
	if resp, err := client.Get("http://" + b.addr + "/"); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if n := o.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// script2 is an origin that speaks frames as a test wants it to: f is run for each connection, n counts them.
func script2(t *testing.T, f func(c *framer, n int)) *origin2 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin2{addr: ln.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(2 * patience))
				io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
				fr := &framer{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
				fr.encoder, fr.decoder = hpack.NewEncoder(&fr.block), hpack.NewDecoder(4096, nil)
				fr.WriteSettings()
				fr.WriteSettingsAck()
				f(fr, n)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return o
}

// heads calls f for each request's head until the connection ends.
func (f *framer) heads(act func(id uint32) (goOn bool)) {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := fr.(*http2.HeadersFrame); ok && !act(h.StreamID) {
			return
		}
	}
}

func (f *framer) ok(id uint32) { f.ask(id, true, ":status", "200") }

// TestSharedRetry: what an origin has not looked at is asked again on another connection, and nothing else is (U88).
func TestSharedRetry(t *testing.T) {
	for _, c := range []struct {
		name, method string
		script       func(f *framer, n int)
		status       int
		conns        int32
	}{
		{"refused", "POST", func(f *framer, n int) {
			seen := 0
			f.heads(func(id uint32) bool {
				if seen++; seen == 1 {
					f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				} else {
					f.ok(id)
				}
				return true
			})
		}, 200, 1},
		{"GOAWAY", "POST", func(f *framer, n int) {
			f.heads(func(id uint32) bool {
				if n == 0 {
					f.WriteGoAway(0, http2.ErrCodeNo, nil)
					return false
				}
				f.ok(id)
				return true
			})
		}, 200, 2},
		{"refused for ever", "GET", func(f *framer, n int) {
			f.heads(func(id uint32) bool { f.WriteRSTStream(id, http2.ErrCodeRefusedStream); return true })
		}, 502, 1},
		{"reset", "POST", func(f *framer, n int) {
			f.heads(func(id uint32) bool { f.WriteRSTStream(id, http2.ErrCodeInternal); return true })
		}, 502, 1},
		{"closed", "POST", func(f *framer, n int) { f.heads(func(uint32) bool { return n > 0 }) }, 502, 1},
		{"no HTTP/2", "POST", func(f *framer, n int) { f.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, 502, 1},
		{"flow control", "GET", func(f *framer, n int) {
			f.heads(func(id uint32) bool {
				f.ask(id, false, ":status", "200", "content-length", "9999999")
				for range 40 {
					f.WriteData(id, false, make([]byte, 16<<10))
				}
				return true
			})
		}, 200, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script2(t, c.script)
			b := share(t, o, plot{pool: func(po *upstream.Options) { po.Retries = 0 }})
			req, _ := http.NewRequest(c.method, "http://"+b.addr+"/", nil)
			resp, err := client1(t).Transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status || o.conns.Load() != c.conns || (c.name == "flow control") != (err != nil) {
				t.Errorf("%d after %d connections, not %d after %d; %v", resp.StatusCode, o.conns.Load(), c.status, c.conns, err)
			}
		})
	}
}

// TestSharedStale: a safe request finds that the connection that served others has just been closed.
func TestSharedStale(t *testing.T) {
	o := script2(t, func(f *framer, n int) {
		seen := 0
		f.heads(func(id uint32) bool {
			if seen++; n == 0 && seen == 2 {
				return false
			}
			f.ok(id)
			return true
		})
	})
	b := share(t, o, plot{engine: func(eo *mpm.Options) { eo.Pollers = 1 }})
	client := client1(t)
	t.Cleanup(client.CloseIdleConnections)
	for i := range 3 {
		if resp, err := client.Get("http://" + b.addr + "/"); err != nil || resp.StatusCode != 200 {
			t.Fatal(i, resp, err)
		}
	}
	if n := o.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestSharedSlowReader: a client that does not read stops its own stream and nobody else's (F67).
func TestSharedSlowReader(t *testing.T) {
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 1 << 10
		if r.URL.Path == "/big" {
			n = 64 << 20
		}
		for buf := make([]byte, 64<<10); n > 0; {
			m, err := w.Write(buf[:min(n, len(buf))])
			if n -= m; err != nil {
				return
			}
		}
	}))
	b := share(t, o, plot{engine: func(eo *mpm.Options) { eo.Pollers = 1 }, options: func(o *Options) { o.Timeout, o.RatePer = time.Minute, 0 }})
	var slow []net.Conn
	for range 8 {
		c := dial(t, b.addr)
		c.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
		c.head()
		slow = append(slow, c)
	}
	client := client1(t)
	t.Cleanup(client.CloseIdleConnections)
	for range 50 {
		resp, err := client.Get("http://" + b.addr + "/small")
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 1<<10 {
			t.Fatal(len(body), err)
		}
		resp.Body.Close()
	}
	if n := o.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, c := range slow {
		c.Close()
	}
}

// TestSharedWaits: what finds all connections full waits for one.
func TestSharedWaits(t *testing.T) {
	release := make(chan struct{})
	o := newOrigin2(t, &http2.Server{MaxConcurrentStreams: 1}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	b := share(t, o, plot{entry: sniffed, engine: func(eo *mpm.Options) { eo.Pollers = 1 }})
	pool := b.pools["app"]
	client := client2(t)
	var all sync.WaitGroup
	var ok atomic.Int32
	// One answer first, so that the pool knows what the origin allows.
	all.Go(func() { client.Get("http://" + b.addr + "/first") })
	release <- struct{}{}
	all.Wait()
	for range 60 {
		all.Go(func() {
			if resp, err := client.Get("http://" + b.addr + "/"); err != nil {
				t.Error(err)
			} else if resp.StatusCode == 200 {
				ok.Add(1)
			}
		})
	}
	if !within(patience, func() bool { _, n := pool.Shared(); return n == 60 }) {
		t.Error("not all are with the pool")
	}
	close(release)
	all.Wait()
	if ok.Load() != 60 {
		t.Errorf("%d answers", ok.Load())
	}
	if sessions, _ := pool.Shared(); sessions > upstream.MaxSessions {
		t.Errorf("%d sessions", sessions)
	}
}

// TestSharedTimeout: an origin that does not answer is reset, and the connection goes on.
func TestSharedTimeout(t *testing.T) {
	gone := make(chan struct{}, 1)
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			gone <- struct{}{}
		}
	}))
	b := share(t, o, plot{engine: func(eo *mpm.Options) { eo.Pollers = 1 }, pool: func(po *upstream.Options) {
		po.ConnectTimeout, po.ResponseTimeout = 10*time.Millisecond, 50*time.Millisecond
	}})
	client := client1(t)
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Get("http://" + b.addr + "/slow")
	if err != nil || resp.StatusCode != 504 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	<-gone
	if resp, err := client.Get("http://" + b.addr + "/"); err != nil || resp.StatusCode != 200 || o.conns.Load() != 1 {
		t.Error(resp, err, o.conns.Load())
	}
}

// TestSharedClose: a pool that is given up ends its connections once their streams have ended.
func TestSharedClose(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-release
	}))
	b := share(t, o, plot{})
	pool := b.pools["app"]
	client, done := client1(t), make(chan int, 1)
	go func() {
		resp, err := client.Get("http://" + b.addr + "/")
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	<-began
	pool.Close()
	close(release)
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
	if !within(patience, func() bool { sessions, _ := pool.Shared(); return sessions == 0 }) {
		t.Error("a connection is left")
	}
}
