package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/filters/message"
)

// TestUploadWindows: F67. The windows open as the receiver takes bodies, and not before; nobody can make a session hold more.
func TestUploadWindows(t *testing.T) {
	r := newRig(t).greet()
	r.closed = true
	r.request(1, false, post()...)
	for range 4 {
		r.WriteData(1, false, make([]byte, 16<<10))
	}
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	r.expect("nothing is taken", &r.sent)
	s := r.streams[0]
	if s.Held() != 64<<10 {
		t.Errorf("holds %d bytes", s.Held())
	}
	r.closed = false
	r.session.Turn(r.out, r.now)
	if !r.session.Deliver(s) || s.Held() != 0 {
		t.Errorf("delivered nothing, or not all: %d bytes left", s.Held())
	}
	r.read()
	r.expect("taken", &r.sent, "WINDOW_UPDATE 1 65536")
	if r.session.Deliver(s) {
		t.Error("delivered what was not there")
	}
	r.closed = true
	for range 5 {
		r.WriteData(1, false, make([]byte, 16<<10))
	}
	if err := r.feed(); err == nil || err.Reason != "more data than the window" {
		t.Errorf("more than the window: %v", err)
	}
}

// TestGrowingWindow: a body that is taken as it comes gets a larger window, one that waits does not.
func TestGrowingWindow(t *testing.T) {
	for _, taken := range []bool{true, false} {
		r := newRig(t).greet()
		r.request(1, false, post()...)
		r.feed()
		s := r.streams[0]
		for range 100 {
			r.closed = !taken
			for range 2 {
				r.WriteData(1, false, make([]byte, 16<<10))
			}
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.closed = false
			r.session.Turn(r.out, r.now)
			r.session.Deliver(s)
			r.read()
		}
		most := DefaultLimits.StreamWindow
		if taken {
			most = DefaultLimits.Window / 2
		}
		if s.recvMost != most || s.recvLeft > most || s.recvLeft < most/2 {
			t.Errorf("taken at once %v: the window is %d of %d, want %d", taken, s.recvLeft, s.recvMost, most)
		}
	}
}

// TestHeldEnds: what the receiver does not accept waits with its end, or its trailers, and comes in order.
func TestHeldEnds(t *testing.T) {
	for name, c := range map[string]struct {
		write func(r *rig)
		want  []string
	}{
		"end":            {func(r *rig) { r.WriteData(1, true, []byte("ab")) }, []string{"data 1 ab end"}},
		"end by itself":  {func(r *rig) { r.WriteData(1, true, nil) }, []string{"data 1  end"}},
		"trailers":       {func(r *rig) { r.WriteData(1, false, []byte("ab")); r.request(1, true, "x", "y") }, []string{"data 1 ab", "trailers 1 x=y"}},
		"only trailers":  {func(r *rig) { r.request(1, true, "x", "y") }, []string{"trailers 1 x=y"}},
		"empty trailers": {func(r *rig) { r.WriteData(1, false, []byte("ab")); r.request(1, true) }, []string{"data 1 ab end"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).greet()
			r.closed = true
			r.request(1, false, post()...)
			c.write(r)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("not accepted", &r.log, "head 1 POST h/ length=-1")
			if s := r.streams[0]; s.Ended() || !s.Complete() {
				t.Error("the end is told before it is given")
			}
			r.closed = false
			r.session.Turn(r.out, r.now)
			for r.session.Deliver(r.streams[0]) {
			}
			r.expect("accepted", &r.log, c.want...)
			if !r.streams[0].Ended() {
				t.Error("the end is not told")
			}
		})
	}
}

// TestEarlyAnswer: a request that is answered before it is whole is reset with NO_ERROR, and what was under way costs nothing.
func TestEarlyAnswer(t *testing.T) {
	r := newRig(t).greet()
	r.answer = func(s *Stream) { respond(s, "") }
	r.request(1, false, post()...)
	r.feed()
	r.release()
	r.expect("section 8.1", &r.sent, "HEADERS 1 :status=200 content-length=0 end", "RST 1 NO_ERROR")
	for range 2000 {
		r.WriteData(1, false, make([]byte, 1000))
		if err := r.feed(); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range r.sent {
		if !strings.HasPrefix(line, "WINDOW_UPDATE 0 ") {
			t.Fatalf("sent %q", line)
		}
	}
	if len(r.sent) != 3 {
		t.Errorf("the connection's window was opened %d times for 2,000,000 bytes", len(r.sent))
	}
}

// TestShrinkingWindow: F64, section 6.9.2. A window may become negative, and opens again from there.
func TestShrinkingWindow(t *testing.T) {
	r := newRig(t).greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 10})
	r.answer = func(s *Stream) { respond(s, "0123456789abcdef") }
	r.request(1, true, get()...)
	r.feed()
	r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 3})
	r.WriteWindowUpdate(1, 7)
	r.feed()
	s := r.streams[0]
	if s.Pending() != 6 || !s.Shut() || r.session.Queued() != 6 {
		t.Errorf("%d bytes wait", s.Pending())
	}
	r.WriteWindowUpdate(1, 1)
	r.feed()
	r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 100})
	r.feed()
	r.expect("sent", &r.sent, "HEADERS 1 :status=200 content-length=16", `DATA 1 10 "0123456789"`, "SETTINGS ack", `DATA 1 1 "a"`,
		"SETTINGS ack", `DATA 1 5 "bcdef" end`)
}

