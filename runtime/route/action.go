package route

import (
	"strings"

	"edge/filters/message"
)

// Field is one field line of a response.
type Field struct{ Name, Value string }

// Respond is the action that answers with a fixed response.
type Respond struct {
	Status int // 200…599
	Header []Field
	Body   []byte
}

// ActionKind is "respond".
func (*Respond) ActionKind() string { return "respond" }

// Redirect is the action that answers with a Location.
type Redirect struct {
	// To is the new place: a path, or an absolute URI. Placeholders in it are filled in from the request: {host} is its
	// authority, {path} its path, {query} its query with the "?" (or "&", where To has a "?" before it), nothing if it has none,
	// {rest} what the "*" of the route's path stands for.
	To     string
	Status int // 301, 302, 303, 307, 308
}

// ActionKind is "redirect".
func (*Redirect) ActionKind() string { return "redirect" }

// AppendLocation appends the value of the Location field to dst. rest is [Route.Rest]. It allocates only where dst is too
// small.
//
// What comes from the request cannot end the line or lead elsewhere: bytes that may not stand in a URI (RFC 3986 section
// 2: controls, space, quotes, anything beyond ASCII) are percent-encoded, and a To that begins with a single slash never
// yields "//host", which a browser would take for another site.
func (d *Redirect) AppendLocation(dst []byte, req *message.Request, rest string) []byte {
	start := len(dst)
	query := byte('?')
	for to := d.To; to != ""; {
		open := strings.IndexByte(to, '{')
		end := strings.IndexByte(to, '}')
		if open < 0 || end < open {
			dst = appendURI(dst, to)
			break
		}
		if strings.IndexByte(to[:open], '?') >= 0 {
			query = '&'
		}
		dst = appendURI(dst, to[:open])
		switch to[open : end+1] {
		case "{host}":
			dst = appendURI(dst, req.Authority)
		case "{path}":
			dst = appendURI(dst, req.Path())
		case "{rest}":
			dst = appendURI(dst, rest)
		case "{query}":
			if q := req.Query(); q != "" {
				dst = appendURI(append(dst, query), q)
			}
		default:
			dst = appendURI(dst, to[open:end+1])
		}
		to = to[end+1:]
	}
	return oneSlash(dst, start, d.To)
}

// oneSlash keeps a location that was meant to be a path from becoming a reference to another authority.
func oneSlash(dst []byte, start int, to string) []byte {
	out := dst[start:]
	if len(out) < 2 || out[0] != '/' || out[1] != '/' || strings.HasPrefix(to, "//") {
		return dst
	}
	dst = append(dst, "  "...)
	copy(dst[start+4:], dst[start+2:len(dst)-2])
	copy(dst[start+1:], "%2F")
	return dst
}

// appendURI appends s with every byte percent-encoded that may not stand in a URI.
func appendURI(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
