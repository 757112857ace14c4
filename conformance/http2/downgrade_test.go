package http2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

// What a stream may come to, beside a status.
const (
	refused  = "PROTOCOL_ERROR" // as a reset of the stream
	tooShort = "INTERNAL_ERROR"
)

// injection is a request that would be another one, or two, if its parts were written down as HTTP/1 without looking.
type injection struct {
	name   string
	pseudo []string // the pseudo-headers that differ from those of GET http://edge.test/victim, as pairs; "-" leaves one out
	pairs  []string // fields as they stand, pseudo-headers too where the order matters
	body   []string // pieces of the body; nil is a request that ends with its head
	trail  []string // trailers
	want   string   // the status, or the code that the stream is reset with
	origin []string // what must stand in the origin's request, each a line; the first is method and target
	never  []string // what must not
}

const evil = "b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: edge.test\r\n\r\n"

var injections = []injection{
	{name: "the plain request", want: "200", origin: []string{"GET /victim", "host: edge.test"},
		never: []string{"content-length", "transfer-encoding"}},

	{name: "D45 CRLF in a value", pairs: []string{"x-a", evil}, want: refused},
	{name: "D45 LF in a value", pairs: []string{"x-a", "b\nc: d"}, want: refused},
	{name: "D45 CR in a value", pairs: []string{"x-a", "b\rc"}, want: refused},
	{name: "D45 NUL in a value", pairs: []string{"x-a", "b\x00c"}, want: refused},
	{name: "D45 CRLF in a cookie", pairs: []string{"cookie", "a=b", "cookie", evil}, want: refused},
	{name: "D45 CRLF in a name", pairs: []string{"x\r\ny", "b"}, want: refused},
	{name: "D45 a whole field in a name", pairs: []string{"x: y\r\ntransfer-encoding: chunked\r\nz", "b"}, want: refused},
	{name: "D45 NUL in a name", pairs: []string{"x\x00", "b"}, want: refused},
	{name: "D45 CRLF in a trailer", body: []string{"a"}, trail: []string{"x-a", evil}, want: refused},
	{name: "D46 upper case", pairs: []string{"X-A", "b"}, want: refused},
	{name: "D46 no name", pairs: []string{"", "b"}, want: refused},
	{name: "D46 colon in a name", pairs: []string{"x:a", "b"}, want: refused},
	{name: "D46 blank in a name", pairs: []string{"x a", "b"}, want: refused},
	{name: "D46 blank behind a name", pairs: []string{"content-length ", "5"}, want: refused},
	{name: "D46 a name of eight bits", pairs: []string{"x\xa0", "b"}, want: refused},
	{name: "D47 blank before a value", pairs: []string{"x-a", " b"}, want: refused},
	{name: "D47 blank behind a value", pairs: []string{"x-a", "b "}, want: refused},
	{name: "D47 tab before a value", pairs: []string{"x-a", "\tb"}, want: refused},
	{name: "D47 tab within a value", pairs: []string{"x-a", "b\tc"}, want: "200", origin: []string{"GET /victim", "x-a: b\tc"}},

	{name: "D48 connection", pairs: []string{"connection", "close"}, want: refused},
	{name: "D48 connection names another", pairs: []string{"connection", "x-forwarded-for"}, want: refused},
	{name: "D48 keep-alive", pairs: []string{"keep-alive", "5"}, want: refused},
	{name: "D48 proxy-connection", pairs: []string{"proxy-connection", "keep-alive"}, want: refused},
	{name: "D48 transfer-encoding", pairs: []string{"transfer-encoding", "chunked"}, body: []string{"0\r\n\r\n" + evil}, want: refused},
	{name: "D48 transfer-encoding and length", pairs: []string{"content-length", "5", "transfer-encoding", "chunked"},
		body: []string{"hello"}, want: refused},
	{name: "D48 upgrade", pairs: []string{"upgrade", "websocket"}, want: refused},
	{name: "D48 te: gzip", pairs: []string{"te", "gzip"}, want: refused},
	{name: "D48 te: trailers, gzip", pairs: []string{"te", "trailers, gzip"}, want: refused},
	{name: "D48 te: trailers", pairs: []string{"te", "trailers"}, want: "200", origin: []string{"GET /victim"}},
	{name: "S24 transfer_encoding", pairs: []string{"transfer_encoding", "chunked"}, body: []string{"a"}, want: "400"},
	{name: "S24 content_length", pairs: []string{"content_length", "0"}, body: []string{"a"}, want: "400"},

	{name: "D49 more than content-length", pairs: []string{"content-length", "1"}, body: []string{"ab"}, want: refused},
	{name: "D49 more, in pieces", pairs: []string{"content-length", "3"},
		body: []string{"ab", "c", "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"}, want: refused, never: []string{"smuggled", "abc"}},
	{name: "D49 as much, and more behind", pairs: []string{"content-length", "1"}, body: []string{"a", "b"}, want: refused},
	{name: "D49 as much, ended behind", pairs: []string{"content-length", "3"}, body: []string{"abc", ""}, want: "200",
		origin: []string{"GET /victim", "content-length: 3", "abc"}},
	{name: "D49 as much, ended by trailers", pairs: []string{"content-length", "3"}, body: []string{"abc"}, trail: []string{"x-a", "b"}, want: "200",
		origin: []string{"GET /victim", "content-length: 3", "abc"}},
	{name: "D49 less than content-length", pairs: []string{"content-length", "50"}, body: []string{"ab"}, want: refused},
	{name: "D49 less, ended by trailers", pairs: []string{"content-length", "50"}, body: []string{"ab"}, trail: []string{"x-a", "b"},
		want: refused},
	{name: "D49 content-length twice, different", pairs: []string{"content-length", "1", "content-length", "2"}, body: []string{"a"},
		want: refused},
	{name: "D49 content-length twice, alike", pairs: []string{"content-length", "1", "content-length", "1"}, body: []string{"a"},
		want: refused},
	{name: "D49 content-length without a body", pairs: []string{"content-length", "5"}, want: refused},
	{name: "D49 content-length +1", pairs: []string{"content-length", "+1"}, body: []string{"a"}, want: refused},
	{name: "D49 content-length 1, 1", pairs: []string{"content-length", "1, 1"}, body: []string{"a"}, want: refused},
	{name: "D49 content-length 0x1", pairs: []string{"content-length", "0x1"}, body: []string{"a"}, want: refused},
	{name: "D49 content-length of nothing", pairs: []string{"content-length", ""}, body: []string{"a"}, want: refused},
	{name: "D49 content-length of 2^64+1", pairs: []string{"content-length", "18446744073709551617"}, body: []string{"a"}, want: refused},
	{name: "D49 the right content-length", pairs: []string{"content-length", "5"}, body: []string{"he", "llo"}, want: "200",
		origin: []string{"GET /victim", "content-length: 5", "", "hello"}},
	{name: "D49 a body that looks like a request", pseudo: []string{":method", "POST"},
		body: []string{"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"}, want: "200",
		origin: []string{"POST /victim", "transfer-encoding: chunked", "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"}},
	{name: "D49 GET with a body", body: []string{"hello"}, want: "200",
		origin: []string{"GET /victim", "transfer-encoding: chunked", "hello"}},
	{name: "D49 GET with an empty body", body: []string{""}, want: "200", origin: []string{"GET /victim"}},

	{name: "D50 no method", pseudo: []string{":method", "-"}, want: refused},
	{name: "D50 no path", pseudo: []string{":path", "-"}, want: refused},
	{name: "D50 no scheme", pseudo: []string{":scheme", "-"}, want: refused},
	{name: "D50 no authority and no host", pseudo: []string{":authority", "-"}, want: "400"},
	{name: "D50 two paths", pairs: []string{":path", "/smuggled"}, want: refused},
	{name: "D50 two methods", pairs: []string{":method", "POST"}, want: refused},
	{name: "D50 unknown", pairs: []string{":evil", "1"}, want: refused},
	{name: "D50 behind a field", pseudo: []string{":path", "-"}, pairs: []string{"x-a", "b", ":path", "/smuggled"}, want: refused},
	{name: "D50 in trailers", body: []string{"a"}, trail: []string{":path", "/smuggled"}, want: refused},
	{name: "D50 :status", pairs: []string{":status", "200"}, want: refused},

	{name: "D51 empty path", pseudo: []string{":path", ""}, want: refused},
	{name: "D51 path without a slash", pseudo: []string{":path", "victim"}, want: refused},
	{name: "D51 a path that is a URL", pseudo: []string{":path", "http://evil.test/smuggled"}, want: refused},
	{name: "D51 CRLF in the path", pseudo: []string{":path", "/a\r\nx: y\r\n\r\nGET /smuggled"}, want: "400"},
	{name: "D51 a request line in the path", pseudo: []string{":path", "/a HTTP/1.1\r\nx: y"}, want: "400"},
	{name: "D51 a blank in the path", pseudo: []string{":path", "/a b"}, want: "400"},
	{name: "D51 a NUL in the path", pseudo: []string{":path", "/a\x00b"}, want: "400"},
	{name: "D51 a fragment", pseudo: []string{":path", "/a#b"}, want: "400"},
	{name: "D51 asterisk of a GET", pseudo: []string{":path", "*"}, want: refused},
	{name: "D51 CRLF in the method", pseudo: []string{":method", "GET\r\nx:y"}, want: refused},
	{name: "D51 an empty method", pseudo: []string{":method", ""}, want: refused},
	{name: "D51 a request line in the method", pseudo: []string{":method", "GET /smuggled HTTP/1.1"}, want: refused},
	{name: "D51 scheme of another protocol", pseudo: []string{":scheme", "gopher"}, want: refused},
	{name: "D51 CRLF in the scheme", pseudo: []string{":scheme", "http\r\nx:y"}, want: refused},
	{name: "D51 a URL in the scheme", pseudo: []string{":scheme", "http://evil.test/?"}, want: refused},
	{name: "T37 dots in the path", pseudo: []string{":path", "/a/../smuggled"}, want: "400"},
	{name: "T38 an encoded CRLF in the path", pseudo: []string{":path", "/a%0d%0ab"}, want: "400"},

	{name: "D52 another host", pairs: []string{"host", "evil.test"}, want: refused},
	{name: "D52 two hosts", pseudo: []string{":authority", "-"}, pairs: []string{"host", "edge.test", "host", "evil.test"}, want: refused},
	{name: "D52 the same host", pairs: []string{"host", "edge.test"}, want: "200", origin: []string{"GET /victim", "host: edge.test"}},
	{name: "D52 host alone", pseudo: []string{":authority", "-"}, pairs: []string{"host", "edge.test"}, want: "200",
		origin: []string{"GET /victim", "host: edge.test"}},
	{name: "D52 user information", pseudo: []string{":authority", "user@edge.test"}, want: "400"},
	{name: "D52 CRLF in the authority", pseudo: []string{":authority", "edge.test\r\nx:y"}, want: "400"},
	{name: "D52 a path in the authority", pseudo: []string{":authority", "edge.test/smuggled?"}, want: "400"},
	{name: "D52 two authorities in one", pseudo: []string{":authority", "edge.test,evil.test"}, want: "400"},

	{name: "D53 crumbs", pairs: []string{"cookie", "a=b", "x-a", "b", "cookie", "c=d", "cookie", "e=f"}, want: "200",
		origin: []string{"GET /victim", "cookie: a=b; c=d; e=f"}},
	{name: "D54 CONNECT", pseudo: []string{":method", "CONNECT", ":scheme", "-", ":path", "-"}, want: "405"},
	{name: "D54 CONNECT with a path", pseudo: []string{":method", "CONNECT"}, want: refused},
	{name: "D54 a protocol without CONNECT", pairs: []string{":protocol", "websocket"}, want: refused},
	{name: "D54 CRLF in the protocol", pseudo: []string{":method", "CONNECT"}, pairs: []string{":protocol", "websocket\r\nx: y"},
		want: refused},
	{name: "D55 h2c", pairs: []string{"upgrade", "h2c", "http2-settings", "AAMAAABkAAQAAP__"}, want: refused},
	{name: "D55 http2-settings", pairs: []string{"http2-settings", "AAMAAABkAAQAAP__"}, want: "200", origin: []string{"GET /victim"},
		never: []string{"http2-settings"}},
	{name: "D56 trailers", body: []string{"a"},
		trail: []string{"x-sum", "1", "content-length", "7", "transfer-encoding", "gzip", "host", "evil.test",
			"authorization", "x"}, want: refused},
	{name: "D56 trailers that are dropped", body: []string{"a"}, trail: []string{"x-sum", "1", "content-length", "7", "host", "evil.test",
		"authorization", "x"}, want: "200", origin: []string{"GET /victim", "transfer-encoding: chunked", "x-sum: 1"},
		never: []string{"evil.test", "authorization", "content-length"}},
	{name: "T36 TRACE", pseudo: []string{":method", "TRACE"}, want: "405"},
}

