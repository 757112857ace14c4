package strict

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// declared finds the framing that a head declares: None where it declares nothing.
func declared(fields Fields, version string) (Framing, int64, error) {
	lengths, codings := fields.Values("content-length"), fields.Values("transfer-encoding")
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return "", 0, bad("both content-length and transfer-encoding")
	case len(codings) > 1:
		return "", 0, bad("%d transfer-encoding lines", len(codings))
	case len(codings) == 1 && version == "HTTP/1.0":
		return "", 0, bad("transfer-encoding in HTTP/1.0")
	case len(codings) == 1 && !strings.EqualFold(codings[0], "chunked"):
		return "", 0, bad("transfer-encoding %.60q", codings[0])
	case len(codings) == 1:
		return Chunked, 0, nil
	case len(lengths) > 1:
		return "", 0, bad("%d content-length lines", len(lengths))
	case len(lengths) == 1:
		if v := lengths[0]; !isDigits(v) || len(v) > maxLengths || (len(v) > 1 && v[0] == '0') {
			return "", 0, bad("content-length %.60q", v)
		}
		n, err := strconv.ParseInt(lengths[0], 10, 64)
		return Length, n, err
	}
	return None, 0, nil
}

// readLength reads a body of n bytes.
func readLength(r *bufio.Reader, n int64) ([]byte, error) {
	if n > MaxBody {
		return nil, bad("body of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, unexpected(err)
}

// readChunked reads a chunked body and its trailers (RFC 9112 section 7.1). It returns the sizes of its chunks too. Chunk
// extensions are an error: edge never sends any.
func readChunked(r *bufio.Reader) (body []byte, chunks []int, trailer Fields, err error) {
	for {
		line, err := readLine(r)
		if err != nil {
			return body, chunks, nil, unexpected(err)
		}
		if line == "" || len(line) > maxChunk || strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return body, chunks, nil, bad("chunk size %.60q", line)
		}
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil {
			return body, chunks, nil, err
		}
		if n == 0 {
			break
		}
		if int64(len(body))+n > MaxBody {
			return body, chunks, nil, bad("body above %d bytes", MaxBody)
		}
		part, err := readLength(r, n)
		if err != nil {
			return body, chunks, nil, err
		}
		body, chunks = append(body, part...), append(chunks, int(n))
		if end, err := readLine(r); err != nil || end != "" {
			if err == nil {
				err = bad("chunk of %d bytes is followed by %.20q", n, end)
			}
			return body, chunks, nil, unexpected(err)
		}
	}
	if trailer, err = readFields(r); err != nil {
		return body, chunks, nil, err
	}
	for _, f := range trailer {
		if forbidden[strings.ToLower(f.Name)] {
			return body, chunks, nil, bad("%s in a trailer", f.Name)
		}
	}
	return body, chunks, trailer, nil
}

// forbidden are fields that frame, route or authenticate: no sender may put them in a trailer (RFC 9110 section 6.5.1).
var forbidden = map[string]bool{
	"transfer-encoding": true, "content-length": true, "host": true, "trailer": true, "te": true, "connection": true,
	"authorization": true, "proxy-authorization": true, "content-type": true, "content-encoding": true, "content-range": true,
	"cache-control": true, "expect": true, "max-forwards": true, "set-cookie": true, "cookie": true, "upgrade": true,
}
