package proxywasm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
)

// notesAt is where it notes: how many callbacks there were, then of each whether it came, its two numbers and how many there were by then.
const notesAt = 0x300

// grpcRig is a guest that notes what it is told of gRPC calls: which callback, the call, and a size, a number of fields or a code.
func grpcRig(t *testing.T) *rig {
	m := withAllocator(trampolines("0_2_1"), bump)
	for k, name := range grpcCallbacks {
		m.Func("proxy_on_grpc_"+name, "iii", "", 0, asm.Join(
			asm.Const(notesAt), asm.Const(notesAt), []byte{asm.I32Load, 2, 0}, asm.Const(1), []byte{asm.I32Add, asm.I32Store, 2, 0},
			asm.Const(notesAt+4+0x10*int32(k)), asm.Const(1), []byte{asm.I32Store, 2, 0},
			asm.Const(notesAt+8+0x10*int32(k)), []byte{asm.LocalGet, 1, asm.I32Store, 2, 0},
			asm.Const(notesAt+12+0x10*int32(k)), []byte{asm.LocalGet, 2, asm.I32Store, 2, 0},
			asm.Const(notesAt+16+0x10*int32(k)), asm.Const(notesAt), []byte{asm.I32Load, 2, 0, asm.I32Store, 2, 0})...)
	}
	return newRig(t, m)
}

var grpcCallbacks = [...]string{"receive_initial_metadata", "receive", "receive_trailing_metadata", "close"}

// told is what the guest was told since the last time, in order: callback=id:number …
func (r *rig) told() string {
	list := make([]string, 5)
	for k, name := range grpcCallbacks {
		at := notesAt + 4 + 0x10*uint32(k)
		if r.word(at) != 0 {
			list[r.word(at+12)] = strings.TrimPrefix(name, "receive_") + "=" + fmt.Sprint(r.word(at+4)) + ":" + fmt.Sprint(r.word(at+8))
		}
		r.in.Memory.WriteUint32Le(at, 0)
	}
	r.in.Memory.WriteUint32Le(notesAt, 0)
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return s == "" }), " ")
}

func (r *rig) grpc(upstream string, body int) status {
	u, un := r.text(keyAt, upstream)
	s, sn := r.text(keyAt+0x40, "pkg.Service")
	m, mn := r.text(keyAt+0x80, "Method")
	md, mdn := r.text(mapAt, packed("x-a", "1", "te", "x", ":path", "/", "content-type", "text/html", "grpc-timeout", "1H", "host", "b"))
	b, bn := r.text(valueAt, strings.Repeat("b", body))
	return r.call("proxy_grpc_call", u, un, s, sn, m, mn, md, mdn, b, bn, 1500, outAt)
}

// stream begins a call that streams.
func (r *rig) grpcStream(upstream string) status {
	u, un := r.text(keyAt, upstream)
	s, sn := r.text(keyAt+0x40, "pkg.Service")
	m, mn := r.text(keyAt+0x80, "Method")
	md, mdn := r.text(mapAt, packed("x-a", "1"))
	return r.call("proxy_grpc_stream", u, un, s, sn, m, mn, md, mdn, outAt)
}

func TestGRPCCall(t *testing.T) {
	r := grpcRig(t)
	if s := r.grpc("app", 4); s != ok || r.word(outAt) != 1 {
		t.Fatalf("status %d, id %d", s, r.word(outAt))
	}
	c := r.x.Calls[0]
	if c.Kind != filters.GRPCCall || c.Upstream != "app" || c.Method != "POST" || c.Target != "/pkg.Service/Method" || c.Authority != "app" ||
		string(c.Body) != "bbbb" || c.Timeout != 1500*time.Millisecond ||
		!slices.Equal(c.Header, [][2]string{{"content-type", "application/grpc"}, {"x-a", "1"}, {"grpc-timeout", "1500m"}}) {
		t.Errorf("call %+v", c)
	}
	if s := r.grpc("other", 4); s != parseFailure {
		t.Errorf("an upstream that is not allowed: status %d", s)
	}
	r.x.CallError = filters.ErrCallLimit
	if s := r.grpc("app", 4); s != internalFailure {
		t.Errorf("too many: status %d", s)
	}
	if s := r.grpcStream("app"); s != internalFailure {
		t.Errorf("too many streams: status %d", s)
	}
	if s := probe(t).grpc("app", 4); s != internalFailure {
		t.Errorf("a guest that cannot take an answer: status %d", s)
	}
	for ms, want := range map[uint32]string{1: "1m", 99_999_999: "99999999m", 1<<32 - 1: "4294967S"} {
		if got := grpcTimeout(ms); got != want {
			t.Errorf("%d ms: %q", ms, got)
		}
	}
}

