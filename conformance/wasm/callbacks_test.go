package wasm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
)

// callbackCases has a case for each callback of an HTTP stream, by what the guest sees in it.
var callbackCases = []exchange{
	{name: "context_create", do: "context_create: proxy_get_header_map_value 0 ':path' ?? | request_headers: say",
		want: []string{"get_header_map_value=0:/probe/a"}},
	{name: "request_headers", do: "request_headers: pthread_equal $e 1; say", want: []string{"pthread_equal=1"}},
	{name: "request_headers, body to come", method: "POST", body: "x", do: "request_headers: pthread_equal $e 0; say", want: []string{"pthread_equal=1"}},
	{name: "request_body, piece by piece", method: "POST", pieces: []string{"one ", "two"}, do: "request_piece: pause | request_body: pause | " +
		"request_trailers: proxy_get_buffer_bytes 0 0 99 ?? | response_headers: tell", want: []string{"\n\none two"}, origin: []string{"\n\none two"}},
	{name: "request_trailers", method: "POST", pieces: []string{"x"}, do: "request_trailers: proxy_get_header_map_value 1 'x-req-sum' ??; say",
		want: []string{"get_header_map_value=0:from the client"}, origin: []string{""}},
	{name: "response_headers", do: "response_headers: proxy_get_header_map_value 2 'x-origin' ??; tell", want: []string{"=0:GET /probe/a"}},
	{name: "response_body", method: "POST", body: "of edge", do: "response_piece: pause | response_body: proxy_get_buffer_status 1 ? ?; proxy_set_buffer_bytes 1 0 0 'all '",
		want: []string{"\n\nall of edge"}},
	{name: "response_trailers", path: "trailers", do: "response_trailers: proxy_remove_header_map_value 3 'x-sum'; proxy_add_header_map_value 3 'x-new' 'sum'",
		want: []string{"x-new: sum"}, never: []string{"from the origin"}},
	{name: "http_call_response, nobody there", do: "request_headers: proxy_http_call 'secret' [:method=GET,:path=/,:authority=a] '' '' 1000 ?; pause | " +
		"http_call_response: pthread_equal $n 0; say 503", want: []string{"503\n", "pthread_equal=1"}},
	{name: "W102 a pause of the response", do: "response_headers: proxy_http_call 'app' [:method=GET,:path=/call,:authority=app] '' '' 1000 ?; pause | " +
		"http_call_response: proxy_replace_header_map_value 2 'x-late' 'yes'; proxy_continue_stream 1", want: []string{"200\n", "x-late: yes"}},
}

// endings are the callbacks at a stream's end, in their order.
const endings = " done pthread_equal=1 log get_header_map_value=0:200 delete"

// TestCallbacks has a guest of each version speak in every callback.
func TestCallbacks(t *testing.T) {
	for _, version := range []string{"0.1.0", "0.2.0", "0.2.1"} {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, version, "vm_start: proxy_get_buffer_bytes 7 0 3 ?? | configure: context",
				"allow = { upstreams = [\"app\", \"secret\"] }\n")
			for _, x := range callbackCases {
				if version == "0.1.0" && strings.Contains(x.do, "$e") {
					continue // it has no such operand
				}
				t.Run(x.name, func(t *testing.T) { b.run(t, x) })
			}
			journal := exchange{do: "request_headers: journal; say", want: []string{"root_context_create vm_start get_buffer_bytes=0:vm_ configure context=1"}}
			t.Run("root", func(t *testing.T) { b.run(t, journal) })

			b.run(t, exchange{do: "done: pthread_equal 1 1 | log: proxy_get_header_map_value 2 ':status' ??"})
			if !rig.Eventually(logLimit, func() bool {
				p := rig.Dial(t, b.Addr).Get("/probe/a", "X-Do: "+journal.do+"\r\n")
				return strings.Contains(string(p.Body), endings)
			}) {
				t.Errorf("no journal has %q", endings)
			}
		})
	}
}

// W102: a client that goes while a call is under way; the call's answer finds no stream, and nothing breaks.
func TestW102ClientGoesDuringACall(t *testing.T) {
	b := newBed(t, "0.2.1", "", "allow = { upstreams = [\"slow\"] }\n[upstreams.slow]\nservers = ["+quoted([]string{slowOrigin(t)})+"]\n")
	x := exchange{do: "request_headers: proxy_http_call 'slow' [:method=GET,:path=/call,:authority=a] '' '' 5000 ?; pause | " +
		"http_call_response: proxy_continue_stream 0; say"}
	for range 20 {
		c := rig.Dial(t, b.Addr)
		c.Send(x.bytes())
		c.Abort()
	}
	b.WaitMetric("that nothing is parked", func(m rig.Metrics) bool { return m.Sum("edge_filter_parked") == 0 })
	b.run(t, exchange{do: "request_headers: context; say", want: []string{"200\n"}})
}

// slowOrigin answers after a while.
func slowOrigin(t *testing.T) string {
	return rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err != nil {
			return
		}
		<-time.After(100 * time.Millisecond)
		_ = c.Say(rig.OK("late"))
	}).Addr
}

// TestEveryCallbackHasACase holds the cases against the sections that a stream's script may have.
func TestEveryCallbackHasACase(t *testing.T) {
	for _, name := range []string{"context_create", "request_headers", "request_body", "request_trailers", "response_headers", "response_body",
		"response_trailers", "http_call_response"} {
		if !slices.ContainsFunc(callbackCases, func(x exchange) bool { return strings.Contains(x.do, name+":") }) {
			t.Errorf("no case speaks in %s", name)
		}
	}
}
