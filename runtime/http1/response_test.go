package http1

import (
	"strings"
	"testing"
)

// responseCase is bytes from an upstream and what they are read as.
type responseCase struct {
	name, method, in string
	closed           bool // the upstream closes behind them
	want             string
}

func answer(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines }

// upstreams are the cases of group U, and the framing rules of RFC 9112 section 6.3.
var upstreams = []responseCase{
	{"S28 8 interims pass", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 8) +
		"HTTP/1.1 204 No Content\r\n\r\n", false,
		strings.Repeat("interim 103 0 bodiless link=\"</a>\"\n", 8) + "head 204 0 bodiless\nend keep\n"},
	{"S28 9 interims", "GET", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9), false,
		strings.Repeat("interim 100 0 bodiless\n", 8) + "502 too many 1xx responses\n"},
	{"S28 interim with a length", "GET", "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nxx", false, "502 content in a 1xx response\n"},
	{"U81 nul", "GET", answer("X: a\x00b\r\n\r\n"), false, "502 invalid byte in a field value\n"},
	{"U81 bare cr", "GET", answer("X: a\rb\r\n\r\n"), false, "502 bare cr\n"},
	{"U81 bare lf", "GET", answer("X: a\nSet-Cookie: b\r\n\r\n"), false, "502 bare lf\n"},
	{"U81 folded", "GET", answer("X: a\r\n b\r\n\r\n"), false, "502 folded or indented field line\n"},
	{"U81 space before the colon", "GET", answer("Content-Length : 2\r\n\r\nhi"), false, "502 no colon right after the field name\n"},
	{"U81 control in the reason", "GET", "HTTP/1.1 200 O\x01K\r\n\r\n", false, "502 invalid status line\n"},
	{"U82 cl and te", "GET", answer("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), false,
		"502 content-length and transfer-encoding together\n"},
	{"U82 two lengths", "GET", answer("Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), false, "502 more than one content-length\n"},
	{"U82 te gzip", "GET", answer("Transfer-Encoding: gzip, chunked\r\n\r\n"), false, "502 transfer-encoding is not chunked alone\n"},
	{"U82 te in 1.0", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, "502 transfer-encoding in http/1.0\n"},
	{"U82 bad chunk", "GET", answer("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX"), false,
		"head 200 -1\ndata \"hello\"\n502 chunk not followed by crlf\n"},
	{"U82 short body", "GET", answer("Content-Length: 5\r\n\r\nhel"), true,
		"head 200 5 content-length=\"5\"\ndata \"hel\"\n502 closed within the response body\n"},
	{"U82 no body", "GET", answer("Content-Length: 5\r\n\r\n"), true,
		"head 200 5 content-length=\"5\"\n502 closed within the response body\n"},
	{"U82 short chunk", "GET", answer("Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), true,
		"head 200 -1\ndata \"hel\"\n502 closed within the response body\n"},
	{"U82 no last chunk", "GET", answer("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), true,
		"head 200 -1\ndata \"hello\"\n502 closed within the response body\n"},
	{"U82 no end of trailers", "GET", answer("Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n"), true,
		"head 200 -1\n502 closed within the response body\n"},
	{"U82 short head", "GET", answer("Content-Le"), true, "502 closed within the response head\n"},
	{"U82 short head behind an interim", "GET", "HTTP/1.1 100 Continue\r\n\r\n", true,
		"interim 100 0 bodiless\n502 closed within the response head\n"},
	{"U82 nothing", "GET", "", true, "502 closed before the response\n"},
	{"U82 closed behind a whole body", "GET", answer("Content-Length: 2\r\n\r\nhi"), true,
		"head 200 2 content-length=\"2\"\ndata \"hi\"\nend keep\n"},
	{"U84 204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", false,
		"head 204 0 bodiless\nend left \"hello\"\n"},
	{"U84 204, chunked", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
		"head 204 0 bodiless\nend left \"0\\r\\n\\r\\n\"\n"},
	{"U84 204 with length 0", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, "head 204 0 bodiless\nend keep\n"},
	{"U84 304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false,
		"head 304 5 bodiless content-length=\"5\"\nend keep\n"},
	{"U84 304 with a body", "GET", "HTTP/1.1 304 Not Modified\r\n\r\nhello", false, "head 304 -1 bodiless\nend keep left \"hello\"\n"},
	{"U84 head with a length", "HEAD", answer("Content-Length: 5\r\n\r\n"), false, "head 200 5 bodiless content-length=\"5\"\nend keep\n"},
	{"U84 head without", "HEAD", answer("\r\n"), false, "head 200 -1 bodiless\nend keep\n"},
	{"U84 head, chunked", "HEAD", answer("Transfer-Encoding: chunked\r\n\r\n"), false, "head 200 -1 bodiless\nend keep\n"},
	{"U84 head with a body", "HEAD", answer("Content-Length: 5\r\n\r\nhello"), false,
		"head 200 5 bodiless content-length=\"5\"\nend keep left \"hello\"\n"},
	{"U83 bytes behind the response", "GET", answer("Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n"), false,
		"head 200 2 content-length=\"2\"\ndata \"hi\"\nend keep left \"HTTP/1.1 200 OK\\r\\n\"\n"},
	{"U85 endless fields", "GET", answer(strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 64)), false,
		"502 header section too large\n"},
	{"U85 one endless field", "GET", answer("X: " + strings.Repeat("a", 40<<10)), false, "502 header section too large\n"},
	{"U85 too many fields", "GET", answer(strings.Repeat("X: a\r\n", 129) + "\r\n"), false, "502 too many header fields\n"},
	{"U85 endless status line", "GET", "HTTP/1.1 200 " + strings.Repeat("a", 5000), false, "502 status line too long\n"},
	{"U85 long status line", "GET", "HTTP/1.1 200 " + strings.Repeat("a", 5000) + "\r\n\r\n", false, "502 status line too long\n"},
	{"U86 connection names fields", "GET",
		answer("Connection: X-Private, Set-Cookie, Content-Type, Content-Length\r\nX-Private: 1\r\nSet-Cookie: a=b\r\n" +
			"Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n"), false,
		"head 200 0 set-cookie=\"a=b\" content-type=\"text/plain\" content-length=\"0\"\nend keep\n"},
	{"U86 hop-by-hop fields", "GET",
		answer("Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTE: x\r\n" +
			"Content-Length: 0\r\n\r\n"), false,
		"head 200 0 content-length=\"0\"\nend keep\n"},
	{"U92 101", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00", false,
		"head 101 0 bodiless upgrade=websocket\nend tunnel left \"\\x81\\x00\"\n"},
	{"U92 101 without upgrade", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", false,
		"502 101 without upgrade\n"},
	{"U92 101 without connection", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", false,
		"502 101 without upgrade\n"},
	{"U92 101 to h2c", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", false,
		"502 101 without upgrade\n"},
	{"U92 101 in 1.0", "GET", "HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false,
		"502 101 without upgrade\n"},
	{"U92 426 stays http", "GET",
		"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", false,
		"head 426 0 upgrade=websocket content-length=\"0\"\nend keep\n"},
	{"connect 2xx has no body", "CONNECT", answer("Content-Length: 5\r\n\r\nhello"), false,
		"head 200 -1 bodiless\nend tunnel left \"hello\"\n"},
	{"connect 4xx has one", "CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", false,
		"head 403 2 content-length=\"2\"\ndata \"no\"\nend keep\n"},
	{"chunked with trailers", "GET",
		answer("Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n3;x\r\n!!!\r\n0\r\nX-Sum: 9\r\nContent-Length: 1\r\n\r\n"), false,
		"head 200 -1\ndata \"hi!!!\"\nend x-sum=\"9\" keep\n"},
	{"until close", "GET", answer("\r\nhello"), true, "head 200 -1\ndata \"hello\"\nend\n"},
	{"until close, empty", "GET", answer("\r\n"), true, "head 200 -1\nend\n"},
	{"until close, not closed", "GET", answer("\r\nhello"), false, "head 200 -1\ndata \"hello\"\nwaits\n"},
	{"1.0 keeps nothing", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false,
		"head 200 2 content-length=\"2\"\ndata \"hi\"\nend\n"},
	{"1.0 keeps when asked", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", false,
		"head 200 2 content-length=\"2\"\ndata \"hi\"\nend keep\n"},
	{"close", "GET", answer("Connection: close\r\nContent-Length: 0\r\n\r\n"), false, "head 200 0 content-length=\"0\"\nend\n"},
	{"no reason", "GET", "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", false, "head 299 0 content-length=\"0\"\nend keep\n"},
	{"no reason and no space", "GET", "HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", false, "head 299 0 content-length=\"0\"\nend keep\n"},
	{"no fields", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, "head 204 0 bodiless\nend keep\n"},
	{"status of 2 digits", "GET", "HTTP/1.1 20 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"status of 4 digits", "GET", "HTTP/1.1 2000 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"status below 100", "GET", "HTTP/1.1 099 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"version 1.2", "GET", "HTTP/1.2 200 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"version 2", "GET", "HTTP/2 200\r\n\r\n", false, "502 invalid status line\n"},
	{"empty line first", "GET", "\r\nHTTP/1.1 200 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"nearly a version", "GET", "HOTP/1.1 200 OK\r\n\r\n", false, "502 invalid status line\n"},
	{"shorter than any", "GET", "H\r\n\r\n", false, "502 invalid status line\n"},
	{"no space behind the status", "GET", "HTTP/1.1 200OK\r\n\r\n", false, "502 invalid status line\n"},
	{"another protocol", "GET", "SSH-2.0-OpenSSH", false, "502 invalid status line\n"},
	{"content_length", "GET", answer("Content_Length: 5\r\n\r\n"), false, "502 underscore in a framing field name\n"},
}

func TestUpstreams(t *testing.T) {
	for _, c := range upstreams {
		t.Run(c.name, func(t *testing.T) {
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string {
				return traceResponse(t, c.method, c.in, c.closed, &DefaultLimits, cut)
			})
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestBodyLimitOfAnswers is the same bound as R76 for what an upstream sends, close-delimited bodies included.
func TestBodyLimitOfAnswers(t *testing.T) {
	limits := DefaultLimits
	limits.BodyBytes = 4
	for _, c := range []responseCase{
		{"declared", "GET", answer("Content-Length: 5\r\n\r\nhello"), false, "502 body too large\n"},
		{"declared for head", "HEAD", answer("Content-Length: 5\r\n\r\n"), false, "head 200 5 bodiless content-length=\"5\"\nend keep\n"},
		{"until close", "GET", answer("\r\nhello"), true, "head 200 -1\ndata \"hell\"\n502 body too large\n"},
		{"until close, at the limit", "GET", answer("\r\nhell"), true, "head 200 -1\ndata \"hell\"\nend\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string {
				return traceResponse(t, c.method, c.in, c.closed, &limits, cut)
			})
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}
