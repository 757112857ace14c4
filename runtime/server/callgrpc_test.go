package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/upstream"
)

// listener notes the parts of an answer. While it is deaf it takes none.
type listener struct {
	got  []string
	deaf bool
}

func (l *listener) callDone(co *callout, a *filters.CallAnswer) bool {
	if l.deaf {
		return false
	}
	switch a.Part {
	case filters.Initial:
		l.got = append(l.got, fmt.Sprint("initial ", a.Header.Len()))
	case filters.Message:
		l.got = append(l.got, "message "+shortly(string(a.Body)))
	case filters.Closed:
		l.got = append(l.got, fmt.Sprintf("closed %d %s %q %d", a.Status, a.Text, shortly(string(a.Body)), a.Trailer.Len()))
	}
	return true
}

func shortly(s string) string {
	if len(s) > 20 {
		return fmt.Sprint(len(s), " bytes")
	}
	return s
}

// heard is a call of gRPC that has begun, and who listens.
func heard(kind filters.CallKind) (*callout, *calls, *listener) {
	co := newCallout(nil, &filters.Call{Kind: kind, Outbox: new(filters.Outbox)}, func() {})
	co.begun = true
	return co, &calls{active: []*callout{co}}, new(listener)
}

const hello = "\x00\x00\x00\x00\x05hello"

// TestGRPCAnswers: the parts of an answer as servers may send it, in pieces of any size.
func TestGRPCAnswers(t *testing.T) {
	type pairs = []string
	grpc := pairs{"content-type", "application/grpc"}
	good := pairs{"grpc-status", "0"}
	big := string(filters.AppendMessage(nil, make([]byte, filters.MaxMessage)))
	for _, c := range []struct {
		name   string
		status int
		head   pairs
		body   string
		tail   pairs
		stream string
		call   string
	}{
		{"one message", 200, grpc, hello, good, `initial 1; message hello; closed 0  "" 1`, `initial 1; closed 0  "hello" 1`},
		{"two messages", 200, grpc, hello + hello, good, `initial 1; message hello; message hello; closed 0  "" 1`,
			`initial 1; closed 13 not one message of gRPC "" 0`},
		{"an empty one", 200, grpc, hello[:4] + "\x00", good, `initial 1; message ; closed 0  "" 1`, `initial 1; closed 0  "" 1`},
		{"a large one", 200, grpc, big, good, `initial 1; message 1048576 bytes; closed 0  "" 1`, `initial 1; closed 0  "1048576 bytes" 1`},
		{"none", 200, grpc, "", good, `initial 1; closed 0  "" 1`, `initial 1; closed 13 not one message of gRPC "" 1`},
		{"half of one", 200, grpc, hello + hello[:8], good, `initial 1; message hello; closed 13 half a message of gRPC "" 1`,
			`initial 1; closed 13 half a message of gRPC "" 1`},
		{"U85 one too large", 200, grpc, "\x00\x00\x10\x00\x01", good, `initial 1; closed 8 a message of 1048577 bytes "" 0`,
			`initial 1; closed 8 a message of 1048577 bytes "" 0`},
		{"a compressed one", 200, grpc, hello + "\x01" + hello[1:], good, `initial 1; message hello; closed 13 a compressed message "" 0`,
			`initial 1; closed 13 a compressed message "" 0`},
		{"a compressed one of nothing", 200, grpc, "\x01\x00\x00\x00\x00", good, `initial 1; message ; closed 0  "" 1`, `initial 1; closed 0  "" 1`},
		{"an error", 200, grpc, hello, pairs{"grpc-status", "9", "grpc-message", "50%25 %C3%A4 %"}, `initial 1; message hello; closed 9 50% ä % "" 2`,
			`initial 1; closed 9 50% ä % "" 2`},
		{"no status", 200, grpc, hello, nil, `initial 1; message hello; closed 2 no grpc-status "" 0`, `initial 1; closed 2 no grpc-status "" 0`},
		{"a status of HTTP", 503, nil, "sorry", nil, `initial 0; closed 14 HTTP status 503 "" 0`, `initial 0; closed 14 HTTP status 503 "" 0`},
		{"not gRPC", 200, pairs{"content-type", "application/grpc-web"}, "sorry", nil, `initial 1; closed 2 the answer is not of gRPC "" 0`,
			`initial 1; closed 2 the answer is not of gRPC "" 0`},
	} {
		for kind, want := range map[filters.CallKind]string{filters.GRPCStream: c.stream, filters.GRPCCall: c.call} {
			for _, step := range []int{1, 7, 1 << 22} {
				if step == 1 && len(c.body) > 100 {
					continue
				}
				co, cs, l := heard(kind)
				co.resp.Status = c.status
				fill(&co.resp.Header, c.head)
				co.Head()
				for rest := []byte(c.body); len(rest) > 0 && !co.over; {
					cs.listen(t, l)
					n := min(step, len(rest))
					co.Body(rest[:n])
					rest = rest[n:]
				}
				cs.listen(t, l)
				if !co.over {
					fill(&co.resp.Trailer, c.tail)
					co.End()
				}
				cs.listen(t, l)
				if got := strings.Join(l.got, "; "); got != want {
					t.Errorf("%s, kind %d, %d bytes at a time: %q, not %q", c.name, kind, step, got, want)
				}
				if len(cs.active) != 0 || co.grpc.outbox.Send(nil, false) == nil {
					t.Errorf("%s: the call is still there", c.name)
				}
			}
		}
	}
}

