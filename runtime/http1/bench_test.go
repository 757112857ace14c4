package http1

import (
	"testing"
	"unsafe"

	"edge/filters/message"
)

const (
	smallRequest = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"

	browserRequest = "GET /api/items?page=2 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko\r\n" +
		"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, br\r\n" +
		"Cookie: session=0123456789abcdef\r\nConnection: keep-alive\r\nX-Request-Start: 1718000000\r\n\r\n"

	smallResponse = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\nContent-Type: text/plain\r\n" +
		"Content-Length: 12\r\nConnection: keep-alive\r\nETag: \"abc\"\r\n\r\nhello world\n"
)

func readRequest(tb testing.TB, r *RequestReader, in string, req *message.Request) {
	b := unsafe.Slice(unsafe.StringData(in), len(in))
	r.Reset(&DefaultLimits)
	for {
		n, ev, err := r.Feed(b, req)
		if err != nil || ev == More {
			tb.Fatalf("%v %v", ev, err)
		}
		if ev == End {
			return
		}
		b = b[n:]
	}
}

func readResponse(tb testing.TB, r *ResponseReader, in string, resp *message.Response) {
	b := unsafe.Slice(unsafe.StringData(in), len(in))
	r.Reset(&DefaultLimits, "GET")
	for {
		n, ev, err := r.Feed(b, resp)
		if err != nil || ev == More {
			tb.Fatalf("%v %v", ev, err)
		}
		if ev == End {
			return
		}
		b = b[n:]
	}
}

const chunkedRequest = "POST /u HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
	"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"

func BenchmarkReadRequest(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"small", smallRequest}, {"browser", browserRequest}, {"chunked", chunkedRequest},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r RequestReader
			var req message.Request
			b.ReportAllocs()
			b.SetBytes(int64(len(c.in)))
			for b.Loop() {
				readRequest(b, &r, c.in, &req)
			}
		})
	}
}

func BenchmarkReadResponse(b *testing.B) {
	var r ResponseReader
	var resp message.Response
	b.ReportAllocs()
	for b.Loop() {
		readResponse(b, &r, smallResponse, &resp)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var r RequestReader
	var req message.Request
	readRequest(b, &r, browserRequest, &req)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _ = AppendRequest(out[:0], &req, RequestOptions{})
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var r ResponseReader
	var resp message.Response
	readResponse(b, &r, smallResponse, &resp)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendResponse(out[:0], &resp, ResponseOptions{Version: message.HTTP11, KeepAlive: true})
	}
}

func TestNoAllocations(t *testing.T) {
	var r RequestReader
	var req message.Request
	var u ResponseReader
	var resp message.Response
	var out []byte
	bad := []byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
	opts := ResponseOptions{Version: message.HTTP11, Date: "Mon, 02 Jun 2025 10:00:00 GMT"}
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"small request", func() { readRequest(t, &r, smallRequest, &req) }},
		{"browser request", func() { readRequest(t, &r, browserRequest, &req) }},
		{"chunked request", func() { readRequest(t, &r, chunkedRequest, &req) }},
		{"bad request", func() {
			r.Reset(&DefaultLimits)
			if _, _, err := r.Feed(bad, &req); err == nil {
				t.Fatal("accepted")
			}
		}},
		{"response", func() { readResponse(t, &u, smallResponse, &resp) }},
		{"write response", func() { out = AppendResponse(out[:0], &resp, opts) }},
		{"write request", func() {
			readRequest(t, &r, browserRequest, &req)
			out, _ = AppendRequest(out[:0], &req, RequestOptions{Close: true, Trailers: true, Upgrade: "websocket"})
		}},
		{"write interim", func() { out = AppendInterim(out[:0], 103, &resp.Header) }},
		{"write chunks", func() { out = AppendLastChunk(AppendChunk(out[:0], []byte("hello")), &resp.Header) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, c.do); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// TestReaderSize holds the readers to what an idle connection may cost (DESIGN 2: state in every connection is small).
func TestReaderSize(t *testing.T) {
	if n := unsafe.Sizeof(RequestReader{}); n > 96 {
		t.Errorf("a RequestReader takes %d bytes", n)
	}
	if n := unsafe.Sizeof(ResponseReader{}); n > 112 {
		t.Errorf("a ResponseReader takes %d bytes", n)
	}
}
