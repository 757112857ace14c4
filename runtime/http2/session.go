package http2

import (
	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Receiver takes what a session finds. Its methods are called from within Feed, Deliver and Expire; they may write to any stream of
// the session and must not call Feed or Release.
type Receiver interface {
	// NextStream gives the stream that takes the next request, with Request set. Until Head it may be given again, for other
	// sessions too: a request that is refused leaves no trace but in Request.
	NextStream() *Stream

	// Head says that s has a request. end says that nothing follows its head.
	Head(s *Stream, end bool)

	// Accepts says whether a piece of the body, or its end, has somewhere to go. What does not is kept, within the windows, until
	// Session.Deliver.
	Accepts(s *Stream) bool

	// Data gives a piece of the body, valid during the call; end says it is the last. Taking it opens the windows again.
	Data(s *Stream, p []byte, end bool)

	// Trailers ends a body with the fields in s.Request.Trailer.
	Trailers(s *Stream)

	// Reset says that the client gave the stream up, or broke it, or that the connection ended: nothing that is written to it goes
	// anywhere. Release is still owed.
	Reset(s *Stream, why *Error)

	// Reject says that the rest of the body is dropped and the request to be answered with why.Status, if its answer has not begun.
	Reject(s *Stream, why *Error)

	// Refused tells of a request that the session has answered, or reset, itself.
	Refused(why *Error)
}

// Session is a client's connection. It belongs to whoever runs the connection; between turns it holds nothing that is lent.
type Session struct {
	limits *Limits
	counts *Counts
	recv   Receiver
	client *Client // whose session this is; nil for a server's

	decoder *hpack.Decoder // nil until the first header block
	streams []*Stream      // in use, by id
	cur     *Stream        // the stream of the DATA frame under way; nil to drop it
	failure *Error         // why the connection ended
	budget  budget
	peer    peer
	closed  [lately]uint32 // streams closed lately: id<<1, and 1 where we have reset it

	left     int32 // bytes not seen yet of a DATA frame's data …
	pad      int32 // … and of its padding, or of a frame that is skipped
	sendLeft int32 // the window for what we send
	recvLeft int32 // the window for what the client sends
	taken    int32 // bytes taken that the client has not been told of
	queued   int   // bytes of answers that wait
	waiting  int   // streams with something that waits
	lastID   uint32
	lastGood uint32 // the last stream of a graceful shutdown
	turns    uint32 // rotates incremental streams
	closedAt uint8  // where the next id in closed goes
	flags    sessionFlag
	deadline int64 // of drain
	ackBy    int64

	// For the length of a turn.
	o   *Output
	now int64
}

type sessionFlag uint16

const (
	sessionPrefaced sessionFlag = 1 << iota // the client's preface is read
	sessionSettled                          // its first SETTINGS too
	sessionAcked                            // it knows our SETTINGS
	sessionEnds                             // the DATA frame under way ends its stream
	sessionMore                             // Feed stopped because of its share
	sessionPeerGone                         // the client sent GOAWAY
	sessionDraining                         // the first GOAWAY of a graceful shutdown is sent
	sessionDrained                          // the second too
	sessionShrunk                           // the next header block tells that no table is used
	sessionPartial                          // a unit is there in part
)

// peer is what the client has set.
type peer struct {
	window   int32 // initial, of streams
	frameMax int32
}

// Begin makes the session that of a new connection. counts may be shared; the session only adds to it.
func (c *Session) Begin(limits *Limits, counts *Counts, recv Receiver) {
	*c = Session{limits: limits, counts: counts, recv: recv}
	c.sendLeft, c.recvLeft = initialWindow, initialWindow
	c.peer = peer{window: initialWindow, frameMax: MaxFrameBytes}
	c.budget.updates = gainUpdates // clients open the connection's window when they begin
}

const initialWindow = 65535 // RFC 9113 section 6.9.2

// Turn lends the session what it writes to, and tells it the time in nanoseconds, for the calls that follow. The first has it write
// its preface.
func (c *Session) Turn(o *Output, now int64) {
	c.o, c.now = o, now
	if c.ackBy == 0 {
		c.ackBy = now + int64(settingsTime)
		c.budget.at = now
		c.hello()
	}
}

func (c *Session) is(f sessionFlag) bool { return c.flags&f != 0 }

// hello writes our SETTINGS and opens the connection's window.
func (c *Session) hello() {
	if c.client != nil {
		c.clientHello()
	} else {
		c.serverHello()
	}
	if more := c.limits.Window - initialWindow; more > 0 {
		c.o.windowUpdate(0, more)
		c.recvLeft += more
	}
}

func (c *Session) serverHello() {
	l := c.limits
	settings := [...]h2.Setting{
		{ID: h2.SettingMaxConcurrentStreams, Val: uint32(l.Streams)},
		{ID: h2.SettingInitialWindowSize, Val: uint32(l.StreamWindow)},
		{ID: h2.SettingMaxHeaderListSize, Val: uint32(l.HeaderBytes)},
		{ID: h2.SettingNoRFC7540Priorities, Val: 1},
		{ID: h2.SettingEnableConnectProtocol, Val: 1},
	}
	n := len(settings)
	if !l.WebSocket {
		n--
	}
	c.o.framer.WriteSettings(settings[:n]...)
}

// Len is the number of streams in use: not released yet.
func (c *Session) Len() int { return len(c.streams) }

// Idle says whether there is nothing to wait for but the client's next unit.
func (c *Session) Idle() bool {
	return len(c.streams) == 0 && !c.is(sessionPartial) && c.left == 0 && c.pad == 0 && c.Deadline() == 0 && c.is(sessionSettled)
}

// Partial says whether a unit, or the preface, is there in part: what header_timeout runs against (R70).
func (c *Session) Partial() bool { return c.is(sessionPartial) || !c.is(sessionSettled) }

// More says whether Feed stopped at its share of the turn.
func (c *Session) More() bool { return c.is(sessionMore) }

// Queued is the number of bytes of answers that wait for windows.
func (c *Session) Queued() int { return c.queued }

// Deadline is when Expire has something to do at the latest, or 0.
func (c *Session) Deadline() int64 {
	d := c.deadline
	if !c.is(sessionAcked) && (d == 0 || c.ackBy < d) {
		d = c.ackBy
	}
	if c.failure != nil {
		return 0
	}
	return d
}

// Expire does what the time of the turn makes due.
func (c *Session) Expire() {
	if c.failure != nil {
		return
	}
	if !c.is(sessionAcked) && c.now >= c.ackBy {
		c.fail(faultSettingsTime)
		return
	}
	if c.deadline != 0 && c.now >= c.deadline {
		c.lastGoaway()
	}
}

// find is the open stream of an id, or nil.
func (c *Session) find(id uint32) *Stream {
	low, high := 0, len(c.streams)
	for low < high {
		mid := (low + high) / 2
		switch s := c.streams[mid]; {
		case s.id == id:
			return s
		case s.id < id:
			low = mid + 1
		default:
			high = mid
		}
	}
	return nil
}

// fate is what became of a stream that is not in use.
type fate uint8

const (
	fateUnknown  fate = iota // never used, or long ago
	fateFinished             // the client has ended it, and so have we
	fateReset                // we have reset it: frames may be under way
)

func (c *Session) fate(id uint32) fate {
	for _, old := range c.closed {
		if old>>1 == id {
			return fateFinished + fate(old&1)
		}
	}
	return fateUnknown
}

// forget notes that the client has reset a stream too: nothing can be under way any more.
func (c *Session) forget(id uint32) {
	for i, old := range c.closed {
		if old == id<<1|1 {
			c.closed[i] = id << 1
		}
	}
}

func (c *Session) remember(id uint32, reset bool) {
	old := id << 1
	if reset {
		old |= 1
	}
	c.closed[c.closedAt%lately] = old
	c.closedAt++
}
