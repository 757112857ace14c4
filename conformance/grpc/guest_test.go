package grpc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edge/conformance/rig"
)

// text is a codec of messages that are texts.
type text struct{}

func (text) Name() string                    { return "proto" }
func (text) Marshal(v any) ([]byte, error)   { return []byte(*v.(*string)), nil }
func (text) Unmarshal(b []byte, v any) error { *v.(*string) = string(b); return nil }

// echo answers any method with the message in upper case, or as the method wants.
func echo(_ any, c grpc.ServerStream) error {
	var m string
	if err := c.RecvMsg(&m); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(c)
	in, _ := metadata.FromIncomingContext(c.Context())
	c.SetHeader(metadata.Pairs("x-initial", strings.Join(in.Get("x-say"), ",")))
	c.SetTrailer(metadata.Pairs("x-trailing", fmt.Sprint(hasDeadline(c.Context()))))
	switch method {
	case "/pkg.Service/Fail":
		return status.Error(codes.FailedPrecondition, "not now")
	case "/pkg.Service/Slow":
		<-c.Context().Done()
		return c.Context().Err()
	case "/pkg.Service/Two":
		c.SendMsg(&m)
	}
	m = strings.ToUpper(m)
	return c.SendMsg(&m)
}

// TestGuestCalls has a guest call a gRPC service: one message, one answer.
func TestGuestCalls(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	g := grpc.NewServer(grpc.ForceServerCodec(text{}), grpc.UnknownServiceHandler(echo))
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	origin := rig.NewOrigin(t, rig.Script(rig.OK("origin")))
	module, err := filepath.Abs("../wasm/guests/probe-0_2_1.wasm")
	rig.Must(t, err)
	e := rig.Start(t, rig.Config{Rest: fmt.Sprintf(`
[upstreams.app]
servers = [%q]
[upstreams.svc]
servers = ["h2c://%s"]
[upstreams.gone]
servers = ["127.0.0.1:1"]
[upstreams.hidden]
servers = ["127.0.0.1:1"]
[filters.probe]
module = %q
allow = { upstreams = ["svc", "gone", "app"] }
[[routes]]
filters = ["probe"]
upstream = "app"
`, origin.Addr, ln.Addr(), module)})

	const then = "; pause | grpc_receive: proxy_get_buffer_bytes 5 0 100 ??; proxy_get_header_map_value 4 'x-initial' ??; " +
		"proxy_get_header_map_value 5 'x-trailing' ??; proxy_get_status ? ??; say | " +
		"grpc_close: proxy_get_buffer_bytes 5 0 100 ??; proxy_get_status ? ??; say"
	for _, c := range []struct{ name, do, want string }{
		{"answered", "proxy_grpc_call 'svc' 'pkg.Service' 'Echo' [x-say=one] 'hello' 1000 ?" + then,
			"get_buffer_bytes=0:HELLO get_header_map_value=0:one get_header_map_value=0:true get_status=0:0:"},
		{"an empty message", "proxy_grpc_call 'svc' 'pkg.Service' 'Echo' [] '' 0 ?" + then,
			"get_buffer_bytes=0: get_header_map_value=0: get_header_map_value=0:false get_status=0:0:"},
		{"an error", "proxy_grpc_call 'svc' 'pkg.Service' 'Fail' [] 'hello' 1000 ?" + then, "get_buffer_bytes=1: get_status=0:9:not now"},
		{"too slow", "proxy_grpc_call 'svc' 'pkg.Service' 'Slow' [] 'hello' 50 ?" + then, "get_buffer_bytes=1: get_status=0:"},
		{"two answers", "proxy_grpc_call 'svc' 'pkg.Service' 'Two' [] 'hello' 1000 ?" + then, "get_status=0:13:not one message of gRPC"},
		{"nobody there", "proxy_grpc_call 'gone' 'pkg.Service' 'Echo' [] 'hello' 1000 ?" + then, "get_status=0:14:upstream connect failed"},
		{"no gRPC", "proxy_grpc_call 'app' 'pkg.Service' 'Echo' [] 'hello' 1000 ?" + then, "get_status=0:2:the answer is not of gRPC"},
		{"not allowed", "proxy_grpc_call 'hidden' 'pkg.Service' 'Echo' [] 'hello' 1000 ?; say", "grpc_call=4"},
		{"its metadata", "proxy_grpc_call 'svc' 'pkg.Service' 'Echo' [x-say=one] 'hello' 1000 ?; pause | " +
			"grpc_receive_initial_metadata: proxy_get_header_map_value 4 'x-initial' ??; proxy_get_header_map_value 5 'x-trailing' ?? | " +
			"grpc_receive_trailing_metadata: proxy_get_header_map_value 5 'x-trailing' ??; proxy_get_buffer_bytes 5 0 9 ?? | grpc_receive: say",
			"get_header_map_value=0:one get_header_map_value=1: get_header_map_value=0:true get_buffer_bytes=1:"},
		{"a stream", "proxy_grpc_stream 'svc' 'pkg.Service' 'Echo' [x-say=two] ?i; proxy_grpc_send $i 'a' 1; proxy_grpc_send $i 'b' 1; pause | " +
			"grpc_receive_initial_metadata: proxy_get_header_map_value 4 'x-initial' ?? | grpc_receive: proxy_get_buffer_bytes 5 0 100 ?? | " +
			"grpc_receive_trailing_metadata: proxy_get_header_map_value 5 'x-trailing' ?? | grpc_close: proxy_get_status ? ??; proxy_grpc_send $i 'a' 1; say",
			"grpc_send=0 grpc_send=2 get_header_map_value=0:two get_buffer_bytes=0:A get_header_map_value=0:false get_status=0:0: grpc_send=2"},
		{"a stream that fails", "proxy_grpc_stream 'svc' 'pkg.Service' 'Fail' [] ?i; proxy_grpc_send $i 'a' 0; pause | " +
			"grpc_close: proxy_get_status ? ??; say", "get_status=0:9:not now"},
		{"a stream to nobody", "proxy_grpc_stream 'gone' 'pkg.Service' 'Echo' [] ?i; pause | grpc_close: proxy_get_status ? ??; say", "get_status=0:14:"},
		{"a stream that is not allowed", "proxy_grpc_stream 'hidden' 'pkg.Service' 'Echo' [] ?i; say", "grpc_stream=4:0"},
		{"a stream that is cancelled", "proxy_grpc_stream 'svc' 'pkg.Service' 'Slow' [] ?i; proxy_grpc_cancel $i; proxy_grpc_send $i 'a' 1; " +
			"proxy_grpc_cancel $i; proxy_grpc_close $i; say", "grpc_cancel=0 grpc_send=1 grpc_cancel=1 grpc_close=1"},
		{"a call is no stream", "proxy_grpc_call 'svc' 'pkg.Service' 'Slow' [] 'hello' 1000 ?i; proxy_grpc_send $i 'a' 1; proxy_grpc_close $i; " +
			"proxy_grpc_cancel $i; say", "grpc_send=2 grpc_close=0 grpc_cancel=1"},
		{"cancelled", "proxy_grpc_call 'svc' 'pkg.Service' 'Echo' [] 'hello' 1000 ?; proxy_grpc_cancel 999; say", "grpc_cancel=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, e.Addr, "request_headers: "+c.do)
			if !strings.Contains(got, c.want) {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// TestRootStreams has root contexts stream without a request, in each version: from their start, and in a filter of the background.
func TestRootStreams(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	g := grpc.NewServer(grpc.ForceServerCodec(text{}), grpc.UnknownServiceHandler(echo))
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	const script = "configure: proxy_grpc_stream 'svc' 'pkg.Service' 'Two' [x-say=root] ?i; proxy_grpc_send $i 'hello' 0; proxy_grpc_close $i | " +
		"grpc_receive_initial_metadata: proxy_get_header_map_value 4 'x-initial' ?? | grpc_receive: proxy_get_buffer_bytes 5 0 100 ?? | " +
		"grpc_receive_trailing_metadata: proxy_get_header_map_value 5 'x-trailing' ?? | grpc_close: proxy_get_status ? ??; " +
		"proxy_define_metric 0 'closed' ?m; proxy_increment_metric $m 1"
	want := []string{"grpc_receive_initial_metadata get_header_map_value=0:root", "grpc_receive get_buffer_bytes=0:hello",
		"grpc_receive get_buffer_bytes=0:HELLO", "grpc_receive_trailing_metadata get_header_map_value=0:false", "grpc_close get_status=0:0:"}
	for _, version := range []string{"0_1_0", "0_2_0", "0_2_1"} {
		t.Run(version, func(t *testing.T) {
			module, err := filepath.Abs("../wasm/guests/probe-" + version + ".wasm")
			rig.Must(t, err)
			filter := fmt.Sprintf("module = %q\nallow = { upstreams = [\"svc\"] }\nconfig = %q\n", module, script)
			e := rig.Start(t, rig.Config{Rest: fmt.Sprintf("[upstreams.svc]\nservers = [\"h2c://%s\"]\n[filters.probe]\n%slanes = 1\n"+
				"[filters.alone]\n%sbackground = true\n[[routes]]\nfilters = [\"probe\"]\nrespond = { status = 204 }\n", ln.Addr(), filter, filter)})
			var journal string
			if !rig.Eventually(patience, func() bool {
				journal = ask(t, e.Addr, "request_headers: journal; say")
				at := 0
				for _, w := range want {
					n := strings.Index(journal[at:], w)
					if n < 0 {
						return false
					}
					at += n
				}
				return true
			}) {
				t.Errorf("the journal says %q", journal)
			}
			e.WaitMetric("both have closed", func(m rig.Metrics) bool {
				return m.Sum("edge_guest_closed_total", `filter="alone"`) == 1 && m.Sum("edge_upstream_h2_streams") == 0
			})
		})
	}
}

// ask sends a request that tells the guest what to do.
func ask(t *testing.T, addr, do string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	rig.Must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /probe HTTP/1.1\r\nHost: a\r\nX-Do: %s\r\nConnection: close\r\n\r\n", do)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	rig.Must(t, err)
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}
