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
			client := http.DefaultClient
			if version == "h2c" {
				client = client2(t)
			} else {
				client = &http.Client{Transport: &http.Transport{}}
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
			client := &http.Client{Transport: &http.Transport{}}
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
