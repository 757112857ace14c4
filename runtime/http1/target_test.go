package http1

import (
	"strings"
	"testing"
)

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n" }

func host(value string) string { return "GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n" }

const (
	badHost   = "400 invalid host"
	badEscape = "400 invalid escape in the request target"
	badDots   = "400 dot segment in the request target"
	badByte   = "400 invalid byte in the request target"
	badForm   = "400 invalid request target form"
)

func seen(target string) string { return "GET " + target + " h HTTP/1.1 0\nend\n" }

func seenHost(value string) string { return "GET / " + value + " HTTP/1.1 0\nend\n" }

// targets are the cases of group T: request targets and hosts.
var targets = []requestCase{
	{"T32 no host", "GET / HTTP/1.1\r\n\r\n", "400 no host"},
	{"T32 two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 more than one host"},
	{"T32 one host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 more than one host"},
	{"T32 two hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400 more than one host"},
	{"T32 no host in 1.0 passes", "GET / HTTP/1.0\r\n\r\n", "GET /  HTTP/1.0 0\nend\nclose\n"},
	{"T32 invalid host in 1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", badHost},
	{"T32 list", host("a, b"), badHost},
	{"T32 list without space", host("a,b"), badHost},
	{"T32 empty", host(""), badHost},
	{"T32 user information", host("user@h"), badHost},
	{"T32 user and password", host("user:pass@h"), badHost},
	{"T32 path", host("h/x"), badHost},
	{"T32 query", host("h?x"), badHost},
	{"T32 fragment", host("h#x"), badHost},
	{"T32 backslash", host(`h\x`), badHost},
	{"T32 escape", host("h%41"), badHost},
	{"T32 non-ascii", host("h\xc3\xa9"), badHost},
	{"T32 port of letters", host("h:8a"), badHost},
	{"T32 empty port", host("h:"), badHost},
	{"T32 port 65536", host("h:65536"), badHost},
	{"T32 port 0", host("h:0"), badHost},
	{"T32 port with zeros", host("h:080"), badHost},
	{"T32 negative port", host("h:-1"), badHost},
	{"T32 two ports", host("h:80:80"), badHost},
	{"T32 port alone", host(":80"), badHost},
	{"T32 bracket not closed", host("[::1"), badHost},
	{"T32 bracket not opened", host("::1]"), badHost},
	{"T32 address without brackets", host("::1"), badHost},
	{"T32 zone", host("[fe80::1%25eth0]"), badHost},
	{"T32 name in brackets", host("[h]"), badHost},
	{"T32 ipv4 in brackets", host("[127.0.0.1]"), badHost},
	{"T32 behind brackets", host("[::1]x"), badHost},
	{"T32 nothing in brackets", host("[]"), badHost},
	{"T32 nul", host("h\x00"), "400 invalid byte in a field value"},
	{"T32 empty label", host("a..b"), badHost},
	{"T32 leading dot", host(".a"), badHost},
	{"T32 too long", host(strings.Repeat("a", 256)), badHost},
	{"T32 as long as names get", host(strings.Repeat("a", 255)), seenHost(strings.Repeat("a", 255))},
	{"T32 port 65535", host("h:65535"), seenHost("h:65535")},
	{"T32 name and port", host("www.Example.com:8080"), seenHost("www.Example.com:8080")},
	{"T32 root dot", host("example.com."), seenHost("example.com.")},
	{"T32 underscore", host("my_app"), seenHost("my_app")},
	{"T32 ipv4", host("127.0.0.1:80"), seenHost("127.0.0.1:80")},
	{"T32 ipv6", host("[::1]:443"), seenHost("[::1]:443")},
	{"T32 ipv4 in ipv6", host("[::ffff:1.2.3.4]"), seenHost("[::ffff:1.2.3.4]")},
	{"T33 absolute target replaces the host", get("http://other.example:81/p?q=1"), "GET /p?q=1 other.example:81 HTTP/1.1 0\nend\n"},
	{"T33 absolute target still needs a host", "GET http://h/ HTTP/1.1\r\n\r\n", "400 no host"},
	{"T33 absolute target and two hosts", "GET http://h/ HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", "400 more than one host"},
	{"T33 https, upper case", get("HTTPS://g/"), "GET / g HTTP/1.1 0\nend\n"},
	{"T33 no path", get("http://g"), "GET / g HTTP/1.1 0\nend\n"},
	{"T33 query without path", get("http://g?a=b"), "GET /?a=b g HTTP/1.1 0\nend\n"},
	{"T33 options without path", "OPTIONS http://g HTTP/1.1\r\nHost: g\r\n\r\n", "OPTIONS * g HTTP/1.1 0\nend\n"},
	{"T33 options with a query", "OPTIONS http://g?x HTTP/1.1\r\nHost: g\r\n\r\n", "OPTIONS /?x g HTTP/1.1 0\nend\n"},
	{"T33 user information", get("http://u@g/"), badHost},
	{"T33 no authority", get("http:///x"), badHost},
	{"T33 other scheme", get("ftp://g/"), badForm},
	{"T33 scheme without slashes", get("http:g"), badForm},
	{"T33 dots behind the authority", get("http://g/a/../b"), badDots},
	{"T33 backslash in the authority", get(`http://g\@e/`), badHost},
	{"T33 in 1.0 without host", "GET http://g/ HTTP/1.0\r\n\r\n", "GET / g HTTP/1.0 0\nend\nclose\n"},
	{"T34 get *", get("*"), badForm},
	{"T34 options *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * h HTTP/1.1 0\nend\n"},
	{"T34 options */", "OPTIONS */ HTTP/1.1\r\nHost: h\r\n\r\n", badForm},
	{"T34 relative", get("x"), badForm},
	{"T34 relative dots", get("../x"), badForm},
	{"T34 query only", get("?x"), badForm},
	{"T35 connect", "CONNECT g:443 HTTP/1.1\r\nHost: g:443\r\n\r\n", "CONNECT / g:443 HTTP/1.1 0\nend\nclose\n"},
	{"T35 connect without port", "CONNECT g HTTP/1.1\r\nHost: g\r\n\r\n", badForm},
	{"T35 connect with path", "CONNECT /x HTTP/1.1\r\nHost: g\r\n\r\n", badForm},
	{"T35 connect with absolute target", "CONNECT http://g:80/ HTTP/1.1\r\nHost: g\r\n\r\n", badForm},
	{"T35 connect with content", "CONNECT g:1 HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\n\r\nx", "400 content in a connect request"},
	{"T35 connect, chunked", "CONNECT g:1 HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n", "400 content in a connect request"},
	{"T35 get with authority", get("g:443"), badForm},
	{"T36 trace is for the server to refuse", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "TRACE / h HTTP/1.1 0\nend\n"},
	{"T37 dots", get("/a/../b"), badDots},
	{"T37 dots at the end", get("/a/.."), badDots},
	{"T37 dot", get("/a/./b"), badDots},
	{"T37 dot at the end", get("/."), badDots},
	{"T37 escaped dots", get("/%2e%2E/"), badDots},
	{"T37 half escaped", get("/.%2e/"), badDots},
	{"T37 half escaped, the other half", get("/%2e./"), badDots},
	{"T37 escaped dot", get("/%2e"), badDots},
	{"T37 dots before a query", get("/..?x"), badDots},
	{"T37 dots and semicolon", get("/..;/x"), badDots},
	{"T37 dots and parameter", get("/..;a=b/x"), badDots},
	{"T37 dot and escaped semicolon", get("/.%3b/x"), badDots},
	{"T37 between escaped slashes", get("/a%2f..%2fb"), badDots},
	{"T37 behind an escaped backslash", get("/a%5c..%5Cb"), badDots},
	{"T37 escaped all over", get("/a%2F%2e%2e%2Fb"), badDots},
	{"T37 raw backslash", get(`/a\..\b`), badByte},
	{"T37 raw backslash, harmless", get(`/a\b`), badByte},
	{"T37 backslash in a query passes", get(`/a?\b`), seen(`/a?\b`)},
	{"T37 empty segments pass", get("//a//b"), seen("//a//b")},
	{"T37 escaped slash passes", get("/a%2Fb"), seen("/a%2Fb")},
	{"T37 three dots pass", get("/..."), seen("/...")},
	{"T37 dot files pass", get("/.well-known/a.b/..c/d.."), seen("/.well-known/a.b/..c/d..")},
	{"T37 dots in a query pass", get("/a?/../b"), seen("/a?/../b")},
	{"T37 dots in a parameter pass", get("/a;.."), seen("/a;..")},
	{"T37 escaped twice passes as it stands", get("/%252e%252e/"), seen("/%252e%252e/")},
	{"T38 nul", get("/a%00"), badEscape},
	{"T38 crlf", get("/a%0d%0aX:b"), badEscape},
	{"T38 cr", get("/a%0D"), badEscape},
	{"T38 lf", get("/a%0A"), badEscape},
	{"T38 no digits", get("/%zz"), badEscape},
	{"T38 one digit", get("/%4"), badEscape},
	{"T38 one digit before a query", get("/%4?a"), badEscape},
	{"T38 none at the end", get("/%"), badEscape},
	{"T38 overlong slash", get("/a%c0%afb"), badEscape},
	{"T38 overlong dot", get("/%C0%AE%C0%AE/"), badEscape},
	{"T38 overlong, lead c1", get("/%c1%9c"), badEscape},
	{"T38 overlong in three bytes", get("/%e0%80%af"), badEscape},
	{"T38 overlong in four bytes", get("/%f0%80%80%af"), badEscape},
	{"T38 overlong in five bytes", get("/%f8%80%80%80%af"), badEscape},
	{"T38 utf-8 passes", get("/%c3%a9%e2%82%ac%f0%9f%98%80"), seen("/%c3%a9%e2%82%ac%f0%9f%98%80")},
	{"T38 shortest forms pass", get("/%E0%A0%80%F0%90%80%80%AF"), seen("/%E0%A0%80%F0%90%80%80%AF")},
	{"T38 digit g", get("/%4g"), badEscape},
	{"T38 latin-1 passes", get("/caf%e9"), seen("/caf%e9")},
	{"T38 lone c0 passes", get("/%c0bc"), seen("/%c0bc")},
	{"T38 space passes", get("/a%20b"), seen("/a%20b")},
	{"U90 query passes as it stands", get("/?a=%zz;%0d%0a%00%c0%af&b|{}"), seen("/?a=%zz;%0d%0a%00%c0%af&b|{}")},
	{"T39 fragment", get("/a#b"), badByte},
	{"T39 fragment in the query", get("/a?b#c"), badByte},
	{"T40 raw 8-bit", get("/\xc3\xa9"), badByte},
	{"T40 raw 8-bit in the query", get("/?\xff"), badByte},
	{"T40 space", get("/a b"), "400 invalid protocol version"},
	{"T40 two spaces before the target", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400 invalid request line"},
	{"T40 two spaces behind the target", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"T40 space before the method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", "400 invalid method"},
	{"T40 tab", get("/a\tb"), badByte},
	{"T40 tabs for spaces", "GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n", "400 invalid method"},
	{"T40 nul", get("/\x00"), badByte},
	{"T40 del", get("/\x7f"), badByte},
	{"T41 8,000 bytes pass", get("/" + strings.Repeat("a", 7999)), seen("/" + strings.Repeat("a", 7999))},
	{"T41 the limit passes", get("/" + strings.Repeat("a", 16<<10-1)), seen("/" + strings.Repeat("a", 16<<10-1))},
	{"T41 one more", get("/" + strings.Repeat("a", 16<<10)), "414 request target too long"},
	{"T41 much more, not ended", "GET /" + strings.Repeat("a", 20<<10), "414 request target too long"},
	{"R75 64 KiB of fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 64) + "\r\n",
		"431 header section too large"},
	{"R75 64 KiB cookie", "GET / HTTP/1.1\r\nHost: h\r\nCookie: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"431 header section too large"},
	{"R75 no end", "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 33<<10), "431 header section too large"},
	{"R75 129 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: a\r\n", 128) + "\r\n", "431 too many header fields"},
	{"R75 128 fields pass", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: a\r\n", 127) + "\r\n",
		"GET / h HTTP/1.1 0" + strings.Repeat(` x="a"`, 127) + "\nend\n"},
	{"R75 129 trailers", chunks("0\r\n" + strings.Repeat("X: a\r\n", 129) + "\r\n"), chunkedHead + "431 too many header fields\n"},
	{"R75 33 KiB of trailers", chunks("0\r\nX: " + strings.Repeat("a", 33<<10)), chunkedHead + "431 header section too large\n"},
	{"method of 32 bytes", strings.Repeat("M", 32) + " / HTTP/1.1\r\nHost: h\r\n\r\n", strings.Repeat("M", 32) + " / h HTTP/1.1 0\nend\n"},
	{"method of 33 bytes", strings.Repeat("M", 33) + " / HTTP/1.1\r\nHost: h\r\n\r\n", "501 method too long"},
	{"method is no token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "400 invalid method"},
	{"tls on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 invalid method"},
	{"4 empty lines", strings.Repeat("\r\n", 4) + get("/"), seen("/")},
	{"5 empty lines", strings.Repeat("\r\n", 5) + get("/"), "400 too many empty lines before the request"},
	{"empty line", "\r\n", "waits\n"},
}

func TestTargets(t *testing.T) { testRequests(t, targets) }

// TestBodyLimit is R76: a body beyond its limit is refused before any byte of it is read.
func TestBodyLimit(t *testing.T) {
	limits, none := DefaultLimits, DefaultLimits
	limits.BodyBytes, none.BodyBytes = 8, 0
	for _, c := range []requestCase{
		{"R76 declared, none allowed", post + "Content-Length: 1\r\n\r\n1", "413 body too large\n"},
		{"R76 chunked, none allowed", chunks("1\r\n1\r\n0\r\n\r\n"), chunkedHead + "413 body too large\n"},
		{"R76 chunked, none sent", chunks("0\r\n\r\n"), chunkedHead + "end\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := traceRequests(t, c.in, &none, whole); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
	for _, c := range []requestCase{
		{"R76 declared", post + "Content-Length: 9\r\n\r\n123456789", "413 body too large\n"},
		{"R76 declared, at the limit", post + "Content-Length: 8\r\n\r\n12345678",
			"POST /p h HTTP/1.1 8 content-length=\"8\"\ndata \"12345678\"\nend\n"},
		{"R76 first chunk", chunks("9\r\n123456789"), chunkedHead + "413 body too large\n"},
		{"R76 second chunk", chunks("8\r\n12345678\r\n1\r\n9"), chunkedHead + "data \"12345678\"\n413 body too large\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string { return traceRequests(t, c.in, &limits, cut) })
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}
