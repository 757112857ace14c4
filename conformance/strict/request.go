package strict

import (
	"bufio"
	"bytes"
	"strings"
)

// Request is a request as it was sent.
type Request struct {
	Method, Target, Version string
	Header                  Fields
	Framing                 Framing
	Body                    []byte
	Chunks                  []int // sizes, where the body is chunked
	Trailer                 Fields
}

// ReadRequest reads one request and nothing after it. At the end of the input before its first byte it returns io.EOF.
func ReadRequest(r *bufio.Reader) (*Request, error) {
	q, n, err := readRequestHead(r)
	if err != nil {
		return q, err
	}
	return q, q.readBody(r, n)
}

// ReadRequestHead reads a head only; the body, if there is one, is the caller's.
func ReadRequestHead(r *bufio.Reader) (*Request, error) {
	q, _, err := readRequestHead(r)
	return q, err
}

func readRequestHead(r *bufio.Reader) (*Request, int64, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, 0, err
	}
	q := &Request{}
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		return nil, 0, bad("request line %.80q", line)
	}
	q.Method, q.Target, q.Version = parts[0], parts[1], parts[2]
	if q.Version != "HTTP/1.1" && q.Version != "HTTP/1.0" {
		return nil, 0, bad("version %.20q", q.Version)
	}
	if !isToken(q.Method) {
		return nil, 0, bad("method %.20q", q.Method)
	}
	if err := checkTarget(q.Method, q.Target); err != nil {
		return nil, 0, err
	}
	if q.Header, err = readFields(r); err != nil {
		return nil, 0, err
	}
	switch hosts := q.Header.Values("host"); {
	case len(hosts) > 1, len(hosts) == 0 && q.Version == "HTTP/1.1":
		return nil, 0, bad("%d host lines", len(hosts))
	case len(hosts) == 1 && !isHost(hosts[0]):
		return nil, 0, bad("host %.60q", hosts[0])
	}
	var n int64
	q.Framing, n, err = declared(q.Header, q.Version)
	return q, n, err
}

func (q *Request) readBody(r *bufio.Reader, n int64) (err error) {
	switch q.Framing {
	case Length:
		q.Body, err = readLength(r, n)
	case Chunked:
		q.Body, q.Chunks, q.Trailer, err = readChunked(r)
	}
	return err
}

// ParseRequests reads every request in b. An error comes with the requests before it.
func ParseRequests(b []byte) (all []*Request, err error) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		if _, err := r.Peek(1); err != nil {
			return all, nil
		}
		q, err := ReadRequest(r)
		if err != nil {
			return all, unexpected(err)
		}
		all = append(all, q)
	}
}

// checkTarget checks a request target's form and characters (RFC 9112 section 3.2).
func checkTarget(method, target string) error {
	for i := range len(target) {
		if c := target[i]; c <= 0x20 || c >= 0x7f || c == '#' || c == '\\' {
			return bad("target %.80q holds 0x%02x", target, c)
		}
	}
	switch {
	case method == "CONNECT":
		if !isHost(target) {
			return bad("target %.80q of CONNECT", target)
		}
	case target == "*":
		if method != "OPTIONS" {
			return bad("target * of %s", method)
		}
	case strings.HasPrefix(target, "/"):
	case strings.HasPrefix(strings.ToLower(target), "http://"), strings.HasPrefix(strings.ToLower(target), "https://"):
		authority, _, _ := strings.Cut(target[strings.Index(target, "//")+2:], "/")
		authority, _, _ = strings.Cut(authority, "?")
		if !isHost(authority) {
			return bad("authority %.80q", authority)
		}
	default:
		return bad("target %.80q", target)
	}
	return nil
}

// isHost checks uri-host [ ":" port ]: a name, an IPv4 address or a bracketed IPv6 address.
func isHost(s string) bool {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || strings.Trim(s[1:end], "0123456789abcdefABCDEF:.") != "" || end == 1 {
			return false
		}
		host, port = "v6", s[end+1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if port != "" && (port[0] != ':' || len(port) > 6 || (len(port) > 1 && !isDigits(port[1:]))) {
		return false
	}
	for i := range len(host) {
		if c := host[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-._~!$&'()*+;=%", c) < 0 {
			return false
		}
	}
	return host != ""
}
