package http1

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"edge/filters/message"
)

func fieldsOf(pairs ...string) (f message.Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

func TestAppendRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		req  message.Request
		opts RequestOptions
		want string
	}{
		{"get", message.Request{Method: "GET", Target: "/a?b", Authority: "h:1", Header: fieldsOf("Accept", "*/*")}, RequestOptions{},
			"GET /a?b HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\n\r\n"},
		{"no authority", message.Request{Method: "GET", Target: "/"}, RequestOptions{}, "GET / HTTP/1.1\r\nhost: \r\n\r\n"},
		{"post without content", message.Request{Method: "POST", Target: "/", Authority: "h"}, RequestOptions{},
			"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"},
		{"delete without content", message.Request{Method: "DELETE", Target: "/", Authority: "h"}, RequestOptions{},
			"DELETE / HTTP/1.1\r\nhost: h\r\n\r\n"},
		{"get with content", message.Request{Method: "GET", Target: "/", Authority: "h", Length: 5}, RequestOptions{},
			"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n"},
		{"chunked", message.Request{Method: "PUT", Target: "/", Authority: "h", Length: message.UnknownLength}, RequestOptions{Close: true},
			"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"},
		{"all options", message.Request{Method: "PUT", Target: "/", Authority: "h", Length: 1},
			RequestOptions{Close: true, Upgrade: "websocket", Expect: true, Trailers: true},
			"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\nexpect: 100-continue\r\nte: trailers\r\n" +
				"connection: close, te, upgrade\r\nupgrade: websocket\r\n\r\n"},
		{"upgrade that is no protocol", message.Request{Method: "GET", Target: "/", Authority: "h"}, RequestOptions{Upgrade: "a\r\nb"},
			"GET / HTTP/1.1\r\nhost: h\r\n\r\n"},
		{"options *", message.Request{Method: "OPTIONS", Target: "*", Authority: "h"}, RequestOptions{},
			"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n"},
		{"connect", message.Request{Method: "CONNECT", Target: "/", Authority: "h:1"}, RequestOptions{},
			"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n"},
		{"W99 framing fields", message.Request{Method: "GET", Target: "/", Authority: "h", Length: 2, Header: fieldsOf(
			"Content-Length", "900", "Transfer-Encoding", "chunked", "Connection", "close", "Keep-Alive", "x", "Upgrade", "x", "TE", "x",
			"Host", "evil",
			"Proxy-Connection", "x", "Expect", "100-continue", "Content_Length", "1", "Transfer_Encoding", "x", "HTTP2-Settings", "x", "X", "y")},
			RequestOptions{}, "GET / HTTP/1.1\r\nhost: h\r\nx: y\r\ncontent-length: 2\r\n\r\n"},
		{"W99 invalid fields", message.Request{Method: "GET", Target: "/", Authority: "h", Header: fieldsOf(
			"", "a", "a b", "c", "a:", "c", "X\r\nY", "c", "x", "a\r\nb: c", "x", "a\x00", "x", "a\nb", "x", "0123456789abcdef\x7f", "\xe9",
			"x", "ok", "")},
			RequestOptions{}, "GET / HTTP/1.1\r\nhost: h\r\nok: \r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := AppendRequest([]byte("<"), &c.req, c.opts)
			if err != nil || string(got) != "<"+c.want {
				t.Errorf("%v, got\n%q want\n%q", err, got, c.want)
			}
		})
	}
}

// TestAppendRequestRefuses is W99 for the parts that cannot be left out.
func TestAppendRequestRefuses(t *testing.T) {
	for _, c := range []struct {
		req  message.Request
		want *Error
	}{
		{message.Request{Method: "", Target: "/", Authority: "h"}, errMethod},
		{message.Request{Method: "GET /x HTTP/1.1\r\nA:", Target: "/", Authority: "h"}, errMethod},
		{message.Request{Method: "GET", Target: "", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "x", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "*", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "/ HTTP/1.1\r\nA: b", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "/#", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "http://h/", Authority: "h"}, errTarget},
		{message.Request{Method: "GET", Target: "/", Authority: "h\r\nA: b"}, errAuthority},
		{message.Request{Method: "GET", Target: "/", Authority: "u@h"}, errAuthority},
		{message.Request{Method: "CONNECT", Target: "/", Authority: ""}, errAuthority},
	} {
		got, err := AppendRequest([]byte("<"), &c.req, RequestOptions{})
		if err != c.want || string(got) != "<" {
			t.Errorf("W99 %q %q %q: %v, %q", c.req.Method, c.req.Target, c.req.Authority, err, got)
		}
	}
}

