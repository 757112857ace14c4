package proxywasm

import (
	"slices"
	"strings"
	"testing"

	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/link"
)

// letters says whether a call's letters can be read: each known, and those that need a second one followed by it.
func letters(params string) bool {
	for k := 0; k < len(params); k++ {
		switch next := params[k:][1:]; params[k] {
		case 'a', 'q', 'x':
			if !strings.HasPrefix(next, "n") {
				return false
			}
		case 'O', 'X':
			if !strings.HasPrefix(next, "N") {
				return false
			}
		case 'i', 'I', 'n', 'N', 'o', 'u', 'b', 'd', 'l', 'm', 't':
		default:
			return false
		}
	}
	return len(params) <= 16
}

// The letters say of each parameter what the audit says of it.
func TestTraceLetters(t *testing.T) {
	roles := map[byte]string{'p': "aq", 'n': "n", 'm': "x", 'o': "oONX", 'O': "u", 'q': "ON", 'v': "iIbdlmt"}
	for name, c := range hostCalls {
		for k := range audit[name].roles {
			if !strings.Contains(roles[audit[name].roles[k]], c.params[k:k+1]) {
				t.Errorf("%s: parameter %d is %c, to the audit %c", name, k, c.params[k], audit[name].roles[k])
			}
		}
		if !letters(c.params) {
			t.Errorf("%s: the letters %q cannot be read", name, c.params)
		}
	}
}

// Every kind of argument and result is shown as what it means.
func TestTrace(t *testing.T) {
	r := probe(t)
	r.plugin.Trace = true
	r.put(keyAt, "user-agent")
	r.put(keyAt+0x40, "app")
	r.put(keyAt+0x60, "request\x00path\x00")
	r.put(valueAt, strings.Repeat("v", 1000))
	n := r.put(mapAt, packed(":method", "GET", ":path", "/\n", ":authority", "a"))
	for _, c := range []struct {
		call string
		args []uint64
		want string
	}{
		{"proxy_log", []uint64{2, keyAt, 10}, `proxy_log(info, "user-agent") = ok`},
		{"proxy_get_header_map_value", []uint64{mapRequestHeaders, keyAt, 10, outAt, outAt + 4},
			`proxy_get_header_map_value(request_headers, "user-agent") = ok "test/1.0"`},
		{"proxy_get_header_map_value", []uint64{mapRequestHeaders, keyAt, 4, outAt, outAt + 4},
			`proxy_get_header_map_value(request_headers, "user") = not_found`},
		{"proxy_get_header_map_pairs", []uint64{mapCallHeaders, outAt, outAt + 4}, `proxy_get_header_map_pairs(call_headers) = ok {}`},
		{"proxy_get_header_map_size", []uint64{mapCallTrailers, outAt}, `proxy_get_header_map_size(call_trailers) = ok 0`},
		{"proxy_add_header_map_value", []uint64{99, keyAt, 10, valueAt, 1000},
			`proxy_add_header_map_value(99, "user-agent", "` + strings.Repeat("v", 256) + `"…) = bad_argument`},
		{"proxy_get_property", []uint64{keyAt + 0x60, 13, outAt, outAt + 4}, `proxy_get_property("request.path") = not_found`},
		{"proxy_get_buffer_bytes", []uint64{bufferPluginConfig, 7, 100, outAt, outAt + 4},
			`proxy_get_buffer_bytes(plugin_config, 7, 100) = ok "config"`},
		{"proxy_get_current_time_nanoseconds", []uint64{outAt}, `proxy_get_current_time_nanoseconds() = ok 1700000000123456000`},
		{"proxy_http_call", []uint64{keyAt + 0x40, 3, mapAt, n, 0, 0, 0, 0, 5000, outAt},
			`proxy_http_call("app", {":method": "GET", ":path": "/\n", ":authority": "a"}, "", {}, 5000) = internal_failure`},
		{"proxy_http_call", []uint64{keyAt + 0x40, 3, keyAt, 10, 0, 0, 0, 0, 5000, outAt},
			`proxy_http_call("app", no map, "", {}, 5000) = bad_argument`},
		{"proxy_continue_stream", []uint64{1}, `proxy_continue_stream(response) = ok`},
		{"proxy_send_local_response", []uint64{403, keyAt, 10, keyAt, 2, 0, 0, 0xffffffff},
			`proxy_send_local_response(403, "user-agent", "us", {}, -1) = ok`},
		{"W100 proxy_log", []uint64{2, beyond, 5}, `proxy_log(info, outside:262144+5) = invalid_memory_access`},
		{"emscripten_notify_memory_growth", []uint64{7}, `emscripten_notify_memory_growth(7)`},
	} {
		r.x.Lines = nil
		r.call(strings.TrimPrefix(c.call, "W100 "), c.args...)
		if want := "0 " + c.want; !slices.Contains(r.x.Lines, want) {
			t.Errorf("%s: %q, want %q", c.call, r.x.Lines, want)
		}
	}
}

// W98: the trace of one callback has its bound, and a callback is shown with its arguments and what it returned.
func TestTraceOfCallback(t *testing.T) {
	m := &asm.Module{Globals: []int32{heapAt}}
	k := m.Import("env", "proxy_continue_stream", "i", "i")
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	loop := asm.Join(asm.Const(0), asm.Call(k), []byte{asm.Drop})
	m.Func("proxy_on_request_headers", "iii", "i", 0, asm.Join(slices.Repeat(loop, link.MaxTraceLines), asm.Const(0))...)
	m.Func("proxy_on_response_headers", "iii", "i", 0, asm.Unreachable)
	r := newRig(t, m)
	r.plugin.Trace = true
	if _, err := r.in.Head(r.stream, 0, true); err != nil {
		t.Fatal(err)
	}
	if n := len(r.x.Lines); n != link.MaxTraceLines || r.x.Lines[0] != "0 call proxy_on_request_headers(2, 6, 1)" {
		t.Errorf("%d lines, %q", n, r.x.Lines[:1])
	}
	if n := r.plugin.Counters.DroppedLog.Load(); n != 2 {
		t.Errorf("%d lines dropped", n)
	}
	r.x.Lines = nil
	if _, err := r.in.Head(r.stream, 1, true); err == nil {
		t.Error("no trap")
	}
	if want := []string{"0 call proxy_on_response_headers(2, 2, 1)", "0 trap in proxy_on_response_headers"}; !slices.Equal(r.x.Lines, want) {
		t.Errorf("%q, want %q", r.x.Lines, want)
	}
}

// A host call costs the same without a trace as before there was one: a branch. Beside it, what a trace costs.
func BenchmarkTrace(b *testing.B) {
	for name, on := range map[string]bool{"off": false, "on": true} {
		b.Run(name, func(b *testing.B) {
			r := probe(b)
			r.x.Quiet = true
			r.plugin.Trace = on
			f := r.in.Module.ExportedFunction("call_proxy_get_log_level")
			stack := make([]uint64, 1)
			b.ReportAllocs()
			for b.Loop() {
				stack[0] = outAt
				r.in.hostCalls, r.in.traces = 0, 0
				if err := f.CallWithStack(r.in, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
