package message

// Version is the protocol version a message came in with.
type Version uint8

// The versions edge speaks. The numbers are major*10+minor.
const (
	HTTP10 Version = 10
	HTTP11 Version = 11
	HTTP2  Version = 20
)

// String is the version as access logs write it.
func (v Version) String() string {
	switch v {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	case HTTP2:
		return "HTTP/2.0"
	}
	return "HTTP/?"
}

// UnknownLength is a body whose length is not declared: chunked in HTTP/1, open-ended in HTTP/2.
const UnknownLength int64 = -1

// Request is a request's head and trailers; its body travels beside it in pieces (see [Body]).
//
// Its strings are views: of memory of Header (see [Fields.Keep]) or of constants. They stay valid until Reset.
type Request struct {
	Method    string
	Scheme    string // "http" or "https": how the client came in
	Authority string // host[:port] from the target or Host, as one value; lower case is not forced
	Target    string // path and query as they were received: starts with "/", or is "*" (OPTIONS)
	Version   Version

	// Length is the body's length in bytes: 0 for none, UnknownLength where it is not declared. It is what codecs frame
	// by. Header may show a content-length too: that is what filters read, and codecs ignore it when they write.
	Length int64

	// Expect says that the client waits for 100 (Continue) before it sends the body.
	Expect bool

	// Upgrade is the protocol of a valid "Upgrade" + "Connection: upgrade" pair, or "".
	Upgrade string

	Header  Fields // without Host, Connection, Transfer-Encoding and the other hop-by-hop fields
	Trailer Fields
}

// Reset makes r ready for another request and keeps its memory.
func (r *Request) Reset() {
	header, trailer := r.Header, r.Trailer
	header.Reset()
	trailer.Reset()
	*r = Request{Header: header, Trailer: trailer}
}

// Path is the target without its query.
func (r *Request) Path() string {
	for i := 0; i < len(r.Target); i++ {
		if r.Target[i] == '?' {
			return r.Target[:i]
		}
	}
	return r.Target
}

// Query is what follows the first "?" of the target, or "".
func (r *Request) Query() string {
	if p := len(r.Path()); p < len(r.Target) {
		return r.Target[p+1:]
	}
	return ""
}

// Response is a response's head and trailers; its body travels beside it.
type Response struct {
	Status int // 100…999

	// Length is the body's length as in Request. Where Bodiless is set it is only what a content-length field says.
	Length int64

	// Bodiless says that no body follows whatever Length says: an answer to HEAD, a 204 or a 304 (RFC 9110 section 6.4.1).
	Bodiless bool

	Header  Fields // without hop-by-hop fields
	Trailer Fields
}

// Reset makes r ready for another response and keeps its memory.
func (r *Response) Reset() {
	header, trailer := r.Header, r.Trailer
	header.Reset()
	trailer.Reset()
	*r = Response{Header: header, Trailer: trailer}
}
