package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"edge/filters/message"
)

// maxFuzzed bounds the inputs that are fed byte by byte: the feeder copies what waits for every piece.
const maxFuzzed = 4 << 10

// widerLimits are for what a writer made of a message at the limit: it adds up to five fields.
var widerLimits = func() Limits {
	l := DefaultLimits
	l.HeaderCount += 5
	l.HeaderBytes += 1 << 10
	return l
}()

func seedRequests(f *testing.F) {
	for _, table := range [][]requestCase{smuggling, targets, connections} {
		for _, c := range table {
			if len(c.in) < 2048 {
				f.Add([]byte(c.in))
			}
		}
	}
	f.Add([]byte(browserRequest))
	f.Add([]byte(chunkedRequest))
}

// FuzzRequest checks that what we accept, net/http accepts too and reads alike, and that what we send on for it is the
// same one message. net/http accepts far more; where it refuses or differs on purpose:
//   - it takes no trailer section beyond its buffer, and no announcement of framing in Trailer;
//   - it has no Connection handling in ReadRequest, so fields that Connection names stay;
//   - it deletes Host, Transfer-Encoding, the Trailer field of a chunked message, and invents Cache-Control for Pragma;
//   - it moves HTTP/1.0's missing Host and the target's authority to Host, as we do.
func FuzzRequest(f *testing.F) {
	seedRequests(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		req, body, complete := readWhole(string(in))
		if !complete {
			return
		}
		checkAgainstStd(t, in, &req, body)
		checkForwarded(t, &req, body)
	})
}

func checkAgainstStd(t *testing.T, in []byte, req *message.Request, body string) {
	for bytes.HasPrefix(in, []byte("\r\n")) {
		in = in[2:] // net/http wants none; RFC 9112 section 2.2 tolerates them
	}
	std, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(in), oracleBuffer))
	if err != nil {
		if strings.Contains(err.Error(), "bad trailer key") {
			return
		}
		t.Fatalf("net/http refuses: %v", err)
	}
	got, err := io.ReadAll(std.Body)
	if err != nil && !strings.Contains(err.Error(), "suspiciously long trailer") {
		t.Fatalf("net/http refuses the body: %v", err)
	}
	if err == nil && string(got) != body {
		t.Errorf("body %q, net/http %q", body, got)
	}
	if std.Method != req.Method {
		t.Errorf("method %q, net/http %q", req.Method, std.Method)
	}
	if std.Host != req.Authority {
		t.Errorf("authority %q, net/http %q", req.Authority, std.Host)
	}
	if std.RequestURI[0] == '/' && std.RequestURI != req.Target {
		t.Errorf("target %q, net/http %q", req.Target, std.RequestURI)
	}
	if std.ContentLength != req.Length {
		t.Errorf("length %d, net/http %d", req.Length, std.ContentLength)
	}
	if std.ProtoMajor*10+std.ProtoMinor != int(req.Version) {
		t.Errorf("version %v, net/http %s", req.Version, std.Proto)
	}
	seen := map[string]int{}
	for i := range req.Header.Len() {
		name, value := req.Header.At(i)
		if name == "trailer" || name == "content-length" {
			continue
		}
		values := std.Header[textproto.CanonicalMIMEHeaderKey(name)]
		if len(values) <= seen[name] || values[seen[name]] != value {
			t.Errorf("field %s: %q, net/http %q", name, value, values)
		}
		seen[name]++
	}
}

