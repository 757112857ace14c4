package proxywasm

import (
	"bytes"
	"compress/zlib"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/commons"
	"edge/wasmhost/internal/fake"
)

// twin is another guest of the rig's vm_id.
func twin(t *testing.T, r *rig, c *commons.Commons) *rig {
	t.Helper()
	other := probe(t)
	other.plugin.Shared = c.Join("vm", "other")
	if r != nil {
		r.plugin.Shared = c.Join("vm", "probe")
	}
	return other
}

func (r *rig) setShared(key, value string, cas uint32) status {
	k, kn := r.text(keyAt, key)
	v, vn := r.text(valueAt, value)
	return r.call("proxy_set_shared_data", k, kn, v, vn, uint64(cas))
}

func (r *rig) getShared(key string) (value string, cas uint32, s status) {
	k, kn := r.text(keyAt, key)
	r.in.Memory.WriteUint64Le(outAt, 0)
	s = r.call("proxy_get_shared_data", k, kn, outAt, outAt+4, outAt+8)
	return r.given(), r.word(outAt + 8), s
}

func TestSharedData(t *testing.T) {
	a := probe(t)
	b := twin(t, a, commons.New())
	if _, _, s := a.getShared("k"); s != notFound {
		t.Errorf("before it is written: status %d", s)
	}
	if s := a.setShared("k", "one", 0); s != ok {
		t.Fatalf("status %d", s)
	}
	a.put(keyAt, "x")
	a.put(valueAt, "???") // the guest's memory is its own again
	value, cas, s := b.getShared("k")
	if s != ok || value != "one" || cas == 0 {
		t.Fatalf("status %d, %q, cas %d", s, value, cas)
	}
	if s := b.setShared("k", "two", cas); s != ok {
		t.Errorf("with the right number: status %d", s)
	}
	if s := a.setShared("k", "three", cas); s != casMismatch {
		t.Errorf("with one that is over: status %d", s)
	}
	if value, again, s := a.getShared("k"); s != ok || value != "two" || again <= cas {
		t.Errorf("status %d, %q, cas %d after %d", s, value, again, cas)
	}
	if s := a.setShared("k", "", 0); s != ok {
		t.Errorf("an empty value: status %d", s)
	}
	if value, _, s := b.getShared("k"); s != ok || value != "" {
		t.Errorf("status %d, %q", s, value)
	}
	if n := a.plugin.Counters.Refused.Load() + a.plugin.Shared.RefusedData.Load(); n != 0 {
		t.Errorf("%d refused; a lost race is none", n)
	}
}

// A full store answers with the one status besides ok that every SDK survives (1.6-3).
func TestFullSharedDataIsALostRace(t *testing.T) {
	r := probe(t)
	value := strings.Repeat("v", commons.MaxKey+1)
	at, n := r.text(valueAt, value)
	if s := r.call("proxy_set_shared_data", at, n, at, 1, 0); s != casMismatch {
		t.Errorf("a key too long: status %d", s)
	}
	if r.plugin.Shared.RefusedData.Load() != 1 || r.plugin.Counters.Refused.Load() != 1 {
		t.Error("not counted")
	}
}

func TestQueues(t *testing.T) {
	a := probe(t)
	b := twin(t, a, commons.New())
	var ready []uint32
	a.plugin.QueueReady = func(id uint32) { ready = append(ready, id) }
	name, n := a.text(keyAt, "jobs")
	if s := a.call("proxy_register_shared_queue", name, n, outAt); s != ok || a.word(outAt) == 0 {
		t.Fatalf("status %d, id %d", s, a.word(outAt))
	}
	id := uint64(a.word(outAt))
	vm, vn := b.text(valueAt, "vm")
	b.put(keyAt, "jobs")
	if s := b.call("proxy_resolve_shared_queue", vm, vn, name, n, outAt); s != ok || uint64(b.word(outAt)) != id {
		t.Errorf("status %d, id %d, want %d", s, b.word(outAt), id)
	}
	if s := b.call("proxy_resolve_shared_queue", vm, vn, name, n-1, outAt); s != notFound {
		t.Errorf("another name: status %d", s)
	}
	if s := b.call("proxy_enqueue_shared_queue", id, vm, vn); s != ok || len(ready) != 1 || uint64(ready[0]) != id {
		t.Errorf("status %d, told of %v", s, ready)
	}
	b.put(valueAt, "xx")
	if s := a.call("proxy_dequeue_shared_queue", id, outAt, outAt+4); s != ok || a.given() != "vm" {
		t.Errorf("status %d, %q", s, a.given())
	}
	if s := a.call("proxy_dequeue_shared_queue", id, outAt, outAt+4); s != empty {
		t.Errorf("an empty queue: status %d", s)
	}
	for _, unknown := range []uint64{0, id + 1, math.MaxUint32} {
		if s := a.call("proxy_enqueue_shared_queue", unknown, vm, vn); s != notFound {
			t.Errorf("W100 enqueue into %d: status %d", unknown, s)
		}
		if s := a.call("proxy_dequeue_shared_queue", unknown, outAt, outAt+4); s != notFound {
			t.Errorf("W100 dequeue from %d: status %d", unknown, s)
		}
	}
	if s := a.call("proxy_register_shared_queue", valueAt, commons.MaxQueueName+1, outAt); s != internalFailure {
		t.Errorf("a name too long: status %d", s)
	}
}

