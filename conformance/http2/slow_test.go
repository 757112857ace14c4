package http2

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// slowMemory is what a hundred answers may cost that are not taken, in bytes of RSS, beyond what it costs to serve who takes them.
const slowMemory = 4 << 20

// slowLimit is how long they may last: as some are given up others get their share of what may wait for the client, and a second of it.
const slowLimit = time.Minute

// bigBytes is the length of such an answer.
const bigBytes = 1 << 20

// TestSlowReaders: F65. A client that asks for a hundred large answers and opens no windows, or windows of a byte, or takes nothing
// from its socket, costs a bounded amount of memory, and is given up. Until then another request of the same connection is served, if
// there is a window for it.
func TestSlowReaders(t *testing.T) {
	for _, up := range []struct{ name, origin string }{
		{"HTTP/1.1", rig.NewOrigin(t, rig.Script(rig.OK(strings.Repeat("b", bigBytes)))).Addr},
		{"h2c", "h2c://" + bigOrigin(t)},
	} {
		t.Setenv("GOGC", "10") // what is held counts, and not what lies about
		e := rig.Start(t, rig.Config{Server: "workers = 16\ntimeout = \"2s\"", Limits: `min_rate = "1KiB/1s"`, Log: `level = "info"`,
			Listen: listen, Rest: helloRoute +
				fmt.Sprintf("[upstreams.app]\nservers = [%q]\nkeepalive = 256\n[[routes]]\nupstream = \"app\"\n", up.origin)})
		for range 4 { // what serving costs anyway is there
			takeAll(t, e)
			e.Metrics()
		}
		for _, c := range []struct {
			name    string
			window  uint32
			dribble bool
		}{{"no window", 0, false}, {"a byte at a time", 1, true}, {"nothing taken", 1<<31 - 1, false}} {
			t.Run(up.name+"/"+c.name, func(t *testing.T) {
				before, err := proc.RSS(e.PID())
				rig.Must(t, err)
				rig.Must(t, proc.ResetPeakRSS(e.PID()))
				done := e.Metrics().Sum("edge_http_requests_total")
				k, err := dial(e.Addr, h2.Setting{ID: h2.SettingInitialWindowSize, Val: c.window})
				rig.Must(t, err)
				defer k.Close()
				k.SetDeadline(time.Now().Add(slowLimit))
				k.framer.WriteWindowUpdate(0, 1<<30)
				for i := range uint32(100) {
					k.ask(2*i+1, true, "GET", "/big")
				}
				rig.Must(t, k.flush())
				began := time.Now()
				over := func() bool {
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
					if time.Since(began) > slowLimit {
						t.Fatal("goes on")
					}
				}
				peak, err := proc.PeakRSS(e.PID())
				rig.Must(t, err)
				grown := peak - before
				t.Logf("took %v, memory %d KiB", time.Since(began), grown>>10)
				if grown > slowMemory && !rig.Race {
					t.Errorf("costs %d KiB, want at most %d", grown>>10, slowMemory>>10)
				}
			})
		}
		t.Run(up.name+"/one of them reads", func(t *testing.T) { oneReads(t, e) })
	}
}

// bigOrigin answers by HTTP/2 in the clear.
func bigOrigin(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	answer := strings.Repeat("b", bigBytes)
	server := &http.Server{Handler: h2c.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, answer)
	}), &h2.Server{})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// takeAll asks for as much as a slow reader, on a connection with large windows, and takes it.
func takeAll(t *testing.T, e *rig.Edge) {
	t.Helper()
	k, err := dial(e.Addr, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 30})
	rig.Must(t, err)
	defer k.Close()
	k.framer.WriteWindowUpdate(0, 1<<30)
	for i := range uint32(100) {
		k.ask(2*i+1, true, "GET", "/big")
	}
	rig.Must(t, k.flush())
	for left := 100; left > 0; {
		frame, err := k.framer.ReadFrame()
		rig.Must(t, err)
		if d, ok := frame.(*h2.DataFrame); ok && d.StreamEnded() {
			left--
		}
	}
}

// oneReads: the last of a hundred streams is the only one with a window, and gets its answer at once.
func oneReads(t *testing.T, e *rig.Edge) {
	k, err := dial(e.Addr, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
	rig.Must(t, err)
	defer k.Close()
	k.framer.WriteWindowUpdate(0, 1<<30)
	const last = 199
	for id := uint32(1); id <= last; id += 2 {
		k.ask(id, true, "GET", "/big")
	}
	k.framer.WriteWindowUpdate(last, 1<<30)
	rig.Must(t, k.flush())
	o, err := k.read(func(o *outcome) bool { return o.over(last) })
	rig.Must(t, err)
	if len(o.bodies[last]) != bigBytes || !o.ended[last] {
		t.Errorf("%d bytes, %v", len(o.bodies[last]), o.resets)
	}
}
