package strict

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRequestsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		in            string
		n             int
		framing       Framing
		body, trailer string
	}{
		"no body":          {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, None, "", ""},
		"length":           {"POST /a?b=c HTTP/1.1\r\nhost: a:80\r\nContent-Length: 3\r\n\r\nabc", 1, Length, "abc", ""},
		"chunked":          {"PUT /a HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 1, Chunked, "abc0123456789", ""},
		"trailer":          {"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 7\r\n\r\n", 1, Chunked, "x", "7"},
		"two":              {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n", 2, None, "", ""},
		"asterisk":         {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1, None, "", ""},
		"absolute":         {"GET http://a.b/c HTTP/1.1\r\nHost: a.b\r\n\r\n", 1, None, "", ""},
		"connect":          {"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n", 1, None, "", ""},
		"obs-text and tab": {"GET / HTTP/1.1\r\nHost: a\r\nx:\t\xe4\t b \r\n\r\n", 1, None, "", ""},
	} {
		all, err := ParseRequests([]byte(c.in))
		if err != nil || len(all) != c.n {
			t.Errorf("%s: %d requests, error %v", name, len(all), err)
			continue
		}
		if q := all[0]; q.Framing != c.framing || string(q.Body) != c.body || q.Trailer.Get("X-Sum") != c.trailer {
			t.Errorf("%s: read %+v", name, q)
		}
	}
}

func TestRequestsRefused(t *testing.T) {
	chunked := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, in := range map[string]string{
		"S1 CL and TE":              "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"S3 TE gzip, chunked":       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"S4 two TE":                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"S6 space before colon":     "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"S7 TE in 1.0":              "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"S8 two CL":                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"S9 CL +1":                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
		"S9 CL 01":                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\nx",
		"S10 CL huge":               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nx",
		"S12 chunk size 0x1":        chunked + "0x1\r\nx\r\n0\r\n\r\n",
		"S12 chunk size empty":      chunked + "\r\nx\r\n0\r\n\r\n",
		"S13 chunk size LF":         chunked + "1\nx\r\n0\r\n\r\n",
		"S14 chunk without CRLF":    chunked + "1\r\nxXX0\r\n\r\n",
		"S15 chunk extension":       chunked + "1;a=b\r\nx\r\n0\r\n\r\n",
		"S17 CL in trailer":         chunked + "0\r\nContent-Length: 1\r\n\r\n",
		"S18 bare LF":               "GET / HTTP/1.1\nHost: a\r\n\r\n",
		"S19 bare CR":               "GET / HTTP/1.1\r\nHost: a\rb: c\r\n\r\n",
		"S20 space before field":    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
		"S21 obs-fold":              "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n",
		"S22 NUL":                   "GET / HTTP/1.1\r\nHost: a\r\nx: y\x00\r\n\r\n",
		"S22 DEL":                   "GET / HTTP/1.1\r\nHost: a\r\nx: y\x7f\r\n\r\n",
		"S23 empty name":            "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
		"S31 HTTP/1.2":              "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
		"S31 HTTP/0.9":              "GET /\r\n",
		"T32 no host":               "GET / HTTP/1.1\r\n\r\n",
		"T32 two hosts":             "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"T32 host list":             "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
		"T32 userinfo":              "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
		"T32 open bracket":          "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
		"T34 GET *":                 "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"T39 fragment":              "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
		"T40 8-bit":                 "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
		"T40 space":                 "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
		"short body":                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
		"short chunk":               chunked + "5\r\nab",
		"short head":                "GET / HTTP/1.1\r\nHost: a\r\n",
		"body of GET without frame": "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody",
	} {
		if all, err := ParseRequests([]byte(in)); err == nil {
			t.Errorf("%s: taken as %d requests", name, len(all))
		}
	}
}

func TestResponses(t *testing.T) {
	for name, c := range map[string]struct {
		method, in string
		status     int
		framing    Framing
		body       string
	}{
		"length":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokREST", 200, Length, "ok"},
		"chunked":     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nREST", 200, Chunked, "ok"},
		"close":       {"GET", "HTTP/1.1 200 \r\n\r\nok", 200, Close, "ok"},
		"head":        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nREST", 200, None, ""},
		"no content":  {"GET", "HTTP/1.1 204 No Content\r\n\r\nREST", 204, None, ""},
		"not changed": {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nREST", 304, None, ""},
		"interim":     {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", 103, None, ""},
		"switched":    {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw", 101, Tunnel, ""},
	} {
		p, err := ReadResponse(bufio.NewReader(strings.NewReader(c.in)), c.method)
		if err != nil || p.Status != c.status || p.Framing != c.framing || string(p.Body) != c.body {
			t.Errorf("%s: read %+v, error %v", name, p, err)
		}
	}
	for name, in := range map[string]string{
		"204 with length":     "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"101 with chunked":    "HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n",
		"no reason space":     "HTTP/1.1 200\r\n\r\n",
		"status of 2 digits":  "HTTP/1.1 20 OK\r\n\r\n",
		"CL and TE":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunked in HTTP/1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"short":               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
	} {
		if p, err := ReadResponse(bufio.NewReader(strings.NewReader(in)), "GET"); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
	if _, err := ReadResponse(bufio.NewReader(strings.NewReader("")), "GET"); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nothing at all gives %v, want io.EOF", err)
	}
}
