package http2

import (
	h2 "golang.org/x/net/http2"

	"edge/filters/message"
)

// data takes the header of a DATA frame, and the length of its padding (RFC 9113 section 6.1). The whole frame counts against the
// windows at once; the payload follows in payload as it comes.
func (c *Session) data(h frame, body []byte) (n int, f fault) {
	left, pad := int32(h.length), int32(0)
	n = frameHeaderBytes
	if h.flags&h2.FlagDataPadded != 0 {
		if h.length == 0 {
			return 0, faultFrameLength
		}
		if len(body) == 0 {
			return 0, ok
		}
		pad = int32(body[0])
		if left--; pad > left {
			return 0, faultPadding
		}
		left -= pad
		n++
	}
	if h.id&1 == 0 || h.id > c.lastID {
		return 0, faultFrameIdle
	}
	if int32(h.length) > c.recvLeft {
		return 0, faultFlowControl
	}
	end := h.flags&h2.FlagDataEndStream != 0
	s := c.find(h.id)
	if s != nil && s.is(streamInEnd|streamReset) {
		s = nil
	}
	if s == nil {
		if f := c.lateData(h); f != ok {
			return 0, f
		}
	} else {
		if int32(h.length) > s.recvLeft {
			return 0, faultFlowControl
		}
		s.recvLeft -= int32(h.length)
	}
	if f := c.tiny(left, end); f != ok {
		return 0, f
	}
	c.recvLeft -= int32(h.length)
	overhead := int32(h.length) - left
	c.refund(int(overhead))
	if s != nil {
		c.credit(s, overhead)
		if f = c.announce(s, left, end); s.is(streamRejected) {
			s = nil
		}
	}
	c.left, c.pad, c.cur = left, pad, s
	c.flags &^= sessionEnds
	if end {
		c.flags |= sessionEnds
	}
	if s != nil && left == 0 {
		f = c.noData(s, end)
	}
	return n, f
}

// announce looks at what a DATA frame's header says: that n bytes follow, and whether they are the last.
func (c *Session) announce(s *Stream, n int32, end bool) (f fault) {
	s.got += int64(n)
	switch {
	case c.client != nil && !s.is(streamInHead):
		return c.breakStream(s, faultNoHead)
	case s.length >= 0 && (s.got > s.length || end && s.got < s.length):
		return c.breakStream(s, faultLengthSum) // D49
	case s.is(streamRejected):
	case c.limits.BodyBytes >= 0 && s.got > c.limits.BodyBytes && !s.is(streamTunnel):
		c.reject(s, faultBodyTooLarge)
	}
	if end && s.is(streamRejected) {
		s.flags |= streamInEnd | streamInGiven
	}
	return ok
}

// stopped is what became of a stream that takes nothing more from the client, in use or not.
func (c *Session) stopped(id uint32) fate {
	if s := c.find(id); s != nil {
		if s.is(streamReset) && !s.is(streamByPeer) {
			return fateReset
		}
		return fateFinished
	}
	return c.fate(id)
}

// lateData is a DATA frame for a stream that takes none.
func (c *Session) lateData(h frame) fault {
	if c.client != nil {
		return ok // sent before the server knew, or in vain; its bytes are bounded by the window
	}
	switch c.stopped(h.id) {
	case fateFinished:
		return faultStreamClosed // F59
	case fateReset:
		if h.length == 0 {
			return c.odd(oddLate, costLate)
		}
		if cost := c.budget.wasted(int32(h.length)); cost > 0 { // sent before the client knew, or for ever
			return c.odd(oddLate, cost)
		}
		return ok
	}
	c.counts[faultDataClosed].Add(1)
	c.o.reset(h.id, h2.ErrCodeStreamClosed)
	return c.odd(oddLate, costReset)
}

// tiny has DATA frames that are mostly overhead paid for: they cost whoever gets them next as much as large ones. A server's are not
// looked at: it may have its reasons, and others on the connection.
func (c *Session) tiny(n int32, end bool) fault {
	if end || n == 0 || c.client != nil {
		return ok
	}
	if cost := c.budget.received(n); cost > 0 {
		return c.odd(oddTiny, cost)
	}
	return ok
}

// noData is a DATA frame without data: the end of a body, or nothing (F61).
func (c *Session) noData(s *Stream, end bool) fault {
	if !end {
		return c.odd(oddEmpty, costControl)
	}
	c.push(s, s.unheld(), true)
	return ok
}

