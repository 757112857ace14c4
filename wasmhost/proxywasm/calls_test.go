package proxywasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

func newOther(t *testing.T, r *rig) *Stream {
	t.Helper()
	s := &Stream{}
	if err := r.in.Open(s, fake.New()); err != nil {
		t.Fatal(err)
	}
	r.in.begin(r.stream)
	return s
}

func TestLog(t *testing.T) {
	r := probe(t)
	at, n := r.text(keyAt, "a line")
	if s := r.call("proxy_log", 2, at, n); s != ok || !slices.Equal(r.x.Lines, []string{"2 a line"}) {
		t.Errorf("status %d, lines %q", s, r.x.Lines)
	}
	if s := r.call("proxy_log", 6, at, n); s != badArgument {
		t.Errorf("level 6: status %d", s)
	}
	r.in.begin(nil)
	r.call("proxy_log", 2, at, n)
	if !slices.Equal(r.lines, []string{"a line"}) {
		t.Errorf("in the root context: %q", r.lines)
	}
	r.plugin.LogLevel = filters.Warn
	r.in.begin(r.stream)
	r.call("proxy_log", 2, at, n)
	if len(r.x.Lines) != 1 {
		t.Errorf("below the level: %q", r.x.Lines)
	}
	if s := r.call("proxy_get_log_level", outAt); s != ok || r.word(outAt) != uint32(filters.Warn) {
		t.Errorf("status %d, level %d", s, r.word(outAt))
	}
}

func TestW98LogLinesPerCallbackAreBounded(t *testing.T) {
	r := probe(t)
	at, _ := r.text(keyAt, "x")
	for range 10 * MaxLogLines {
		r.call("proxy_log", 2, at, MaxLogLine+100)
	}
	if len(r.x.Lines) != MaxLogLines || len(r.x.Lines[0]) != MaxLogLine+2 {
		t.Errorf("%d lines of %d bytes", len(r.x.Lines), len(r.x.Lines[0]))
	}
	if got := r.plugin.Counters.DroppedLog.Load(); got != 9*MaxLogLines {
		t.Errorf("%d counted as dropped", got)
	}
}

func TestClock(t *testing.T) {
	r := probe(t)
	if s := r.call("proxy_get_current_time_nanoseconds", outAt); s != ok {
		t.Fatalf("status %d", s)
	}
	got, _ := r.in.Memory.ReadUint64Le(outAt)
	if want := uint64(1700000000123456000); got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func TestBufferReads(t *testing.T) {
	r := probe(t)
	r.in.answer = &filters.CallAnswer{Body: []byte("answer")}
	var held message.Body
	held.Append([]byte("0123456789"))
	r.stream.held[filters.Request] = &held
	for _, c := range []struct {
		name             string
		buffer, from, to uint64
		want             string
		status           status
	}{
		{"the body", bufferRequestBody, 0, 100, "0123456789", ok},
		{"a piece of it", bufferRequestBody, 3, 4, "3456", ok},
		{"from its end", bufferRequestBody, 10, 4, "", ok},
		{"beyond its end", bufferRequestBody, 11, 4, "", ok},
		{"W100 an overflow", bufferRequestBody, 2, 1<<32 - 1, "", badArgument},
		{"a body that is not there", bufferResponseBody, 0, 10, "", notFound},
		{"a call's answer", bufferCallBody, 0, 100, "answer", ok},
		{"the plugin's configuration", bufferPluginConfig, 0, 100, "plugin config", ok},
		{"the VM's configuration", bufferVMConfig, 3, 3, "con", ok},
		{"a gRPC message", bufferGRPCMessage, 0, 1, "", notFound},
		{"arguments of a foreign function", bufferForeignArguments, 0, 1, "", notFound},
		{"W100 no such buffer", 9, 0, 1, "", badArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.in.Memory.WriteUint64Le(outAt, 0)
			if s := r.call("proxy_get_buffer_bytes", c.buffer, c.from, c.to, outAt, outAt+4); s != c.status || r.given() != c.want {
				t.Errorf("status %d, %q", s, r.given())
			}
		})
	}
	if s := r.call("proxy_get_buffer_status", bufferRequestBody, outAt, outAt+4); s != ok || r.word(outAt) != 10 || r.word(outAt+4) != 0 {
		t.Errorf("status %d, size %d, flags %d", s, r.word(outAt), r.word(outAt+4))
	}
	if s := r.call("proxy_get_buffer_status", bufferResponseBody, outAt, outAt+4); s != notFound {
		t.Errorf("a body that is not there: status %d", s)
	}
}

