package proxywasm

import (
	"edge/filters"
	"edge/filters/message"
)

// headers is a header map as a guest sees it: pseudo headers, if it has any, before the fields. Exactly one of req, resp
// and call is set for a map that has pseudo headers.
type headers struct {
	fields *message.Fields
	req    *message.Request
	resp   *message.Response
	call   *filters.CallAnswer
	stream *Stream // nil where the map is read only
}

// fieldCount is the number of pairs in a head.
func (s *Stream) fieldCount(d filters.Direction) int {
	if d == filters.Request {
		return len(requestPseudo) + s.x.Request().Header.Len()
	}
	return 1 + s.x.Response().Header.Len()
}

// reachable says whether the running callback may touch the stream's message of a direction: its own stream's both, and
// of another only one that it owns by a pause of its head.
func (i *Instance) reachable(s *Stream, d filters.Direction) bool {
	return s != nil && (s == i.current || s.paused[d] == onHead)
}

// headers finds a map. found is false where there is none now: no stream, no response yet, a message that is the
// connection's.
func (i *Instance) headers(id uint64) (h headers, found bool) {
	s := i.active
	switch uint32(id) {
	case mapRequestHeaders, mapRequestTrailers:
		if !i.reachable(s, filters.Request) {
			return headers{}, false
		}
		r := s.x.Request()
		if uint32(id) == mapRequestTrailers {
			return headers{fields: &r.Trailer, stream: s}, true
		}
		return headers{fields: &r.Header, req: r, stream: s}, true
	case mapResponseHeaders, mapResponseTrailers:
		if !i.reachable(s, filters.Response) {
			return headers{}, false
		}
		r := s.x.Response()
		if r.Status == 0 {
			return headers{}, false
		}
		if uint32(id) == mapResponseTrailers {
			return headers{fields: &r.Trailer, stream: s}, true
		}
		return headers{fields: &r.Header, resp: r, stream: s}, true
	case mapCallHeaders:
		if i.answer == nil || i.answer.Header == nil {
			return headers{}, false
		}
		return headers{fields: i.answer.Header, call: i.answer}, true
	case mapCallTrailers:
		if i.answer == nil || i.answer.Trailer == nil {
			return headers{}, false
		}
		return headers{fields: i.answer.Trailer}, true
	case mapGRPCInitial:
		return headers{fields: i.grpc.initial}, i.grpc.initial != nil
	case mapGRPCTrailing:
		return headers{fields: i.grpc.trailing}, i.grpc.trailing != nil
	}
	return headers{}, false
}

// count is the number of pairs.
func (h *headers) count() int { return h.pseudoCount() + h.fields.Len() }

// at is pair k. buf is memory for a status.
func (h *headers) at(k int, buf *[3]byte) (name, value string) {
	if n := h.pseudoCount(); k >= n {
		return h.fields.At(k - n)
	}
	return h.pseudoAt(k, buf)
}

// get is the first value of a name, in any case (spec issue 53: no way to ask for the others but the pairs).
func (h *headers) get(name string, buf *[3]byte) (value string, found bool) {
	for k, n := 0, h.count(); k < n; k++ {
		if key, v := h.at(k, buf); equalFold(key, name) {
			return v, true
		}
	}
	if h.req != nil && equalFold("host", name) {
		return h.req.Authority, true
	}
	return "", false
}

// bytes is the size of the map as it is serialized.
func (h *headers) bytes() int {
	var buf [3]byte
	size := 4
	for k, n := 0, h.count(); k < n; k++ {
		key, value := h.at(k, &buf)
		size += 8 + len(key) + 1 + len(value) + 1
	}
	return size
}

// equalFold compares a name in lower case with one in any.
func equalFold(lower, any string) bool {
	if len(lower) != len(any) {
		return false
	}
	for k := 0; k < len(any); k++ {
		c := any[k]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[k] {
			return false
		}
	}
	return true
}

// change is how a value is written.
type change uint8

const (
	add change = iota
	replace
)

// allows says whether a message may hold the pair and the guest may write this map.
func (h *headers) allows(name, value string) bool {
	switch {
	case h.stream == nil:
		return false
	case len(name) > 0 && name[0] == ':':
		return h.allowsPseudo(name, value)
	case h.req != nil && equalFold("host", name):
		return h.allowsPseudo(":authority", value)
	}
	return message.ValidName(name) && message.ValidValue(trim(value))
}

// write adds or replaces a pair. It returns badArgument for what no message may hold, and for a map that is read only.
//
// Connection-specific fields and content-length are taken and ignored: the framing of a message is the codecs' and the
// chain's alone, and guests that keep a content-length in step with a body they changed do right by their SDK (W99). A
// request's host is its authority.
func (h *headers) write(how change, name, value string) status {
	if !h.allows(name, value) || h.fields.Len() >= MaxMapPairs || !h.stream.spend(len(name)+len(value)) {
		return badArgument
	}
	value = trim(value)
	switch {
	case name[0] == ':':
		h.writePseudo(name, value)
	case equalFold("host", name):
		if h.req != nil {
			h.writePseudo(":authority", value)
		}
	case framing(name):
	case how == add:
		h.fields.Add(name, value)
	default:
		h.fields.Set(name, value)
	}
	return ok
}

// remove deletes every line of a name. That there is none is no error; a pseudo header cannot be removed.
func (h *headers) remove(name string) status {
	if h.stream == nil || len(name) > 0 && name[0] == ':' {
		return badArgument
	}
	if !h.stream.spend(len(name)) {
		return badArgument
	}
	h.fields.Delete(name)
	return ok
}

// spend counts bytes written into the stream's messages against MaxMutationBytes.
func (s *Stream) spend(n int) bool {
	if n > MaxMutationBytes-s.written {
		return false
	}
	s.written += n
	return true
}

// framing says whether a field belongs to the connection or to the body's framing (RFC 9110 section 7.6.1, RFC 9112
// section 6).
func framing(name string) bool {
	for _, f := range [...]string{
		"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer",
	} {
		if equalFold(f, name) {
			return true
		}
	}
	return false
}

func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