func fieldsOf(pairs ...string) *message.Fields {
	f := new(message.Fields)
	for k := 0; k < len(pairs); k += 2 {
		f.Add(pairs[k], pairs[k+1])
	}
	return f
}

// TestGRPCParts: what each part of an answer has the guest hear, and that nothing of it is there afterwards.
func TestGRPCParts(t *testing.T) {
	one := fieldsOf("a", "b")
	for _, c := range []struct {
		name  string
		part  *filters.CallAnswer
		call  string
		strm  string
		after bool // the call goes on
	}{
		{"metadata", &filters.CallAnswer{Part: filters.Initial, Header: one}, "initial_metadata=1:1", "initial_metadata=1:1", true},
		{"a message", &filters.CallAnswer{Part: filters.Message, Body: []byte("hello")}, "receive=1:5", "receive=1:5", true},
		{"the end", &filters.CallAnswer{Part: filters.Closed, Body: []byte("hello"), Trailer: one}, "trailing_metadata=1:1 receive=1:5",
			"trailing_metadata=1:1 close=1:0", false},
		{"an error", &filters.CallAnswer{Part: filters.Closed, Status: 9, Trailer: one}, "trailing_metadata=1:1 close=1:9",
			"trailing_metadata=1:1 close=1:9", false},
		{"an error and nothing else", &filters.CallAnswer{Part: filters.Closed, Status: 14}, "trailing_metadata=1:0 close=1:14",
			"trailing_metadata=1:0 close=1:14", false},
	} {
		for kind, want := range []string{c.call, c.strm} {
			r := grpcRig(t)
			if kind == 0 {
				r.grpc("app", 1)
			} else {
				r.grpcStream("app")
			}
			if err := r.in.CallDone(r.stream, 1, c.part); err != nil {
				t.Fatal(err)
			}
			if got := r.told(); got != want {
				t.Errorf("%s: %q, not %q", c.name, got, want)
			}
			if r.call("proxy_get_buffer_bytes", bufferGRPCMessage, 0, 1, outAt, outAt+4) != notFound {
				t.Errorf("%s: the message is there after the callback", c.name)
			}
			if err := r.in.CallDone(r.stream, 1, &filters.CallAnswer{Part: filters.Closed, Status: 3}); err != nil {
				t.Fatal(err)
			}
			if got := r.told(); (got != "") != c.after {
				t.Errorf("%s: the guest hears %q then", c.name, got)
			}
			if s := r.call("proxy_grpc_cancel", 1); s != notFound {
				t.Errorf("%s: cancel after its end: status %d", c.name, s)
			}
		}
	}
}