func fill(f interface{ Add(name, value string) }, pairs []string) {
	for k := 0; k < len(pairs); k += 2 {
		f.Add(pairs[k], pairs[k+1])
	}
}

// listen brings what there is, as turns do.
func (cs *calls) listen(t *testing.T, l *listener) {
	for n := 0; n == 0 || slices.ContainsFunc(cs.active, (*callout).waits); n++ {
		if n > 100 {
			t.Fatal("it does not end")
		}
		for _, co := range cs.active {
			co.stepGRPC(new(mpm.Turn), l)
		}
	}
	cs.answer(l)
}

// TestGRPCAnswerWaits: while the filter does not take a part nothing more is taken of the server, the end waits behind it, and no turn is
// spent on it.
func TestGRPCAnswerWaits(t *testing.T) {
	co, cs, l := heard(filters.GRPCStream)
	l.deaf = true
	co.resp.Status = 200
	co.resp.Header.Add("content-type", "application/grpc")
	if !co.Accepts() {
		t.Error("the head is not accepted")
	}
	co.Head()
	turn := new(mpm.Turn)
	co.stepGRPC(turn, l)
	if co.Accepts() || cs.ready() {
		t.Error("the server is read on")
	}
	co.Body([]byte(strings.Repeat(hello, 2*callParts)))
	co.Failed(upstream.Closed)
	co.stepGRPC(turn, l)
	if cs.answer(l); len(l.got) > 0 || cs.ready() || len(cs.active) != 1 {
		t.Errorf("%q", l.got)
	}
	l.deaf = false
	co.stepGRPC(turn, l)
	if len(l.got) != callParts || !cs.ready() {
		t.Errorf("%d parts in a turn", len(l.got))
	}
	cs.listen(t, l)
	if n := len(l.got); n != 2*callParts+2 || l.got[n-1] != `closed 14 upstream closed the connection "" 0` {
		t.Errorf("%d parts, the last %q", n, l.got[n-1])
	}
}

// TestGRPCCancelled: of a call that is cancelled nothing comes but its end, at once.
func TestGRPCCancelled(t *testing.T) {
	co, cs, l := heard(filters.GRPCStream)
	co.resp.Status = 200
	co.resp.Header.Add("content-type", "application/grpc")
	co.Head()
	co.grpc.outbox.Cancel()
	cs.step(nil, new(mpm.Turn), nil, l)
	if !slices.Equal(l.got, []string{`closed 1 cancelled "" 0`}) || len(cs.active) != 0 {
		t.Errorf("%q", l.got)
	}
}

// TestGRPCDeadline: a call of one message ends at its timeout; a stream has none.
func TestGRPCDeadline(t *testing.T) {
	co, cs, l := heard(filters.GRPCCall)
	co.deadline = 10
	cs.step(nil, &mpm.Turn{Now: 10}, nil, l)
	if !slices.Equal(l.got, []string{`closed 4 deadline exceeded "" 0`}) {
		t.Errorf("%q", l.got)
	}
	if co, _, _ := heard(filters.GRPCStream); co.timeout != 0 {
		t.Errorf("a stream has a timeout of %v", co.timeout)
	}
	if co, _, _ := heard(filters.GRPCCall); co.timeout != time.Minute {
		t.Errorf("a call has a timeout of %v", co.timeout)
	}
}

// FuzzGRPCAnswer holds the reading of an answer in pieces against reading it at once.
func FuzzGRPCAnswer(f *testing.F) {
	f.Add([]byte(hello+hello), uint8(3))
	f.Add([]byte("\x01"+hello[1:]), uint8(1))
	f.Add(bytes.Repeat([]byte{0}, 100), uint8(9))
	f.Fuzz(func(t *testing.T, body []byte, step uint8) {
		read := func(step int) string {
			co, cs, l := heard(filters.GRPCStream)
			for rest := body; len(rest) > 0 && !co.over; {
				n := min(step, len(rest))
				co.Body(rest[:n])
				rest = rest[n:]
				for range len(body) {
					co.stepGRPC(new(mpm.Turn), l)
				}
			}
			if !co.over {
				co.resp.Trailer.Add("grpc-status", "0")
				co.End()
			}
			cs.answer(l)
			return strings.Join(l.got, "; ")
		}
		if whole, pieces := read(1<<30), read(int(step)+1); whole != pieces {
			t.Errorf("%q, in pieces %q", whole, pieces)
		}
	})
}