func TestBufferWrites(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, n  uint64
		data     string
		want     string
		status   status
		readOnly bool
	}{
		{"(0, 0) puts it before", 0, 0, "ab", "ab0123", ok, false},
		{"(0, all) replaces", 0, 4, "ab", "ab", ok, false},
		{"(0, more than all) replaces", 0, 1 << 31, "ab", "ab", ok, false},
		{"(0, all) with nothing empties", 0, 4, "", "", ok, false},
		{"at the end appends", 4, 0, "ab", "0123ab", ok, false},
		{"beyond the end appends", 1 << 31, 1 << 31, "ab", "0123ab", ok, false},
		{"within replaces that piece", 1, 2, "ab-", "0ab-3", ok, false},
		{"W99 more than the limit", 4, 0, strings.Repeat("x", 997), "0123", badArgument, false},
		{"not there now", 0, 0, "ab", "0123", notFound, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := probe(t)
			var held message.Body
			held.Append([]byte("0123"))
			if !c.readOnly {
				r.stream.held[filters.Response] = &held
			}
			at, n := r.text(valueAt, c.data)
			if s := r.call("proxy_set_buffer_bytes", bufferResponseBody, c.from, c.n, at, n); s != c.status || string(held.Bytes()) != c.want {
				t.Errorf("status %d, %q", s, held.Bytes())
			}
		})
	}
	r := probe(t)
	for name, c := range map[string]struct {
		buffer uint64
		want   status
	}{
		"the configuration": {bufferPluginConfig, badArgument}, "W100 no such buffer": {9, badArgument},
		"a gRPC message": {bufferGRPCMessage, notFound},
	} {
		if s := r.call("proxy_set_buffer_bytes", c.buffer, 0, 0, valueAt, 1); s != c.want {
			t.Errorf("%s: status %d", name, s)
		}
	}
}

func TestHeldBodyOfAPausedStream(t *testing.T) {
	r := probe(t)
	other := newOther(t, r)
	var held message.Body
	held.Append([]byte("held"))
	other.x.(*fake.Exchange).Bodies[filters.Request] = &held
	r.in.active = other
	if s := r.call("proxy_get_buffer_bytes", bufferRequestBody, 0, 10, outAt, outAt+4); s != notFound {
		t.Errorf("while it runs: status %d", s)
	}
	other.paused[filters.Request] = onBody
	if s := r.call("proxy_get_buffer_bytes", bufferRequestBody, 0, 10, outAt, outAt+4); s != ok || r.given() != "held" {
		t.Errorf("while it is paused: status %d, %q", s, r.given())
	}
}

