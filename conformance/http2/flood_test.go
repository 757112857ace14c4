package http2

import (
	"bytes"
	"io"
	"strings"
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

	// A hundred requests to an upstream have each read their answer's head, and what came with it, once.
	slowMemory = 16 << 20
)

// floods are the modes of the research's driver: what one unit is. i counts from 0; the first may open a stream.
var floods = []struct {
	name string
	unit func(c *client, i int)
}{
	{"F58 rapid reset", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/hello")
		c.framer.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
	}},
	{"F59 window overflow", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow")
		c.framer.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
	}},
	{"F59 window update of zero", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow")
		c.framer.WriteWindowUpdate(uint32(2*i+1), 0)
	}},
	{"F59 data after the end", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WriteData(uint32(2*i+1), true, []byte("x"))
	}},
	{"F59 headers after the end", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.ask(uint32(2*i+1), true, "GET", "/slow")
	}},
	{"F59 priority of four bytes", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WriteRawFrame(h2.FramePriority, 0, uint32(2*i+1), make([]byte, 4))
	}},
	{"F59 priority on itself", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WritePriority(uint32(2*i+1), h2.PriorityParam{StreamDep: uint32(2*i + 1)})
	}},
	{"F59 length that lies", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow", "content-length", "1")
		c.framer.WriteData(uint32(2*i+1), true, []byte("xx"))
	}},
	{"F60 continuation", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(":method", "GET")})
		}
		c.framer.WriteContinuation(1, false, c.fields("a", strings.Repeat("b", 100)))
	}},
	{"F60 continuation of no bytes", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(":method", "GET")})
		}
		c.framer.WriteContinuation(1, false, nil)
	}},
	{"F61 ping", func(c *client, i int) { c.framer.WritePing(false, [8]byte{}) }},
	{"F61 settings", func(c *client, i int) {
		c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 70000})
	}},
	{"F61 empty data", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteData(1, false, nil)
	}},
	{"F61 priority", func(c *client, i int) { c.framer.WritePriority(uint32(2*i+1), h2.PriorityParam{Weight: 7}) }},
	{"F61 window updates", func(c *client, i int) { c.framer.WriteWindowUpdate(0, 1) }},
	{"F61 unknown frames", func(c *client, i int) { c.framer.WriteRawFrame(0x5a, 0, 0, nil) }},
	{"F61 headers of no bytes", func(c *client, i int) {
		c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0, 0, 0}, EndStream: true, EndHeaders: true})
	}},
	{"F62 settings of 2,700 entries", func(c *client, i int) {
		if i%100 == 0 {
			c.framer.WriteRawFrame(h2.FrameSettings, 0, 0, make([]byte, 6*2700))
		}
	}},
	{"F63 bomb", func(c *client, i int) {
		if i%100 == 0 {
			block := append(bytes.Clone(c.fields("bomb", strings.Repeat("x", 3000))), bytes.Repeat([]byte{0xbe}, 15000)...)
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
		}
	}},
	{"F66 streams", func(c *client, i int) { c.ask(uint32(2*i+1), false, "POST", "/slow") }},
	{"F68 goaway", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteGoAway(0, h2.ErrCodeNo, nil)
	}},
}

// TestFloods: no flood costs much, disturbs others, or goes on. The client reads what it is answered in one half of the runs, and
// nothing in the other.
func TestFloods(t *testing.T) {
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) { c.ReadHead(); c.ReadHead() }) // it never answers
	e := rig.Start(t, rig.Config{Server: "workers = 16", Log: `level = "info"`, Listen: listen,
		Rest: helloRoute + rig.Upstream("", origin)})
	for range 50 {
		rig.Must(t, visit(e.Addr, false))
	}
	for _, f := range floods {
		for _, reads := range []bool{true, false} {
			name := f.name
			if !reads {
				name += ", unread"
			}
			t.Run(name, func(t *testing.T) { flood(t, e, f.unit, reads) })
		}
	}
}

func flood(t *testing.T, e *rig.Edge, unit func(c *client, i int), reads bool) {
	c, err := dial(e.Addr)
	rig.Must(t, err)
	defer c.Close()
	for i := range floodUnits {
		unit(c, i)
	}
	cpu, err := proc.CPUNanos(e.PID())
	rig.Must(t, err)
	memory, err := proc.RSS(e.PID())
	rig.Must(t, err)
	stop, canary := make(chan struct{}), make(chan time.Duration)
	go func() {
		slowest := time.Duration(0)
		for {
			began := time.Now()
			if err := visit(e.Addr, false); err != nil {
				t.Errorf("the canary: %v", err)
			}
			slowest = max(slowest, time.Since(began))
			select {
			case <-stop:
				canary <- slowest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	written := make(chan error, 1)
	go func() { written <- c.flush() }()
	var o *outcome
	if reads {
		if o, err = c.read(func(o *outcome) bool { return o.goaway != nil && o.goaway.ErrCode != h2.ErrCodeNo }); err != nil {
			t.Errorf("reading: %v", err)
		}
	} else {
		<-written // what the server does not take any more ends in an error
		o, _ = c.read(func(o *outcome) bool { return o.goaway != nil && o.goaway.ErrCode != h2.ErrCodeNo })
	}
	if o.goaway == nil || o.goaway.ErrCode == h2.ErrCodeNo {
		t.Error("the connection does not end with GOAWAY")
	}
	c.SetDeadline(time.Now().Add(ioLimit))
	io.Copy(io.Discard, c.Conn)
	close(stop)
	slowest := <-canary
	cpuAfter, err := proc.CPUNanos(e.PID())
	rig.Must(t, err)
	memoryAfter, err := proc.RSS(e.PID())
	rig.Must(t, err)
	spent, grown := time.Duration(cpuAfter-cpu), memoryAfter-memory
	t.Logf("CPU %v, memory %d KiB, slowest canary %v", spent, grown>>10, slowest)
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
