package http1

import (
	"strings"

	"edge/filters/message"
)

// startLine is a request's first line (RFC 9112 section 3).
type startLine struct {
	method  string
	target  string
	version message.Version
}

// requestLine parses the line at the front of b and returns where the field lines begin.
func requestLine(b []byte, targetMax int) (l startLine, next int, f fault) {
	i := 0
	for i < len(b) && message.IsToken(b[i]) {
		i++
	}
	switch {
	case i == 0 || b[i] != ' ':
		return l, 0, faultMethod
	case i > maxMethodBytes:
		return l, 0, faultMethodTooLong
	}
	l.method = view(b[:i])
	i++
	start := i
	for i < len(b) && targetClass[b[i]]&targetByte != 0 {
		i++
	}
	switch {
	case i == start:
		return l, 0, faultRequestLine
	case b[i] == '\r' && b[i+1] == '\n':
		return l, 0, faultRequestLine // HTTP/0.9
	case b[i] != ' ':
		return l, 0, faultTargetByte // S40, T39
	case i-start > targetMax:
		return l, 0, faultTargetTooLong
	}
	l.target = view(b[start:i])
	i++
	var version [8]byte
	if len(b)-i < len(version)+2 {
		return l, 0, faultVersion
	}
	copy(version[:], b[i:])
	switch string(version[:]) {
	case "HTTP/1.1":
		l.version = message.HTTP11
	case "HTTP/1.0":
		l.version = message.HTTP10
	default:
		if string(version[:5]) == "HTTP/" && digit(version[5]) && version[6] == '.' && digit(version[7]) && b[i+8] == '\r' {
			return l, 0, faultVersionUnknown // S31
		}
		return l, 0, faultVersion
	}
	i += len(version)
	if b[i] != '\r' || b[i+1] != '\n' {
		return l, 0, faultVersion
	}
	return l, i + 2, ok
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// Classes of bytes in a request target.
const (
	targetByte  = 1 << iota // may stand in a target: visible ASCII but "#" (T39, T40)
	targetPlain             // in a path, begins no escape, ends no segment and is no dot
)

var targetClass = func() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		if c != '#' {
			t[c] |= targetByte
			if !strings.ContainsRune("%/.;?\\", c) {
				t[c] |= targetPlain
			}
		}
	}
	return t
}()

// route sets req's Target and Authority from the request line and Host (RFC 9112 sections 3.2 and 3.3). Authority is
// one value: that of an absolute target, where there is one, replaces Host (T33).
func (s *section) route(l startLine, req *message.Request) fault {
	if f := s.oneHost(l.version); f != ok {
		return f
	}
	req.Authority, req.Target = s.host, l.target
	switch {
	case l.method == "CONNECT": // authority-form, and nothing else has it
		if !validAuthority(l.target) || !hasPort(l.target) {
			return faultTargetForm
		}
		req.Authority, req.Target = l.target, "/"
		return ok
	case l.target[0] == '/':
	case l.target == "*":
		if l.method != "OPTIONS" {
			return faultTargetForm // T34
		}
		return ok
	default:
		authority, target, valid := absolute(l.target, l.method)
		if !valid {
			return faultTargetForm
		}
		if !validAuthority(authority) {
			return faultHostInvalid
		}
		req.Authority, req.Target = authority, target
		if target == "*" {
			return ok
		}
	}
	return checkPath(req.Target)
}

// oneHost checks Host: exactly one in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 section 3.2, T32).
func (s *section) oneHost(version message.Version) fault {
	switch {
	case s.hosts > 1:
		return faultHostTwice
	case s.hosts == 0 && version == message.HTTP11:
		return faultHostMissing
	case s.hosts == 1 && !validAuthority(s.host):
		return faultHostInvalid
	}
	return ok
}

// absolute cuts an absolute-form target. Only http and https are spoken here.
func absolute(uri, method string) (authority, target string, valid bool) {
	scheme, rest, _ := strings.Cut(uri, "://")
	if !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return "", "", false
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0 && method == "OPTIONS":
		return rest, "*", true // RFC 9112 section 3.2.4
	case i < 0:
		return rest, "/", true
	case rest[i] == '?':
		return rest[:i], "/" + rest[i:], true
	}
	return rest[:i], rest[i:], true
}

// checkPath refuses a path that others could read in another way than the route table and the filters do: dot segments,
// also escaped, and before ";" or an escaped delimiter (T37); escapes that are none, that stand for NUL, CR or LF, or
// for an overlong form (T38); a raw backslash. The query is passed on as it stands (U90). target begins with "/".
func checkPath(target string) fault {
	dots := 0 // of a segment that has nothing else so far; -1 once it has
	for i := 0; i < len(target); i++ {
		c := target[i]
		if targetClass[c]&targetPlain != 0 {
			dots = -1
			continue
		}
		switch c {
		case '?':
			return dotsFault(dots)
		case '\\':
			return faultTargetByte
		case '%':
			var f fault
			if c, f = escape(target[i:]); f != ok {
				return f
			}
			i += 2
		}
		switch c {
		case '.':
			if dots >= 0 {
				dots++
			}
		case '/', '\\', ';':
			if f := dotsFault(dots); f != ok {
				return f
			}
			if dots = 0; c == ';' {
				dots = -1
			}
		default:
			dots = -1
		}
	}
	return dotsFault(dots)
}

func dotsFault(dots int) fault {
	if dots == 1 || dots == 2 {
		return faultTargetDots
	}
	return ok
}

// escape decodes the escape at the front of s, and looks at the one behind it where only both together are overlong.
func escape(s string) (byte, fault) {
	c, valid := unescape(s)
	if !valid || c == 0 || c == '\r' || c == '\n' {
		return 0, faultTargetEscape
	}
	if c >= 0xc0 {
		if next, also := unescape(s[3:]); also && overlong(c, next) {
			return 0, faultTargetEscape
		}
	}
	return c, ok
}

func unescape(s string) (c byte, valid bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, lo := hexValue(s[1]), hexValue(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexValue is the value of a hexadecimal digit, 255 for any other byte.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// overlong says whether two bytes begin a UTF-8 form longer than its character needs (RFC 3629 section 3), which some
// decoders read as an ASCII character. Single bytes above 0x7f pass: they may be another encoding.
func overlong(first, second byte) bool {
	if second&0xc0 != 0x80 {
		return false
	}
	switch {
	case first <= 0xc1, first >= 0xf8:
		return true
	case first == 0xe0:
		return second < 0xa0
	case first == 0xf0:
		return second < 0x90
	}
	return false
}
