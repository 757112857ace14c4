package http2

import (
	"strings"

	"edge/filters/message"
)

// request makes a request of a section (RFC 9113 section 8.3.1). It leaves in req what an HTTP/1.1 request would have there.
func (b *section) request(req *message.Request, end bool) fault {
	b.end()
	if b.fault != ok {
		return b.fault
	}
	connect := b.method == "CONNECT"
	switch {
	case b.has&hasMethod == 0:
		return faultPseudo
	case connect && b.has&hasProtocol == 0:
		if b.has&(hasScheme|hasPath) != 0 || b.has&hasAuthority == 0 {
			return faultConnect // section 8.5
		}
	case b.has&(hasScheme|hasPath) != hasScheme|hasPath:
		return faultPseudo
	case b.has&hasProtocol != 0 && !connect:
		return faultPseudo
	case !message.ValidName(b.method):
		return faultMethod // D51
	case b.scheme != "http" && b.scheme != "https":
		return faultScheme
	}
	if f := b.shape(connect); f != ok {
		return f
	}
	req.Method, req.Version = b.method, message.HTTP2
	req.Authority, req.Target = b.authority, b.path
	switch {
	case connect && b.has&hasProtocol == 0:
		req.Target = "/"
	case connect:
		req.Method, req.Upgrade = "GET", b.protocol // RFC 8441 section 5
	}
	if f := b.body(req, end); f != ok {
		return f
	}
	return b.answered(req)
}

// shape looks at what makes a request malformed: authority, path, protocol.
func (b *section) shape(connect bool) fault {
	if b.hosts > 0 {
		if b.has&hasAuthority == 0 {
			b.authority = b.host
		} else if b.authority != b.host {
			return faultAuthority // D52
		}
	}
	if b.has&hasPath != 0 && (b.path == "" || b.path[0] != '/' && (b.path != "*" || b.method != "OPTIONS")) {
		return faultPath // D51
	}
	if connect && b.has&hasProtocol != 0 && (!b.limits.WebSocket || !message.ValidName(b.protocol)) {
		return faultConnect // D54
	}
	return ok
}

// body is the length of the request's body.
func (b *section) body(req *message.Request, end bool) fault {
	switch {
	case end && b.lengths > 0 && b.length > 0:
		return faultLengthSum // D49
	case end, req.Upgrade != "":
		req.Length = 0
	case b.lengths > 0:
		req.Length = b.length
	default:
		req.Length = message.UnknownLength
	}
	return ok
}

// answered are the faults that HTTP/1 would answer with a status; here too.
func (b *section) answered(req *message.Request) fault {
	switch {
	case len(b.method) > maxMethodBytes:
		return faultMethodTooLong
	case len(b.path) > b.limits.TargetBytes:
		return faultTargetTooLong
	case req.Authority == "":
		return faultHostMissing
	case !message.ValidAuthority(req.Authority):
		return faultHostInvalid
	case b.expects > 1 || b.expects == 1 && !strings.EqualFold(b.expect, "100-continue"):
		return faultExpect // S27
	case b.limits.BodyBytes >= 0 && req.Length > b.limits.BodyBytes:
		return faultBodyTooLarge
	}
	req.Expect = b.expects == 1 && req.Length != 0
	for i := 0; i < len(req.Target); i++ {
		if !message.IsTarget(req.Target[i]) {
			return faultTargetByte
		}
	}
	if req.Target == "*" {
		return ok
	}
	return pathFaults[message.CheckPath(req.Target)]
}

// pathFaults are the faults of a path, as the shared check names them.
var pathFaults = [...]fault{
	message.PathOK: ok, message.PathByte: faultTargetByte, message.PathEscape: faultTargetEscape, message.PathDots: faultTargetDots,
}
