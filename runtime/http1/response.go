package http1

import "edge/filters/message"

// ResponseReader reads the responses of one upstream connection, one after another. It owns no buffer. The zero value
// must be Reset before use. Every error has status 502.
type ResponseReader struct {
	limits   *Limits
	body     body
	upgrade  string
	interims uint16
	flags    flags
	fault    fault
}

// Reset makes the reader ready for the response to a request with that method, which decides how a body is framed (RFC
// 9112 section 6.3). It lets go of every buffer it was fed.
func (r *ResponseReader) Reset(limits *Limits, method string) {
	*r = ResponseReader{limits: limits}
	switch method {
	case "HEAD":
		r.flags = flagHead
	case "CONNECT":
		r.flags = flagConnect
	}
}

// Feed reads from in, which begins where the bytes consumed so far end, and returns how many bytes it consumed. Each
// complete head, 1xx heads included, replaces everything in resp. After an error it returns the same error for ever.
//
// Bytes left over after End are not part of any answer: a caller that has not asked for another must discard the
// connection (U83, U84).
func (r *ResponseReader) Feed(in []byte, resp *message.Response) (n int, ev Event, err *Error) {
	r.body.data = nil
	if r.fault != ok {
		return 0, More, responseError(r.fault)
	}
	var f fault
	if r.body.state == atHead {
		n, ev, f = r.head(in, resp)
	} else {
		n, ev, f = r.body.feed(in, &resp.Trailer, r.limits)
	}
	if f != ok {
		r.fault = f
		return n, More, responseError(f)
	}
	return n, ev, nil
}

// EOF says that the upstream has closed and that every byte it sent has been fed. It is End where the message is
// complete, or is one that the close ends; anything else is an error, never a clean end (RFC 9112 section 8, U82).
func (r *ResponseReader) EOF(*message.Response) (ev Event, err *Error) {
	r.body.data = nil
	switch {
	case r.fault != ok:
	case r.body.state == atEnd:
		return End, nil
	case r.body.state == atOpen:
		r.body.state = atEnd
		return End, nil
	case r.body.state != atHead:
		r.fault = faultClosedBody
	case r.body.seen > 0 || r.interims > 0:
		r.fault = faultClosedHead
	default:
		r.fault = faultClosedBefore
	}
	return More, responseError(r.fault)
}

// Data is the body's bytes of the last Data event: a view of what was fed, gone with the next Feed or Reset.
func (r *ResponseReader) Data() []byte { return r.body.data }

// KeepAlive says, from Head on, whether the upstream lets the connection be used for another request once this response
// has been read to its End.
func (r *ResponseReader) KeepAlive() bool { return r.flags&flagPersistent != 0 && r.fault == ok }

// Tunnel says, from Head on, whether the response ends HTTP/1 on this connection: a 101, or a 2xx to CONNECT. What
// follows its End belongs to the other protocol.
func (r *ResponseReader) Tunnel() bool { return r.flags&flagTunnel != 0 && r.fault == ok }

// Upgrade is the protocol of the response's "Upgrade" + "Connection: upgrade" pair, or "": what a 101 switches to, what
// a 426 asks for. It is a view of the response's memory.
func (r *ResponseReader) Upgrade() string { return r.upgrade }

// Started says whether anything of a response has been seen: whether a request may be sent again elsewhere (U88).
func (r *ResponseReader) Started() bool {
	return r.body.state != atHead || r.body.seen > 0 || r.interims > 0
}

// Done says whether the message has been read to its End.
func (r *ResponseReader) Done() bool { return r.body.state == atEnd && r.fault == ok }

// Unread is how many bytes of the body are not read yet, or -1 where that is not known.
func (r *ResponseReader) Unread() int64 {
	if r.fault != ok {
		return -1
	}
	return r.body.unread()
}

// head waits for a whole head and parses it.
func (r *ResponseReader) head(in []byte, resp *message.Response) (n int, ev Event, f fault) {
	if len(in) == 0 {
		return 0, More, ok
	}
	if in[0] != 'H' {
		return 0, More, faultStatusLine
	}
	l := r.limits
	n, f = r.body.scan.head(in, maxStatusLineBytes, l.HeaderBytes, faultStatusLineTooLong)
	if f != ok || n == 0 {
		return 0, More, f
	}
	ev, f = r.parse(in[:n], resp)
	if f != ok {
		return 0, More, recheck(in[:n], maxStatusLineBytes, l.HeaderBytes, faultStatusLineTooLong, f)
	}
	return n, ev, ok
}