func TestProperties(t *testing.T) {
	r := probe(t)
	var fields message.Fields
	fields.Add("a", "b")
	r.x.Props = map[string]filters.Value{
		"request\x00path": {Kind: filters.Bytes, Text: "/a"},
		"source\x00port":  {Kind: filters.Int, Num: 258},
		"mtls":            {Kind: filters.Bool, Num: 1},
		"request\x00time": {Kind: filters.Time, Num: -1},
		"headers":         {Kind: filters.Map, Fields: &fields},
	}
	get := func(path string) (status, string) {
		at, n := r.text(keyAt, path)
		r.in.Memory.WriteUint64Le(outAt, 0)
		return r.call("proxy_get_property", at, n, outAt, outAt+4), r.given()
	}
	for path, want := range map[string]string{
		"request\x00path":     "/a",
		"request\x00path\x00": "/a",
		"source\x00port":      "\x02\x01\x00\x00\x00\x00\x00\x00",
		"mtls":                "\x01",
		"request\x00time":     "\xff\xff\xff\xff\xff\xff\xff\xff",
		"headers":             packed("a", "b"),
		"plugin_name":         "probe",
		"plugin_root_id":      "root",
		"plugin_vm_id":        "vm",
	} {
		if s, got := get(path); s != ok || got != want {
			t.Errorf("%q: status %d, %q", path, s, got)
		}
	}
	if s, _ := get("nothing"); s != notFound {
		t.Errorf("status %d", s)
	}
	if s, _ := get(strings.Repeat("p", MaxPropertyPath+1)); s != badArgument {
		t.Errorf("a path too long: status %d", s)
	}

	k, kn := r.text(keyAt, "mine")
	v, vn := r.text(valueAt, "value")
	if s := r.call("proxy_set_property", k, kn, v, vn); s != ok || r.x.Props["mine"].Text != "value" {
		t.Errorf("set: status %d, %v", s, r.x.Props)
	}
	r.put(keyAt, "gone")
	if _, kept := r.x.Props["mine"]; !kept {
		t.Error("the path is the guest's memory")
	}
	for n := range 2 * filters.MaxProperties {
		k, kn := r.text(keyAt, fmt.Sprintf("p%d", n))
		r.call("proxy_set_property", k, kn, v, vn)
	}
	if s := r.call("proxy_set_property", k, 2, v, vn); s != internalFailure {
		t.Errorf("over the limit: status %d", s)
	}
	r.in.begin(nil)
	if s := r.call("proxy_set_property", k, kn, v, vn); s != badArgument {
		t.Errorf("without a stream: status %d", s)
	}
	if s, got := get("plugin_root_id"); s != ok || got != "root" {
		t.Errorf("plugin_root_id in the root context: status %d, %q", s, got)
	}
}

// respond asks for a local response.
func respond(r *rig, code uint64, details, body, headers string) status {
	d, dn := r.text(keyAt, details)
	b, bn := r.text(valueAt, body)
	h, hn := r.text(mapAt, headers)
	return r.call("proxy_send_local_response", code, d, dn, b, bn, h, hn, 1<<32-1)
}

func TestLocalResponse(t *testing.T) {
	r := probe(t)
	if s := respond(r, 500, "first", "first", ""); s != ok {
		t.Fatalf("status %d", s)
	}
	headers := packed("X-Why", "because", "content-length", "99", ":status", "200", "connection", "close", "host", "h")
	if s := respond(r, 403, "denied", "no\n", headers); s != ok {
		t.Fatalf("status %d", s)
	}
	if len(r.x.Replies) != 0 {
		t.Fatal("it is sent before the callback has returned")
	}
	r.put(valueAt, "xxxxxxxx") // the guest's memory is its own again
	if got := r.in.settle(r.stream, filters.Request, filters.Pause); got != filters.Continue || r.stream.Paused() {
		t.Errorf("action %v, paused %v", got, r.stream.paused)
	}
	if len(r.x.Replies) != 1 {
		t.Fatalf("replies %v", r.x.Replies)
	}
	got := r.x.Replies[0]
	if got.Status != 403 || got.Details != "denied" || string(got.Body) != "no\n" ||
		!slices.Equal(got.Header, [][2]string{{"X-Why", "because"}}) {
		t.Errorf("reply %+v", got)
	}

	for name, got := range map[string]status{
		"status 99":               respond(r, 99, "", "", ""),
		"status 101":              respond(r, 101, "", "", ""),
		"status 600":              respond(r, 600, "", "", ""),
		"W99 CR LF in a header":   respond(r, 200, "", "", packed("x", "a\r\nb")),
		"W99 an empty name":       respond(r, 200, "", "", packed("", "a")),
		"W100 headers of no kind": respond(r, 200, "", "", "\x09\x00\x00\x00"),
	} {
		if got != badArgument {
			t.Errorf("%s: status %d", name, got)
		}
	}
	if r.in.touched != nil {
		t.Error("a refused response is asked for")
	}
}

func TestW101LocalResponseThatComesTooLate(t *testing.T) {
	r := probe(t)
	r.x.Headed = true
	respond(r, 403, "", "", "")
	if got := r.in.settle(r.stream, filters.Response, filters.Pause); got != filters.Continue || r.x.Aborts != 1 {
		t.Errorf("action %v, aborts %d", got, r.x.Aborts)
	}
}

