package http2

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// What an idle connection may cost the process at most, in bytes: of live heap, and of RSS once the process has come to rest, and with
// it has given back what the handshakes left.
const (
	idleHeap       = 4 << 10
	idleRSS        = 4 << 10
	idleHeapSecure = 12 << 10
	idleRSSSecure  = 12 << 10
)

// restLimit is how long the process may take to come to rest: some seconds, where nobody else keeps the machine busy.
const restLimit = 30 * time.Second

// idler is a connection that asks now and then; id is the stream's where there are streams.
type idler interface {
	visit(id uint32) error
	Close() error
}

// TestH6Idle: idle connections are parked and hold no worker: with 16 workers newcomers are answered at once, each of the idle is
// still served, and what one costs is bounded.
func TestH6Idle(t *testing.T) {
	http2 := func(dial dialer) func(addr string) (idler, error) {
		return func(addr string) (idler, error) { return dial(addr) }
	}
	t.Run("h2c", func(t *testing.T) { idle(t, listen, dial, http2(dial), idleHeap, idleRSS) })
	t.Run("TLS", func(t *testing.T) { idle(t, secure, dialTLS, http2(dialTLS), idleHeapSecure, idleRSSSecure) })
	t.Run("HTTP/1.1 over TLS", func(t *testing.T) { idle(t, secure, dialTLS, dialHTTP1, idleHeapSecure, idleRSSSecure) })
}

func (c *client) visit(id uint32) error {
	c.SetDeadline(time.Now().Add(ioLimit))
	c.ask(id, true, "GET", "/hello", "user-agent", "a client", "accept", "text/html, */*")
	if err := c.flush(); err != nil {
		return err
	}
	o, err := c.read(func(o *outcome) bool { return o.ended[id] })
	if err != nil {
		return err
	}
	return o.whole(id)
}

// http1Client is an idler that speaks HTTP/1.1 over TLS.
type http1Client struct{ *tls.Conn }

func dialHTTP1(addr string) (idler, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: ioLimit}, "tcp", addr,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, ServerName: "localhost"})
	return http1Client{conn}, err
}

func (c http1Client) visit(uint32) error {
	c.SetDeadline(time.Now().Add(ioLimit))
	if _, err := io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: a\r\nUser-Agent: a client\r\nAccept: text/html, */*\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 1<<10)
	for n := 0; ; {
		m, err := c.Read(answer[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(answer[:n], []byte("\r\n\r\n"+hello)) {
			return nil
		}
	}
}

func idle(t *testing.T, listen string, dial dialer, dialIdler func(addr string) (idler, error), heapMost, rssMost int64) {
	n := scale(5000, 500)
	e := rig.Start(t, rig.Config{Server: "workers = 16\nkeepalive_timeout = \"300s\"", Log: `level = "info"`, Listen: listen,
		Rest: selfSigned + helloRoute})
	for range 200 { // what the process keeps anyway is there
		rig.Must(t, leave(dial, e.Addr, false))
	}
	collected := heap(t, e, dial)
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)
	clients := make([]idler, n)
	each := func(do func(i int) error) {
		t.Helper()
		var all sync.WaitGroup
		errs := make(chan error, 32)
		for g := range 32 {
			all.Go(func() {
				for i := g; i < n; i += 32 {
					if err := do(i); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		all.Wait()
		close(errs)
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	each(func(i int) (err error) {
		if clients[i], err = dialIdler(e.Addr); err != nil {
			return err
		}
		t.Cleanup(func() { clients[i].Close() })
		return clients[i].visit(1)
	})
	parked := e.WaitMetric("every connection is parked", func(m rig.Metrics) bool {
		return m.Sum("edge_connections", `state="keepalive"`) >= float64(n)
	})
	if busy := parked.Sum("edge_workers_busy"); busy > 2 {
		t.Errorf("H6: %v workers are busy with idle connections", busy)
	}
	cost := func() int64 {
		after, err := proc.RSS(e.PID())
		rig.Must(t, err)
		return (after - before) / int64(n)
	}
	first, began := cost(), time.Now()
	for n >= 5000 && cost() > rssMost && time.Since(began) < restLimit {
		time.Sleep(100 * time.Millisecond)
	}
	rss, rested := cost(), time.Since(began)
	live := (heap(t, e, dial) - collected) / int64(n)
	t.Logf("%d idle connections: RSS %d bytes each, and %d after %v, live heap %d bytes", n, first, rss, rested, live)
	if n >= 5000 && (live > heapMost || rss > rssMost) {
		t.Errorf("H6: an idle connection costs more than %d bytes of heap or %d of RSS", heapMost, rssMost)
	}
	for range 100 {
		began := time.Now()
		if err := leave(dial, e.Addr, false); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("a newcomer waited %v", took)
		}
	}
	each(func(i int) error { return clients[i].visit(3) })
}

// heap is the live heap of the server in bytes, as the collector found it just now: what it means to grow to is twice that.
func heap(t *testing.T, e *rig.Edge, dial dialer) int64 {
	t.Helper()
	cycles := func(m rig.Metrics) float64 { return m.Sum("go_gc_duration_seconds_count") }
	first := cycles(e.Metrics())
	m := e.WaitMetric("a collection that began after now", func(m rig.Metrics) bool {
		for range 20 {
			rig.Must(t, leave(dial, e.Addr, false))
		}
		return cycles(m) >= first+2
	})
	return int64(m.Sum("go_memstats_next_gc_bytes") / (1 + m.Sum("go_gc_gogc_percent")/100))
}
