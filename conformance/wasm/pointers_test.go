package wasm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// pointerCalls are the host calls that take pointers: P stands for a pointer to bytes with its length, O for the pointer to a place
// for an answer. The operands around them are such that the call would do its work if its pointers were right.
var pointerCalls = []struct {
	do     string
	in     string // callback; default request_headers
	answer string // statuses that a wrong pointer may have; default 6, invalid memory access
}{
	{do: "proxy_log 2 P"},
	{do: "proxy_get_log_level O"},
	{do: "proxy_get_current_time_nanoseconds O"},
	{do: "proxy_get_status O O O"},
	{do: "proxy_get_buffer_bytes 7 0 9 O O"},
	{do: "proxy_set_buffer_bytes 0 0 1 P", in: "request_body"},
	{do: "proxy_get_buffer_status 7 O O"},
	{do: "proxy_get_header_map_size 0 O"},
	{do: "proxy_get_header_map_pairs 0 O O"},
	{do: "proxy_set_header_map_pairs 0 P"},
	{do: "proxy_get_header_map_value 0 P O O"},
	{do: "proxy_add_header_map_value 0 P P"},
	{do: "proxy_replace_header_map_value 0 P P"},
	{do: "proxy_remove_header_map_value 0 P"},
	{do: "proxy_send_local_response 200 P P P 0"},
	{do: "proxy_http_call P P P P 100 O"},
	{do: "proxy_grpc_call P P P P P 100 O"},
	{do: "proxy_grpc_stream P P P P O"},
	{do: "proxy_grpc_send 1 P 0"},
	{do: "proxy_get_shared_data P O O O"},
	{do: "proxy_set_shared_data P P 0"},
	{do: "proxy_register_shared_queue P O"},
	{do: "proxy_resolve_shared_queue P P O"},
	{do: "proxy_enqueue_shared_queue 1 P"},
	{do: "proxy_dequeue_shared_queue 1 O O"},
	{do: "proxy_define_metric 0 P O"},
	{do: "proxy_get_metric 0 O"},
	{do: "proxy_get_property P O O", answer: "6 1"},
	{do: "proxy_set_property P P"},
	{do: "proxy_call_foreign_function P P O O"},
	{do: "proxy_get_configuration O O"},
}

// Wrong pointers: out of bounds, so long that the end overflows, and over the end of memory by its length.
var (
	wrongBytes  = []string{"0xfffffff0 8", "16 0xffffffff", "0x7fffffff 0x7fffffff", "0xffffffff 0xffffffff"}
	wrongPlaces = []string{"0xffffffff", "0xfffffffd", "0x7ffffff0"}
)

// right fills in operands that are right, but for the one at wrong.
func right(call string, wrong int, with string) string {
	words, at := strings.Fields(call), 0
	for k, w := range words {
		if w != "P" && w != "O" {
			continue
		}
		switch {
		case at == wrong:
			words[k] = with
		case w == "P":
			words[k] = "'x-a'"
		default:
			words[k] = "?"
		}
		at++
	}
	return strings.Join(words, " ")
}

// TestW100WrongPointers: each pointer of each host call, wrong in every way, gets the status that the specification names, and the
// instance works on. One that gives its answer through the guest's allocator does not call it in vain.
func TestW100WrongPointers(t *testing.T) {
	b := newBed(t, "0.2.1", "", "limits = { cpu = \"1s\" }\nallow = { upstreams = [\"app\"] }\n")
	tried := 0
	for _, c := range pointerCalls {
		name, _, _ := strings.Cut(c.do, " ")
		t.Run(name, func(t *testing.T) {
			at := 0
			for _, w := range strings.Fields(c.do) {
				if w != "P" && w != "O" {
					continue
				}
				wrong := wrongPlaces
				if w == "P" {
					wrong = wrongBytes
				}
				for _, with := range wrong {
					do := right(c.do, at, with)
					tried++
					b.wrong(t, do, c.in, name, c.answer)
				}
				at++
			}
		})
	}
	if tried < 150 {
		t.Errorf("only %d wrong pointers were tried", tried)
	}
	b.run(t, exchange{do: "request_headers: context; say", want: []string{"200\n"}})
	if m := b.Metrics(); m.Sum("edge_filter_traps_total") != 0 {
		t.Errorf("%v instances were given up", m.Sum("edge_filter_traps_total"))
	}
}

func (b *bed) wrong(t *testing.T, do, in, name, answer string) {
	t.Helper()
	if in == "" {
		in = "request_headers"
	}
	if answer == "" {
		answer = "6"
	}
	x := exchange{method: "POST", body: "x", do: in + ": " + do + "; say"}
	c := rig.Dial(t, b.Addr)
	c.Send(x.bytes())
	p := c.Response("POST")
	got := strings.Fields(strings.TrimSpace(string(p.Body)))
	for _, status := range strings.Fields(answer) {
		if len(got) > 0 && (got[0] == strings.TrimPrefix(name, "proxy_")+"="+status || strings.HasPrefix(got[0], strings.TrimPrefix(name, "proxy_")+"="+status+":")) {
			return
		}
	}
	t.Errorf("%s: %d %q, want status %s", do, p.Status, p.Body, answer)
}

