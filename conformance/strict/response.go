package strict

import (
	"bufio"
	"io"
	"strings"
)

// Response is a response as it was sent.
type Response struct {
	Version string
	Status  int
	Reason  string
	Header  Fields
	Framing Framing
	Body    []byte
	Chunks  []int
	Trailer Fields
}

// ReadResponse reads one response to a request of that method, interim ones (1xx) included: the caller reads on until the
// status is 200 or more. After 101 and after a 2xx to CONNECT the framing is Tunnel and the rest is the caller's. At the
// end of the input before the first byte it returns io.EOF; a Response comes with an error where its head was whole.
func ReadResponse(r *bufio.Reader, method string) (*Response, error) {
	p, n, err := readResponseHead(r, method)
	if err != nil {
		return nil, err
	}
	switch p.Framing {
	case Length:
		p.Body, err = readLength(r, n)
	case Chunked:
		p.Body, p.Chunks, p.Trailer, err = readChunked(r)
	case Close:
		p.Body, err = io.ReadAll(io.LimitReader(r, MaxBody))
	}
	return p, err
}

// ReadResponseHead reads a head only; the body is the caller's, and so many bytes long where the framing is Length.
func ReadResponseHead(r *bufio.Reader, method string) (*Response, int64, error) {
	return readResponseHead(r, method)
}

func readResponseHead(r *bufio.Reader, method string) (*Response, int64, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, 0, err
	}
	p := &Response{}
	var code string
	var ok1, ok2 bool
	p.Version, line, ok1 = strings.Cut(line, " ")
	code, p.Reason, ok2 = strings.Cut(line, " ")
	if !ok1 || !ok2 || len(code) != 3 || !isDigits(code) || code[0] == '0' {
		return nil, 0, bad("status line %.80q", p.Version+" "+line)
	}
	if p.Version != "HTTP/1.1" && p.Version != "HTTP/1.0" {
		return nil, 0, bad("version %.20q", p.Version)
	}
	p.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	if p.Header, err = readFields(r); err != nil {
		return nil, 0, err
	}
	framing, n, err := declared(p.Header, p.Version)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case p.Status < 200 || p.Status == 204 || (p.Status < 300 && method == "CONNECT"):
		// RFC 9110 section 8.6, RFC 9112 section 6.1: no framing fields here.
		if framing != None {
			return nil, 0, bad("%d with %s", p.Status, framing)
		}
		p.Framing = None
		if p.Status == 101 || p.Status >= 200 && method == "CONNECT" {
			p.Framing = Tunnel
		}
	case method == "HEAD", p.Status == 304:
		p.Framing = None
	case framing == None:
		p.Framing = Close
	default:
		p.Framing = framing
	}
	return p, n, nil
}