// TestGRPCSend: messages go to the outbox of their stream, as far as there is room; W98.
func TestGRPCSend(t *testing.T) {
	r := grpcRig(t)
	r.grpcStream("app")
	box := r.x.Calls[0].Outbox
	at, n := r.text(valueAt, "hello")
	if s := r.call("proxy_grpc_send", 1, at, n, 0); s != ok {
		t.Fatalf("status %d", s)
	}
	if p, end := box.Take(nil, 100); string(p) != "\x00\x00\x00\x00\x05hello" || end {
		t.Errorf("%q %v", p, end)
	}
	for box.Send(make([]byte, 1000), false) == nil {
	}
	if s := r.call("proxy_grpc_send", 1, at, 1000, 0); s != badArgument || r.plugin.Counters.FullOutbox.Load() != 1 {
		t.Errorf("no room: status %d, %d counted", s, r.plugin.Counters.FullOutbox.Load())
	}
	box.Take(nil, filters.MaxOutbox)
	for _, want := range []status{ok, badArgument} {
		if s := r.call("proxy_grpc_send", 1, 0, 0, 1); s != want {
			t.Errorf("the last message: status %d, want %d", s, want)
		}
	}
	if p, end := box.Take(nil, 100); len(p) != filters.MessagePrefix || !end {
		t.Errorf("%q %v", p, end)
	}
	// A stream is closed on one side only; a call is cancelled.
	r.grpcStream("app")
	if s := r.call("proxy_grpc_close", 2); s != ok || r.x.Calls[1].Outbox.Cancelled() {
		t.Errorf("close: status %d", s)
	}
	if _, end := r.x.Calls[1].Outbox.Take(nil, 100); !end {
		t.Error("the server does not see the end")
	}
	r.grpc("app", 1)
	if s := r.call("proxy_grpc_send", 3, at, n, 0); s != badArgument {
		t.Errorf("on a call that does not stream: status %d", s)
	}
	if s := r.call("proxy_grpc_close", 3); s != ok || !r.x.Calls[2].Outbox.Cancelled() {
		t.Errorf("close: status %d", s)
	}
}

// TestGRPCEnds: a call that is cancelled is heard of no more, and one whose stream ends is cancelled. W101, W102.
func TestGRPCEnds(t *testing.T) {
	r := grpcRig(t)
	r.grpc("app", 1)
	r.grpcStream("app")
	for _, want := range []status{ok, notFound} {
		if s := r.call("proxy_grpc_cancel", 1); s != want {
			t.Errorf("cancel: status %d, want %d", s, want)
		}
	}
	if !r.x.Calls[0].Outbox.Cancelled() {
		t.Error("the server does not hear of it")
	}
	cancelled := &filters.CallAnswer{Part: filters.Closed, Status: 1}
	if err := r.in.CallDone(r.stream, 1, cancelled); err != nil || r.told() != "" {
		t.Error("a cancelled call was answered", err)
	}
	if err := r.in.End(r.stream); err != nil {
		t.Fatal(err)
	}
	if got := r.told(); got != "close=2:1" {
		t.Errorf("%q", got)
	}
	// In the root context.
	if s := r.call("proxy_set_effective_context", rootID); s != ok {
		t.Fatal(s)
	}
	if s := r.grpcStream("app"); s != ok {
		t.Fatalf("status %d", s)
	}
	c, found := r.in.NextCall()
	if !found || c.Call.Target != "/pkg.Service/Method" || c.Call.Kind != filters.GRPCStream || c.Call.Outbox == nil {
		t.Fatalf("%+v", c)
	}
	for _, p := range []struct {
		part filters.CallAnswer
		want string
	}{
		{filters.CallAnswer{Part: filters.Message, Body: []byte("a")}, "receive=3:1"},
		{filters.CallAnswer{Part: filters.Closed, Status: 14}, "trailing_metadata=3:0 close=3:14"},
		{filters.CallAnswer{Part: filters.Closed, Status: 14}, ""},
	} {
		if err := r.in.RootCallDone(c.ID, &p.part); err != nil {
			t.Fatal(err)
		}
		if got := r.told(); got != p.want {
			t.Errorf("%q, not %q", got, p.want)
		}
	}
	r.grpc("app", 1)
	c, _ = r.in.NextCall()
	if s := r.call("proxy_grpc_close", uint64(c.ID)); s != ok {
		t.Errorf("close: status %d", s)
	}
	if err := r.in.RootCallDone(c.ID, cancelled); err != nil || r.told() != "" {
		t.Error("a closed call was answered", err)
	}
}
