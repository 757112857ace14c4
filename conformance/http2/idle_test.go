package http2

import (
	"sync"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// idleBudget is the most memory that an idle HTTP/2 connection in the clear may cost the process, in bytes of RSS.
const idleBudget = 4 << 10

// TestH6Idle: idle connections are parked and hold no worker: with 16 workers newcomers are answered at once, each of the idle is
// still served, and what one costs is bounded.
func TestH6Idle(t *testing.T) {
	n := scale(5000, 500)
	e := rig.Start(t, rig.Config{Server: "workers = 16\nkeepalive_timeout = \"300s\"", Log: `level = "info"`, Listen: listen, Rest: helloRoute})
	if err := visit(e.Addr, false); err != nil {
		t.Fatal(err)
	}
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
	t.Logf("%d idle connections: RSS %d bytes each", n, cost)
	if cost > idleBudget && n >= 5000 {
		t.Errorf("H6: an idle connection costs %d bytes, budget %d", cost, idleBudget)
	}
	for range 100 {
		began := time.Now()
		if err := visit(e.Addr, false); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("a newcomer waited %v", took)
		}
	}
	each(once(3))
}
