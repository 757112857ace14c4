package http2

import (
	h2 "golang.org/x/net/http2"

	"edge/filters/message"
)

// ClientReceiver takes what a client's session finds. Its methods are called from within Feed and Expire, in the order of the frames;
// they may write to any stream of the session and must not call Feed or Release.
type ClientReceiver interface {
	// Interim says that s.Response is a 1xx response; another head follows. It is the receiver's to take during the call.
	Interim(s *Stream)

	// Head says that s.Response is the final head. end says that nothing follows it. The session does not touch the response again.
	Head(s *Stream, end bool)

	// Data gives a piece of the body, valid during the call; end says it is the last. The receiver takes it, and opens the stream's
	// window again with Client.Credit when it has found a place; what it may hold is bounded by Limits.StreamWindow and Client.Widen.
	Data(s *Stream, p []byte, end bool)

	// Trailers ends a body with fields, valid during the call.
	Trailers(s *Stream, fields *message.Fields)

	// Reset says that the server gave the stream up, or broke it, or that the connection ended. Release is still owed. Where
	// why.Code is ErrRefused, nothing was done for the request.
	Reset(s *Stream, why *Error)
}

// ErrRefused is the code of streams that the server has not looked at: REFUSED_STREAM, or beyond the last one of its GOAWAY
// (RFC 9113 section 8.7).
const ErrRefused = h2.ErrCodeRefusedStream

// Client is a connection to a server: a [Session] in the client's role. Of a session's methods Feed, Turn, Expire, Deadline, Failed,
// Abandon, Abort, Release, Len, More and Finished are used as a server uses them.
//
// Unlike a server's session it does not wait for the receiver: whoever takes one stream's body slowly must not stop the others. So the
// connection's window is opened as soon as bytes come, and what is held is bounded by the streams' windows.
type Client struct {
	Session
	to   ClientReceiver
	next uint32 // id of the next stream
	most uint32 // streams that the server allows at a time

	connects bool // it takes extended CONNECT
}

const (
	maxInterims  = 8 // 1xx responses of one stream (S28, U85)
	lastClientID = 1<<31 - 1
)

// Begin makes the client that of a new connection. limits.HeaderBytes, HeaderCount, StreamWindow and Window bound what the server
// sends, and limits.Streams how many streams are open at a time. counts may be shared.
func (c *Client) Begin(limits *Limits, counts *Counts, to ClientReceiver) {
	*c = Client{to: to, next: 1, most: lastClientID}
	c.Session.Begin(limits, counts, clientSide{c})
	c.client = c
	c.flags |= sessionPrefaced
}

// clientHello writes the preface and our SETTINGS.
func (c *Session) clientHello() {
	l := c.limits
	c.o.Dst = append(c.o.Dst, preface...)
	c.o.framer.WriteSettings(
		h2.Setting{ID: h2.SettingEnablePush, Val: 0},
		h2.Setting{ID: h2.SettingInitialWindowSize, Val: uint32(l.StreamWindow)},
		h2.Setting{ID: h2.SettingMaxHeaderListSize, Val: uint32(l.HeaderBytes)},
	)
}

// Slots is how many streams may be opened now: none before the server has said how many it takes.
func (c *Client) Slots() int {
	if !c.Usable() || !c.is(sessionSettled) {
		return 0
	}
	return min(c.limits.Streams, int(c.most)) - len(c.streams)
}

// Usable says whether streams will be opened again once there are slots.
func (c *Client) Usable() bool {
	return c.failure == nil && !c.is(sessionPeerGone) && c.next <= lastClientID-2
}

// Open begins a stream with a request's header block, made by AppendRequest; there must be a slot. head says that the method is HEAD,
// end that no body follows. s.Response takes the response.
func (c *Client) Open(s *Stream, block []byte, head, end bool) {
	id := c.next
	c.next += 2
	c.lastID = id
	s.begin(&c.Session, id)
	s.length, s.urgency = message.UnknownLength, defaultUrgency
	s.flags |= streamHead
	if head {
		s.flags |= streamHeadOnly
	}
	if end {
		s.flags |= streamOutEnd | streamOutGone
	}
	c.streams = append(c.streams, s)
	c.o.block = c.o.block[:0]
	c.shrunk()
	c.o.block = append(c.o.block, block...)
	c.o.headers(id, end, int(c.peer.frameMax))
}

