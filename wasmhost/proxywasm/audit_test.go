package proxywasm

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
)

// audited says what each parameter of a host call is: p and n a place and a length that the host reads, m and n those of a
// map, o a place for a word, O for two, q one that may be 0, v a plain value. With it arguments that are right, and
// the status they get.
type audited struct {
	roles string
	args  []uint64
	want  status
}

// Places of the audit. Below heapAt nothing is the guest's allocator's.
const (
	textAt = valueAt       // "app", "jobs", or the like
	nameAt = valueAt + 64  // a second text
	outsAt = valueAt + 128 // four out pointers, 16 bytes from each other
)

var audit = map[string]audited{
	"proxy_log":                          {"vpn", []uint64{2, textAt, 3}, ok},
	"proxy_get_log_level":                {"o", []uint64{outsAt}, ok},
	"proxy_get_current_time_nanoseconds": {"O", []uint64{outsAt}, ok},
	"proxy_set_tick_period_milliseconds": {"v", []uint64{0}, ok},
	"proxy_set_effective_context":        {"v", []uint64{rootID}, ok},
	"proxy_done":                         {"", nil, notFound},
	"proxy_get_status":                   {"ooo", []uint64{outsAt, outsAt + 16, outsAt + 32}, ok},
	"proxy_get_buffer_bytes":             {"vvvoo", []uint64{bufferPluginConfig, 0, 100, outsAt, outsAt + 16}, ok},
	"proxy_set_buffer_bytes":             {"vvvpn", []uint64{bufferRequestBody, 0, 0, textAt, 3}, ok},
	"proxy_get_buffer_status":            {"voo", []uint64{bufferPluginConfig, outsAt, outsAt + 16}, ok},
	"proxy_get_header_map_size":          {"vo", []uint64{mapRequestHeaders, outsAt}, ok},
	"proxy_get_header_map_pairs":         {"voo", []uint64{mapRequestHeaders, outsAt, outsAt + 16}, ok},
	"proxy_set_header_map_pairs":         {"vmn", []uint64{mapRequestHeaders, mapAt, 0}, ok},
	"proxy_get_header_map_value":         {"vpnoo", []uint64{mapRequestHeaders, nameAt, 6, outsAt, outsAt + 16}, ok},
	"proxy_add_header_map_value":         {"vpnpn", []uint64{mapRequestHeaders, nameAt, 6, textAt, 3}, ok},
	"proxy_replace_header_map_value":     {"vpnpn", []uint64{mapRequestHeaders, nameAt, 6, textAt, 3}, ok},
	"proxy_remove_header_map_value":      {"vpn", []uint64{mapRequestHeaders, nameAt, 6}, ok},
	"proxy_continue_stream":              {"v", []uint64{streamRequest}, ok},
	"proxy_close_stream":                 {"v", []uint64{streamRequest}, ok},
	"proxy_send_local_response":          {"vpnpnmnv", []uint64{200, textAt, 3, textAt, 3, mapAt, 0, 0}, ok},
	"proxy_http_call": {"pnmnpnmnvo",
		[]uint64{textAt, 3, mapAt, 0, textAt, 3, mapAt, 0, 100, outsAt}, ok},
	"proxy_get_property":              {"pnoo", []uint64{nameAt + 16, 11, outsAt, outsAt + 16}, ok},
	"proxy_set_property":              {"pnpn", []uint64{nameAt, 6, textAt, 3}, ok},
	"proxy_get_shared_data":           {"pnooo", []uint64{nameAt, 6, outsAt, outsAt + 16, outsAt + 32}, ok},
	"proxy_set_shared_data":           {"pnpnv", []uint64{nameAt, 6, textAt, 3, 0}, ok},
	"proxy_register_shared_queue":     {"pno", []uint64{nameAt, 6, outsAt}, ok},
	"proxy_resolve_shared_queue":      {"pnpno", []uint64{textAt, 0, nameAt, 6, outsAt}, ok},
	"proxy_enqueue_shared_queue":      {"vpn", []uint64{1, textAt, 3}, ok},
	"proxy_dequeue_shared_queue":      {"voo", []uint64{1, outsAt, outsAt + 16}, ok},
	"proxy_define_metric":             {"vpno", []uint64{0, nameAt, 6, outsAt}, ok},
	"proxy_increment_metric":          {"vv", []uint64{1, 1}, ok},
	"proxy_record_metric":             {"vv", []uint64{1, 1}, ok},
	"proxy_get_metric":                {"vO", []uint64{1, outsAt}, ok},
	"proxy_grpc_call":                 {"pnpnpnmnpnvo", []uint64{textAt, 3, textAt, 3, textAt, 3, mapAt, 0, textAt, 3, 1, outsAt}, internalFailure},
	"proxy_grpc_stream":               {"pnpnpnmno", []uint64{textAt, 3, textAt, 3, textAt, 3, mapAt, 0, outsAt}, ok},
	"proxy_grpc_send":                 {"vpnv", []uint64{1, textAt, 3, 0}, notFound},
	"proxy_grpc_cancel":               {"v", []uint64{1}, notFound},
	"proxy_grpc_close":                {"v", []uint64{1}, notFound},
	"proxy_call_foreign_function":     {"pnpnqq", []uint64{nameAt + 32, 8, textAt, 3, outsAt, outsAt + 16}, ok},
	"proxy_get_configuration":         {"oo", []uint64{outsAt, outsAt + 16}, ok},
	"proxy_continue_request":          {"", nil, ok},
	"proxy_continue_response":         {"", nil, ok},
	"proxy_clear_route_cache":         {"", nil, ok},
	"emscripten_notify_memory_growth": {"v", []uint64{0}, ok},
	"pthread_equal":                   {"vv", []uint64{1, 2}, ok},
}

