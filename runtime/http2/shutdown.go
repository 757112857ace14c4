package http2

import h2 "golang.org/x/net/http2"

// Graceful shutdown (RFC 9113 section 6.8): a first GOAWAY names no last stream, so that what the client sends before it has read it
// is still served; a second, one round trip later, names the last that was.

// drainPing is the PING that measures that round trip.
var drainPing = [8]byte{'g', 'o', 'a', 'w', 'a', 'y', 0, 1}

// Drain begins a graceful shutdown. It may be called more than once. Finished says when it is over. A client that has not begun yet is
// told when it has, if that is soon: its first requests are under way.
func (c *Session) Drain() {
	if c.is(sessionDraining) || c.failure != nil {
		return
	}
	c.flags |= sessionDraining
	c.deadline = c.now + int64(drainTime)
	switch {
	case c.is(sessionPeerGone):
		c.lastGoaway()
	case c.is(sessionSettled):
		c.firstGoaway()
	}
}

func (c *Session) firstGoaway() {
	c.o.framer.WriteGoAway(windowMax, h2.ErrCodeNo, nil)
	c.o.framer.WritePing(false, drainPing)
	c.deadline = c.now + int64(drainTime)
}

// lastGoaway says which streams are served. What the client begins later is ignored.
func (c *Session) lastGoaway() {
	if c.is(sessionDrained) {
		return
	}
	c.flags |= sessionDraining | sessionDrained
	c.deadline = 0
	c.lastGood = c.peersLast()
	c.o.framer.WriteGoAway(c.lastGood, h2.ErrCodeNo, nil)
}

// peersLast is the last stream that the peer has begun: none where we are the client.
func (c *Session) peersLast() uint32 {
	if c.client != nil {
		return 0
	}
	return c.lastID
}

// End says goodbye to a client that has, or that nothing is to be read from any more, where Finished says so or the caller does.
func (c *Session) End() {
	if c.failure == nil {
		c.lastGoaway()
	}
}

// Finished says that the connection has nothing left to do: the client or a shutdown has ended it and every stream is released (H2),
// or it has failed. The caller then calls End, sends what is in the output and closes.
func (c *Session) Finished() bool {
	if c.failure != nil {
		return true
	}
	return len(c.streams) == 0 && (c.is(sessionPeerGone) || c.is(sessionDrained))
}

// Failed is why the connection was ended, or nil.
func (c *Session) Failed() *Error { return c.failure }
