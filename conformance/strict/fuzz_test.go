package strict

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzAsNetHTTP: what the strict parser takes, net/http takes too, as the same requests.
func FuzzAsNetHTTP(f *testing.F) {
	f.Add([]byte("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: [::1]:8\r\nContent-Length: 2\r\n\r\nhi"))
	f.Add([]byte("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET http://a/ HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		all, err := ParseRequests(in)
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(in))
		for _, q := range all {
			if foreign(q) {
				return
			}
			h, err := http.ReadRequest(r)
			if err != nil {
				t.Fatalf("net/http: %v; strict reads %+v", err, q)
			}
			body, err := io.ReadAll(h.Body)
			if err != nil || string(body) != string(q.Body) || h.Method != q.Method || h.RequestURI != q.Target {
				t.Fatalf("net/http reads %s %s %q, %v; strict reads %+v", h.Method, h.RequestURI, body, err, q)
			}
		}
	})
}

// foreign says that a request is one on which net/http is known to differ: it parses targets as URLs, which refuses some
// escapes and ports, checks trailers against Trailer, has its own view of Host, and knows no pragma but its own.
func foreign(q *Request) bool {
	return q.Method == "CONNECT" || strings.ContainsAny(q.Target, "%[]") || !strings.HasPrefix(q.Target, "/") || strings.HasPrefix(q.Target, "//") ||
		len(q.Trailer) > 0 || q.Header.Has("trailer") || q.Header.Has("pragma")
}
