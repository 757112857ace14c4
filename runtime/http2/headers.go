package http2

import (
	"encoding/binary"
	"slices"
	"strconv"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// headers takes a HEADERS frame with its CONTINUATION frames (RFC 9113 sections 6.2 and 6.10), once all of them are there.
func (c *Session) headers(h frame, in []byte) (n int, f fault) {
	if h.id&1 == 0 {
		return 0, faultStreamID
	}
	n, f = c.whole(h, in)
	if n == 0 || f != ok {
		return 0, f
	}
	first, f := c.fragment(h, in[frameHeaderBytes:frameHeaderBytes+h.length])
	if f != ok {
		return 0, f
	}
	end := h.flags&h2.FlagHeadersEndStream != 0
	rest := in[frameHeaderBytes+h.length : n]
	if c.client != nil {
		return n, c.client.response(h.id, end, first, rest)
	}
	if s := c.find(h.id); s != nil {
		return n, c.trailers(s, end, first, rest)
	}
	if h.id <= c.lastID {
		switch c.fate(h.id) {
		case fateReset: // sent before the client knew
			if f := c.decode(nil, false, first, rest); f != ok {
				return 0, f
			}
			return n, c.odd(oddLate, costLate)
		case fateFinished:
			return 0, faultStreamClosed // F59
		}
		return 0, faultStreamOld
	}
	c.lastID = h.id
	return n, c.open(h.id, end, first, rest)
}

// whole is the length of the unit at the front of in: 0 where it is not all there. What is wrong with it is said as soon as it can be.
func (c *Session) whole(h frame, in []byte) (n int, f fault) {
	block := h.length
	n = frameHeaderBytes + h.length
	for continuations, ended := 0, h.flags&h2.FlagHeadersEndHeaders != 0; !ended; {
		if len(in) < n+frameHeaderBytes {
			return 0, ok
		}
		next := readFrame(in[n:])
		if next.kind != h2.FrameContinuation || next.id != h.id {
			return 0, faultContinuation
		}
		if next.length > MaxFrameBytes {
			return 0, faultFrameSize
		}
		if continuations++; continuations > maxContinuations {
			return 0, faultContinuations // F60
		}
		if block += next.length; block > 2*c.limits.HeaderBytes {
			return 0, faultBlockSize
		}
		n += frameHeaderBytes + next.length
		ended = next.flags&h2.FlagContinuationEndHeaders != 0
	}
	if len(in) < n {
		return 0, ok
	}
	return n, ok
}

// fragment is the part of the block that is in the HEADERS frame itself, without padding and the old priority.
func (c *Session) fragment(h frame, body []byte) ([]byte, fault) {
	pad := 0
	if h.flags&h2.FlagHeadersPadded != 0 {
		if len(body) == 0 {
			return nil, faultFrameLength
		}
		pad, body = int(body[0]), body[1:]
	}
	if h.flags&h2.FlagHeadersPriority != 0 {
		if len(body) < 5 {
			return nil, faultFrameLength
		}
		if binary.BigEndian.Uint32(body)&windowMax == h.id {
			return nil, faultSelfDependency // F59
		}
		body = body[5:]
	}
	if pad > len(body) {
		return nil, faultPadding
	}
	return body[:len(body)-pad], ok
}

// decode decodes a block into fields, or for the table alone where fields is nil. What is wrong with the fields is in o.read.fault:
// the block is decoded to its end whatever that is, or the tables would differ from then on.
func (c *Session) decode(fields *message.Fields, trailers bool, first, rest []byte) fault {
	b := &c.o.read
	b.begin(c.limits, fields, trailers)
	b.answers = c.client != nil
	if c.decoder == nil {
		c.decoder = hpack.NewDecoder(maxTableBytes, func(f hpack.HeaderField) { c.o.take(f) })
		c.decoder.SetMaxStringLength(2 * c.limits.HeaderBytes)
	}
	err := c.unpack(c.resizeTable(c.o.join(first, rest)))
	switch {
	case err == hpack.ErrStringLength || b.grossly():
		return faultListSize // F63
	case err != nil:
		return faultCompression
	}
	return ok
}

// resizeTable applies the table size updates that begin a block, and returns what follows. There may be two, the smaller one first (RFC 7541
// section 4.2); the decoder takes the second for one that comes too late, unless the table is empty by then.
func (c *Session) resizeTable(block []byte) []byte {
	for range 2 {
		if len(block) == 0 || block[0]&0xe0 != tableOff {
			break
		}
		size, next := cutInteger(block, 0, 5)
		if next == 0 || size > maxTableBytes {
			return block // cut off or too large: the decoder says so
		}
		c.decoder.SetMaxDynamicTableSize(uint32(size))
		block = block[next:]
	}
	return block
}

// open begins a stream.
func (c *Session) open(id uint32, end bool, first, rest []byte) fault {
	if c.is(sessionDrained) || c.full() {
		return c.refuse(id, end, first, rest)
	}
	s := c.recv.NextStream()
	req := s.Request
	scheme := req.Scheme
	req.Reset()
	req.Scheme = scheme
	if f := c.decode(&req.Header, false, first, rest); f != ok {
		return f
	}
	b := &c.o.read
	if f := b.request(req, end); f != ok {
		return c.refused(id, end, f)
	}
	s.begin(c, id)
	s.length = message.UnknownLength
	s.urgency = defaultUrgency
	if b.lengths > 0 && req.Upgrade == "" {
		s.length = b.length
	}
	if b.teTrailers {
		s.flags |= streamTrailersOK
	}
	if req.Upgrade != "" {
		s.flags |= streamTunnel
	}
	if b.priority != "" {
		s.prioritize(b.priority)
	}
	if end {
		s.flags |= streamInEnd | streamInGiven
	}
	c.streams = append(c.streams, s)
	c.recv.Head(s, end)
	return ok
}

// full says whether a client has as many streams as it may. What is said to its end on both sides a client does not count: neither do
// we, though the work for it may go on for a moment; but all of them together are bounded too.
func (c *Session) full() bool {
	n := len(c.streams)
	if n < c.limits.Streams || n >= 2*c.limits.Streams {
		return n >= c.limits.Streams
	}
	for _, s := range c.streams {
		if s.is(streamOutGone) && s.is(streamInEnd) && !s.is(streamReset) {
			n--
		}
	}
	return n >= c.limits.Streams
}

// refuse turns a stream away that is one too many (F66), or too late.
func (c *Session) refuse(id uint32, end bool, first, rest []byte) fault {
	if f := c.decode(nil, false, first, rest); f != ok {
		return f
	}
	if c.is(sessionDrained) {
		c.remember(id, true)
		return c.odd(oddLate, costLate)
	}
	c.turnAway(id, faultRefused)
	return c.spend(costRefused)
}

func (c *Session) turnAway(id uint32, f fault) {
	c.counts[f].Add(1)
	c.o.reset(id, faults[f].Code)
	c.remember(id, true)
	c.recv.Refused(&faults[f])
}

func (c *Session) spend(n int32) fault {
	if !c.budget.spend(n, c.now) {
		return faultCalm
	}
	return ok
}

// refused answers a request that is not well: with a status where HTTP/1 would, with RST_STREAM where it is malformed.
func (c *Session) refused(id uint32, end bool, f fault) fault {
	e := &faults[f]
	if e.Status == 0 {
		c.turnAway(id, f)
		return c.spend(costReset)
	}
	c.counts[f].Add(1)
	c.o.block = c.o.block[:0]
	c.shrunk()
	c.o.block = appendStatus(c.o.block, e.Status)
	c.o.block = appendField(c.o.block, "content-length", "0")
	c.o.headers(id, true, int(c.peer.frameMax))
	if !end {
		c.o.reset(id, h2.ErrCodeNo) // section 8.1
	}
	c.remember(id, !end)
	c.recv.Refused(e)
	return c.spend(costRefused)
}

// trailers end the body of a request (section 8.1).
func (c *Session) trailers(s *Stream, end bool, first, rest []byte) fault {
	if s.is(streamInEnd | streamByPeer) {
		return faultStreamClosed // F59
	}
	s.trailer.Reset()
	if f := c.decode(&s.trailer, true, first, rest); f != ok {
		return f
	}
	f := c.o.read.fault
	switch {
	case s.is(streamReset):
		return ok
	case f != ok && faults[f].Status != 0:
		if !s.is(streamRejected) {
			c.reject(s, f)
		}
		s.flags |= streamInEnd | streamInGiven
		return ok
	case f != ok:
		return c.breakStream(s, f)
	case !end || s.is(streamTunnel):
		return c.breakStream(s, faultTrailerEnd)
	case s.length >= 0 && s.got != s.length:
		return c.breakStream(s, faultLengthSum) // D49
	}
	s.flags |= streamInEnd
	if s.trailer.Len() > 0 {
		s.flags |= streamHasTrailers
	}
	if p := s.unheld(); len(p) > 0 {
		c.push(s, p, false)
	}
	switch {
	case s.is(streamRejected):
		s.flags |= streamInGiven
	case s.in.Len() > 0 || !c.recv.Accepts(s):
	case s.trailer.Len() > 0:
		c.giveTrailers(s)
	default:
		c.give(s, nil, true)
	}
	return ok
}

// breakStream resets a stream for what the client did on it.
func (c *Session) breakStream(s *Stream, f fault) fault {
	c.counts[f].Add(1)
	c.o.reset(s.id, faults[f].Code)
	if c.cur == s {
		c.cur = nil
	}
	c.drop(s)
	c.recv.Reset(s, &faults[f])
	return c.spend(costReset)
}

// Release ends the use of a stream: the work for its request is over, and only now may the client begin another in its place (F58). A
// stream whose answer is not written whole is reset; one whose request is not read whole too, with NO_ERROR.
func (c *Session) Release(s *Stream) {
	i := slices.Index(c.streams, s)
	if i < 0 {
		return
	}
	if c.failure == nil {
		switch {
		case s.is(streamReset):
		case c.client != nil:
			if c.budget.gain(gainDone); !s.is(streamInEnd) || !s.is(streamOutGone) {
				c.o.reset(s.id, ErrCancel)
				s.flags |= streamReset
			}
		case !s.is(streamOutGone):
			c.o.reset(s.id, h2.ErrCodeInternal)
			s.flags |= streamReset
		default:
			c.budget.gain(gainDone)
			if !s.is(streamInEnd) {
				c.o.reset(s.id, h2.ErrCodeNo)
				s.flags |= streamReset
			}
		}
	}
	c.remember(s.id, s.is(streamReset) && !s.is(streamByPeer))
	c.drop(s)
	if c.cur == s {
		c.cur = nil
	}
	c.streams = slices.Delete(c.streams, i, i+1)
	if len(c.streams) == 0 && cap(c.streams) > idleStreams {
		c.streams = nil
	}
	s.clear()
}

const idleStreams = 32 // slots that an idle session keeps

// Abort resets a stream: its answer cannot be completed.
func (c *Session) Abort(s *Stream, code Code) {
	if s.session != c || s.is(streamReset) || c.failure != nil {
		return
	}
	if !(s.is(streamOutGone) && s.is(streamInEnd)) {
		c.o.reset(s.id, code)
	}
	if c.cur == s {
		c.cur = nil
	}
	c.drop(s)
}

func appendStatus(dst []byte, status int) []byte {
	var digits [3]byte
	return appendField(dst, ":status", view(strconv.AppendInt(digits[:0], int64(status), 10)))
}
