package http2

import (
	"encoding/binary"

	h2 "golang.org/x/net/http2"
)

const windowMax = 1<<31 - 1 // RFC 9113 section 6.9.1

// settings takes what the client sets, in the order it sets it (RFC 9113 section 6.5.3).
func (c *Session) settings(h frame, body []byte) fault {
	if h.flags&h2.FlagSettingsAck != 0 {
		if c.is(sessionAcked) {
			return c.odd(oddAck, costControl)
		}
		c.flags |= sessionAcked
		return ok
	}
	for b := body; len(b) >= 6; b = b[6:] {
		if f := c.setting(h2.SettingID(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])); f != ok {
			return f
		}
	}
	c.o.framer.WriteSettingsAck()
	if !c.is(sessionSettled) {
		c.flags |= sessionSettled
		if c.is(sessionDraining) && !c.is(sessionDrained) {
			c.firstGoaway()
		}
		return ok
	}
	return c.odd(oddSettings, costControl)
}

func (c *Session) setting(id h2.SettingID, value uint32) fault {
	switch id {
	case h2.SettingEnablePush, h2.SettingNoRFC7540Priorities, h2.SettingEnableConnectProtocol:
		if value > 1 {
			return faultSettingsValue
		}
		if c.client != nil && id == h2.SettingEnableConnectProtocol && value == 1 {
			c.client.connects = true // RFC 8441 section 3: for good
		}
	case h2.SettingMaxConcurrentStreams:
		if c.client != nil {
			c.client.most = min(value, lastClientID)
		}
	case h2.SettingHeaderTableSize:
		if value < maxTableBytes {
			c.flags |= sessionShrunk
		}
	case h2.SettingInitialWindowSize:
		if value > windowMax {
			return faultSettingsWindow
		}
		return c.resize(int32(value))
	case h2.SettingMaxFrameSize:
		if value < MaxFrameBytes || value > 1<<24-1 {
			return faultSettingsValue
		}
		c.peer.frameMax = MaxFrameBytes // larger ones would keep other streams waiting
	}
	return ok
}

// resize changes the windows of all streams by as much as the initial one changes: they may become negative (section 6.9.2).
func (c *Session) resize(window int32) fault {
	change := int64(window) - int64(c.peer.window)
	c.peer.window = window
	for _, s := range c.streams {
		left := int64(s.sendLeft) + change
		if left > windowMax {
			return faultWindowOverflow
		}
		s.sendLeft = int32(left)
	}
	return ok
}

// ping answers, or takes the answer to the one of a graceful shutdown.
func (c *Session) ping(h frame, body []byte) fault {
	if h.flags&h2.FlagPingAck == 0 {
		c.o.framer.WritePing(true, [8]byte(body))
		return c.odd(oddPing, costControl)
	}
	if c.deadline != 0 && [8]byte(body) == drainPing {
		c.lastGoaway()
		return ok
	}
	return c.odd(oddAck, costControl)
}

func (c *Session) windowUpdate(h frame, body []byte) fault {
	n := int64(binary.BigEndian.Uint32(body) & windowMax)
	left, s := &c.sendLeft, (*Stream)(nil)
	if h.id != 0 {
		switch s = c.find(h.id); {
		case s == nil && (h.id&1 == 0 || h.id > c.lastID):
			return faultFrameIdle
		case n == 0:
			return faultWindowZero // F59: not a stream's error alone, or a client could have us reset streams at will
		case s == nil || s.is(streamReset):
			return c.updated()
		}
		left = &s.sendLeft
	}
	switch {
	case n == 0:
		return faultWindowZero
	case int64(*left)+n <= windowMax: // F64
	case s != nil:
		return c.breakStream(s, faultStreamWindow)
	default:
		return faultWindowOverflow
	}
	*left += int32(n)
	return c.updated()
}

// updated has a WINDOW_UPDATE frame paid for, unless what we have sent made it necessary.
func (c *Session) updated() fault {
	if cost := c.budget.updated(); cost > 0 {
		return c.odd(oddWindow, cost)
	}
	return ok
}

// resetByPeer ends a stream. Its slot stays taken until the work for it has ended (F58).
func (c *Session) resetByPeer(h frame, body []byte) fault {
	if h.id&1 == 0 || h.id > c.lastID {
		return faultFrameIdle
	}
	s := c.find(h.id)
	if s == nil || s.is(streamByPeer) {
		c.forget(h.id)
		return c.wasReset()
	}
	s.flags |= streamByPeer
	if c.cur == s {
		c.cur = nil
	}
	if !s.is(streamReset) && !(s.is(streamOutGone) && s.is(streamInEnd)) {
		c.drop(s)
		c.recv.Reset(s, resetBy(Code(binary.BigEndian.Uint32(body))))
	}
	return c.wasReset()
}

// wasReset has a reset paid for. A server may reset what we have begun: how much that is, is ours to say.
func (c *Session) wasReset() fault {
	if c.client != nil {
		return ok
	}
	return c.odd(oddReset, costReset)
}

// cancelled are the errors of streams that the client reset, by code.
var cancelled = func() (t [h2.ErrCodeHTTP11Required + 2]Error) {
	for i := range t {
		t[i] = Error{Code: Code(i), Reason: "reset by the client: " + Code(i).String()}
	}
	t[len(t)-1] = Error{Code: h2.ErrCodeInternal, Reason: "reset by the client: unknown code"}
	return t
}()

func resetBy(code Code) *Error { return &cancelled[min(int(code), len(cancelled)-1)] }

// goaway is the client's end of the connection. Its last stream id is about streams that we would have begun; there are none, so
// nothing is reset: what it began is answered, then the connection ends. One that ends it for an error has nobody who reads answers
// (H3).
func (c *Session) goaway(body []byte) fault {
	switch failed := binary.BigEndian.Uint32(body[4:]) != 0; {
	case c.client != nil:
		c.client.served(binary.BigEndian.Uint32(body) & windowMax)
	case failed:
		return faultPeerError
	}
	if c.is(sessionPeerGone) {
		return c.odd(oddGoaway, costGoaway)
	}
	c.flags |= sessionPeerGone
	return ok
}

// priority is a frame of the scheme that RFC 9113 section 5.3 gave up: it is checked and otherwise ignored.
func (c *Session) priority(h frame, body []byte) fault {
	if binary.BigEndian.Uint32(body)&windowMax == h.id {
		return faultSelfDependency // F59
	}
	return c.odd(oddPriority, costControl)
}

// priorityUpdate is RFC 9218 section 7.1. For a stream that has not begun yet it is forgotten.
func (c *Session) priorityUpdate(h frame, body []byte) fault {
	id := binary.BigEndian.Uint32(body) & windowMax
	if id&1 == 0 {
		return faultPriorityUpdate
	}
	if s := c.find(id); s != nil {
		s.prioritize(view(body[4:]))
	}
	return c.odd(oddPriority, costControl)
}