func TestGRPCStatusOfALocalResponse(t *testing.T) {
	r := probe(t)
	if s := r.call("proxy_send_local_response", 200, 0, 0, 0, 0, 0, 0, 7); s != ok {
		t.Fatalf("status %d", s)
	}
	r.in.settle(r.stream, filters.Request, filters.Continue)
	if !slices.Equal(r.x.Replies[0].Header, [][2]string{{"grpc-status", "7"}}) {
		t.Errorf("%v", r.x.Replies[0].Header)
	}
}

func TestContinueAndClose(t *testing.T) {
	r := probe(t)
	other := newOther(t, r)
	ox := other.x.(*fake.Exchange)

	// Its own pause, in the callback that would begin it.
	if s := r.call("proxy_continue_stream", streamRequest); s != ok {
		t.Fatalf("status %d", s)
	}
	if got := r.in.settle(r.stream, filters.Request, filters.Pause); got != filters.Continue || r.x.Continued[0] != 0 {
		t.Errorf("action %v, continued %v", got, r.x.Continued)
	}

	// Another stream: only while it is paused, and it is woken.
	if s := r.call("proxy_set_effective_context", uint64(other.id)); s != badArgument {
		t.Errorf("a running stream: status %d", s)
	}
	r.in.setPaused(other, filters.Request, onHead)
	if s := r.call("proxy_set_effective_context", uint64(other.id)); s != ok {
		t.Fatalf("a paused stream: status %d", s)
	}
	r.call("proxy_continue_stream", streamRequest)
	r.call("proxy_continue_stream", streamResponse)
	if ox.Continued[0] != 0 {
		t.Error("it goes on before the callback has returned")
	}
	r.in.settle(r.stream, filters.Request, filters.Continue)
	if ox.Continued != [2]int{1, 0} || ox.Wakes.Load() != 1 || other.Paused() || r.x.Wakes.Load() != 0 {
		t.Errorf("continued %v, wakes %d and %d", ox.Continued, ox.Wakes.Load(), r.x.Wakes.Load())
	}

	// Closing.
	r.in.begin(r.stream)
	if s := r.call("proxy_close_stream", streamResponse); s != ok || r.x.Aborts != 0 {
		t.Errorf("status %d, aborts %d", s, r.x.Aborts)
	}
	if got := r.in.settle(r.stream, filters.Request, filters.Pause); got != filters.Continue || r.x.Aborts != 1 || r.stream.Paused() {
		t.Errorf("action %v, aborts %d", got, r.x.Aborts)
	}

	// Where there is no stream.
	r.in.begin(nil)
	for _, name := range []string{"proxy_continue_stream", "proxy_close_stream"} {
		if s := r.call(name, 0); s != badArgument {
			t.Errorf("%s in the root context: status %d", name, s)
		}
	}
	r.in.begin(r.stream)
	for _, name := range []string{"proxy_continue_stream", "proxy_close_stream"} {
		if s := r.call(name, 2); s != badArgument {
			t.Errorf("%s of a TCP stream: status %d", name, s)
		}
	}
}

func TestLegacyCalls(t *testing.T) {
	r := newRig(t, withAllocator(trampolines("0_1_0"), bump))
	for name, d := range map[string]filters.Direction{
		"proxy_continue_request": filters.Request, "proxy_continue_response": filters.Response,
	} {
		if s := r.call(name); s != ok {
			t.Errorf("%s: status %d", name, s)
		}
		if got := r.in.settle(r.stream, d, filters.Pause); got != filters.Continue {
			t.Errorf("%s: action %v", name, got)
		}
	}
	if s := r.call("proxy_get_configuration", outAt, outAt+4); s != ok || r.given() != "plugin config" {
		t.Errorf("status %d, %q", s, r.given())
	}
	if r.call("proxy_clear_route_cache") != ok || r.call("pthread_equal", 3, 3) != 1 || r.call("pthread_equal", 3, 4) != 0 {
		t.Error("clear_route_cache or pthread_equal")
	}
	r.call("emscripten_notify_memory_growth", 0)
}

