package http2

import (
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// section is a field section being decoded. It is a worker's: a block is decoded as a whole, between two others.
//
// What the decoder hands out are strings of their own, which nobody writes to: fields hold them as they are.
type section struct {
	limits   *Limits
	fields   *message.Fields // nil: the section is decoded for the sake of the table alone
	trailers bool
	answers  bool // it is a response's

	size, count int
	fault       fault // the first
	regular     bool  // a field that is no pseudo-header has been seen

	status                                    int
	method, scheme, authority, path, protocol string
	has                                       pseudo
	host                                      string
	hosts                                     int
	length                                    int64
	lengths                                   int
	expect                                    string
	expects                                   int
	teTrailers                                bool
	priority                                  string
	cookie                                    []byte // crumbs joined; empty while there is at most one
	crumb                                     string
	crumbs                                    int
}

type pseudo uint8

const (
	hasMethod pseudo = 1 << iota
	hasScheme
	hasAuthority
	hasPath
	hasProtocol
)

func (b *section) begin(l *Limits, fields *message.Fields, trailers bool) {
	*b = section{limits: l, fields: fields, trailers: trailers, cookie: b.cookie[:0]}
}

// size of a section by which connections, not requests, are refused.
func (b *section) grossly() bool { return b.size > 2*b.limits.HeaderBytes }

// field takes one field from the decoder. After a fault it only counts.
func (b *section) field(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	b.count++
	if b.fields == nil || b.fault != ok {
		return
	}
	switch {
	case b.size > b.limits.HeaderBytes:
		b.fault = faultTooLarge
	case b.count > b.limits.HeaderCount:
		b.fault = faultTooManyFields
	case f.Name != "" && f.Name[0] == ':':
		b.fault = b.pseudo(f.Name, f.Value)
	case !validName(f.Name):
		b.fault = faultFieldName // D45, D46
	case !message.ValidValue(f.Value):
		b.fault = faultFieldValue // D45, D47
	default:
		b.regular = true
		b.fault = b.plain(f.Name, f.Value)
	}
}

// pseudo takes a pseudo-header (RFC 9113 sections 8.3 and 8.3.1).
func (b *section) pseudo(name, value string) fault {
	if b.answers {
		return b.responsePseudo(name, value)
	}
	if b.trailers {
		return faultPseudoTrailer
	}
	var bit pseudo
	switch name {
	case ":method":
		bit, b.method = hasMethod, value
	case ":scheme":
		bit, b.scheme = hasScheme, value
	case ":authority":
		bit, b.authority = hasAuthority, value
	case ":path":
		bit, b.path = hasPath, value
	case ":protocol":
		bit, b.protocol = hasProtocol, value
	default:
		return faultPseudo // D50
	}
	if b.regular || b.has&bit != 0 {
		return faultPseudo
	}
	b.has |= bit
	return ok
}

// plain takes a field: what concerns framing, the connection or edge itself here, the others as they are.
func (b *section) plain(name, value string) fault {
	if b.answers {
		return b.responseField(name, value)
	}
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return faultFieldConnection // D48, D55
	case "te":
		if value != "trailers" {
			return faultFieldConnection
		}
		b.teTrailers = true
		return ok
	case "content_length", "transfer_encoding":
		return faultUnderscore // S24
	}
	if b.trailers {
		if message.TrailerAllowed(name) {
			b.fields.AddView(name, value)
		}
		return ok
	}
	switch name {
	case "host":
		b.hosts++
		if b.hosts > 1 && b.host != value {
			return faultAuthority
		}
		b.host = value
		return ok
	case "content-length":
		n, digits, valid := message.ParseLength(value)
		if b.lengths++; !valid || b.lengths > 1 {
			return faultLength // D49
		}
		b.length, value = n, digits
	case "expect":
		b.expects++
		b.expect = value
		return ok
	case "cookie":
		if b.addCrumb(value) > 1 {
			return ok
		}
	case "priority":
		b.priority = value
	case "proxy-authenticate", "proxy-authorization", "http2-settings":
		return ok
	case "trailer":
		if message.ListHasToken(value, "content-length") || message.ListHasToken(value, "transfer-encoding") ||
			message.ListHasToken(value, "trailer") {
			return ok
		}
	}
	b.fields.AddView(name, value)
	return ok
}

// addCrumb takes a cookie, or a piece of one (RFC 9113 section 8.2.3; D53).
func (b *section) addCrumb(value string) int {
	if b.crumbs++; b.crumbs == 1 {
		b.crumb = value
		return 1
	}
	if b.crumbs == 2 {
		b.cookie = append(b.cookie, b.crumb...)
	}
	b.cookie = append(append(b.cookie, "; "...), value...)
	return b.crumbs
}

// end puts together what came in pieces.
func (b *section) end() {
	if b.crumbs > 1 && b.fault == ok {
		b.fields.Set("cookie", view(b.cookie))
	}
}

// lowerToken are the bytes that may stand in a field name here (RFC 9113 section 8.2.1).
var lowerToken = func() (t [256]bool) {
	for c := range t {
		t[c] = message.IsToken(byte(c)) && (c < 'A' || c > 'Z')
	}
	return t
}()

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !lowerToken[s[i]] {
			return false
		}
	}
	return s != ""
}

// view is b as a string that shares its bytes; whoever makes one answers for the bytes staying as they are.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
