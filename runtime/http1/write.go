package http1

import (
	"strconv"

	"edge/filters/message"
)

// RequestOptions say what AppendRequest writes beside the message.
type RequestOptions struct {
	Close    bool   // "connection: close": the upstream connection is not used again
	Upgrade  string // offer this protocol (Request.Upgrade where the route lets it through), or ""
	Expect   bool   // "expect: 100-continue": the body waits for the upstream's 100
	Trailers bool   // "te: trailers": trailers in the response are welcome
}

// Errors of AppendRequest: what a filter may have put where no field could be dropped for it. Status 500, because the
// client is not to blame.
var (
	errMethod    = &Error{500, "invalid method to forward"}
	errTarget    = &Error{500, "invalid target to forward"}
	errAuthority = &Error{500, "invalid authority to forward"}
)

// AppendRequest appends the head of a request in HTTP/1.1 (RFC 9112 section 3). Framing comes from req.Length alone:
// chunked for UnknownLength; for 0 "content-length: 0" with the methods whose content means something (RFC 9110 section
// 8.6), nothing with the others. Whatever the fields say of framing or of the connection is left out, and so is every
// field whose name or value is not valid (W99). A method, target or authority that is not valid is an error, and dst is
// returned as it was. An empty authority (HTTP/1.0 without Host) makes an empty Host: the caller puts something better.
func AppendRequest(dst []byte, req *message.Request, opts RequestOptions) ([]byte, *Error) {
	switch {
	case !message.ValidName(req.Method):
		return dst, errMethod
	case req.Method != "CONNECT" && !validTarget(req.Target, req.Method):
		return dst, errTarget
	case req.Method == "CONNECT" && req.Authority == "", req.Authority != "" && !message.ValidAuthority(req.Authority):
		return dst, errAuthority
	}
	dst = append(dst, req.Method...)
	dst = append(dst, ' ')
	if req.Method == "CONNECT" {
		dst = append(dst, req.Authority...)
	} else {
		dst = append(dst, req.Target...)
	}
	dst = append(dst, " HTTP/1.1\r\nhost: "...)
	dst = append(dst, req.Authority...)
	dst = append(dst, "\r\n"...)
	dst = appendFields(dst, &req.Header, notForwarded)
	switch {
	case req.Length < 0:
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case req.Length > 0 || req.Method == "POST" || req.Method == "PUT" || req.Method == "PATCH":
		dst = appendLength(dst, req.Length)
	}
	if opts.Expect && req.Length != 0 {
		dst = append(dst, "expect: 100-continue\r\n"...)
	}
	if opts.Trailers {
		dst = append(dst, "te: trailers\r\n"...)
	}
	return append(appendConnection(dst, opts), "\r\n"...), nil
}