// block is the request's fields, in order, with its number in a field of its own.
func (in *injection) block(number int) (pairs []string) {
	pseudo := []string{":method", "GET", ":scheme", "http", ":authority", "edge.test", ":path", "/victim"}
	for i := 0; i < len(in.pseudo); i += 2 {
		at := slices.Index(pseudo, in.pseudo[i])
		if pseudo[at+1] = in.pseudo[i+1]; in.pseudo[i+1] == "-" {
			pseudo = slices.Delete(pseudo, at, at+2)
		}
	}
	pairs = append(pseudo, in.pairs...)
	return append(pairs, "x-case", strconv.Itoa(number))
}

// send sends the request on stream 1 of a connection of its own and returns what came of it: a status or a code.
func (in *injection) send(t *testing.T, e *rig.Edge, number int) string {
	t.Helper()
	c, err := dial(e.Addr)
	rig.Must(t, err)
	defer c.Close()
	c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(in.block(number)...), EndHeaders: true,
		EndStream: in.body == nil && in.trail == nil})
	for i, piece := range in.body {
		c.framer.WriteData(1, i == len(in.body)-1 && in.trail == nil, []byte(piece))
	}
	if in.trail != nil {
		c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(in.trail...), EndHeaders: true, EndStream: true})
	}
	rig.Must(t, c.flush())
	o, err := c.read(func(o *outcome) bool { return o.over(1) || o.goaway != nil })
	rig.Must(t, err)
	if code, reset := o.resets[1]; reset {
		return code.String()
	}
	if o.goaway != nil {
		return "GOAWAY " + o.goaway.ErrCode.String()
	}
	return o.status(1)
}

