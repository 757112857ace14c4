package http2

import (
	"edge/filters/message"
)

// responsePseudo takes a pseudo-header of a response (RFC 9113 section 8.3.2).
func (b *section) responsePseudo(name, value string) fault {
	if b.trailers {
		return faultPseudoTrailer
	}
	if name != ":status" || b.regular || b.status != 0 {
		return faultPseudo
	}
	if len(value) != 3 || value[0] < '1' || value[0] > '9' {
		return faultStatus
	}
	for i := range value {
		if value[i] < '0' || value[i] > '9' {
			return faultStatus
		}
		b.status = b.status*10 + int(value[i]-'0')
	}
	return ok
}

// responseField takes a field of a response: what concerns framing or the connection here, the others as they are.
func (b *section) responseField(name, value string) fault {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te":
		return faultFieldConnection // D57
	case "content_length", "transfer_encoding":
		return ok
	}
	if b.trailers {
		if message.TrailerAllowed(name) {
			b.fields.AddView(name, value)
		}
		return ok
	}
	if name == "content-length" {
		n, digits, valid := message.ParseLength(value)
		if b.lengths++; !valid || b.lengths > 1 {
			return faultLength // U82
		}
		b.length, value = n, digits
	}
	b.fields.AddView(name, value)
	return ok
}

// response makes a response's head of a section, as the same in HTTP/1.1 would be. head says that it answers HEAD, end that nothing
// follows.
func (b *section) response(resp *message.Response, head, end bool) fault {
	switch {
	case b.fault != ok:
		return b.fault
	case b.status == 0:
		return faultStatus
	case b.status == 101 || b.status < 200 && (end || b.lengths > 0):
		return faultStatus // section 8.6; and an interim response ends nothing
	}
	resp.Status = b.status
	resp.Length = message.UnknownLength
	if b.lengths > 0 {
		resp.Length = b.length
	}
	switch {
	case b.status < 200:
		resp.Bodiless = true
	case b.status == 204:
		resp.Bodiless, resp.Length = true, 0
		resp.Header.Delete("content-length")
	case head || b.status == 304:
		resp.Bodiless = true
	case end && b.lengths > 0 && b.length > 0:
		return faultLengthSum // U82
	case end:
		resp.Length = 0
	}
	return ok
}