func TestMetrics(t *testing.T) {
	r := probe(t)
	define := func(kind uint64, name string) uint64 {
		t.Helper()
		at, n := r.text(keyAt, name)
		if s := r.call("proxy_define_metric", kind, at, n, outAt); s != ok || r.word(outAt) == 0 {
			t.Fatalf("status %d, id %d", s, r.word(outAt))
		}
		return uint64(r.word(outAt))
	}
	counter, gauge, histogram := define(0, "c"), define(1, "g"), define(2, "h")
	if define(0, "c") != counter || define(1, "c") == counter {
		t.Error("the same name and type is the same metric, another type is another")
	}
	minus := uint64(1<<64 - 5)
	for _, c := range []struct {
		name  string
		call  string
		id    uint64
		value uint64
		want  status
	}{
		{"a counter rises", "proxy_increment_metric", counter, 3, ok},
		{"not by 0", "proxy_increment_metric", counter, 0, badArgument},
		{"nor falls", "proxy_increment_metric", counter, minus, badArgument},
		{"recording adds to it", "proxy_record_metric", counter, 4, ok},
		{"a gauge is set", "proxy_record_metric", gauge, 1 << 40, ok},
		{"set again", "proxy_record_metric", gauge, 3, ok},
		{"it falls", "proxy_increment_metric", gauge, minus, ok},
		{"a histogram observes", "proxy_record_metric", histogram, 7, ok},
		{"and has no steps", "proxy_increment_metric", histogram, 1, badArgument},
		{"W100 an id that is none", "proxy_increment_metric", 0, 1, notFound},
		{"W100 likewise", "proxy_record_metric", 99, 1, notFound},
	} {
		if s := r.call(c.call, c.id, c.value); s != c.want {
			t.Errorf("%s: status %d, want %d", c.name, s, c.want)
		}
	}
	for id, want := range map[uint64]int64{counter: 7, gauge: -2} {
		if s := r.call("proxy_get_metric", id, outAt); s != ok {
			t.Errorf("status %d", s)
		}
		if v, _ := r.in.Memory.ReadUint64Le(outAt); int64(v) != want {
			t.Errorf("%d, want %d", int64(v), want)
		}
	}
	if s := r.call("proxy_get_metric", histogram, outAt); s != badArgument {
		t.Errorf("a histogram's value: status %d", s)
	}
	if s := r.call("proxy_get_metric", 99, outAt); s != notFound {
		t.Errorf("W100 an id that is none: status %d", s)
	}
	for name, args := range map[string][]uint64{"an unknown type": {3, keyAt, 1, outAt}, "no name": {0, keyAt, 0, outAt}} {
		if s := r.call("proxy_define_metric", args...); s != badArgument {
			t.Errorf("%s: status %d", name, s)
		}
	}
}

// foreign calls a foreign function with both out pointers.
func (r *rig) foreign(name, arguments string) (status, string) {
	at, n := r.text(keyAt, name)
	b, bn := r.text(mapAt, arguments)
	r.in.Memory.WriteUint64Le(outAt, 0)
	return r.call("proxy_call_foreign_function", at, n, b, bn, outAt, outAt+4), r.given()
}

func TestForeignFunctions(t *testing.T) {
	r := probe(t)
	plain := strings.Repeat("hello ", 1000)
	s, packed := r.foreign("compress", plain)
	if s != ok || len(packed) >= len(plain) {
		t.Fatalf("status %d, %d bytes", s, len(packed))
	}
	z, err := zlib.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != plain {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	packed = strings.Clone(packed)
	if s, got := r.foreign("uncompress", packed); s != ok || got != plain {
		t.Errorf("status %d, %d bytes", s, len(got))
	}
	if s, _ := r.foreign("uncompress", packed[:len(packed)-6]); s != serializationFailure {
		t.Errorf("cut off: status %d", s)
	}
	if s, _ := r.foreign("uncompress", "not compressed"); s != serializationFailure {
		t.Errorf("not compressed: status %d", s)
	}
	if s, got := r.foreign("clear_route_cache", ""); s != ok || got != "" {
		t.Errorf("status %d, %q", s, got)
	}
	if s, _ := r.foreign("no_such_function", ""); s != notFound {
		t.Errorf("status %d", s)
	}

	var bomb bytes.Buffer
	w := zlib.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, MaxUncompressed+1))
	w.Close()
	if s, _ := r.foreign("uncompress", bomb.String()); s != badArgument {
		t.Errorf("W105 a bomb: status %d", s)
	}

	// The results are optional.
	at, n := r.text(keyAt, "compress")
	for _, out := range [][2]uint64{{0, 0}, {0, outAt}, {outAt, 0}} {
		r.in.Memory.WriteUint64Le(outAt, 7)
		if s := r.call("proxy_call_foreign_function", at, n, mapAt, 10, out[0], out[1]); s != ok {
			t.Errorf("out pointers %v: status %d", out, s)
		}
		if first := r.word(0); first != 0 {
			t.Errorf("out pointers %v: something is written at 0", out)
		}
	}
	big := newRig(t, withAllocator(bigGuest(), bump))
	big.put(keyAt, "compress")
	if s := big.call("proxy_call_foreign_function", keyAt, n, heapAt, MaxCompress+1, outAt, outAt+4); s != badArgument {
		t.Errorf("W98 too much to compress: status %d", s)
	}
}

