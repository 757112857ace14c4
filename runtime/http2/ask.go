package http2

import (
	"errors"
	"strconv"

	"edge/filters/message"
)

// Errors of AppendRequest: what a filter may have put where no field could be dropped for it.
var (
	errMethod    = errors.New("http2: invalid method to forward")
	errTarget    = errors.New("http2: invalid target to forward")
	errAuthority = errors.New("http2: invalid authority to forward")
)

// AppendRequest appends a request's header block (RFC 9113 section 8.3.1), which any session can send: it refers to no table. Framing
// comes from req.Length alone; fields that speak of it or of the connection, and fields whose name or value is not valid, are left out
// (W99). trailers says "te: trailers": trailers in the response are welcome. A method, target or authority that is not valid is an
// error, and dst is returned as it was. CONNECT is not for this.
func AppendRequest(dst []byte, req *message.Request, scheme string, trailers bool) ([]byte, error) {
	switch {
	case !message.ValidName(req.Method) || req.Method == "CONNECT":
		return dst, errMethod
	case !askable(req.Target, req.Method):
		return dst, errTarget
	case req.Authority != "" && !message.ValidAuthority(req.Authority):
		return dst, errAuthority
	}
	dst = appendMethod(dst, req.Method)
	dst = append(dst, 0x86|b2i(scheme == "https")) // :scheme of the static table
	if req.Authority != "" {
		dst = appendField(dst, ":authority", req.Authority)
	}
	dst = appendField(dst, ":path", req.Target)
	for i := range req.Header.Len() {
		if name, value := req.Header.At(i); !notAsked(name) && writable(name, value) {
			dst = appendField(dst, name, trim(value))
		}
	}
	if req.Length > 0 || req.Length == 0 && (req.Method == "POST" || req.Method == "PUT" || req.Method == "PATCH") {
		var digits [20]byte
		dst = appendField(dst, "content-length", view(strconv.AppendInt(digits[:0], req.Length, 10)))
	}
	if trailers {
		dst = appendField(dst, "te", "trailers")
	}
	return dst, nil
}

// AppendConnect appends the block of an extended CONNECT (RFC 8441 section 4) that asks for a protocol as req, an HTTP/1.1 request, does by
// Upgrade. The key of a WebSocket is left out (section 5.1). Errors are those of AppendRequest.
func AppendConnect(dst []byte, req *message.Request, protocol, scheme string) ([]byte, error) {
	switch {
	case !message.ValidName(protocol):
		return dst, errMethod
	case !askable(req.Target, "GET"):
		return dst, errTarget
	case !message.ValidAuthority(req.Authority):
		return dst, errAuthority
	}
	dst = appendField(dst, ":method", "CONNECT")
	dst = appendField(dst, ":protocol", protocol)
	dst = append(dst, 0x86|b2i(scheme == "https"))
	dst = appendField(dst, ":authority", req.Authority)
	dst = appendField(dst, ":path", req.Target)
	for i := range req.Header.Len() {
		if name, value := req.Header.At(i); !notAsked(name) && name != "sec-websocket-key" && writable(name, value) {
			dst = appendField(dst, name, trim(value))
		}
	}
	return dst, nil
}

func appendMethod(dst []byte, method string) []byte {
	switch method {
	case "GET":
		return append(dst, 0x82)
	case "POST":
		return append(dst, 0x83)
	}
	return appendField(dst, ":method", method)
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// askable says whether a target can be sent as a :path.
func askable(target, method string) bool {
	if target == "" || target[0] != '/' && (target != "*" || method != "OPTIONS") {
		return false
	}
	for i := 0; i < len(target); i++ {
		if !message.IsTarget(target[i]) {
			return false
		}
	}
	return true
}

// notAsked are the fields that a request's head gets from elsewhere, or never gets (RFC 9113 section 8.2.2, D55).
func notAsked(name string) bool { return name == "host" || name == "expect" || notAnswered(name) }

// AppendTrailers appends a trailer section's header block, without the fields that mean something only before a body (RFC 9110
// section 6.5.1).
func AppendTrailers(dst []byte, fields *message.Fields) []byte {
	for i := range fields.Len() {
		if name, value := fields.At(i); message.TrailerAllowed(name) && writable(name, value) {
			dst = appendField(dst, name, trim(value))
		}
	}
	return dst
}

// WriteTail ends the body with a block made by AppendTrailers; without one as Write does.
func (s *Stream) WriteTail(block []byte) {
	if s.Gone() || !s.is(streamHead) || s.is(streamOutEnd) {
		return
	}
	s.tail = append(s.tail[:0], block...)
	s.flags |= streamOutEnd
	if s.out.Len() == 0 {
		s.emit(nil, 0)
	}
	s.wait(nil)
}
