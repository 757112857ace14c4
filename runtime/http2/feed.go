package http2

import (
	"bytes"

	h2 "golang.org/x/net/http2"
)

var preface = []byte(h2.ClientPreface)

// Preface is what a client that speaks HTTP/2 without having been asked begins with (RFC 9113 section 3.4).
const Preface = h2.ClientPreface

// Feed reads from in, which begins where the bytes consumed so far end, tells the receiver what it finds, and returns how many bytes
// it consumed. It stops early at its share of a turn, see More. An error ends the connection: GOAWAY is in the output, every stream
// has been told, and nothing is read any more.
func (c *Session) Feed(in []byte) (n int, err *Error) {
	c.flags &^= sessionMore | sessionPartial
	for frames := 0; c.failure == nil; frames++ {
		if c.left > 0 || c.pad > 0 {
			n += c.payload(in[n:])
			if c.left > 0 || c.pad > 0 {
				return n, c.failure
			}
		}
		if n == len(in) {
			break
		}
		if frames >= maxTurnFrames {
			c.flags |= sessionMore
			break
		}
		used, f := c.unit(in[n:])
		if f != ok {
			c.fail(f)
			break
		}
		if used == 0 {
			c.flags |= sessionPartial
			break
		}
		n += used
	}
	return n, c.failure
}

// unit takes a unit at the front of in, or the header of a DATA frame, and returns how long it is: 0 where it is not all there.
func (c *Session) unit(in []byte) (n int, f fault) {
	if !c.is(sessionPrefaced) {
		n := min(len(in), len(preface))
		if !bytes.Equal(in[:n], preface[:n]) {
			return 0, faultPreface
		}
		if n < len(preface) {
			return 0, ok
		}
		c.flags |= sessionPrefaced
		return n, ok
	}
	if len(in) < frameHeaderBytes {
		return 0, ok
	}
	h := readFrame(in)
	if f := c.check(h); f != ok {
		return 0, f
	}
	body := in[frameHeaderBytes:]
	switch h.kind {
	case h2.FrameData:
		return c.data(h, body)
	case h2.FrameHeaders:
		return c.headers(h, in)
	case h2.FrameContinuation:
		return 0, faultContinuation
	case h2.FramePushPromise:
		return 0, faultPush
	case h2.FrameSettings, h2.FramePing, h2.FrameRSTStream, h2.FramePriority, h2.FrameWindowUpdate, h2.FrameGoAway:
	case framePriorityUpdate:
		if h.length > maxPriority {
			return c.skip(h)
		}
	default:
		return c.skip(h)
	}
	if len(body) < h.length {
		return 0, ok
	}
	body = body[:h.length]
	switch h.kind {
	case h2.FrameSettings:
		f = c.settings(h, body)
	case h2.FramePing:
		f = c.ping(h, body)
	case h2.FrameRSTStream:
		f = c.resetByPeer(h, body)
	case h2.FramePriority:
		f = c.priority(h, body)
	case h2.FrameWindowUpdate:
		f = c.windowUpdate(h, body)
	case h2.FrameGoAway:
		f = c.goaway(body)
	case framePriorityUpdate:
		f = c.priorityUpdate(h, body)
	}
	return frameHeaderBytes + h.length, f
}

// check looks at what a frame's header alone says, so that a flood is met before its payload is waited for.
func (c *Session) check(h frame) fault {
	if !c.is(sessionSettled) && (h.kind != h2.FrameSettings || h.flags&h2.FlagSettingsAck != 0) {
		return faultFirstFrame
	}
	if h.length > MaxFrameBytes {
		return faultFrameSize
	}
	wantStream, length := true, -1
	switch h.kind {
	case h2.FrameSettings:
		wantStream = false
		switch {
		case h.length%6 != 0, h.flags&h2.FlagSettingsAck != 0 && h.length != 0:
			return faultFrameLength
		case h.length > maxSettings*6:
			return faultSettingsCount
		}
	case h2.FramePing:
		wantStream, length = false, 8
	case h2.FrameGoAway:
		wantStream = false
		if h.length < 8 {
			return faultFrameLength
		}
	case framePriorityUpdate:
		wantStream = false
		if h.length < 4 {
			return faultFrameLength
		}
	case h2.FrameWindowUpdate:
		wantStream, length = h.id != 0, 4
	case h2.FrameRSTStream:
		length = 4
	case h2.FramePriority:
		length = 5
	case h2.FrameData, h2.FrameHeaders, h2.FrameContinuation, h2.FramePushPromise:
	default:
		return ok
	}
	if wantStream != (h.id != 0) {
		return faultFrameStream
	}
	if length >= 0 && h.length != length {
		return faultFrameLength
	}
	return ok
}

// skip passes over a frame that means nothing here (RFC 9113 section 4.1).
func (c *Session) skip(h frame) (int, fault) {
	c.pad = int32(h.length)
	return frameHeaderBytes, c.odd(oddUnknown, costControl)
}

// odd counts something that is allowed, and has it paid for.
func (c *Session) odd(f fault, cost int32) fault {
	c.counts[f].Add(1)
	if !c.budget.spend(cost, c.now) {
		return faultCalm
	}
	return ok
}

// fail ends the connection.
func (c *Session) fail(f fault) {
	if c.failure != nil {
		return
	}
	c.counts[f].Add(1)
	c.failure = &faults[f]
	c.o.framer.WriteGoAway(c.peersLast(), c.failure.Code, nil)
	c.abandon()
}

// Abandon tells every stream that nobody is there any more: the client's socket is gone. Feed must not be called again.
func (c *Session) Abandon(why *Error) {
	if c.failure == nil {
		c.failure = why
		c.abandon()
	}
}

func (c *Session) abandon() {
	c.left, c.pad, c.cur = 0, 0, nil
	for i := len(c.streams) - 1; i >= 0; i-- {
		if s := c.streams[i]; !s.is(streamReset) {
			c.drop(s)
			c.recv.Reset(s, c.failure)
		}
	}
}

// drop has a stream send and take nothing more.
func (c *Session) drop(s *Stream) {
	s.flags |= streamReset | streamRejected
	c.queued -= s.out.Len()
	s.out.Reset(keepBytes)
	s.tail = s.tail[:0]
	c.unwait(s)
	c.refund(s.in.Len() + len(s.unheld()))
	s.in.Reset(keepBytes)
}
