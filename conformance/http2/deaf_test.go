package http2

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// TestDeafOrigins: F65 the other way. A client sends a hundred bodies, as fast as its windows allow, to an origin that takes none of them:
// that costs no more memory than answers that are not taken, and comes to an end.
func TestDeafOrigins(t *testing.T) {
	release := make(chan struct{})
	origin := rig.NewOrigin(t, func(*rig.OriginConn) { <-release })
	t.Cleanup(func() { close(release) }) // runs before the origin's own end
	for _, up := range []struct{ name, origin string }{{"HTTP/1.1", origin.Addr}, {"h2c", "h2c://" + deafOrigin(t)}} {
		t.Run(up.name, func(t *testing.T) {
			t.Setenv("GOGC", "10") // what is held counts, and not what lies about
			e := rig.Start(t, rig.Config{Server: "workers = 16\ntimeout = \"2s\"", Log: `level = "info"`, Listen: listen, Rest: helloRoute +
				fmt.Sprintf("[upstreams.app]\nservers = [%q]\nresponse_timeout = \"3s\"\n[[routes]]\nupstream = \"app\"\n", up.origin)})
			for range 4 { // what serving costs anyway is there
				pour(t, e.Addr, "/hello")
				e.Metrics()
			}
			before, err := proc.RSS(e.PID())
			rig.Must(t, err)
			rig.Must(t, proc.ResetPeakRSS(e.PID()))
			sent := pour(t, e.Addr, "/big")
			peak, err := proc.PeakRSS(e.PID())
			rig.Must(t, err)
			t.Logf("%d KiB were taken of the client, memory %d KiB", sent>>10, (peak-before)>>10)
			if peak-before > slowMemory && !rig.Race {
				t.Errorf("costs %d KiB, want at most %d", (peak-before)>>10, slowMemory>>10)
			}
		})
	}
}

// pour sends a hundred bodies that have no end until all are answered or given up, and returns how many bytes there was room for.
func pour(t *testing.T, addr, path string) (sent int) {
	t.Helper()
	k, err := dial(addr)
	rig.Must(t, err)
	defer k.Close()
	k.SetDeadline(time.Now().Add(slowLimit))
	const streams = 100
	room := map[uint32]int{0: 65535}
	for i := range uint32(streams) {
		k.ask(2*i+1, false, "POST", path)
		room[2*i+1] = 65535
	}
	piece := make([]byte, 16<<10)
	over := map[uint32]bool{}
	for len(over) < streams {
		for i := range uint32(streams) {
			id := 2*i + 1
			for n := 1; n > 0 && !over[id]; {
				if n = min(len(piece), room[0], room[id]); n > 0 {
					k.framer.WriteData(id, false, piece[:n])
					room[0] -= n
					room[id] -= n
					sent += n
				}
			}
		}
		rig.Must(t, k.flush())
		frame, err := k.framer.ReadFrame()
		rig.Must(t, err)
		switch f := frame.(type) {
		case *h2.WindowUpdateFrame:
			room[f.StreamID] += int(f.Increment)
		case *h2.SettingsFrame:
			if size, set := f.Value(h2.SettingInitialWindowSize); set {
				for i := range uint32(streams) {
					room[2*i+1] += int(size) - 65535
				}
			}
		case *h2.RSTStreamFrame:
			over[f.StreamID] = true
		case *h2.MetaHeadersFrame:
			if f.StreamEnded() {
				over[f.StreamID] = true
			}
		case *h2.DataFrame:
			if f.StreamEnded() {
				over[f.StreamID] = true
			}
		}
	}
	return sent
}

// deafOrigin answers to HTTP/2 in the clear, and opens no window for a body.
func deafOrigin(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				framer := h2.NewFramer(conn, conn)
				if _, err := io.ReadFull(conn, make([]byte, len(h2.ClientPreface))); err != nil {
					return
				}
				if framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0}) != nil || framer.WriteSettingsAck() != nil {
					return
				}
				for {
					if _, err := framer.ReadFrame(); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
