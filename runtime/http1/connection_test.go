package http1

import (
	"strings"
	"testing"

	"edge/filters/message"
)

// connections are what the Connection field decides (RFC 9112 section 9, RFC 9110 sections 7.6.1 and 7.8).
var connections = []requestCase{
	{"1.1 keeps", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / h HTTP/1.1 0\nend\n"},
	{"1.1 close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, CLOSE\r\n\r\n", "GET / h HTTP/1.1 0\nend\nclose\n"},
	{"1.0 closes", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / h HTTP/1.0 0\nend\nclose\n"},
	{"1.0 keep-alive", "GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n", "GET / h HTTP/1.0 0\nend\n"},
	{"empty elements", "GET / HTTP/1.1\r\nHost: h\r\nConnection: ,close ,\r\n\r\n", "GET / h HTTP/1.1 0\nend\nclose\n"},
	{"not a token", "GET / HTTP/1.1\r\nHost: h\r\nConnection: \"close\"\r\n\r\n", "400 invalid connection field"},
	{"64 options", "GET / HTTP/1.1\r\nHost: h\r\nConnection: a" + strings.Repeat(",a", 62) + ",close\r\n\r\n",
		"GET / h HTTP/1.1 0\nend\nclose\n"},
	{"65 options", "GET / HTTP/1.1\r\nHost: h\r\nConnection: a" + strings.Repeat(",a", 64) + "\r\n\r\n", "400 invalid connection field"},
	{"8 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("Connection: close\r\n", 8) + "\r\n", "GET / h HTTP/1.1 0\nend\nclose\n"},
	{"9 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("Connection: a\r\n", 9) + "\r\n", "400 invalid connection field"},
	{"U86 names end-to-end fields",
		"GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nAuthorization: a\r\nCookie: c\r\nHost: h\r\nX-Real-IP: 2\r\nForwarded: f\r\n" +
			"Via: v\r\nDate: d\r\nCache-Control: cc\r\nContent-Type: t\r\nContent-Length: 0\r\n" +
			"Connection: X-Forwarded-For, Authorization, Host, Cookie, X-Real-IP, Forwarded, " +
			"Via, Date, Cache-Control, Content-Type, Content-Length\r\n\r\n",
		`GET / h HTTP/1.1 0 x-forwarded-for="1" authorization="a" cookie="c" x-real-ip="2" forwarded="f" via="v" date="d" cache-control="cc" ` +
			"content-type=\"t\" content-length=\"0\"\nend\n"},
	{"U86 names an extension", "GET / HTTP/1.1\r\nHost: h\r\nX-Hop: 1\r\nConnection: close, x-hop\r\nX-HOP: 2\r\nX-Stay: 3\r\n\r\n",
		"GET / h HTTP/1.1 0 x-stay=\"3\"\nend\nclose\n"},
	{"U86 hop-by-hop fields",
		"GET / HTTP/1.1\r\nHost: h\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\nHTTP2-Settings: x\r\n\r\n",
		"GET / h HTTP/1.1 0\nend\n"},
	{"upgrade", "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET / h HTTP/1.1 0 upgrade=websocket\nend\n"},
	{"upgrade without connection", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", "GET / h HTTP/1.1 0\nend\n"},
	{"upgrade in 1.0", "GET / HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / h HTTP/1.0 0\nend\nclose\n"},
	{"U92 upgrade with content", "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
		"POST / h HTTP/1.1 1 content-length=\"1\"\ndata \"x\"\nend\n"},
	{"D55 h2c", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		"GET / h HTTP/1.1 0\nend\n"},
	{"D55 h2c and websocket", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket/13\r\n\r\n",
		"GET / h HTTP/1.1 0 upgrade=websocket/13\nend\n"},
	{"no valid protocol", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: a b\r\n\r\n", "GET / h HTTP/1.1 0\nend\n"},
}

func TestConnections(t *testing.T) { testRequests(t, connections) }

// TestUnread is what a server decides by whether to drain a body (S25, S26).
func TestUnread(t *testing.T) {
	var r RequestReader
	var req message.Request
	feed := func(in string) {
		t.Helper()
		if _, _, err := r.Feed([]byte(in), &req); err != nil {
			t.Fatal(err)
		}
	}
	r.Reset(&DefaultLimits)
	if r.Started() || r.Unread() != -1 {
		t.Errorf("new: started %v, unread %d", r.Started(), r.Unread())
	}
	feed(post + "Content-Length: 5\r\nTE: trailers\r\n\r\n")
	if r.Unread() != 5 || !r.TakesTrailers() || !r.Started() {
		t.Errorf("S26 after the head: %d", r.Unread())
	}
	feed("he")
	if r.Unread() != 3 || r.Done() || string(r.Data()) != "he" {
		t.Errorf("S26 after 2 bytes: %d", r.Unread())
	}
	feed("llo")
	if r.Unread() != 0 || !r.Done() {
		t.Errorf("S25 at the end: %d", r.Unread())
	}
	if n, ev, err := r.Feed([]byte("GET"), &req); n != 0 || ev != End || err != nil || r.Data() != nil {
		t.Errorf("behind the end: %d %v %v", n, ev, err)
	}
	r.Reset(&DefaultLimits)
	feed(post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel")
	if r.Unread() != -1 || r.TakesTrailers() {
		t.Errorf("S26 chunked: %d", r.Unread())
	}
}

// TestScanIsLinear feeds a head a byte at a time: no byte is looked at twice (R70).
func TestScanIsLinear(t *testing.T) {
	in := []byte("GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 30<<10) + "\r\n\r\n")
	var r RequestReader
	var req message.Request
	r.Reset(&DefaultLimits)
	for i := 1; i < len(in); i++ {
		if n, ev, err := r.Feed(in[:i], &req); n != 0 || ev != More || err != nil {
			t.Fatalf("at %d: %d %v %v", i, n, ev, err)
		}
		if int(r.body.seen) != i {
			t.Fatalf("at %d: seen %d", i, r.body.seen)
		}
	}
	if n, ev, _ := r.Feed(in, &req); n != len(in) || ev != Head {
		t.Fatalf("whole: %d %v", n, ev)
	}
}