// FuzzResponse checks that what we accept, net/http accepts and reads alike, but for 1xx heads, which its ReadResponse
// does not skip.
func FuzzResponse(f *testing.F) {
	for _, c := range upstreams {
		if len(c.in) < 2048 {
			f.Add(c.method == "HEAD", c.closed, []byte(c.in))
		}
	}
	f.Fuzz(func(t *testing.T, head, closed bool, in []byte) {
		if len(in) > maxFuzzed {
			return
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		trace := func(cut func(int) int) string {
			return traceResponse(t, method, string(in), closed, &DefaultLimits, cut)
		}
		if a, b := trace(whole), trace(oneByte); a != b {
			t.Fatalf("whole:\n%sbyte by byte:\n%s", a, b)
		}
		resp, body, complete := readWholeResponse(in, method)
		if !complete {
			return
		}
		std, err := http.ReadResponse(bufio.NewReaderSize(bytes.NewReader(in), oracleBuffer), &http.Request{Method: method})
		if err != nil {
			if strings.Contains(err.Error(), "bad trailer key") {
				return
			}
			t.Fatalf("net/http refuses: %v", err)
		}
		if std.StatusCode < 200 {
			return
		}
		got, err := io.ReadAll(std.Body)
		if err != nil && !strings.Contains(err.Error(), "suspiciously long trailer") {
			t.Fatalf("net/http refuses the body: %v", err)
		}
		if err == nil && string(got) != body {
			t.Errorf("body %q, net/http %q", body, got)
		}
		if std.StatusCode != resp.Status {
			t.Errorf("status %d, net/http %d", resp.Status, std.StatusCode)
		}
		out := AppendResponse(nil, &resp, ResponseOptions{Version: message.HTTP11, KeepAlive: true})
		if Chunked(&resp, message.HTTP11) {
			out = AppendLastChunk(AppendChunk(out, []byte(body)), &resp.Trailer)
		} else {
			out = append(out, body...)
		}
		again, body2, complete := readWholeResponse(out, method)
		if !complete || again.Status != resp.Status || body2 != body {
			t.Errorf("sent on as %q: %v, %d, %q", out, complete, again.Status, body2)
		}
	})
}

// readWholeResponse reads a response whose upstream closes behind in; bytes left over make it incomplete, as they make
// a connection unusable.
func readWholeResponse(in []byte, method string) (resp message.Response, body string, complete bool) {
	var r ResponseReader
	r.Reset(&widerLimits, method)
	for {
		n, ev, err := r.Feed(in, &resp)
		if err == nil && ev == More && n == 0 {
			ev, err = r.EOF(&resp)
		}
		if err != nil {
			return resp, "", false
		}
		body += string(r.Data())
		in = in[n:]
		if ev == End {
			return resp, body, len(in) == 0
		}
	}
}

// FuzzSplit checks that requests are read alike however their bytes are cut.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(browserRequest+chunkedRequest), uint64(1))
	for _, c := range smuggling {
		if len(c.in) < 2048 {
			f.Add([]byte(c.in+smallRequest), uint64(len(c.in)))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		if len(in) > maxFuzzed {
			return
		}
		trace := func(cut func(int) int) string { return traceRequests(t, string(in), &DefaultLimits, cut) }
		want := trace(whole)
		if got := trace(oneByte); got != want {
			t.Errorf("whole:\n%sbyte by byte:\n%s", want, got)
		}
		if got := trace(dice(seed)); got != want {
			t.Errorf("whole:\n%scut with seed %d:\n%s", want, seed, got)
		}
	})
}

// FuzzChunked checks chunk framing alone: what we accept is what net/http decodes, and is read alike in pieces.
func FuzzChunked(f *testing.F) {
	for _, c := range smuggling {
		if _, in, found := strings.Cut(c.in, "chunked\r\n\r\n"); found && len(in) < 2048 {
			f.Add([]byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxFuzzed {
			return
		}
		all := chunks(string(in))
		trace := func(cut func(int) int) string { return traceRequests(t, all, &DefaultLimits, cut) }
		if a, b := trace(whole), trace(oneByte); a != b {
			t.Fatalf("whole:\n%sbyte by byte:\n%s", a, b)
		}
		req, body, complete := readWhole(all)
		if !complete {
			return
		}
		checkAgainstStd(t, []byte(all), &req, body)
		if again, body2, complete := readWhole(forward(t, &req,
			body)); !complete || body2 != body || fieldsText(&again.Trailer) != fieldsText(&req.Trailer) {
			t.Errorf("sent on: %v, %q, %q", complete, body2, fieldsText(&again.Trailer))
		}
	})
}