func TestContexts(t *testing.T) {
	r := probe(t)
	for id, want := range map[uint64]status{rootID: ok, uint64(r.stream.id): ok, 0: badArgument, 999: badArgument} {
		if s := r.call("proxy_set_effective_context", id); s != want {
			t.Errorf("context %d: status %d, want %d", id, s, want)
		}
	}
	if s := r.call("proxy_done"); s != notFound {
		t.Errorf("proxy_done: status %d", s)
	}
	r.in.root.owed = true
	if r.call("proxy_done") != ok || r.call("proxy_done") != notFound {
		t.Error("proxy_done of a root context that is to end is ok, once")
	}
	if s := r.call("proxy_get_status", outAt+8, outAt, outAt+4); s != ok || r.word(outAt+8) != 0 || r.given() != "" {
		t.Errorf("proxy_get_status: status %d", s)
	}
}

func TestHTTPCall(t *testing.T) {
	m := withAllocator(trampolines("0_2_1"), bump)
	m.Func("proxy_on_http_call_response", "iiiii", "", 0)
	r := newRig(t, m)
	dispatch := func(upstream, headers, body string) status {
		u, un := r.text(keyAt, upstream)
		h, hn := r.text(mapAt, headers)
		b, bn := r.text(valueAt, body)
		tr, tn := r.text(valueAt+0x800, packed("t", "1"))
		return r.call("proxy_http_call", u, un, h, hn, b, bn, tr, tn, 1500, outAt)
	}
	target := []string{":method", "POST", ":path", "/p", ":authority", "app.internal"}
	good := packed(append(target, "x-a", "1", "content-length", "3", "connection", "x-a")...)
	if s := dispatch("app", good, "body"); s != ok || r.word(outAt) != 1 {
		t.Fatalf("status %d, id %d", s, r.word(outAt))
	}
	c := r.x.Calls[0]
	if c.Upstream != "app" || c.Method != "POST" || c.Target != "/p" || c.Authority != "app.internal" || string(c.Body) != "body" ||
		c.Timeout != 1500*time.Millisecond || !slices.Equal(c.Header, [][2]string{{"x-a", "1"}}) ||
		!slices.Equal(c.Trailer, [][2]string{{"t", "1"}}) {
		t.Errorf("call %+v", c)
	}
	for _, c := range []struct {
		name, upstream, headers string
		err                     error
		want                    status
	}{
		{"an upstream that is not allowed", "other", good, nil, badArgument},
		{"no :method", "app", packed(":path", "/", ":authority", "a"), nil, badArgument},
		{"no :path", "app", packed(":method", "GET", ":authority", "a"), nil, badArgument},
		{"no :authority", "app", packed(":method", "GET", ":path", "/"), nil, badArgument},
		{"headers of no kind", "app", "\x05\x00\x00\x00", nil, badArgument},
		{"the configuration has no such upstream", "app", good, filters.ErrNoUpstream, badArgument},
		{"no valid request", "app", good, filters.ErrBadCall, badArgument},
		{"W105 too many under way", "app", good, filters.ErrCallLimit, internalFailure},
	} {
		r.x.CallError = c.err
		if s := dispatch(c.upstream, c.headers, ""); s != c.want {
			t.Errorf("%s: status %d, want %d", c.name, s, c.want)
		}
	}
	r.x.CallError = nil
	for k := range 20 { // W105
		want := ok
		if k >= filters.MaxCalls-1 {
			want = internalFailure
		}
		if s := dispatch("app", good, ""); s != want {
			t.Errorf("call %d: status %d, want %d", k+2, s, want)
		}
	}
}

func TestErrorsAreNotSwallowed(t *testing.T) {
	m := &asm.Module{}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	m.Func("proxy_on_configure", "ii", "i", 0, asm.Const(0)...)
	rt, module, err := compile(t, m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := module.NewInstance(rt, &Plugin{Now: time.Now}); !errors.Is(err, ErrRejected) {
		t.Errorf("error %v", err)
	}
}
