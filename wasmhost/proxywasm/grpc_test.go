package proxywasm

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
)

// grpcRig is a guest that notes what it is told of gRPC calls: which callback, the call, and a size or code.
func grpcRig(t *testing.T) *rig {
	m := withAllocator(trampolines("0_2_1"), bump)
	note := func(which int32) []byte {
		return asm.Join(asm.Const(outAt+8), asm.Const(which), []byte{asm.I32Store, 2, 0},
			asm.Const(outAt+12), []byte{asm.LocalGet, 1, asm.I32Store, 2, 0},
			asm.Const(outAt+16), []byte{asm.LocalGet, 2, asm.I32Store, 2, 0})
	}
	m.Func("proxy_on_grpc_receive", "iii", "", 0, note(1)...)
	m.Func("proxy_on_grpc_close", "iii", "", 0, note(2)...)
	return newRig(t, m)
}

// told is what the guest was told since the last time: receive=id:size, close=id:code, or nothing.
func (r *rig) told() string {
	which := r.word(outAt + 8)
	r.in.Memory.WriteUint32Le(outAt+8, 0)
	if which == 0 {
		return ""
	}
	return []string{"", "receive", "close"}[which] + "=" + itoa(r.word(outAt+12)) + ":" + itoa(r.word(outAt+16))
}

func itoa(n uint32) string {
	return strings.TrimLeft(string([]byte{'0' + byte(n/10), '0' + byte(n%10)}), "0")
}

func (r *rig) grpc(upstream string, body int) status {
	u, un := r.text(keyAt, upstream)
	s, sn := r.text(keyAt+0x40, "pkg.Service")
	m, mn := r.text(keyAt+0x80, "Method")
	md, mdn := r.text(mapAt, packed("x-a", "1", "te", "x", ":path", "/", "content-type", "text/html", "grpc-timeout", "1H", "host", "b"))
	b, bn := r.text(valueAt, strings.Repeat("b", body))
	return r.call("proxy_grpc_call", u, un, s, sn, m, mn, md, mdn, b, bn, 1500, outAt)
}

func TestGRPCCall(t *testing.T) {
	r := grpcRig(t)
	if s := r.grpc("app", 4); s != ok || r.word(outAt) != 1 {
		t.Fatalf("status %d, id %d", s, r.word(outAt))
	}
	c := r.x.Calls[0]
	if c.Upstream != "app" || c.Method != "POST" || c.Target != "/pkg.Service/Method" || c.Authority != "app" ||
		string(c.Body) != "\x00\x00\x00\x00\x04bbbb" || c.Timeout != 1500*time.Millisecond ||
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
	if s := probe(t).grpc("app", 4); s != internalFailure {
		t.Errorf("a guest that cannot take an answer: status %d", s)
	}
	for ms, want := range map[uint32]string{1: "1m", 99_999_999: "99999999m", 1<<32 - 1: "4294967S"} {
		if got := grpcTimeout(ms); got != want {
			t.Errorf("%d ms: %q", ms, got)
		}
	}
}

// TestGRPCAnswers: one callback for each end of a call, with gRPC's code, whoever says it.
func TestGRPCAnswers(t *testing.T) {
	const hello = "\x00\x00\x00\x00\x05hello"
	fields := func(pairs ...string) *message.Fields {
		f := new(message.Fields)
		for k := 0; k < len(pairs); k += 2 {
			f.Add(pairs[k], pairs[k+1])
		}
		return f
	}
	for _, c := range []struct {
		name   string
		answer *filters.CallAnswer
		want   string
	}{
		{"answered", &filters.CallAnswer{Status: 200, Header: fields(), Body: []byte(hello), Trailer: fields("grpc-status", "0")}, "receive=1:5"},
		{"an error in trailers", &filters.CallAnswer{Status: 200, Body: []byte(hello), Trailer: fields("grpc-status", "9")}, "close=1:9"},
		{"an error and nothing else", &filters.CallAnswer{Status: 200, Header: fields("grpc-status", "5"), Trailer: fields()}, "close=1:5"},
		{"no status", &filters.CallAnswer{Status: 200, Header: fields(), Body: []byte(hello)}, "close=1:2"},
		{"a status of HTTP", &filters.CallAnswer{Status: 503, Header: fields()}, "close=1:14"},
		{"no message", &filters.CallAnswer{Status: 200, Trailer: fields("grpc-status", "0")}, "close=1:13"},
		{"half a message", &filters.CallAnswer{Status: 200, Body: []byte(hello[:8]), Trailer: fields("grpc-status", "0")}, "close=1:13"},
		{"two messages", &filters.CallAnswer{Status: 200, Body: []byte(hello + hello), Trailer: fields("grpc-status", "0")}, "close=1:13"},
		{"a compressed message", &filters.CallAnswer{Status: 200, Body: []byte("\x01" + hello[1:]), Trailer: fields("grpc-status", "0")}, "close=1:13"},
		{"failed", nil, "close=1:14"},
	} {
		r := grpcRig(t)
		r.grpc("app", 1)
		if err := r.in.CallDone(r.stream, 1, c.answer); err != nil {
			t.Fatal(err)
		}
		if got := r.told(); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
		if r.call("proxy_get_buffer_bytes", bufferGRPCMessage, 0, 1, outAt, outAt+4) != notFound {
			t.Errorf("%s: the message is there after the callback", c.name)
		}
	}
}

// TestGRPCEnds: a call that is cancelled is heard of no more, and one whose stream ends is cancelled. W101, W102.
func TestGRPCEnds(t *testing.T) {
	r := grpcRig(t)
	r.grpc("app", 1)
	r.grpc("app", 1)
	for _, want := range []status{ok, notFound} {
		if s := r.call("proxy_grpc_cancel", 1); s != want {
			t.Errorf("cancel: status %d, want %d", s, want)
		}
	}
	if err := r.in.CallDone(r.stream, 1, nil); err != nil || r.told() != "" {
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
	if s := r.grpc("app", 1); s != ok {
		t.Fatalf("status %d", s)
	}
	c, found := r.in.NextCall()
	if !found || c.Call.Target != "/pkg.Service/Method" {
		t.Fatalf("%+v", c)
	}
	if err := errors.Join(r.in.RootCallDone(c.ID, nil), r.in.RootCallDone(c.ID, nil)); err != nil || r.told() != "close=3:14" {
		t.Error(err)
	}
	r.grpc("app", 1)
	c, _ = r.in.NextCall()
	if s := r.call("proxy_grpc_close", uint64(c.ID)); s != ok {
		t.Errorf("close: status %d", s)
	}
	if err := r.in.RootCallDone(c.ID, nil); err != nil || r.told() != "" {
		t.Error("a closed call was answered", err)
	}
}