// lines are a request as text: method and target, fields with names in lower case, an empty line, the body, the trailers.
func lines(q *strict.Request) (all []string) {
	all = append(all, q.Method+" "+q.Target)
	for _, f := range slices.Concat(q.Header, strict.Fields{{}}, q.Trailer) {
		line := strings.ToLower(f.Name) + ": " + f.Value
		all = append(all, strings.TrimPrefix(line, ": "))
	}
	return append(all, string(q.Body))
}

// TestDowngrade: what came by HTTP/2 reaches an HTTP/1.1 origin as one request, the one that was asked, or not at all. The origin reads
// with the strict parser; a request of no integrity may reach it in part, never as a whole one.
func TestDowngrade(t *testing.T) {
	origin := rig.NewOrigin(t, rig.Echo)
	e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: rig.Upstream("", origin)})
	for i, in := range injections {
		t.Run(in.name, func(t *testing.T) {
			if got := in.send(t, e, i); got != in.want {
				t.Errorf("it comes to %q, want %q", got, in.want)
			}
		})
	}
	// After this one, all that edge had to say to the origin is there.
	fence := injection{want: "200"}
	if got := fence.send(t, e, -1); got != fence.want {
		t.Errorf("the request afterwards comes to %q", got)
	}
	seen := map[string][]*strict.Request{}
	for _, q := range origin.Requests() {
		seen[q.Header.Get("x-case")] = append(seen[q.Header.Get("x-case")], q)
	}
	for i, in := range injections {
		all := seen[strconv.Itoa(i)]
		delete(seen, strconv.Itoa(i))
		if (len(all) == 1) != (in.origin != nil) || len(all) > 1 {
			t.Errorf("%s: the origin got %d requests", in.name, len(all))
			continue
		}
		if in.origin == nil {
			continue
		}
		got := lines(all[0])
		for j, want := range in.origin {
			if !slices.Contains(got, want) || j == 0 && got[0] != want {
				t.Errorf("%s: the origin's request has no %q: %q", in.name, want, got)
			}
		}
		for _, never := range in.never {
			if strings.Contains(strings.Join(got, "\n"), never) {
				t.Errorf("%s: %q is in the origin's request: %q", in.name, never, got)
			}
		}
	}
	if delete(seen, "-1"); len(seen) > 0 {
		t.Errorf("the origin got requests that nobody sent: %v", seen)
	}
}

