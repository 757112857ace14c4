package http2

import (
	"sync"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// What an idle HTTP/2 connection may cost the process at most, in bytes: of live heap, and of RSS, in which the collector lets the
// garbage of as many handshakes lie.
const (
	idleHeap       = 4 << 10
	idleRSS        = 4 << 10
	idleHeapSecure = 12 << 10
	idleRSSSecure  = 24 << 10
)

// TestH6Idle: idle connections are parked and hold no worker: with 16 workers newcomers are answered at once, each of the idle is
// still served, and what one costs is bounded.
func TestH6Idle(t *testing.T) {
	t.Run("h2c", func(t *testing.T) { idle(t, listen, dial, idleHeap, idleRSS) })
	t.Run("TLS", func(t *testing.T) { idle(t, secure, dialTLS, idleHeapSecure, idleRSSSecure) })
}

func idle(t *testing.T, listen string, dial dialer, heapMost, rssMost int64) {
	n := scale(5000, 500)
	e := rig.Start(t, rig.Config{Server: "workers = 16\nkeepalive_timeout = \"300s\"", Log: `level = "info"`, Listen: listen,
		Rest: selfSigned + helloRoute})
	for range 200 { // what the process keeps anyway is there
		rig.Must(t, leave(dial, e.Addr, false))
	}
	collected := heap(t, e, dial)
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)
	clients := make([]*client, n)
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
	once := func(id uint32) func(i int) error {
		return func(i int) error {
			c := clients[i]
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
	}
	each(func(i int) (err error) {
		if clients[i], err = dial(e.Addr); err != nil {
			return err
		}
		t.Cleanup(func() { clients[i].Close() })
		return once(1)(i)
	})
	parked := e.WaitMetric("every connection is parked", func(m rig.Metrics) bool {
		return m.Sum("edge_connections", `state="keepalive"`) >= float64(n)
	})
	if busy := parked.Sum("edge_workers_busy"); busy > 2 {
		t.Errorf("H6: %v workers are busy with idle connections", busy)
	}
	after, err := proc.RSS(e.PID())
	rig.Must(t, err)
	cost := (after - before) / int64(n)
	live := (heap(t, e, dial) - collected) / int64(n)
	t.Logf("%d idle connections: RSS %d bytes each, live heap %d bytes", n, cost, live)
	if n >= 5000 && (live > heapMost || cost > rssMost) {
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
	each(once(3))
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
