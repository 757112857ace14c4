package filters

import (
	"strconv"

	"edge/filters/message"
)

// Bounds of a head as it leaves a filter; what codecs read in is bounded more tightly. A head beyond them fails the
// filter (threat W99).
const (
	MaxHeadFields = 1024      // field lines
	MaxHeadBytes  = 256 << 10 // as message.Fields.Size counts
)

// Framing says whether a field, by its lower-case name, belongs to the connection and to how a message is framed on it:
// the hop-by-hop fields of RFC 9110 section 7.6.1, Host, and pseudo-headers. Filters cannot set them: codecs write them
// from what the messages say (threat W99). Content-Length is not among them: filters may read it, and what they write in
// it is ignored.
func Framing(name string) bool {
	switch len(name) {
	case 0:
		return true
	case 2:
		return name == "te"
	case 4:
		return name == "host"
	case 7:
		return name == "upgrade"
	case 10:
		return name == "connection" || name == "keep-alive"
	case 14:
		return name == "http2-settings"
	case 16:
		return name == "proxy-connection"
	case 17:
		return name == "transfer-encoding"
	}
	return name[0] == ':'
}

// framingLengths has a bit for each length of name that Framing, or content-length, has.
const framingLengths uint32 = 1<<0 | 1<<2 | 1<<4 | 1<<7 | 1<<10 | 1<<14 | 1<<16 | 1<<17

// tidy takes out of a head what filters may not say: framing fields, and a content-length that is not length. It returns
// false where the head is too large.
func tidy(f *message.Fields, length int64) bool {
	n := f.Len()
	if n > MaxHeadFields {
		return false
	}
	size, lengths, clean := 0, 0, true
	for i := range n {
		name, value := f.At(i)
		size += len(name) + len(value) + 4
		if framingLengths>>len(name)&1 == 0 && name[0] != ':' {
			continue
		}
		if name == "content-length" {
			lengths++
			clean = clean && lengths == 1 && isLength(value, length)
		} else if Framing(name) {
			clean = false
		}
	}
	if size > MaxHeadBytes {
		return false
	}
	if !clean {
		f.DeleteFunc(func(name, _ string) bool { return Framing(name) })
		if f.Delete("content-length") > 0 && length >= 0 {
			f.Add("content-length", strconv.FormatInt(length, 10))
		}
	}
	return true
}

// withoutFraming takes framing fields and content-length out of a reply, or a trailer section (RFC 9110 section 6.5.1).
func withoutFraming(f *message.Fields) {
	f.DeleteFunc(func(name, _ string) bool { return Framing(name) || name == "content-length" })
}

// isLength says whether s is n in decimal digits, written as anybody would.
func isLength(s string, n int64) bool {
	if n < 0 || s == "" || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] != byte('0'+n%10) {
			return false
		}
		n /= 10
	}
	return n == 0
}

// head is the part of a head that is not fields, as it was last accepted: what has not changed needs no check.
type head struct {
	method, scheme, authority, target string
	status                            int
}

func (h *head) request(r *message.Request) {
	h.method, h.scheme, h.authority, h.target = r.Method, r.Scheme, r.Authority, r.Target
}

// acceptRequest says whether what a filter has changed can be sent.
func (h *head) acceptRequest(r *message.Request) bool {
	if r.Method == h.method && r.Target == h.target && r.Authority == h.authority && r.Scheme == h.scheme {
		return true
	}
	if r.Method != h.method && !message.ValidName(r.Method) ||
		r.Target != h.target && !validTarget(r.Target) ||
		r.Authority != h.authority && !validAuthority(r.Authority) ||
		r.Scheme != h.scheme && r.Scheme != "http" && r.Scheme != "https" {
		return false
	}
	h.request(r)
	return true
}

// acceptResponse says whether a filter has left the status a final one, or 101 what it was.
func (h *head) acceptResponse(r *message.Response) bool {
	if r.Status != h.status && (h.status < 200 || r.Status < 200 || r.Status > 999) {
		return false
	}
	h.status = r.Status
	return true
}

// validTarget says whether s is origin-form, or "*" (RFC 9112 section 3.2), in visible ASCII and without a fragment.
func validTarget(s string) bool {
	if s == "" || s[0] != '/' && s != "*" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// validAuthority says whether s can stand in Host or :authority: no user information, no space, no delimiter of other
// parts of a URI (RFC 3986 section 3.2).
func validAuthority(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '@', c == '/', c == '?', c == '#', c == '\\', c == ',', c == '"', c == '<', c == '>':
			return false
		}
	}
	return s != ""
}