// TestRoom: F65. What waits for a client that opens no windows is bounded, for a stream and for all of them.
func TestRoom(t *testing.T) {
	r := newRig(t).greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
	r.WriteWindowUpdate(0, 1<<30)
	for id := range uint32(50) {
		r.request(2*id+1, true, get()...)
	}
	r.feed()
	r.session.Turn(r.out, r.now)
	piece := make([]byte, 16<<10)
	for _, s := range r.streams {
		s.WriteHead(&message.Response{Status: 200, Length: message.UnknownLength}, "", false)
	}
	for range 100 {
		for _, s := range r.streams {
			if s.Room() {
				s.Write(piece, false)
			}
			if s.Pending() > streamHigh {
				t.Fatalf("%d bytes wait on a stream", s.Pending())
			}
		}
	}
	if q := r.session.Queued(); q > sessionHigh+len(piece) || q < sessionHigh {
		t.Errorf("%d bytes wait", q)
	}
	r.read()
	last := r.streams[49]
	r.WriteWindowUpdate(last.ID(), 1<<20)
	r.feed()
	if last.Pending() == 0 && !last.Room() {
		t.Error("a stream with a window has no room for the sake of others")
	}
	r.session.Turn(r.out, r.now)
	for _, s := range r.streams {
		r.session.Abort(s, h2.ErrCodeCancel)
	}
	r.release()
	if r.session.Queued() != 0 || r.session.waiting != 0 {
		t.Errorf("%d bytes wait on %d streams that are gone", r.session.Queued(), r.session.waiting)
	}
}

// TestPriority: RFC 9218. Urgent streams first; of those alike, in order, incremental ones in turn.
func TestPriority(t *testing.T) {
	for _, c := range []struct {
		name     string
		priority [3]string
		update   string // for the last
		want     string
	}{
		{"none", [3]string{"", "", ""}, "", "1113335 5 5"},
		{"urgency", [3]string{"u=5", "u=3", "u=0"}, "", "5 5 5 333111"},
		{"incremental", [3]string{"i", "i", "i"}, "", "1 3 5 1 3 5 1 3 5"},
		{"incremental behind", [3]string{"u=2,i", "u=1", "i, u=2"}, "", "333 5 1 5 1 5 1"},
		{"invalid", [3]string{"u=9", "x;u=1, u=0x", "u"}, "", "111333555"},
		{"update", [3]string{"", "", ""}, "u=1, i;x=2", "555111333"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
			for i, p := range c.priority {
				pairs := get()
				if p != "" {
					pairs = append(pairs, "priority", p)
				}
				r.request(uint32(2*i+1), true, pairs...)
			}
			if c.update != "" {
				r.WriteRawFrame(framePriorityUpdate, 0, 0, append([]byte{0, 0, 0, 5}, c.update...))
			}
			r.feed()
			r.session.Turn(r.out, r.now)
			for _, s := range r.streams {
				respond(s, strings.Repeat("x", 3*MaxFrameBytes))
			}
			r.read()
			r.sent = nil
			r.session.turns = 2 // three incremental streams begin with the first at the next call
			r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 20})
			r.WriteWindowUpdate(0, 1<<20)
			r.feed()
			var order string
			for _, line := range r.sent {
				var id, n int
				if k, _ := fmt.Sscanf(line, "DATA %d %d", &id, &n); k == 2 {
					order += fmt.Sprint(id)
				}
			}
			if want := strings.ReplaceAll(c.want, " ", ""); order != want {
				t.Errorf("sent %s, want %s", order, want)
			}
		})
	}
}

