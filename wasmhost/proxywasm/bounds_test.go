package proxywasm

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
)

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
			if _, err := r.try(name, args...); err != nil && !(name == "abort" && errors.Is(err, ErrAbort)) {
				t.Fatalf("%s%v: %v", name, args, err)
			}
			r.in.forget()
			r.in.Memory.WriteUint32Le(outAt, 0)
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
		if got, _ := r.in.Module.ExportedFunction("call_proxy_get_log_level").Call(r.in, outAt); len(got) != 1 || got[0] != 0 {
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

// W98: a guest that calls the host without end is stopped.
func TestW98HostCallsPerCallbackAreBounded(t *testing.T) {
	m := &asm.Module{Pages: pages}
	level := m.Import("env", "proxy_get_log_level", "i", "i")
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	m.Func("proxy_on_request_headers", "iii", "i", 0, asm.Join([]byte{asm.Loop, asm.Void}, asm.Const(outAt), asm.Call(level),
		[]byte{asm.Drop, asm.Br, 0, asm.End}, asm.Const(0))...)
	m.Func("proxy_on_response_headers", "iii", "i", 0, asm.Join(asm.Const(outAt), asm.Call(level))...)
	r := newRig(t, m)
	for range 2 * MaxHostCalls { // each callback begins anew
		if _, err := r.in.Head(r.stream, filters.Response, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.in.Head(r.stream, filters.Request, true); !errors.Is(err, ErrHostCalls) {
		t.Errorf("error %v", err)
	}
}
