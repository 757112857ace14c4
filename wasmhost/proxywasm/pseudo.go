package proxywasm

import (
	"edge/filters/message"
)

// requestPseudo are the pseudo headers of a request, in the order guests see them (RFC 9113 section 8.3.1).
var requestPseudo = [...]string{":authority", ":path", ":method", ":scheme"}

func (h *headers) pseudoCount() int {
	switch {
	case h.req != nil:
		return len(requestPseudo)
	case h.resp != nil || h.call != nil:
		return 1
	}
	return 0
}

func (h *headers) pseudoAt(k int, buf *[3]byte) (name, value string) {
	if h.req == nil {
		code := 0
		if h.resp != nil {
			code = h.resp.Status
		} else {
			code = h.call.Status
		}
		buf[0], buf[1], buf[2] = '0'+byte(code/100%10), '0'+byte(code/10%10), '0'+byte(code%10)
		return ":status", text(buf[:])
	}
	switch k {
	case 0:
		value = h.req.Authority
	case 1:
		value = h.req.Target
	case 2:
		value = h.req.Method
	case 3:
		value = h.req.Scheme
	}
	return requestPseudo[k], value
}

// allowsPseudo says whether the map has that pseudo header and could send that value as it stands.
func (h *headers) allowsPseudo(name, value string) bool {
	if h.req == nil {
		_, valid := statusCode(value)
		return h.resp != nil && name == ":status" && valid
	}
	switch name {
	case ":path":
		return validTarget(value, h.req.Method)
	case ":method":
		return message.ValidName(value)
	case ":authority":
		return validAuthority(value)
	case ":scheme":
		return value == "http" || value == "https"
	}
	return false
}

// writePseudo sets a pseudo header that allowsPseudo has allowed.
func (h *headers) writePseudo(name, value string) {
	switch name {
	case ":status":
		h.resp.Status, _ = statusCode(value)
	case ":path":
		h.req.Target = h.fields.Keep(value)
	case ":method":
		h.req.Method = h.fields.Keep(value)
	case ":authority":
		h.req.Authority = h.fields.Keep(value)
	case ":scheme":
		h.req.Scheme = h.fields.Keep(value)
	}
}

// validTarget takes origin-form, and "*" for OPTIONS (RFC 9112 section 3.2): visible ASCII without "#".
func validTarget(s, method string) bool {
	if s == "*" {
		return method == "OPTIONS"
	}
	if s == "" || s[0] != '/' {
		return false
	}
	for k := 0; k < len(s); k++ {
		if c := s[k]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// validAuthority takes what may stand in host[:port] (RFC 3986 section 3.2): no user information, path, query, fragment
// or list.
func validAuthority(s string) bool {
	for k := 0; k < len(s); k++ {
		switch c := s[k]; {
		case c <= ' ' || c >= 0x7f:
			return false
		case c == '@', c == '/', c == '\\', c == '?', c == '#', c == ',', c == '"', c == '<', c == '>':
			return false
		}
	}
	return len(s) > 0
}

// statusCode reads a final status, 200 to 599: an interim one is not a guest's to send (RFC 9110 section 15.2).
func statusCode(s string) (code int, valid bool) {
	if len(s) != 3 {
		return 0, false
	}
	for k := 0; k < len(s); k++ {
		if s[k] < '0' || s[k] > '9' {
			return 0, false
		}
		code = code*10 + int(s[k]-'0')
	}
	return code, code >= 200 && code <= 599
}
