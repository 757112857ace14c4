package http2

import (
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// slowMemory is what a hundred answers may cost that are not taken, in bytes of RSS: each has been read from its upstream once, with what
// came behind its head.
const slowMemory = 16 << 20

// TestSlowReaders: F65. A client that asks for a hundred large answers and opens no windows, or windows of a byte, or takes nothing
// from its socket, costs a bounded amount of memory, and is given up.
func TestSlowReaders(t *testing.T) {
	answer := rig.OK(strings.Repeat("b", 1<<20))
	origin := rig.NewOrigin(t, rig.Script(answer))
	e := rig.Start(t, rig.Config{Server: "workers = 16\ntimeout = \"2s\"", Limits: `min_rate = "1KiB/1s"`, Log: `level = "info"`, Listen: listen,
		Rest: helloRoute + rig.Upstream("keepalive = 256", origin)})
	for range 50 {
		rig.Must(t, visit(e.Addr, false))
	}
	for _, c := range []struct {
		name    string
		window  uint32
		dribble bool
	}{{"no window", 0, false}, {"a byte at a time", 1, true}, {"nothing taken", 1<<31 - 1, false}} {
		t.Run(c.name, func(t *testing.T) {
			before, err := proc.RSS(e.PID())
			rig.Must(t, err)
			done := e.Metrics().Sum("edge_http_requests_total")
			k, err := dial(e.Addr, h2.Setting{ID: h2.SettingInitialWindowSize, Val: c.window})
			rig.Must(t, err)
			defer k.Close()
			k.framer.WriteWindowUpdate(0, 1<<30)
			for i := range uint32(100) {
				k.ask(2*i+1, true, "GET", "/big")
			}
			rig.Must(t, k.flush())
			began := time.Now()
			grown := int64(0)
			over := func() bool {
				now, err := proc.RSS(e.PID())
				rig.Must(t, err)
				grown = max(grown, now-before)
				if c.dribble {
					for i := range uint32(100) {
						k.framer.WriteWindowUpdate(2*i+1, 1)
					}
					k.flush() // fails once the connection has ended
				}
				time.Sleep(20 * time.Millisecond)
				return e.Metrics().Sum("edge_http_requests_total")-done >= 100
			}
			for !over() {
				if time.Since(began) > ioLimit {
					t.Fatal("goes on")
				}
			}
			t.Logf("took %v, memory %d KiB", time.Since(began), grown>>10)
			if grown > slowMemory && !rig.Race {
				t.Errorf("costs %d KiB, want at most %d", grown>>10, slowMemory>>10)
			}
		})
	}
}
