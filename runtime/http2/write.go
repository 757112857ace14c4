package http2

import (
	"strconv"
	"strings"

	h2 "golang.org/x/net/http2"

	"edge/filters/message"
)

// WriteHead writes the head of a final response (RFC 9113 section 8.3.2). Framing comes from resp.Length and resp.Bodiless alone;
// fields that speak of it or of the connection, and fields whose name or value is not valid, are left out (D57, U81, W99). date is
// for a response without a date field. end says that nothing follows. A status outside 200…999 becomes 500, but for the 101 that opens a
// tunnel, which goes out as 200 (RFC 8441 section 5).
func (s *Stream) WriteHead(resp *message.Response, date string, end bool) {
	if s.Gone() || s.is(streamHead) {
		return
	}
	status := resp.Status
	opens := status == 101 && s.is(streamTunnel)
	switch {
	case opens:
		status = 200
	case status < 200 || status > 999:
		status = 500
	}
	o := s.block(status)
	if date != "" && !resp.Header.Has("date") {
		o.block = appendField(o.block, "date", date)
	}
	o.block = appendFields(o.block, &resp.Header)
	bodiless := resp.Bodiless || status == 204 || status == 304
	if resp.Length >= 0 && !opens && status != 204 && (status != 304 || resp.Length > 0) {
		var digits [20]byte
		o.block = appendField(o.block, "content-length", view(strconv.AppendInt(digits[:0], resp.Length, 10)))
	}
	end = (end || bodiless) && !opens
	s.flags |= streamHead
	if end {
		s.flags |= streamOutEnd | streamOutGone
	}
	o.headers(s.id, end, int(s.session.peer.frameMax))
}

// WriteInterim writes a 1xx response other than 101; any other status writes nothing, and so does one behind the final head.
func (s *Stream) WriteInterim(status int, fields *message.Fields) {
	if s.Gone() || s.is(streamHead) || status/100 != 1 || status == 101 {
		return
	}
	o := s.block(status)
	if fields != nil {
		o.block = appendFields(o.block, fields)
	}
	o.headers(s.id, false, int(s.session.peer.frameMax))
}

// block begins a header block.
func (s *Stream) block(status int) *Output {
	o := s.session.o
	o.block = o.block[:0]
	s.session.shrunk()
	o.block = appendStatus(o.block, status)
	return o
}

// shrunk tells the client, in the first block after it has made its table smaller, that we use none (RFC 7541 section 4.2).
func (c *Session) shrunk() {
	if c.is(sessionShrunk) {
		c.flags &^= sessionShrunk
		c.o.block = append(c.o.block, tableOff)
	}
}

// Write writes a piece of the body; end says it is the last. What the windows let through goes straight into the output, the rest
// waits in the stream: the caller asks Room first.
func (s *Stream) Write(p []byte, end bool) {
	if s.Gone() || !s.is(streamHead) || s.is(streamOutEnd) {
		return
	}
	if end {
		s.flags |= streamOutEnd
	}
	if s.out.Len() == 0 {
		n := s.emit(p, len(p))
		p = p[n:]
	}
	s.wait(p)
}

// WriteTrailers ends the body with fields, without those that mean something only before it (RFC 9110 section 6.5.1).
func (s *Stream) WriteTrailers(fields *message.Fields) {
	if s.Gone() || !s.is(streamHead) || s.is(streamOutEnd) {
		return
	}
	s.tail = s.tail[:0]
	for i := range fields.Len() {
		if name, value := fields.At(i); message.TrailerAllowed(name) && writable(name, value) {
			s.tail = appendField(s.tail, name, trim(value))
		}
	}
	s.flags |= streamOutEnd
	if s.out.Len() == 0 {
		s.emit(nil, 0)
	}
	s.wait(nil)
}

// wait keeps p, and has Fill look at the stream if there is anything left to send.
func (s *Stream) wait(p []byte) {
	s.out.Append(p)
	s.session.queued += len(p)
	if (s.out.Len() > 0 || s.is(streamOutEnd)) && !s.is(streamOutGone|streamQueued) {
		s.flags |= streamQueued
		s.session.waiting++
	}
}

func (c *Session) unwait(s *Stream) {
	if s.is(streamQueued) {
		s.flags &^= streamQueued
		c.waiting--
	}
}

// emit sends what it can of p, which is all that there is, as frames of at most max bytes of data together, and the end behind it.
func (s *Stream) emit(p []byte, most int) (sent int) {
	c := s.session
	for len(p) > sent && sent < most {
		n := min(len(p)-sent, most-sent, int(s.sendLeft), int(c.sendLeft), int(c.peer.frameMax))
		if n <= 0 {
			return sent
		}
		flags := h2.Flags(0)
		if n == len(p)-sent && s.is(streamOutEnd) && len(s.tail) == 0 {
			flags = h2.FlagDataEndStream
			s.flags |= streamOutGone
		}
		at := len(c.o.Dst)
		c.o.Dst = appendFrame(c.o.Dst, n, h2.FrameData, flags, s.id)
		c.o.Dst = append(c.o.Dst, p[sent:sent+n]...)
		c.o.last = lastData{at, len(c.o.Dst), s}
		s.sendLeft -= int32(n)
		c.sendLeft -= int32(n)
		c.budget.sent()
		s.gone += int64(n)
		sent += n
	}
	if sent == len(p) && s.is(streamOutEnd) && !s.is(streamOutGone) {
		s.flags |= streamOutGone
		if len(s.tail) > 0 {
			c.o.block = c.o.block[:0]
			c.shrunk()
			c.o.block = append(c.o.block, s.tail...)
			c.o.headers(s.id, true, int(c.peer.frameMax))
		} else if !c.o.endsLast(s) {
			c.o.Dst = appendFrame(c.o.Dst, 0, h2.FrameData, h2.FlagDataEndStream, s.id)
		}
	}
	return sent
}

// appendFields appends the fields that go to the client as they are.
func appendFields(dst []byte, fields *message.Fields) []byte {
	for i := range fields.Len() {
		if name, value := fields.At(i); !notAnswered(name) && writable(name, value) {
			dst = appendField(dst, name, trim(value))
		}
	}
	return dst
}

// notAnswered are the fields that a response's head gets from elsewhere, or never gets (RFC 9113 section 8.2.2).
func notAnswered(name string) bool {
	switch name {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings",
		"content_length", "transfer_encoding":
		return true
	}
	return false
}

// writable says whether a field can be written at all. White space around a value can be taken off, see trim.
func writable(name, value string) bool {
	for i := 0; i < len(value); i++ {
		if !message.IsValue(value[i]) {
			return false
		}
	}
	return validName(name)
}

func trim(s string) string {
	if s == "" || s[0] > ' ' && s[len(s)-1] > ' ' {
		return s
	}
	return strings.Trim(s, " \t")
}