func TestAppendResponse(t *testing.T) {
	v11, v10 := message.HTTP11, message.HTTP10
	const unknown = message.UnknownLength
	for _, c := range []struct {
		name string
		resp message.Response
		opts ResponseOptions
		want string
	}{
		{"1.1 kept", message.Response{Status: 200, Length: 5, Header: fieldsOf("A", "b")}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\n"},
		{"1.1 closed", message.Response{Status: 404}, ResponseOptions{Version: v11},
			"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"},
		{"1.0 kept", message.Response{Status: 200, Length: 5}, ResponseOptions{Version: v10, KeepAlive: true},
			"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"},
		{"1.0 closed", message.Response{Status: 200, Length: 5}, ResponseOptions{Version: v10},
			"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"},
		{"1.1 chunked", message.Response{Status: 200, Length: unknown}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
		{"1.0 unknown length closes", message.Response{Status: 200, Length: unknown}, ResponseOptions{Version: v10, KeepAlive: true},
			"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"},
		{"date", message.Response{Status: 200}, ResponseOptions{Version: v11, KeepAlive: true, Date: "now"},
			"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 0\r\n\r\n"},
		{"date of the origin", message.Response{Status: 200, Header: fieldsOf("Date", "then")}, ResponseOptions{Version: v11,
			KeepAlive: true, Date: "now"},
			"HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n"},
		{"head", message.Response{Status: 200, Length: 5, Bodiless: true}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
		{"head of unknown length", message.Response{Status: 200, Length: unknown, Bodiless: true}, ResponseOptions{Version: v10,
			KeepAlive: true},
			"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n"},
		{"U84 204", message.Response{Status: 204, Length: 5}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 204 No Content\r\n\r\n"},
		{"U84 304", message.Response{Status: 304, Length: unknown}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 304 Not Modified\r\n\r\n"},
		{"U84 304 with the length", message.Response{Status: 304, Length: 5}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"},
		{"101", message.Response{Status: 101, Bodiless: true}, ResponseOptions{Version: v11, KeepAlive: true, Upgrade: "websocket",
			Date: "now"},
			"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"},
		{"unregistered status", message.Response{Status: 299}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"},
		{"status 999", message.Response{Status: 999}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 999 \r\ncontent-length: 0\r\n\r\n"},
		{"status 600", message.Response{Status: 600, Length: 1}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 600 \r\ncontent-length: 1\r\n\r\n"},
		{"1.0 without content", message.Response{Status: 200}, ResponseOptions{Version: v10, KeepAlive: true},
			"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"},
		{"U84 304 without a length", message.Response{Status: 304}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 304 Not Modified\r\n\r\n"},
		{"status 7", message.Response{Status: 7}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"},
		{"status 1000", message.Response{Status: 1000}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"},
		{"W99 negative length", message.Response{Status: 200, Length: -7}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
		{"W99 101 without protocol", message.Response{Status: 101}, ResponseOptions{Version: v11, KeepAlive: true}, notFinal},
		{"W99 103 as final", message.Response{Status: 103, Length: 9}, ResponseOptions{Version: v11, KeepAlive: true, Upgrade: "x"}, notFinal},
		{"W99 framing fields", message.Response{Status: 200, Length: 1, Header: fieldsOf("Content-Length", "9", "Transfer-Encoding", "chunked",
			"Connection", "x", "Upgrade", "h2c", "Keep-Alive", "x", "A", "b")}, ResponseOptions{Version: v11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 1\r\n\r\n"},
		{"U81 invalid fields", message.Response{Status: 200, Header: fieldsOf("A", "b\r\nSet-Cookie: c", "D\n", "e", "F", "g")},
			ResponseOptions{Version: v11, KeepAlive: true}, "HTTP/1.1 200 OK\r\nf: g\r\ncontent-length: 0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := AppendResponse([]byte("<"), &c.resp, c.opts); string(got) != "<"+c.want {
				t.Errorf("got\n%q want\n%q", got, c.want)
			}
			chunked := strings.Contains(c.want, "chunked")
			if Chunked(&c.resp, c.opts.Version) != chunked {
				t.Errorf("chunked: not %v", chunked)
			}
			if want := c.name == "1.0 unknown length closes"; CloseDelimited(&c.resp, c.opts.Version) != want {
				t.Errorf("close-delimited: not %v", want)
			}
		})
	}
}

func TestAppendParts(t *testing.T) {
	link := fieldsOf("Link", "</a>", "Connection", "x", "Bad\n", "x")
	trailers := fieldsOf("X-Sum", "1", "Content-Length", "5", "Host", "x", "Bad", "a\rb", "Grpc-Status", "0")
	for _, c := range []struct{ name, got, want string }{
		{"interim", string(AppendInterim(nil, 103, &link)), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"},
		{"interim 200", string(AppendInterim(nil, 200, nil)), ""},
		{"interim 101", string(AppendInterim(nil, 101, nil)), ""},
		{"interim without fields", string(AppendInterim(nil, 100, nil)), "HTTP/1.1 100 Continue\r\n\r\n"},
		{"chunk head", string(AppendChunkHead(nil, 0xbeef)), "beef\r\n"},
		{"chunk head of nothing", string(AppendChunkHead(nil, 0)), ""},
		{"chunk", string(AppendChunk(nil, []byte("hello"))), "5\r\nhello\r\n"},
		{"chunk of nothing", string(AppendChunk(nil, nil)), ""},
		{"last chunk", string(AppendLastChunk(nil, nil)), "0\r\n\r\n"},
		{"S17 last chunk with trailers", string(AppendLastChunk(nil, &trailers)), "0\r\nx-sum: 1\r\ngrpc-status: 0\r\n\r\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

// forward writes a request that has been read as edge would send it on, with its body and trailers.
func forward(t testing.TB, req *message.Request, body string) string {
	out, err := AppendRequest(nil, req, RequestOptions{Upgrade: req.Upgrade, Expect: req.Expect})
	if err != nil {
		t.Fatalf("forwarding %q: %v", req.Target, err)
	}
	if req.Length == message.UnknownLength {
		return string(AppendLastChunk(AppendChunk(out, []byte(body)), &req.Trailer))
	}
	return string(out) + body
}

// TestRoundTrip reads, writes and reads again every accepted request of the tables: the same message comes out, for our
// reader and for net/http.
func TestRoundTrip(t *testing.T) {
	n := 0
	for _, table := range [][]requestCase{smuggling, targets, connections} {
		for _, c := range table {
			req, body, complete := readWhole(c.in)
			if !complete {
				continue
			}
			n++
			t.Run(c.name, func(t *testing.T) { checkForwarded(t, &req, body) })
		}
	}
	if n < 40 {
		t.Errorf("only %d requests were accepted", n)
	}
}

// readWhole reads the first request of in; complete says that it is valid and ends.
func readWhole(in string) (req message.Request, body string, complete bool) {
	var r RequestReader
	r.Reset(&widerLimits)
	rest := []byte(in)
	for {
		n, ev, err := r.Feed(rest, &req)
		if err != nil || ev == More && n == 0 {
			return req, "", false
		}
		body += string(r.Data())
		rest = rest[n:]
		if ev == End {
			return req, body, true
		}
	}
}

// oracleBuffer is larger than any input: net/http refuses a trailer section that does not fit the buffer it reads from.
const oracleBuffer = 1 << 20

func checkForwarded(t testing.TB, req *message.Request, body string) {
	wire := forward(t, req, body)
	if req.Version == message.HTTP11 { // 1.0 without a host has no form in 1.1 that is valid
		again, body2, complete := readWhole(wire)
		if !complete {
			t.Fatalf("not readable again: %q", wire)
		}
		again.Header.Delete("content-length")
		once := *req
		once.Header = message.Fields{}
		once.Header.CopyFrom(&req.Header)
		once.Header.Delete("content-length")
		if a, b := requestText(&once)+fieldsText(&once.Trailer)+body, requestText(&again)+fieldsText(&again.Trailer)+body2; a != b {
			t.Errorf("read again as\n%s\nwas\n%s", b, a)
		}
	}
	reader := bufio.NewReaderSize(strings.NewReader(wire+"GET /next HTTP/1.1\r\nHost: n\r\n\r\n"), oracleBuffer)
	std, err := http.ReadRequest(reader)
	if err != nil {
		t.Fatalf("net/http: %v: %q", err, wire)
	}
	got, err := io.ReadAll(std.Body)
	if err != nil || string(got) != body {
		t.Errorf("net/http: body %q, %v, want %q", got, err, body)
	}
	target := req.Target
	if req.Method == "CONNECT" {
		target = req.Authority
	}
	if std.Method != req.Method || std.RequestURI != target || std.Host != req.Authority {
		t.Errorf("net/http: %s %s %s, want %s %s %s", std.Method, std.RequestURI, std.Host, req.Method, target, req.Authority)
	}
	if next, err := http.ReadRequest(reader); err != nil || next.RequestURI != "/next" {
		t.Errorf("net/http: behind it %v, %v", next, err)
	}
}

// TestGroupsAreWhole checks that every number of the groups that this package answers for has a case.
func TestGroupsAreWhole(t *testing.T) {
	have := map[string]bool{"S26": true} // TestUnread
	for _, table := range [][]requestCase{smuggling, targets, connections} {
		for _, c := range table {
			have[strings.Fields(c.name)[0]] = true
		}
	}
	for _, c := range upstreams {
		have[strings.Fields(c.name)[0]] = true
	}
	for _, g := range []struct {
		group       string
		first, last int
	}{{"S", 1, 31}, {"T", 32, 41}, {"R", 75, 75}, {"U", 81, 86}} {
		for n := g.first; n <= g.last; n++ {
			if id := fmt.Sprint(g.group, n); !have[id] {
				t.Errorf("no case for %s", id)
			}
		}
	}
}