// theMap is what every map argument is.
var theMap = packed(":method", "GET", ":path", "/", ":authority", "app.internal")

// auditRig is a guest for which every call of the audit works.
func auditRig(t *testing.T) (*rig, func()) {
	m := withAllocator(trampolines("0_2_1"), bump)
	m.Func("proxy_on_http_call_response", "iiiii", "", 0)
	r := newRig(t, m)
	var held message.Body
	return r, func() { // before each call
		r.in.begin(r.stream)
		r.in.forget()
		r.stream.calls = [filters.MaxCalls]call{}
		r.stream.held[filters.Request] = &held
		r.stream.written = 0
		r.x.Fill()
		r.put(textAt, "app")
		r.put(nameAt, "accept")
		r.put(nameAt+16, "plugin_name")
		r.put(nameAt+32, "compress")
		r.put(mapAt, theMap)
		r.plugin.Shared.Metrics.Define(0, "accept")
		if err := r.plugin.Shared.Set("accept", []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
		if id, err := r.plugin.Shared.Register("accept", nil); err != nil || id != 1 {
			t.Fatal(id, err)
		}
		if err := r.plugin.Shared.Enqueue(1, []byte("item")); err != nil {
			t.Fatal(err)
		}
	}
}

// right are the call's right arguments, with the map's length.
func (a audited) right() []uint64 {
	args := slices.Clone(a.args)
	for k := range args {
		if k > 0 && a.roles[k-1] == 'm' {
			args[k] = uint64(len(theMap))
		}
	}
	return args
}

// Every host call but abort, which returns to nobody, every pointer: a wrong one is INVALID_MEMORY_ACCESS, nothing is written anywhere, and no call is done by half.
func TestW100EveryPointerOfEveryHostCall(t *testing.T) {
	if missing := slices.DeleteFunc(slices.Collect(maps.Keys(hostCalls)), func(name string) bool {
		return name == "abort" || len(audit[name].roles) == len(hostCalls[name].params) && len(audit[name].args) == len(hostCalls[name].params)
	}); len(missing) > 0 {
		t.Fatalf("not audited, or with another number of parameters: %v", missing)
	}
	r, ready := auditRig(t)
	whole := func() []byte {
		b, _ := r.in.Memory.Read(0, r.in.Memory.Size())
		return b
	}
	for _, name := range slices.Sorted(maps.Keys(audit)) {
		a := audit[name]
		ready()
		if s := r.call(name, a.right()...); s != a.want {
			t.Errorf("%s with the right arguments: status %d, want %d", name, s, a.want)
		}
		for _, wrong := range a.wrong() {
			ready()
			before := bytes.Clone(whole())
			if s := r.call(name, wrong.args...); s != invalidMemoryAccess {
				t.Errorf("%s, %s: status %d", name, wrong.what, s)
			}
			if !bytes.Equal(before, whole()) {
				t.Errorf("%s, %s: the guest's memory has changed", name, wrong.what)
			}
			if r.in.touched != nil || len(r.x.Replies)+r.x.Aborts > 0 {
				t.Errorf("%s, %s: something is done all the same", name, wrong.what)
			}
			if v, found := r.x.Req.Header.Get("accept"); !found || v != "*/*" || r.x.Req.Header.Len() != 2 {
				t.Errorf("%s, %s: the message has changed", name, wrong.what)
			}
		}
	}
}

type wrongCall struct {
	what string
	args []uint64
}

// wrong are the call's arguments with one pointer that leads out of the guest's memory.
func (a audited) wrong() (list []wrongCall) {
	with := func(k int, what string, values ...uint64) {
		args := a.right()
		copy(args[k:], values)
		list = append(list, wrongCall{fmt.Sprintf("argument %d %s", k, what), args})
	}
	for k, role := range a.roles {
		switch role {
		case 'p', 'm':
			with(k, "just outside", beyond, 1)
			with(k, "over the end", beyond-1, 2)
			with(k, "at the end of the address space", 1<<32-1, 1)
			with(k, "overflowing", 1<<32-1, 1<<32-1)
			with(k, "overflowing to 0", 1<<31, 1<<31)
			with(k, "longer than memory", 0, beyond+1)
			with(k, "longest", 1, 1<<32-1)
		case 'o', 'q':
			with(k, "just outside", beyond)
			with(k, "over the end", beyond-3)
			with(k, "at the end of the address space", 1<<32-1)
			with(k, "overflowing", 1<<32-3)
		case 'O':
			with(k, "just outside", beyond)
			with(k, "over the end", beyond-7)
			with(k, "at the end of the address space", 1<<32-1)
		}
	}
	return list
}

// A null pointer is a place like any other in WebAssembly, and so is one that another argument names too.
func TestW100NullAndOverlappingPointers(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(audit)) {
		a := audit[name]
		if !strings.ContainsAny(a.roles, "oOq") {
			continue
		}
		r, ready := auditRig(t)
		for what, at := range map[string]uint64{"null": 0, "in one place": outsAt, "over an input": textAt + 1, "over the map's end": mapAt + uint64(len(theMap)) - 4,
			"not aligned": outsAt + 3, "the last of memory": beyond - 8} {
			ready()
			args := a.right()
			for k, role := range a.roles {
				if role == 'o' || role == 'O' || role == 'q' {
					args[k] = at
				}
			}
			r.in.Memory.WriteUint64Le(uint32(at)+8, 0x1122334455667788)
			if s := r.call(name, args...); s != a.want {
				t.Errorf("%s, out pointers %s: status %d, want %d", name, what, s, a.want)
			}
			if v, fits := r.in.Memory.ReadUint64Le(uint32(at) + 8); fits && v != 0x1122334455667788 {
				t.Errorf("%s, out pointers %s: written behind them", name, what)
			}
		}
	}
}