// TestW100Maps: header maps that lie about themselves are refused as they are, and change nothing.
func TestW100Maps(t *testing.T) {
	b := newBed(t, "0.2.1", "", "allow = { upstreams = [\"app\"] }\n")
	for name, m := range map[string]string{ // '~' is a NUL, and '!' is 33: what a field can carry
		"shorter than its count":    "'ab'",
		"a count beyond all":        "'zzzz'",
		"more pairs than there are": "'!~~~!~~~!~~~a~b~'",
		"pairs longer than the map": "'!~~~" + repeat("zzzz", 66) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			b.run(t, exchange{do: "request_headers: proxy_set_header_map_pairs 0 " + m + "; ask", origin: []string{"set_header_map_pairs=2", "user-agent: suite"}})
			b.run(t, exchange{do: "request_headers: proxy_send_local_response 200 '' '' " + m + " -1; say", want: []string{"send_local_response=2"}})
			b.run(t, exchange{do: "request_headers: proxy_http_call 'app' " + m + " '' '' 100 ?; say", want: []string{"http_call=2:0"}})
		})
	}
}

// TestW100Allocators: an allocator that gives no memory, none of its own, the same twice, or calls the host.
func TestW100Allocators(t *testing.T) {
	b := newBed(t, "0.2.1", "", "limits = { cpu = \"1s\" }\n")
	read := "proxy_get_property 'plugin_name' ??; "
	for how, want := range map[string][]string{
		"zero":  {"get_property=10:", "get_property=6:", "get_property=2:"},
		"out":   {"get_property=6:"},
		"end":   {"get_property=6:"},
		"same":  {"get_property=0:probe get_property=0:probe"},
		"calls": {"get_property=0:probe get_property=0:probe"},
	} {
		t.Run(how, func(t *testing.T) {
			c := rig.Dial(t, b.Addr)
			c.Send((&exchange{do: "request_headers: allocator " + how + "; " + read + read + "say 299"}).bytes())
			p := c.Response("GET")
			ok := false
			for _, w := range want {
				ok = ok || strings.Contains(string(p.Body), w)
			}
			if p.Status != 299 || !ok {
				t.Errorf("%s, want one of %q", responseText(p), want)
			}
			if strings.Contains(string(p.Body), "stolen") {
				t.Error("the allocator answered the request")
			}
			b.run(t, exchange{do: "request_headers: " + read + "say", want: []string{"get_property=0:probe"}})
		})
	}
}

// TestW107WASI: a guest has no files, no environment, no sockets and not much randomness.
func TestW107WASI(t *testing.T) {
	b := newBed(t, "0.2.1", "", "")
	for _, x := range []exchange{
		{name: "files", do: "request_headers: path_open 3 0 'etc' 0 0 0 0 ?; fd_prestat_get 3 ?8; fd_read 0 1024 1 ?; say", want: []string{"path_open=8:0 fd_prestat_get=8:0"}},
		{name: "environment", do: "request_headers: environ_sizes_get ? ?; args_sizes_get ? ?; say", want: []string{"environ_sizes_get=0:0:0 args_sizes_get=0:0:0"}},
		{name: "sockets", do: "request_headers: sock_shutdown 3 0; say", want: []string{"sock_shutdown=8"}},
		{name: "randomness", do: "request_headers: random_get 1024 0x20000; say", want: []string{"random_get=28"}},
	} {
		t.Run(x.name, func(t *testing.T) { b.run(t, x) })
	}
}

// TestW104: a call goes to a configured upstream that the filter may call, whatever else an upstream's name may look like.
func TestW104(t *testing.T) {
	b := newBed(t, "0.2.1", "", "allow = { upstreams = [\"app\"] }\n")
	for _, name := range []string{"127.0.0.1", b.origin.Addr, "http://" + b.origin.Addr, "169.254.169.254", "[::1]", "localhost", "2130706433", "0177.0.0.1",
		"unix:" + b.Admin, "app~", "APP", "", "app.", "secret"} {
		b.run(t, exchange{do: fmt.Sprintf("request_headers: proxy_http_call '%s' [:method=GET,:path=/call,:authority=a] '' '' 1000 ?; say", name),
			want: []string{"http_call=2:0"}, origin: []string{""}})
	}
	if got := b.origin.Requests(); len(got) != 0 {
		t.Errorf("the origin saw %d calls", len(got))
	}
}

// TestPointersOfEveryCall holds pointerCalls against the guest's own list of host calls: each that has a pointer is in it.
func TestPointersOfEveryCall(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("guests", "host.h"))
	rig.Must(t, err)
	without := "proxy_set_tick_period_milliseconds proxy_done proxy_set_effective_context proxy_continue_stream proxy_close_stream proxy_grpc_cancel " +
		"proxy_grpc_close proxy_continue_request proxy_continue_response proxy_clear_route_cache proxy_increment_metric proxy_record_metric"
	for _, part := range strings.Split(string(text), "X(proxy_")[1:] {
		name, _, _ := strings.Cut("proxy_"+part, ",")
		found := strings.Contains(without, name)
		for _, c := range pointerCalls {
			found = found || strings.HasPrefix(c.do, name+" ")
		}
		if !found {
			t.Errorf("no wrong pointer is tried with %s", name)
		}
	}
}
