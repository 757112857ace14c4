// Package strict is an independent HTTP/1.1 message parser that takes nothing but what RFC 9112 and RFC 9110 say a sender
// may send: where they let a recipient be lenient, it is not. The conformance suites read with it what edge sent to
// clients and to origins. It shares no code with the server and is written for clearness, one byte after the other.
//
// In one place it takes more than the grammar of RFC 3986: a request target may hold any visible ASCII character but
// "#" and "\". Clients send such targets and edge passes them on unchanged.
package strict

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of what is read.
const (
	MaxLine    = 64 << 10 // bytes of a start line or a field line
	MaxFields  = 1000     // field lines of a head or of trailers
	MaxBody    = 64 << 20 // bytes of a body
	maxLengths = 18       // digits of a content-length
	maxChunk   = 15       // hexadecimal digits of a chunk size
)

// Error says why bytes are not a message.
type Error struct{ Reason string }

func (e *Error) Error() string { return "strict: " + e.Reason }

func bad(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Field is one field line, as it was sent.
type Field struct{ Name, Value string }

// Fields are field lines in order.
type Fields []Field

// Values are the values of every line of a name, whatever its case.
func (f Fields) Values(name string) (values []string) {
	for _, l := range f {
		if strings.EqualFold(l.Name, name) {
			values = append(values, l.Value)
		}
	}
	return values
}

// Get is the first value of a name, or "".
func (f Fields) Get(name string) string {
	if v := f.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has says whether there is a line of a name.
func (f Fields) Has(name string) bool { return len(f.Values(name)) > 0 }

// Framing is how a body's end is found (RFC 9112 section 6).
type Framing string

// The framings.
const (
	None    Framing = "none"
	Length  Framing = "content-length"
	Chunked Framing = "chunked"
	Close   Framing = "close" // responses only
	Tunnel  Framing = "tunnel"
)

// readLine reads up to CRLF and returns the line without it. A bare CR, a bare LF or a NUL in it is an error. At the end of
// the input before the first byte the error is io.EOF itself.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if err != nil {
			if err == io.EOF && len(line) > 0 {
				return "", fmt.Errorf("strict: in a line: %w", io.ErrUnexpectedEOF)
			}
			return "", err
		}
		switch {
		case c == '\n':
			return "", bad("bare LF after %.60q", line)
		case c == 0:
			return "", bad("NUL after %.60q", line)
		case c == '\r':
			next, err := r.ReadByte()
			if err != nil {
				return "", unexpected(err)
			}
			if next != '\n' {
				return "", bad("bare CR after %.60q", line)
			}
			return string(line), nil
		case len(line) == MaxLine:
			return "", bad("line longer than %d bytes", MaxLine)
		}
		line = append(line, c)
	}
}

// unexpected is an end of input in the middle of a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readFields reads field lines up to the empty line.
func readFields(r *bufio.Reader) (Fields, error) {
	var fields Fields
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, unexpected(err)
		}
		if line == "" {
			return fields, nil
		}
		if len(fields) == MaxFields {
			return nil, bad("more than %d field lines", MaxFields)
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, bad("field line %.60q has no colon", line)
		}
		if !isToken(name) { // also: white space before the colon, and obs-fold
			return nil, bad("field name %.60q is no token", name)
		}
		value = strings.Trim(value, " \t")
		for i := range len(value) {
			if c := value[i]; (c < 0x20 && c != '\t') || c == 0x7f {
				return nil, bad("field value %.60q holds control character 0x%02x", value, c)
			}
		}
		fields = append(fields, Field{name, value})
	}
}

// tokenMarks are the characters of a token that are neither letters nor digits (RFC 9110 section 5.6.2).
const tokenMarks = "!#$%&'*+-.^_`|~"

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte(tokenMarks, c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
