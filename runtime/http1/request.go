package http1

import "edge/filters/message"

// RequestReader reads the requests of one client connection, one after another. It is small enough to live in every
// connection, idle ones included, and owns no buffer. The zero value must be Reset before use.
type RequestReader struct {
	limits *Limits
	body   body
	flags  flags
	empty  uint8 // empty lines seen before the request line
	fault  fault
}

type flags uint8

const (
	flagPersistent flags = 1 << iota
	flagTrailers         // the client said "TE: trailers"
	flagTunnel           // what follows the response's head is not HTTP/1
	flagHead             // the response answers HEAD
	flagConnect          // the response answers CONNECT
)

// Reset makes the reader ready for the next message. It lets go of every buffer it was fed.
func (r *RequestReader) Reset(limits *Limits) { *r = RequestReader{limits: limits} }

// Feed reads from in, which begins where the bytes consumed so far end, and returns how many bytes it consumed. It
// touches req only with a complete head, which replaces everything in it but Scheme, and with complete trailers: up to
// Head, one request may serve many connections. After an error it returns the same error for ever.
func (r *RequestReader) Feed(in []byte, req *message.Request) (n int, ev Event, err *Error) {
	r.body.data = nil
	if r.fault != ok {
		return 0, More, requestError(r.fault)
	}
	var f fault
	if r.body.state == atHead {
		n, ev, f = r.head(in, req)
	} else {
		n, ev, f = r.body.feed(in, &req.Trailer, r.limits)
	}
	if f != ok {
		r.fault = f
		return n, More, requestError(f)
	}
	return n, ev, nil
}

// Data is the body's bytes of the last Data event: a view of what was fed, gone with the next Feed or Reset.
func (r *RequestReader) Data() []byte { return r.body.data }

// KeepAlive says, from Head on, whether the client and the version let the connection be used for another request once
// this one has been read to its End and answered (RFC 9112 section 9.3). It is false after a CONNECT.
func (r *RequestReader) KeepAlive() bool { return r.flags&flagPersistent != 0 && r.fault == ok }

// TakesTrailers says, from Head on, whether the client sent "TE: trailers" (RFC 9110 section 10.1.4).
func (r *RequestReader) TakesTrailers() bool { return r.flags&flagTrailers != 0 }

// Started says whether bytes of this request have been seen: what tells an idle connection from a slow one.
func (r *RequestReader) Started() bool {
	return r.body.state != atHead || r.body.seen > 0 || r.empty > 0
}

// Done says whether the message has been read to its End.
func (r *RequestReader) Done() bool { return r.body.state == atEnd && r.fault == ok }

// Unread is how many bytes of the body are not read yet, or -1 where that is not known (chunked, or the head is not
// there): what a server decides by whether to drain a body that nobody wants or to close (S25, S26).
func (r *RequestReader) Unread() int64 {
	if r.fault != ok {
		return -1
	}
	return r.body.unread()
}

// head waits for a whole head and parses it.
func (r *RequestReader) head(in []byte, req *message.Request) (n int, ev Event, f fault) {
	for {
		if n == len(in) {
			return n, More, ok
		}
		switch c := in[n]; {
		case lowerToken[c] != 0:
			size, f := r.whole(in[n:], req)
			if f != ok || size == 0 {
				return n, More, f
			}
			return n + size, Head, ok
		case c == '\n':
			return n, More, faultBareLF
		case c != '\r':
			return n, More, faultMethod
		case n+1 == len(in):
			return n, More, ok
		case in[n+1] != '\n':
			return n, More, faultBareCR
		}
		if r.empty++; r.empty > maxEmptyLines {
			return n, More, faultEmptyLines
		}
		n += 2
	}
}

// whole parses the head at the front of in, if all of it is there.
func (r *RequestReader) whole(in []byte, req *message.Request) (n int, f fault) {
	l := r.limits
	n, f = r.body.scan.head(in, l.requestLineBytes(), l.HeaderBytes, faultTargetTooLong)
	if f != ok || n == 0 {
		return 0, f
	}
	if f := r.parse(in[:n], req); f != ok {
		return 0, recheck(in[:n], l.requestLineBytes(), l.HeaderBytes, faultTargetTooLong, f)
	}
	return n, ok
}

// parse reads a whole head into req.
func (r *RequestReader) parse(head []byte, req *message.Request) fault {
	scheme := req.Scheme
	req.Reset()
	req.Scheme = scheme
	b := req.Header.Load(head)
	line, at, f := requestLine(b, r.limits.TargetBytes)
	if f != ok {
		return f
	}
	if len(b)-at > r.limits.HeaderBytes {
		return faultHeadTooLarge
	}
	req.Method, req.Version = line.method, line.version
	var s section
	if f := s.parse(b[at:], &req.Header, r.limits.HeaderCount); f != ok {
		return f
	}
	if f := s.route(line, req); f != ok {
		return f
	}
	length, _, f := s.framing(line.version)
	if f != ok {
		return f
	}
	if r.limits.BodyBytes >= 0 && length > r.limits.BodyBytes {
		return faultBodyTooLarge
	}
	req.Length = length
	if f := s.expectation(req); f != ok {
		return f
	}
	if s.upgradeOption && line.version == message.HTTP11 && length == 0 {
		req.Upgrade = s.upgrade // with content it would be unclear where the new protocol begins (U92)
	}
	r.flags = 0
	if s.persistent(line.version) {
		r.flags |= flagPersistent
	}
	if s.teTrailers {
		r.flags |= flagTrailers
	}
	if line.method == "CONNECT" {
		if length != 0 {
			return faultConnectBody
		}
		r.flags &^= flagPersistent // what follows may be meant for the tunnel, whatever the answer
	}
	r.body.begin(length)
	return ok
}

// expectation reads Expect (RFC 9110 section 10.1.1). It is edge's to answer, so it is not left among the fields.
func (s *section) expectation(req *message.Request) fault {
	switch {
	case s.expects == 0:
	case s.expects > 1 || !equalFold(s.expect, "100-continue"):
		return faultExpect // S27
	case req.Version == message.HTTP11 && req.Length != 0:
		req.Expect = true
	}
	return ok
}