// parse reads a whole head into resp.
func (r *ResponseReader) parse(head []byte, resp *message.Response) (ev Event, f fault) {
	resp.Reset()
	r.upgrade = ""
	b := resp.Header.Load(head)
	status, version, at, f := statusLine(b)
	if f != ok {
		return More, f
	}
	if at > maxStatusLineBytes {
		return More, faultStatusLineTooLong
	}
	if len(b)-at > r.limits.HeaderBytes {
		return More, faultHeadTooLarge
	}
	resp.Status = status
	var s section
	if f := s.parse(b[at:], &resp.Header, r.limits.HeaderCount); f != ok {
		return More, f
	}
	length, declared, f := s.framing(version)
	if f != ok {
		return More, f
	}
	if s.upgradeOption && version == message.HTTP11 {
		r.upgrade = s.upgrade
	}
	if status < 200 {
		return r.interim(resp, declared)
	}
	return r.final(&s, resp, version, length, declared)
}

// interim takes a 1xx head: another follows, but for a 101, which ends HTTP/1 here (RFC 9110 section 15.2).
func (r *ResponseReader) interim(resp *message.Response, declared bool) (Event, fault) {
	if declared {
		return More, faultInterimBody // RFC 9112 section 6.1, RFC 9110 section 8.6
	}
	resp.Bodiless = true
	if resp.Status == 101 {
		if r.upgrade == "" {
			return More, faultSwitch // U92
		}
		r.flags |= flagTunnel
		r.body.begin(0)
		return Head, ok
	}
	if r.interims++; int(r.interims) > r.limits.Interims {
		return More, faultTooManyInterims // S28, U85
	}
	r.body.scan = scan{}
	return Interim, ok
}

// final frames the body of a final response (RFC 9112 section 6.3).
func (r *ResponseReader) final(s *section, resp *message.Response, version message.Version, length int64, declared bool) (Event, fault) {
	if s.persistent(version) {
		r.flags |= flagPersistent
	}
	resp.Length = length
	if !declared {
		resp.Length = message.UnknownLength
	}
	switch status := resp.Status; {
	case status/100 == 2 && r.flags&flagConnect != 0:
		resp.Bodiless, resp.Length = true, message.UnknownLength
		resp.Header.Delete("content-length") // it means nothing here (RFC 9110 section 9.3.6)
		r.flags = r.flags&^flagPersistent | flagTunnel
	case status == 204:
		// An upstream that says it sends content with a 204 may also do so: nothing more is read from it (U84).
		if declared && length != 0 {
			r.flags &^= flagPersistent
		}
		resp.Bodiless, resp.Length = true, 0
		resp.Header.Delete("content-length")
	case status == 304 || r.flags&flagHead != 0:
		resp.Bodiless = true
	}
	switch {
	case resp.Bodiless:
		r.body.begin(0)
	case !declared:
		r.flags &^= flagPersistent
		r.body.state = atOpen
	case r.limits.BodyBytes >= 0 && length > r.limits.BodyBytes:
		return More, faultBodyTooLarge
	default:
		r.body.begin(length)
	}
	return Head, ok
}

// statusLine parses the line at the front of b (RFC 9112 section 4) and returns where the field lines begin. The space
// before a missing reason phrase may be missing too, as with many servers; the phrase is checked and forgotten.
func statusLine(b []byte) (status int, version message.Version, next int, f fault) {
	const size = len("HTTP/1.1 200")
	if len(b) < size+2 || string(b[:7]) != "HTTP/1." || b[8] != ' ' {
		return 0, 0, 0, faultStatusLine
	}
	switch b[7] {
	case '1':
		version = message.HTTP11
	case '0':
		version = message.HTTP10
	default:
		return 0, 0, 0, faultStatusLine
	}
	for _, c := range b[9:size] {
		if !digit(c) {
			return 0, 0, 0, faultStatusLine
		}
		status = status*10 + int(c-'0')
	}
	end := controlAt(b, size)
	if status < 100 || (end > size && b[size] != ' ') || end+1 >= len(b) || b[end] != '\r' || b[end+1] != '\n' {
		return 0, 0, 0, faultStatusLine
	}
	return status, version, end + 2, ok
}