func bigGuest() *asm.Module {
	m := trampolines("0_2_1")
	m.Pages = 16
	return m
}

func TestGRPCCallsAreChecked(t *testing.T) {
	r := probe(t)
	good, n := r.text(mapAt, packed("a", "b"))
	for _, c := range []struct {
		name     string
		metadata uint64
		n        uint64
		want     status
	}{
		{"no such upstream", good, n, parseFailure},
		{"no metadata", 0, 0, parseFailure},
		{"W100 metadata of no kind", good, n - 1, badArgument},
		{"W100 metadata out of bounds", beyond - 1, 2, invalidMemoryAccess},
	} {
		if s := r.call("proxy_grpc_call", keyAt, 1, keyAt, 1, keyAt, 1, c.metadata, c.n, valueAt, 1, 100, outAt); s != c.want {
			t.Errorf("call, %s: status %d, want %d", c.name, s, c.want)
		}
		if s := r.call("proxy_grpc_stream", keyAt, 1, keyAt, 1, keyAt, 1, c.metadata, c.n, outAt); s != c.want {
			t.Errorf("stream, %s: status %d, want %d", c.name, s, c.want)
		}
	}
	for _, id := range []uint64{0, 1, 1<<32 - 1} {
		if s := r.call("proxy_grpc_send", id, valueAt, 1, 1); s != notFound {
			t.Errorf("send on %d: status %d", id, s)
		}
		if r.call("proxy_grpc_cancel", id) != notFound || r.call("proxy_grpc_close", id) != notFound {
			t.Errorf("id %d is found", id)
		}
	}
}

func TestMetricsAndSharedReadsDoNotAllocate(t *testing.T) {
	r := probe(t)
	r.setShared("k", "v", 0)
	r.put(keyAt, "c")
	r.call("proxy_define_metric", 0, keyAt, 1, outAt)
	id := uint64(r.word(outAt))
	r.put(keyAt, "k")
	for name, f := range map[string]func(){
		"increment": func() { incrementMetric(r.in, []uint64{id, 1}) },
		"record":    func() { recordMetric(r.in, []uint64{id, 1}) },
		"get": func() {
			if s := getSharedData(r.in, []uint64{keyAt, 1, outAt, outAt + 4, outAt + 8}); s != ok {
				t.Fatalf("status %d", s)
			}
		},
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// What attributes are read from is the connection's while a stream is paused on a body only.
func TestW103PropertiesOfAnotherStream(t *testing.T) {
	r := probe(t)
	other := newOther(t, r)
	other.x.(*fake.Exchange).Props["route_name"] = filters.Value{Text: "theirs"}
	at, n := r.text(keyAt, "route_name")
	r.in.active = other
	for what, c := range map[string]struct {
		on   pause
		want status
	}{"a stream that runs": {running, notFound}, "one paused on its body": {onBody, notFound}, "one paused on its head": {onHead, ok}} {
		other.paused[filters.Response] = c.on
		if s := r.call("proxy_get_property", at, n, outAt, outAt+4); s != c.want {
			t.Errorf("%s: status %d, want %d", what, s, c.want)
		}
	}
	other.paused[filters.Response] = running
}

func TestStatusOfACall(t *testing.T) {
	m := trampolines("0_2_1")
	index := uint32(slices.Index(slices.Sorted(maps.Keys(hostCalls)), "proxy_get_status"))
	m.Func("proxy_on_http_call_response", "iiiii", "", 0, asm.Join(
		asm.Const(outAt+8), asm.Const(outAt), asm.Const(outAt+4), asm.Call(index), []byte{asm.Drop})...)
	r := newRig(t, withAllocator(m, bump))
	for _, c := range []struct {
		answer  *filters.CallAnswer
		code    uint32
		message string
	}{{&filters.CallAnswer{Status: 500}, 0, ""}, {nil, 11, "reset"}, {&filters.CallAnswer{Status: 200}, 0, ""}} {
		r.in.Memory.WriteUint32Le(outAt+8, 99)
		if err := r.in.callResponse(r.stream, 1, c.answer); err != nil {
			t.Fatal(err)
		}
		if got := r.word(outAt + 8); got != c.code || r.given() != c.message {
			t.Errorf("%v: %d %q, want %d %q", c.answer, got, r.given(), c.code, c.message)
		}
	}
	if s := r.call("proxy_get_status", outAt+8, outAt, outAt+4); s != ok || r.word(outAt+8) != 0 {
		t.Errorf("after it: status %d, %d", s, r.word(outAt+8))
	}
}
