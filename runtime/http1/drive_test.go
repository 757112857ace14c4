package http1

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"edge/filters/message"
)

// feeder plays a connection: it hands bytes over in pieces, keeps what a reader left, and overwrites every buffer after
// the call, so that a view of it kept by a reader or a message shows.
type feeder struct {
	t    testing.TB
	rest string        // not yet arrived
	have string        // arrived, not consumed
	cut  func(int) int // size of the next piece, of so many that are left
	feed func([]byte) (int, Event, *Error, string)
}

// next feeds until an event other than More, or until nothing is left.
func (f *feeder) next() (ev Event, err *Error, data string) {
	for idle := 0; ; {
		buffer := []byte(f.have)
		n, ev, err, data := f.feed(buffer)
		if n < 0 || n > len(buffer) {
			f.t.Fatalf("consumed %d of %d", n, len(buffer))
		}
		for i := range buffer {
			buffer[i] = 0xaa
		}
		f.have = f.have[n:]
		if err != nil || ev != More {
			return ev, err, data
		}
		if len(f.have) > DefaultLimits.BufferBytes() {
			f.t.Fatalf("%d bytes wait", len(f.have))
		}
		if f.rest == "" {
			if idle++; idle > 1 {
				return More, nil, ""
			}
			continue
		}
		k := f.cut(len(f.rest))
		f.have, f.rest = f.have+f.rest[:k], f.rest[k:]
	}
}

func whole(n int) int { return n }
func oneByte(int) int { return 1 }
func dice(seed uint64) func(int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int { return 1 + r.IntN(min(n, 1+r.IntN(40))) }
}

// traceRequests is what a client's bytes are read as, an event a line. Pieces of a body are joined. It stops where a
// server would close.
func traceRequests(t testing.TB, in string, limits *Limits, cut func(int) int) string {
	var r RequestReader
	var req message.Request
	var out strings.Builder
	r.Reset(limits)
	f := feeder{t: t, rest: in, cut: cut, feed: func(b []byte) (int, Event, *Error, string) {
		n, ev, err := r.Feed(b, &req)
		return n, ev, err, string(r.Data())
	}}
	body, inBody := "", false
	flush := func() {
		if inBody && body != "" {
			fmt.Fprintf(&out, "data %q\n", body)
		}
		body, inBody = "", false
	}
	for {
		ev, err, data := f.next()
		switch {
		case err != nil:
			flush()
			if n, again, same := r.Feed([]byte("GET / HTTP/1.1\r\n\r\n"), &req); n != 0 || again != More || same != err {
				t.Fatalf("after %v: %d %v %v", err, n, again, same)
			}
			if r.KeepAlive() || r.Done() {
				t.Fatalf("alive after %v", err)
			}
			fmt.Fprintf(&out, "%d %s\n", err.Status, err.Reason)
			return out.String()
		case ev == More:
			flush()
			if r.Started() {
				out.WriteString("waits\n")
			}
			return out.String()
		case ev == Head:
			out.WriteString(requestText(&req))
		case ev == Data:
			if data == "" {
				t.Fatal("empty data")
			}
			body, inBody = body+data, true
		case ev == End:
			flush()
			fmt.Fprintf(&out, "end%s\n", fieldsText(&req.Trailer))
			if !r.Done() || r.Unread() != 0 {
				t.Fatalf("end: done %v, unread %d", r.Done(), r.Unread())
			}
			if !r.KeepAlive() {
				out.WriteString("close\n")
				return out.String()
			}
			r.Reset(limits)
		}
	}
}

func requestText(req *message.Request) string {
	s := fmt.Sprintf("%s %s %s %v %d", req.Method, req.Target, req.Authority, req.Version, req.Length)
	if req.Expect {
		s += " expect"
	}
	if req.Upgrade != "" {
		s += " upgrade=" + req.Upgrade
	}
	return s + fieldsText(&req.Header) + "\n"
}

func fieldsText(f *message.Fields) string {
	var s strings.Builder
	for i := range f.Len() {
		name, value := f.At(i)
		fmt.Fprintf(&s, " %s=%q", name, value)
	}
	return s.String()
}

// traceResponse is what an upstream's bytes are read as; closed says that it closes behind them.
func traceResponse(t testing.TB, method, in string, closed bool, limits *Limits, cut func(int) int) string {
	var r ResponseReader
	var resp message.Response
	var out strings.Builder
	r.Reset(limits, method)
	f := feeder{t: t, rest: in, cut: cut, feed: func(b []byte) (int, Event, *Error, string) {
		n, ev, err := r.Feed(b, &resp)
		return n, ev, err, string(r.Data())
	}}
	body := ""
	flush := func() {
		if body != "" {
			fmt.Fprintf(&out, "data %q\n", body)
		}
		body = ""
	}
	for {
		ev, err, data := f.next()
		if ev == More && err == nil && closed {
			ev, err = r.EOF(&resp)
		}
		switch {
		case err != nil:
			flush()
			if r.KeepAlive() || r.Done() || r.Tunnel() {
				t.Fatalf("alive after %v", err)
			}
			fmt.Fprintf(&out, "%d %s\n", err.Status, err.Reason)
			return out.String()
		case ev == More:
			flush()
			out.WriteString("waits\n")
			return out.String()
		case ev == Head, ev == Interim:
			fmt.Fprintf(&out, "%v %d %d", ev, resp.Status, resp.Length)
			if resp.Bodiless {
				out.WriteString(" bodiless")
			}
			if r.Upgrade() != "" {
				out.WriteString(" upgrade=" + r.Upgrade())
			}
			out.WriteString(fieldsText(&resp.Header) + "\n")
		case ev == Data:
			body += data
		case ev == End:
			flush()
			fmt.Fprintf(&out, "end%s", fieldsText(&resp.Trailer))
			switch {
			case r.Tunnel():
				out.WriteString(" tunnel")
			case r.KeepAlive():
				out.WriteString(" keep")
			}
			if left := f.have + f.rest; left != "" {
				fmt.Fprintf(&out, " left %q", left)
			}
			out.WriteString("\n")
			return out.String()
		}
	}
}

// sameInPieces checks that a trace does not depend on how size bytes arrive.
func sameInPieces(t testing.TB, size int, trace func(cut func(int) int) string) string {
	t.Helper()
	want := trace(whole)
	seeds := uint64(8)
	if size > 4<<10 {
		seeds = 1 // the feeder copies what waits for every piece
	} else if got := trace(oneByte); got != want {
		t.Errorf("whole:\n%sbyte by byte:\n%s", want, got)
	}
	for seed := range seeds {
		if got := trace(dice(seed)); got != want {
			t.Errorf("whole:\n%scut with seed %d:\n%s", want, seed, got)
		}
	}
	return want
}
