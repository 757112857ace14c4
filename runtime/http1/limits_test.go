package http1

import (
	"strings"
	"testing"
)

// bounded are limits small enough to stand on both sides of each.
var bounded = Limits{TargetBytes: 10, HeaderBytes: 40, HeaderCount: 3, BodyBytes: 4, ChunkExtBytes: 8, Interims: 1}

func a(n int) string { return strings.Repeat("a", n) }

// TestRequestBounds has what just passes and what just does not (T41, R75, R76, S16).
func TestRequestBounds(t *testing.T) {
	line := "GET / HTTP/1.1\r\nHost: h\r\n" // 9 bytes of fields, and 2 for the empty line
	body := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	wide := bounded
	wide.HeaderBytes = 60
	for _, c := range []struct {
		requestCase
		limits *Limits
	}{
		{requestCase{"T41 target of 10", "GET /" + a(9) + " HTTP/1.1\r\nHost: h\r\n\r\n", "GET /" + a(9) + " h HTTP/1.1 0\nend\n"}, &bounded},
		{requestCase{"T41 target of 11", "GET /" + a(10) + " HTTP/1.1\r\nHost: h\r\n\r\n", "414 request target too long\n"}, &bounded},
		{requestCase{"T41 longest line", strings.Repeat("M", 32) + " /" + a(9) + " HTTP/1.1\r\nHost: h\r\n\r\n",
			strings.Repeat("M", 32) + " /" + a(9) + " h HTTP/1.1 0\nend\n"}, &bounded},
		{requestCase{"T41 line longer than any", strings.Repeat("M", 33) + " /" + a(9) + " HTTP/1.1\r\nHost: h\r\n\r\n",
			"414 request target too long\n"}, &bounded},
		{requestCase{"R75 fields of 40", line + "X: " + a(24) + "\r\n\r\n", "GET / h HTTP/1.1 0 x=\"" + a(24) + "\"\nend\n"}, &bounded},
		{requestCase{"R75 fields of 41", line + "X: " + a(25) + "\r\n\r\n", "431 header section too large\n"}, &bounded},
		{requestCase{"R75 3 fields", line + "A: b\r\nC: d\r\n\r\n", "GET / h HTTP/1.1 0 a=\"b\" c=\"d\"\nend\n"}, &bounded},
		{requestCase{"R75 4 fields", line + "A:\r\nC:\r\nE:\r\n\r\n", "431 too many header fields\n"}, &bounded},
		{requestCase{"R75 trailers of 60", body + "0\r\nA: b\r\nX: " + a(47) + "\r\n\r\n",
			"POST / h HTTP/1.1 -1\nend a=\"b\" x=\"" + a(47) + "\"\n"}, &wide},
		{requestCase{"R75 trailers of 61", body + "0\r\nA: b\r\nX: " + a(48) + "\r\n\r\n",
			"POST / h HTTP/1.1 -1\n431 header section too large\n"}, &wide},
		{requestCase{"R75 3 trailers", body + "0\r\nA:\r\nB:\r\nC:\r\n\r\n", "POST / h HTTP/1.1 -1\nend a=\"\" b=\"\" c=\"\"\n"}, &wide},
		{requestCase{"R75 4 trailers", body + "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n",
			"POST / h HTTP/1.1 -1\n431 too many header fields\n"}, &wide},
		{requestCase{"S16 extensions of 8", body + "1;a=bcde;\r\n", "POST / h HTTP/1.1 -1\n400 invalid chunk extension\n"}, &wide},
		{requestCase{"S16 extensions of 9", body + "1;a=bcdefg\r\n", "POST / h HTTP/1.1 -1\n400 too many chunk extensions\n"}, &wide},
		{requestCase{"S16 extensions of 8, valid", body + "1;a=bcdef\r\nx\r\n0\r\n\r\n", "POST / h HTTP/1.1 -1\ndata \"x\"\nend\n"}, &wide},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string { return traceRequests(t, c.in, c.limits, cut) })
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestResponseBounds is the same for what an upstream sends (U85).
func TestResponseBounds(t *testing.T) {
	none := bounded
	none.BodyBytes = 0
	for _, c := range []struct {
		responseCase
		limits *Limits
	}{
		{responseCase{"U85 fields of 40", "GET", answer("Content-Length: 0\r\nX: " + a(14) + "\r\n\r\n"), false,
			"head 200 0 content-length=\"0\" x=\"" + a(14) + "\"\nend keep\n"}, &bounded},
		{responseCase{"U85 fields of 41", "GET", answer("Content-Length: 0\r\nX: " + a(15) + "\r\n\r\n"), false,
			"502 header section too large\n"}, &bounded},
		{responseCase{"U85 longest status line", "GET", "HTTP/1.1 204 " + a(4<<10-15) + "\r\n\r\n", false,
			"head 204 0 bodiless\nend keep\n"}, &bounded},
		{responseCase{"U85 status line longer by one", "GET", "HTTP/1.1 204 " + a(4<<10-14) + "\r\n\r\n", false,
			"502 status line too long\n"}, &bounded},
		{responseCase{"body of 4", "GET", answer("Content-Length: 4\r\n\r\n1234"), false,
			"head 200 4 content-length=\"4\"\ndata \"1234\"\nend keep\n"}, &bounded},
		{responseCase{"body of 1, none allowed", "GET", answer("Content-Length: 1\r\n\r\n1"), false, "502 body too large\n"}, &none},
		{responseCase{"until close, none allowed", "GET", answer("\r\n1"), true, "head 200 -1\n502 body too large\n"}, &none},
		{responseCase{"until close, none sent", "GET", answer("\r\n"), true, "head 200 -1\nend\n"}, &none},
		{responseCase{"S28 2 interims", "GET", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2), false,
			"interim 100 0 bodiless\n502 too many 1xx responses\n"}, &bounded},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string {
				return traceResponse(t, c.method, c.in, c.closed, c.limits, cut)
			})
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}