func TestW100EveryMapThatLies(t *testing.T) {
	many := packed(slices.Repeat([]string{"k", "v"}, MaxMapPairs+1)...)
	for what, b := range map[string]string{
		"fewer bytes than a count": "\x01\x00\x00", "a count without pairs": "\x01\x00\x00\x00",
		"a count above what follows": "\x03\x00\x00\x00" + packed("a", "b")[4:], "the largest count": "\xff\xff\xff\xff" + packed("a", "b")[4:],
		"a count that overflows": "\x01\x00\x00\x20" + packed("a", "b")[4:], "too many pairs": many,
		"a key beyond the end":   "\x01\x00\x00\x00\xff\x00\x00\x00\x01\x00\x00\x00a\x00b\x00",
		"a value beyond the end": "\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xffa\x00b\x00",
		"a key without its end":  "\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00axb\x00",
	} {
		for _, name := range slices.Sorted(maps.Keys(audit)) {
			a := audit[name]
			for k, role := range a.roles {
				if role != 'm' {
					continue
				}
				r, ready := auditRig(t)
				ready()
				args := a.right()
				args[k], args[k+1] = heapAt, r.put(heapAt, b)
				if s := r.call(name, args...); s != badArgument {
					t.Errorf("%s, argument %d %s: status %d", name, k, what, s)
				}
				if r.in.touched != nil || len(r.x.Calls) > 0 || r.x.Req.Header.Len() != 2 {
					t.Errorf("%s, argument %d %s: something is done all the same", name, k, what)
				}
			}
		}
	}
}

// Ids, types, sizes and numbers of every kind come back with a status, whatever they are.
func TestW100EveryPlainValue(t *testing.T) {
	r, ready := auditRig(t)
	for _, name := range slices.Sorted(maps.Keys(audit)) {
		a := audit[name]
		for k, role := range a.roles {
			if role != 'v' {
				continue
			}
			for _, v := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 599, 600, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1} {
				ready()
				args := a.right()
				args[k] = v
				if s, err := r.try(name, args...); err != nil || s > internalFailure {
					t.Errorf("%s, argument %d is %d: status %d, %v", name, k, v, s, err)
				}
			}
		}
	}
}

// An allocator that lies costs the guest its call, and nobody anything else.
func TestW101EveryAnswerWithABadAllocator(t *testing.T) {
	for what, code := range map[string][]byte{"gives nothing": asm.Const(0), "gives what is outside": asm.Const(beyond - 1), "gives −1": asm.Const(-1)} {
		for name, a := range audit {
			if a.want != ok || !strings.Contains(a.roles, "oo") && !strings.Contains(a.roles, "qq") || name == "proxy_get_status" ||
				name == "proxy_get_buffer_status" {
				continue
			}
			m := withAllocator(trampolines("0_2_1"), code)
			r := newRig(t, m)
			r.put(textAt, "app")
			r.put(nameAt, "accept")
			r.put(nameAt+16, "plugin_name")
			r.put(nameAt+32, "compress")
			if err := r.plugin.Shared.Set("accept", []byte("value"), 0); err != nil {
				t.Fatal(err)
			}
			id, _ := r.plugin.Shared.Register("accept", nil)
			if err := r.plugin.Shared.Enqueue(id, []byte("item")); err != nil {
				t.Fatal(err)
			}
			if s := r.call(name, a.right()...); s != invalidMemoryAccess {
				t.Errorf("%s, the allocator %s: status %d", name, what, s)
			}
			if r.word(outsAt) != 0 || r.word(outsAt+16) != 0 {
				t.Errorf("%s, the allocator %s: something is given all the same", name, what)
			}
		}
	}
}
