package proxywasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
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
	got, _ := r.in.memory.ReadUint64Le(outAt)
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
		{"no such buffer", 99, 0, 1, "", notFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.in.memory.WriteUint64Le(outAt, 0)
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
		{"not there now", 0, 0, "ab", "0123", badArgument, true},
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
	if s := r.call("proxy_set_buffer_bytes", bufferPluginConfig, 0, 0, valueAt, 1); s != badArgument {
		t.Errorf("the configuration: status %d", s)
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
		r.in.memory.WriteUint64Le(outAt, 0)
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
	r.in.finishing = true
	if r.call("proxy_done") != ok || r.call("proxy_done") != notFound {
		t.Error("proxy_done of a root context that is to end is ok, once")
	}
	if s := r.call("proxy_get_status", outAt+8, outAt, outAt+4); s != ok || r.word(outAt+8) != 0 || r.given() != "" {
		t.Errorf("proxy_get_status: status %d", s)
	}
}

// What comes later answers so that SDKs live on (1.6-3).
func TestCallsThatDoNothingYet(t *testing.T) {
	r := probe(t)
	for _, c := range []struct {
		name string
		args []uint64
		want status
	}{
		{"proxy_set_tick_period_milliseconds", []uint64{100}, ok},
		{"proxy_get_shared_data", []uint64{keyAt, 1, outAt, outAt + 4, outAt + 8}, notFound},
		{"proxy_set_shared_data", []uint64{keyAt, 1, keyAt, 1, 0}, ok},
		{"proxy_register_shared_queue", []uint64{keyAt, 1, outAt}, ok},
		{"proxy_resolve_shared_queue", []uint64{keyAt, 1, keyAt, 1, outAt}, notFound},
		{"proxy_enqueue_shared_queue", []uint64{1, keyAt, 1}, notFound},
		{"proxy_dequeue_shared_queue", []uint64{1, outAt, outAt + 4}, empty},
		{"proxy_define_metric", []uint64{0, keyAt, 1, outAt}, ok},
		{"proxy_define_metric", []uint64{3, keyAt, 1, outAt}, badArgument},
		{"proxy_increment_metric", []uint64{1, 1}, ok},
		{"proxy_record_metric", []uint64{1, 1 << 40}, ok},
		{"proxy_increment_metric", []uint64{2, 1}, notFound},
		{"proxy_get_metric", []uint64{1, outAt}, notFound},
		{"proxy_grpc_call", make([]uint64, 12), parseFailure},
		{"proxy_grpc_stream", make([]uint64, 9), parseFailure},
		{"proxy_grpc_send", make([]uint64, 4), notFound},
		{"proxy_grpc_cancel", []uint64{1}, notFound},
		{"proxy_grpc_close", []uint64{1}, notFound},
		{"proxy_call_foreign_function", make([]uint64, 6), notFound},
	} {
		if s := r.call(c.name, c.args...); s != c.want {
			t.Errorf("%s: status %d, want %d", c.name, s, c.want)
		}
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
	r.in.begin(nil)
	if s := dispatch("app", good, ""); s != internalFailure {
		t.Errorf("without any stream: status %d", s)
	}
}

// W100: every pointer that is out of bounds is told so, and the host lives.
func TestW100PointersOutOfBounds(t *testing.T) {
	r := probe(t)
	var held message.Body
	held.Append([]byte("body"))
	r.stream.held[filters.Request] = &held
	r.x.Props["p"] = filters.Value{Text: "value"}
	target := packed(":method", "GET", ":path", "/", ":authority", "a")
	r.put(mapAt, target)
	r.put(keyAt, "user-agent")
	r.put(keyAt+0x40, "p")
	r.put(keyAt+0x48, "app")
	mapLen := uint64(len(target))
	for _, c := range []struct {
		name  string
		args  []uint64
		spans []int // indexes of pointers that a length follows
		outs  []int // indexes of out pointers
	}{
		{"proxy_log", []uint64{2, keyAt, 1}, []int{1}, nil},
		{"proxy_get_log_level", []uint64{outAt}, nil, []int{0}},
		{"proxy_get_current_time_nanoseconds", []uint64{outAt}, nil, []int{0}},
		{"proxy_get_status", []uint64{outAt, outAt, outAt + 4}, nil, []int{0, 1, 2}},
		{"proxy_get_buffer_bytes", []uint64{bufferRequestBody, 0, 10, outAt, outAt + 4}, nil, []int{3, 4}},
		{"proxy_set_buffer_bytes", []uint64{bufferRequestBody, 0, 0, valueAt, 1}, []int{3}, nil},
		{"proxy_get_buffer_status", []uint64{bufferRequestBody, outAt, outAt + 4}, nil, []int{1, 2}},
		{"proxy_get_header_map_size", []uint64{0, outAt}, nil, []int{1}},
		{"proxy_get_header_map_pairs", []uint64{0, outAt, outAt + 4}, nil, []int{1, 2}},
		{"proxy_set_header_map_pairs", []uint64{mapRequestTrailers, mapAt, 0}, []int{1}, nil},
		{"proxy_get_header_map_value", []uint64{0, keyAt, 10, outAt, outAt + 4}, []int{1}, []int{3, 4}},
		{"proxy_add_header_map_value", []uint64{0, keyAt, 10, keyAt, 1}, []int{1, 3}, nil},
		{"proxy_replace_header_map_value", []uint64{0, keyAt, 10, keyAt, 1}, []int{1, 3}, nil},
		{"proxy_remove_header_map_value", []uint64{2, keyAt, 10}, []int{1}, nil},
		{"proxy_send_local_response", []uint64{200, keyAt, 1, keyAt, 1, mapAt, mapLen, 1}, []int{1, 3, 5}, nil},
		{"proxy_http_call", []uint64{keyAt + 0x48, 3, mapAt, mapLen, keyAt, 1, mapAt, 0, 0, outAt}, []int{0, 2, 4, 6}, []int{9}},
		{"proxy_get_property", []uint64{keyAt + 0x40, 1, outAt, outAt + 4}, []int{0}, []int{2, 3}},
		{"proxy_set_property", []uint64{keyAt + 0x40, 1, valueAt, 1}, []int{0, 2}, nil},
		{"proxy_get_configuration", []uint64{outAt, outAt + 4}, nil, []int{0, 1}},
		{"proxy_register_shared_queue", []uint64{keyAt, 1, outAt}, nil, []int{2}},
		{"proxy_define_metric", []uint64{0, keyAt, 1, outAt}, []int{1}, []int{3}},
	} {
		check := func(what string, k int, args []uint64) {
			if s := r.call(c.name, args...); s != invalidMemoryAccess {
				t.Errorf("%s, parameter %d %s: status %d", c.name, k, what, s)
			}
		}
		for _, k := range c.spans {
			args := slices.Clone(c.args)
			args[k], args[k+1] = beyond, 1
			check("past the end", k, args)
			args[k], args[k+1] = beyond-1, 2
			check("across the end", k, args)
			args[k], args[k+1] = 16, 1<<32-8
			check("with a length that overflows", k, args)
			args[k], args[k+1] = 1<<32-1, 1<<32-1
			check("with both at their most", k, args)
		}
		for _, k := range c.outs {
			args := slices.Clone(c.args)
			args[k] = beyond - 3
			check("across the end", k, args)
			args[k] = 1<<32 - 1
			check("past the end", k, args)
		}
	}
}

// W100: whatever the arguments are, no host call brings the host down.
func TestW100ArbitraryArguments(t *testing.T) {
	r := probe(t)
	odd := []uint64{0, 1, 2, 3, 4, 7, 8, keyAt, mapAt, outAt, beyond - 4, beyond - 1, beyond, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<64 - 1}
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range hostCalls {
		for range 2000 {
			args := make([]uint64, len(c.params))
			for k := range args {
				args[k] = odd[random.IntN(len(odd))]
			}
			var junk [64]byte
			for k := 0; k < len(junk); k += 8 {
				binary.LittleEndian.PutUint64(junk[k:], random.Uint64()>>random.IntN(64))
			}
			r.put(mapAt, string(junk[:]))
			r.in.begin(r.stream)
			if _, err := r.try(name, args...); err != nil {
				t.Fatalf("%s%v: %v", name, args, err)
			}
			r.in.forget()
			r.in.memory.WriteUint32Le(outAt, 0)
		}
	}
}

// W100: allocators that fail or misbehave.
func TestW100Allocators(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want status
	}{
		{"gives 0", asm.Const(0), invalidMemoryAccess},
		{"gives what is out of bounds", asm.Const(beyond - 2), invalidMemoryAccess},
		{"gives the last address there is", asm.Const(-1), invalidMemoryAccess},
		{"gives the same place twice", asm.Const(heapAt), ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, withAllocator(trampolines("0_2_1"), c.code))
			for range 2 {
				k, n := r.text(keyAt, "user-agent")
				if s := r.call("proxy_get_header_map_value", 0, k, n, outAt, outAt+4); s != c.want {
					t.Errorf("status %d, want %d", s, c.want)
				}
			}
		})
	}
	t.Run("traps", func(t *testing.T) {
		r := newRig(t, withAllocator(trampolines("0_2_1"), []byte{asm.Unreachable}))
		k, n := r.text(keyAt, "user-agent")
		if _, err := r.try("proxy_get_header_map_value", 0, k, n, outAt, outAt+4); err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("error %v", err)
		}
		if r.in.allocating {
			t.Error("the instance believes that its allocator runs")
		}
	})
	t.Run("W101 makes host calls", func(t *testing.T) {
		m := trampolines("0_2_1")
		get := slices.Index(slices.Sorted(slices.Values(names())), "proxy_get_buffer_bytes")
		withAllocator(m, asm.Join(asm.Const(bufferPluginConfig), asm.Const(0), asm.Const(100), asm.Const(outAt+8), asm.Const(outAt+12),
			asm.Call(uint32(get)), []byte{asm.GlobalSet, 0}, asm.Const(heapAt)))
		r := newRig(t, m)
		k, n := r.text(keyAt, "user-agent")
		if s := r.call("proxy_get_header_map_value", 0, k, n, outAt, outAt+4); s != ok || r.given() != "test/1.0" {
			t.Errorf("status %d", s)
		}
		if got, _ := r.in.guest.ExportedFunction("call_proxy_get_log_level").Call(r.in, outAt); len(got) != 1 || got[0] != 0 {
			t.Errorf("afterwards: %v", got)
		}
	})
}

func names() []string {
	var list []string
	for name := range hostCalls {
		list = append(list, name)
	}
	return list
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
