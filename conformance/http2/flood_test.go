package http2

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// Bars of a flood of 20,000 units on one connection.
const (
	floodUnits  = 20000
	floodCPU    = 300 * time.Millisecond
	floodMemory = 4 << 20
	canaryTime  = 100 * time.Millisecond
	canaryPause = 5 * time.Millisecond
)

// TestFloods: no flood costs much, disturbs others, or goes on. The client reads what it is answered, or nothing until it has said all;
// some do it over TLS.
func TestFloods(t *testing.T) {
	root := t.TempDir()
	rig.Must(t, os.WriteFile(filepath.Join(root, "big"), make([]byte, 1<<20), 0o644))
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) { c.ReadHead(); io.Copy(io.Discard, c.R) }) // it never answers
	rest := selfSigned + helloRoute + fmt.Sprintf("[[routes]]\nmatch = { path = \"/big\" }\nfiles = { root = %q }\n", root) +
		rig.Upstream("", origin)
	for _, way := range []struct {
		name, listen string
		dial         dialer
		reads        bool
	}{
		{"read", listen, dial, true},
		{"unread", listen, dial, false},
		{"TLS, read", secure, dialTLS, true},
	} {
		e := rig.Start(t, rig.Config{Server: "workers = 16", Limits: `min_rate = "1KiB/1s"`, Log: `level = "info"`, Listen: way.listen, Rest: rest})
		for range 50 {
			rig.Must(t, leave(way.dial, e.Addr, false))
		}
		for _, f := range floods {
			t.Run(f.name+"/"+way.name, func(t *testing.T) {
				(&flood{e: e, dial: way.dial, reads: way.reads}).run(t, f.unit)
			})
		}
	}
}

// flood is one flood against an edge.
type flood struct {
	e     *rig.Edge
	dial  dialer
	reads bool // the client reads all the time
}

// calmed is the code with which the connection was ended, or "".
func calmed(o *outcome) string {
	if o.goaway == nil || o.goaway.ErrCode == h2.ErrCodeNo {
		return ""
	}
	return "GOAWAY " + o.goaway.ErrCode.String()
}

// run floods with units.
func (f *flood) run(t *testing.T, unit func(c *client, i int)) {
	c, err := f.dial(f.e.Addr)
	rig.Must(t, err)
	defer c.Close()
	for i := range floodUnits {
		unit(c, i)
	}
	stop, canary := make(chan struct{}), make(chan time.Duration)
	go f.canary(t, stop, canary)
	rig.Must(t, proc.ResetPeakRSS(f.e.PID()))
	cpu, err := proc.CPUNanos(f.e.PID())
	rig.Must(t, err)
	memory, err := proc.RSS(f.e.PID())
	rig.Must(t, err)
	written := make(chan error, 1)
	go func() { written <- c.flush() }()
	if !f.reads {
		<-written // what the server does not take any more ends in an error
	}
	o, err := c.read(func(o *outcome) bool { return calmed(o) != "" })
	if calmed(o) == "" {
		t.Errorf("it does not end: %v", err)
	}
	close(stop)
	slowest := <-canary
	cpuAfter, err := proc.CPUNanos(f.e.PID())
	rig.Must(t, err)
	peak, err := proc.PeakRSS(f.e.PID())
	rig.Must(t, err)
	spent, grown := time.Duration(cpuAfter-cpu), peak-memory
	t.Logf("CPU %v, memory %d KiB, slowest canary %.1f ms, %s", spent, grown>>10, float64(slowest.Microseconds())/1000, calmed(o))
	if rig.Race {
		return
	}
	if spent > floodCPU {
		t.Errorf("costs %v of CPU, want at most %v", spent, floodCPU)
	}
	if grown > floodMemory {
		t.Errorf("costs %d KiB, want at most %d", grown>>10, floodMemory>>10)
	}
	if slowest > canaryTime {
		t.Errorf("a canary waited %v, want at most %v", slowest, canaryTime)
	}
}

// canary makes requests on connections of their own until stop, and tells how long the slowest took.
func (f *flood) canary(t *testing.T, stop <-chan struct{}, slowest chan<- time.Duration) {
	worst := time.Duration(0)
	for {
		began := time.Now()
		if err := leave(f.dial, f.e.Addr, false); err != nil {
			t.Errorf("the canary: %v", err)
		}
		worst = max(worst, time.Since(began))
		select {
		case <-stop:
			slowest <- worst
			return
		case <-time.After(canaryPause):
		}
	}
}