// TestD57: what an HTTP/1.1 origin answers is told in HTTP/2 without what belongs to its connection, and not at all where it is no answer.
func TestD57(t *testing.T) {
	for _, c := range []struct{ name, answer, want, never string }{
		{"hop by hop", "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: a\r\n" +
			"Upgrade: h2c\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "200",
			"connection keep-alive x-mine proxy-connection upgrade transfer-encoding"},
		{"folded", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", "502", ""},
		{"CR", "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 5\r\n\r\nhello", "502", ""},
		{"NUL", "HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello", "502", ""},
		{"blank in a name", "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 5\r\n\r\nhello", "502", ""},
		{"a pseudo-header", "HTTP/1.1 200 OK\r\n:status: 204\r\nContent-Length: 5\r\n\r\nhello", "502", ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "502", ""},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", tooShort, ""},
		{"a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", tooShort, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := rig.NewOrigin(t, func(o *rig.OriginConn) {
				if _, err := o.ReadRequest(); err == nil {
					o.Say(c.answer)
				}
			})
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: rig.Upstream("retries = 0", origin)})
			k, err := dial(e.Addr)
			rig.Must(t, err)
			defer k.Close()
			k.ask(1, true, "GET", "/")
			rig.Must(t, k.flush())
			o, err := k.read(func(o *outcome) bool { return o.over(1) })
			rig.Must(t, err)
			got := o.status(1)
			if code, reset := o.resets[1]; reset {
				got = code.String()
			}
			if got != c.want {
				t.Errorf("it comes to %q, want %q", got, c.want)
			}
			if c.want == "200" && (o.bodies[1] != "hello" || o.field(1, "x-a") != "b" || o.field(1, "x-sum") != "1") {
				t.Errorf("the answer is %v %q", o.heads[1], o.bodies[1])
			}
			for _, f := range o.heads[1] {
				if slices.Contains(strings.Fields(c.never), f.Name) {
					t.Errorf("the answer has %s", fmt.Sprint(f))
				}
			}
		})
	}
}