// payload takes bytes of the DATA frame under way, or of a frame that is skipped.
func (c *Session) payload(in []byte) (n int) {
	if c.left > 0 {
		n = min(len(in), int(c.left))
		c.left -= int32(n)
		end := c.left == 0 && c.is(sessionEnds)
		switch s := c.cur; {
		case n == 0:
		case s == nil:
			c.refund(n)
		default:
			p := in[:n]
			if c.left == 0 && !end && c.holds(s) {
				s.last[0] = p[n-1]
				s.flags |= streamHolds
				p = p[:n-1]
			}
			if len(p) > 0 {
				c.push(s, p, end)
			}
		}
	}
	if c.left == 0 && c.pad > 0 {
		m := min(len(in)-n, int(c.pad))
		c.pad -= int32(m)
		n += m
	}
	return n
}

// holds says that the last byte of a body is to be held until its end is there: all that was declared has come, and more may follow, which
// would make the request malformed. An origin that is asked in HTTP/1.1 would have had a whole one by then (D49).
func (c *Session) holds(s *Stream) bool { return c.client == nil && s.length > 0 && s.got == s.length }

// unheld is the byte that holds has held, if there is one.
func (s *Stream) unheld() []byte {
	if !s.is(streamHolds) {
		return nil
	}
	s.flags &^= streamHolds
	return s.last[:]
}

// push takes a piece of a body: to the receiver, or to where it waits.
func (c *Session) push(s *Stream, p []byte, end bool) {
	if end {
		s.flags |= streamInEnd
	}
	if s.in.Len() == 0 && c.recv.Accepts(s) {
		c.give(s, p, end)
	} else {
		s.flags |= streamWaited
		s.in.Append(p)
	}
}

// give hands a piece to the receiver.
func (c *Session) give(s *Stream, p []byte, end bool) {
	if end {
		s.flags |= streamInGiven
	}
	c.recv.Data(s, p, end)
	c.refund(len(p))
	if s.session == c && c.client == nil {
		c.credit(s, int32(len(p)))
	}
}

// reject tells the receiver that a body is not taken any further.
func (c *Session) reject(s *Stream, f fault) {
	c.counts[f].Add(1)
	c.Discard(s)
	c.recv.Reject(s, &faults[f])
}

// Discard drops the rest of a request's body, what waits of it and what comes: nobody has a use for it. The stream's window is not
// opened for it any more, see Exhausted.
func (c *Session) Discard(s *Stream) {
	if s.session != c || s.is(streamRejected) {
		return
	}
	s.flags |= streamRejected
	c.refund(s.in.Len() + len(s.unheld()))
	s.in.Reset(keepBytes)
	if c.cur == s {
		c.cur = nil
	}
}

// Deliver gives the receiver what waits of a stream's body, as long as it accepts, and says whether there was anything.
func (c *Session) Deliver(s *Stream) (moved bool) {
	if s.session != c || s.is(streamRejected) || s.is(streamInGiven) || !c.recv.Accepts(s) {
		return false
	}
	end := s.is(streamInEnd)
	if n := s.in.Len(); n > 0 || end && !s.is(streamHasTrailers) {
		held := s.in
		s.in = message.Body{}
		c.give(s, held.Bytes(), end && !s.is(streamHasTrailers))
		held.Reset(keepBytes)
		if s.in.Len() == 0 {
			s.in = held
		}
		moved = true
	}
	if s.session == c && end && s.is(streamHasTrailers) && !s.is(streamRejected) && c.recv.Accepts(s) {
		c.giveTrailers(s)
		moved = true
	}
	return moved
}

func (c *Session) giveTrailers(s *Stream) {
	s.flags |= streamInGiven
	if c.client != nil {
		c.recv.Trailers(s)
		return
	}
	s.Request.Trailer.CopyFrom(&s.trailer)
	c.recv.Trailers(s)
}

// refund notes that n bytes that came on the connection need no memory any more, and tells the client once it is worth a frame: the
// windows open as bodies are consumed, and not before (F67).
func (c *Session) refund(n int) {
	c.taken += int32(n)
	if c.taken >= c.limits.Window/2 && c.failure == nil {
		c.o.windowUpdate(0, c.taken)
		c.recvLeft += c.taken
		c.taken = 0
	}
}

// credit does the same for a stream, which needs no window once its end is there. One whose body is taken as it comes gets a larger
// window each time it has used one up, so that a distant client is not held to one small window for each round trip; what may wait
// here in the end is bounded by the connection's window.
func (c *Session) credit(s *Stream, n int32) {
	s.taken += n
	if s.taken < s.recvMost/2 || s.is(streamInEnd|streamReset) || c.failure != nil {
		return
	}
	give := s.taken
	if most := c.limits.Window / 2; c.client == nil && !s.is(streamWaited) && s.got >= 2*int64(s.recvMost) && s.recvMost < most {
		more := min(s.recvMost, most-s.recvMost)
		s.recvMost += more
		give += more
	}
	c.o.windowUpdate(s.id, give)
	s.recvLeft += give
	s.taken = 0
	s.flags &^= streamWaited
}
