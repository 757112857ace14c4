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
	for i < len(b) && message.IsTarget(b[i]) {
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

// route sets req's Target and Authority from the request line and Host (RFC 9112 sections 3.2 and 3.3). Authority is
// one value: that of an absolute target, where there is one, replaces Host (T33).
func (s *section) route(l startLine, req *message.Request) fault {
	if f := s.oneHost(l.version); f != ok {
		return f
	}
	req.Authority, req.Target = s.host, l.target
	switch {
	case l.method == "CONNECT": // authority-form, and nothing else has it
		if !message.ValidAuthority(l.target) || !message.HasPort(l.target) {
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
		if !message.ValidAuthority(authority) {
			return faultHostInvalid
		}
		req.Authority, req.Target = authority, target
		if target == "*" {
			return ok
		}
	}
	return pathFaults[message.CheckPath(req.Target)]
}

// oneHost checks Host: exactly one in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 section 3.2, T32).
func (s *section) oneHost(version message.Version) fault {
	switch {
	case s.hosts > 1:
		return faultHostTwice
	case s.hosts == 0 && version == message.HTTP11:
		return faultHostMissing
	case s.hosts == 1 && !message.ValidAuthority(s.host):
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

// pathFaults are the faults of a path, as the shared check names them.
var pathFaults = [...]fault{
	message.PathOK: ok, message.PathByte: faultTargetByte, message.PathEscape: faultTargetEscape, message.PathDots: faultTargetDots,
}