// appendConnection writes one Connection field with what the options ask for, if anything.
func appendConnection(dst []byte, opts RequestOptions) []byte {
	if !opts.Close && !opts.Trailers && opts.Upgrade == "" {
		return dst
	}
	upgrade := opts.Upgrade != "" && validProtocol(opts.Upgrade)
	separator := "connection: "
	for _, option := range [...]struct {
		on   bool
		name string
	}{{opts.Close, "close"}, {opts.Trailers, "te"}, {upgrade, "upgrade"}} {
		if option.on {
			dst = append(dst, separator...)
			dst = append(dst, option.name...)
			separator = ", "
		}
	}
	if separator == ", " {
		dst = append(dst, "\r\n"...)
	}
	if upgrade {
		dst = append(dst, "upgrade: "...)
		dst = append(dst, opts.Upgrade...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// validTarget says whether a target can stand in a request line: a path, or "*" with OPTIONS.
func validTarget(target, method string) bool {
	if target == "*" {
		return method == "OPTIONS"
	}
	for i := 0; i < len(target); i++ {
		if !message.IsTarget(target[i]) {
			return false
		}
	}
	return target != "" && target[0] == '/'
}

// ResponseOptions say what AppendResponse writes beside the message.
type ResponseOptions struct {
	Version   message.Version // the client's, as its request said
	KeepAlive bool            // the connection is used again, as far as the caller is concerned
	Date      string          // for a response without a date field; "" for none
	Upgrade   string          // with a 101 or a 426: the protocol
}

// Chunked says whether the body of resp goes to a client of that version in chunks: then, and only then, trailers can
// be sent.
func Chunked(resp *message.Response, version message.Version) bool {
	return resp.Length < 0 && !Bodiless(resp) && version >= message.HTTP11
}

// CloseDelimited says whether the body of resp ends for a client of that version only with the connection: its length is
// unknown and the client reads no chunks. The server then closes after it whatever ResponseOptions.KeepAlive said.
func CloseDelimited(resp *message.Response, version message.Version) bool {
	return resp.Length < 0 && !Bodiless(resp) && version < message.HTTP11
}

// Bodiless says whether no body may follow the head of resp whatever its length: the response says so, or its status
// does (RFC 9110 section 6.4.1).
func Bodiless(resp *message.Response) bool {
	return resp.Bodiless || resp.Status/100 == 1 || resp.Status == 204 || resp.Status == 304
}

// AppendResponse appends the head of a final response, or of a 101, in HTTP/1.1. Framing comes from resp.Length,
// resp.Bodiless and the client's version alone; fields that speak of it or of the connection, and fields whose name or
// value is not valid, are left out (U81, W99). A status outside 100…999 becomes 500; so does a 1xx that switches to no
// protocol, without a body: a client would wait behind it for another head.
func AppendResponse(dst []byte, resp *message.Response, opts ResponseOptions) []byte {
	upgrade := opts.Upgrade != "" && validProtocol(opts.Upgrade)
	if resp.Status/100 == 1 && (resp.Status != 101 || !upgrade) {
		return append(dst, notFinal...)
	}
	dst = appendStatusLine(dst, resp.Status)
	if opts.Date != "" && !resp.Header.Has("date") && resp.Status/100 != 1 {
		dst = append(dst, "date: "...)
		dst = append(dst, opts.Date...)
		dst = append(dst, "\r\n"...)
	}
	dst = appendFields(dst, &resp.Header, notAnswered)
	switch {
	case resp.Status/100 == 1 || resp.Status == 204: // RFC 9110 section 8.6: no content-length
	case resp.Status == 304 && resp.Length <= 0: // it would have to be the length of the 200
	case Chunked(resp, opts.Version):
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case resp.Length >= 0:
		dst = appendLength(dst, resp.Length)
	}
	switch {
	case upgrade:
		dst = append(dst, "connection: upgrade\r\nupgrade: "...)
		dst = append(dst, opts.Upgrade...)
		dst = append(dst, "\r\n"...)
	case !opts.KeepAlive || CloseDelimited(resp, opts.Version):
		dst = append(dst, "connection: close\r\n"...)
	case opts.Version < message.HTTP11:
		dst = append(dst, "connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

const notFinal = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

// AppendInterim appends a 1xx response other than 101; any other status appends nothing. The caller
// never sends one to an HTTP/1.0 client (S28).
func AppendInterim(dst []byte, status int, fields *message.Fields) []byte {
	if status/100 != 1 || status == 101 {
		return dst
	}
	dst = appendStatusLine(dst, status)
	if fields != nil {
		dst = appendFields(dst, fields, notAnswered)
	}
	return append(dst, "\r\n"...)
}

// AppendChunkHead appends what stands before a chunk of n bytes; "\r\n" stands behind it. n = 0 would end the body, and
// appends nothing.
func AppendChunkHead(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendChunk appends p as one chunk, or nothing where p is empty.
func AppendChunk(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	dst = AppendChunkHead(dst, len(p))
	dst = append(dst, p...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body with its trailers, nil for none. Names that mean something only
// before the body are left out (RFC 9110 section 6.5.1, S17).
func AppendLastChunk(dst []byte, trailers *message.Fields) []byte {
	dst = append(dst, "0\r\n"...)
	if trailers != nil {
		for i := range trailers.Len() {
			if name, value := trailers.At(i); message.TrailerAllowed(name) {
				dst = appendField(dst, name, value)
			}
		}
	}
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, max(n, 0), 10)
	return append(dst, "\r\n"...)
}

// appendFields appends the fields but for those that skip names and those that are not valid.
func appendFields(dst []byte, fields *message.Fields, skip func(string) bool) []byte {
	for i := range fields.Len() {
		if name, value := fields.At(i); !skip(name) {
			dst = appendField(dst, name, value)
		}
	}
	return dst
}

// appendField appends one field line, or nothing where it could be read as anything else.
func appendField(dst []byte, name, value string) []byte {
	start := len(dst)
	for i := 0; i < len(name); i++ {
		if !message.IsToken(name[i]) {
			return dst[:start]
		}
	}
	if name == "" {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	from := len(dst)
	dst = append(dst, value...)
	if controlAt(dst, from) != len(dst) {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

// notAnswered are the fields that a response's head gets from elsewhere, or never gets.
func notAnswered(name string) bool {
	switch name {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "upgrade",
		"http2-settings", "content_length", "transfer_encoding":
		return true
	}
	return false
}

// notForwarded are the fields that a request's head gets from elsewhere, or never gets.
func notForwarded(name string) bool { return name == "host" || name == "expect" || notAnswered(name) }