// Connects says whether the server takes extended CONNECT (RFC 8441 section 3), once Slots says that it may be asked.
func (c *Client) Connects() bool { return c.connects }

// OpenTunnel is Open for a block made by AppendConnect. Where the answer is 2xx what follows are the protocol's bytes, both ways.
func (c *Client) OpenTunnel(s *Stream, block []byte) {
	c.Open(s, block, false, false)
	s.flags |= streamTunnel
}

// Credit opens a stream's window by n bytes that Data has brought and that need no memory any more.
func (c *Client) Credit(s *Stream, n int) {
	if s.session == &c.Session {
		c.credit(s, int32(n))
	}
}

// Widen has a stream's window be n bytes larger from now on.
func (c *Client) Widen(s *Stream, n int) {
	if n > 0 && s.session == &c.Session && !s.is(streamInEnd|streamReset) && c.failure == nil {
		c.o.windowUpdate(s.id, int32(n))
		s.recvLeft += int32(n)
		s.recvMost += int32(n)
	}
}

// Window is how many bytes Write would send at once.
func (s *Stream) Window() int {
	if s.Gone() {
		return 0
	}
	return max(0, int(min(s.sendLeft, s.session.sendLeft)))
}

// response takes a header section of the server's: heads, then trailers (RFC 9113 section 8.1).
func (c *Client) response(id uint32, end bool, first, rest []byte) fault {
	s := c.find(id)
	if s == nil && id > c.lastID {
		return faultFrameIdle
	}
	switch {
	case s == nil || s.is(streamReset):
		return c.decode(nil, false, first, rest) // sent before the server knew
	case s.is(streamInHead):
		return c.trailers(s, end, first, rest)
	}
	resp := s.Response
	resp.Reset()
	if f := c.decode(&resp.Header, false, first, rest); f != ok {
		return f
	}
	switch f := c.o.read.response(resp, s.is(streamHeadOnly), end); {
	case f != ok && faults[f].Status != 0:
		c.counts[f].Add(1)
		c.Abort(s, ErrCancel)
		c.to.Reset(s, &faults[f])
		return ok
	case f != ok:
		return c.breakStream(s, f)
	}
	if resp.Status < 200 {
		if s.interims++; s.interims > maxInterims {
			return c.breakStream(s, faultInterims)
		}
		c.to.Interim(s)
		return ok
	}
	s.flags |= streamInHead
	switch {
	case s.is(streamTunnel) && resp.Status/100 == 2:
		resp.Length, resp.Bodiless = message.UnknownLength, false // RFC 9110 section 9.3.6
	case resp.Bodiless:
		s.length = 0
	default:
		s.length = resp.Length
	}
	if end {
		s.flags |= streamInEnd | streamInGiven
	}
	c.to.Head(s, end)
	return ok
}

// served takes the server's GOAWAY: it will look at nothing beyond the last stream it names (RFC 9113 section 6.8).
func (c *Client) served(last uint32) {
	for i := len(c.streams) - 1; i >= 0 && c.streams[i].id > last; i-- {
		if s := c.streams[i]; !s.is(streamReset) {
			s.flags |= streamByPeer
			if c.cur == s {
				c.cur = nil
			}
			c.drop(s)
			c.to.Reset(s, &cancelled[ErrRefused])
		}
	}
}

// clientSide is a client as the receiver of its session: what concerns servers only never happens.
type clientSide struct{ *Client }

func (c clientSide) NextStream() *Stream                { return nil }
func (c clientSide) Head(*Stream, bool)                 {}
func (c clientSide) Accepts(*Stream) bool               { return true }
func (c clientSide) Data(s *Stream, p []byte, end bool) { c.to.Data(s, p, end) }
func (c clientSide) Trailers(s *Stream)                 { c.to.Trailers(s, &s.trailer) }
func (c clientSide) Reset(s *Stream, why *Error)        { c.to.Reset(s, why) }
func (c clientSide) Refused(*Error)                     {}

// Reject is for trailers that are too large.
func (c clientSide) Reject(s *Stream, why *Error) {
	c.Abort(s, ErrCancel)
	c.to.Reset(s, why)
}