// TestShrunkTable: RFC 7541 section 4.2. A client that makes its table smaller is told that we use none.
func TestShrunkTable(t *testing.T) {
	r := newRig(t).greet(h2.Setting{ID: h2.SettingHeaderTableSize, Val: 0})
	r.answer = func(s *Stream) { respond(s, "") }
	r.request(1, true, get()...)
	r.request(3, true, get()...)
	r.session.Turn(r.out, r.now)
	if _, err := r.session.Feed(r.Bytes()); err != nil {
		t.Fatal(err)
	}
	if first := r.out.Dst[frameHeaderBytes]; first != tableOff || bytes.Count(r.out.Dst, []byte{tableOff, 0x88}) != 1 {
		t.Errorf("the blocks are %x", r.out.Dst)
	}
}

// TestWindowsModel runs answers against a client that opens windows and changes settings at random: the windows are never exceeded,
// and every byte arrives in the end, in order.
func TestWindowsModel(t *testing.T) {
	for seed := range uint64(200) {
		model(t, rand.New(rand.NewPCG(seed, 1)), seed)
	}
}

func model(t *testing.T, rnd *rand.Rand, seed uint64) {
	initial := int64(rnd.IntN(200))
	r := newRig(t).greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: uint32(initial)})
	conn := int64(65535)
	const streams = 5
	window, got, size, written := [streams]int64{}, [streams]int{}, [streams]int{}, [streams]int{}
	ended := [streams]bool{}
	for i := range streams {
		pairs := get("priority", []string{"u=1", "i", "u=5, i"}[rnd.IntN(3)])
		r.request(uint32(2*i+1), true, pairs...)
		window[i], size[i] = initial, rnd.IntN(60000)
	}
	r.feed()
	r.session.Turn(r.out, r.now)
	for _, s := range r.streams {
		s.WriteHead(&message.Response{Status: 200, Length: message.UnknownLength}, "", false)
	}
	r.read()
	r.data = func(d *h2.DataFrame) {
		i := int(d.StreamID-1) / 2
		window[i] -= int64(len(d.Data()))
		conn -= int64(len(d.Data()))
		if len(d.Data()) > 0 && (window[i] < 0 || conn < 0) {
			t.Fatalf("seed %d: stream %d has a window of %d, the connection of %d", seed, d.StreamID, window[i], conn)
		}
		for _, b := range d.Data() {
			if b != byte(got[i]) {
				t.Fatalf("seed %d: stream %d: wrong byte at %d", seed, d.StreamID, got[i])
			}
			got[i]++
		}
		ended[i] = ended[i] || d.StreamEnded()
	}
	for step := 0; ; step++ {
		last := step > 300 // from then on the client opens everything
		switch i := rnd.IntN(streams); {
		case last:
			for i := range streams {
				if !ended[i] {
					r.WriteWindowUpdate(uint32(2*i+1), 100000)
					window[i] += 100000
				}
			}
			r.WriteWindowUpdate(0, 1000000)
			conn += 1000000
		case rnd.IntN(4) == 0:
			n := int64(rnd.IntN(300))
			r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: uint32(n)})
			for i := range streams {
				window[i] += n - initial
			}
			initial = n
		case rnd.IntN(4) == 0:
			n := rnd.IntN(20000) + 1
			r.WriteWindowUpdate(0, uint32(n))
			conn += int64(n)
		case !ended[i]:
			n := rnd.IntN(3000) + 1
			r.WriteWindowUpdate(uint32(2*i+1), uint32(n))
			window[i] += int64(n)
		}
		if err := r.feed(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r.session.Turn(r.out, r.now)
		i := rnd.IntN(streams)
		if s := r.streams[i]; s.Room() && written[i] < size[i] || last && written[i] < size[i] {
			n := min(rnd.IntN(9000), size[i]-written[i])
			p := make([]byte, n)
			for k := range p {
				p[k] = byte(written[i] + k)
			}
			written[i] += n
			s.Write(p, written[i] == size[i])
		} else if size[i] == 0 {
			s.Write(nil, true)
		}
		r.session.Fill(rnd.IntN(5000))
		r.read()
		if ended == [streams]bool{true, true, true, true, true} {
			break
		}
		if step > 2000 {
			t.Fatalf("seed %d: stalled: got %v of %v, written %v", seed, got, size, written)
		}
	}
	if got != size || r.session.Queued() != 0 || r.session.waiting != 0 {
		t.Fatalf("seed %d: got %v of %v, %d bytes and %d streams wait", seed, got, size, r.session.Queued(), r.session.waiting)
	}
}
