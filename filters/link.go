package filters

import (
	"sync/atomic"

	"edge/filters/message"
)

// keepBody is how much body memory a link keeps for its next exchange, in bytes.
const keepBody = 16 << 10

// link is one filter's place in a chain; to its stream it is the Exchange.
//
// Everything here is the connection's, but for:
//   - signals, which anybody may touch;
//   - calls and reply, which belong to whoever runs a callback of the stream or holds its lane in a pause;
//   - side.held, which is the lane's while the stream is paused on that body.
type link struct {
	signals atomic.Uint32
	calls   atomic.Int32 // call-outs under way
	reply   reply        // handed to the connection by signalRespond

	chain   *Chain
	index   int
	filter  Filter
	stream  Stream // nil after its Close, or where there was none
	wants   Callbacks
	in      bool // takes part
	failed  bool // NewStream gave nothing, and the filter must not be left out
	closing bool // taken out, Close has not returned true yet
	resting bool // signalLooking is off
	waits   bool // CallDone or Close has returned Wait

	// What is told of the filter when the exchange is over.
	seen    bool   // a callback has been made
	rested  bool   // it has paused
	since   int64  // it pauses now: when it began, in engine nanoseconds
	paused  int64  // nanoseconds of the pauses that are over
	end     Flag   // how its part ended, where that was not by itself
	because string // why the callback that runs fails: see Because
	limit   bool

	sides   [2]side
	answers []answer // answers to call-outs that have not been taken yet, oldest first
}

// side is a link's part in one direction.
type side struct {
	held     message.Body // what the stream has been shown and keeps
	inbox    message.Body // what it has not been shown yet
	past     bool         // the head has been shown or has gone by
	paused   bool
	waits    bool  // a callback has returned Wait
	blocked  bool  // inbox (perhaps empty, with an end) is to be shown or, by a link taken out, passed on
	inboxEnd bool  // the body ends with inbox
	ended    bool  // the stream has been shown the body's end
	bypass   bool  // this response replaces one the stream has seen: it goes by
	holds    bool  // the stream has asked for HoldHead
	kept     int   // bytes shown since the pause began
	due      int64 // when the pause, or the waiting, has lasted too long, in engine nanoseconds; 0: nothing to measure
}

// The signals. Where signalLooking is set, the connection is bound to look at the word after the callback that runs, so
// nobody needs to wake it: it is set except while the stream rests (paused or waiting, no callback).
//
//	callback runs: LOOKING ──Pause, Wait──► resting ──next callback──► LOOKING
//	               Continue/Respond/Abort:  set bits, and Wake if LOOKING was not set
const (
	signalLooking uint32 = 1 << iota
	signalWoken          // Wake was called: what returned Wait may be called again
	signalAgain          // the callback shows a paused stream more, and it has not called ShownAgain
	signalAbort
	signalRespond // reply is filled
	signalContinueRequest
	signalContinueResponse
)

func signalContinue(d Direction) uint32 { return signalContinueRequest << d }

func (l *link) begin(c *Chain, index int, f Filter) {
	if l.chain != c {
		l.chain = c // not written when equal: a late Wake may be reading it
	}
	l.index, l.filter = index, f
	l.wants = f.Callbacks()
	l.failed, l.closing, l.resting, l.waits = false, false, false, false
	l.seen, l.rested, l.since, l.paused, l.end, l.because, l.limit = false, false, 0, 0, FlagNone, "", false
	for d := range l.sides {
		s := &l.sides[d]
		s.past, s.ended, s.bypass = false, false, false
		s.stop()
	}
	if l.signals.Load() != signalLooking {
		l.signals.Store(signalLooking)
	}
	if l.calls.Load() != 0 {
		l.calls.Store(0)
	}
	l.stream, l.failed = f.NewStream(l)
	l.in = l.stream != nil
	if !l.in && !l.failed {
		l.end = FlagSkipped
		if c.outcome.Flag == FlagNone {
			c.outcome = Outcome{Filter: f.Name(), Flag: FlagSkipped, Cause: "the filter could not take part and was left out"}
		}
	}
	if l.in {
		l.failed = false
		for d := range c.flows {
			if l.wants&onBody(Direction(d)) != 0 {
				c.flows[d].bodies++
			}
		}
	}
}

// close asks the stream to close; if it has, the link's memory is the connection's again. The caller has taken the Wake.
func (l *link) close() bool {
	if !l.stream.Close() {
		l.waits = true
		return false
	}
	l.stream, l.closing, l.waits = nil, false, false
	l.answers = l.answers[:0]
	return true
}

// forget gives up what the link still holds of an exchange that has ended, for memory's sake.
func (l *link) forget() {
	if l.reply.status != 0 {
		l.reply.reset()
	}
	if l.wants&(OnRequestBody|OnResponseBody) != 0 {
		for d := range l.sides {
			l.sides[d].held.Reset(keepBody)
			l.sides[d].inbox.Reset(keepBody)
		}
	}
}

// forgo has a stream whose callback has returned Wait, and is not made again, give up its place in the line. One that closes, or that has an
// answer to take, comes back by itself.
func (l *link) forgo() {
	if !l.closing && len(l.answers) == 0 && (l.sides[Request].waits || l.sides[Response].waits) {
		l.giveWay()
	}
}

func (l *link) giveWay() {
	if s, ok := l.stream.(Waiting); ok {
		s.Forgo()
	}
}

func (l *link) busy() bool {
	return l.closing || len(l.answers) > 0 || l.sides[0].busy() || l.sides[1].busy()
}

// stop gives up what was going on. It does not touch held, which may be the lane's.
func (s *side) stop() {
	s.paused, s.waits, s.blocked, s.inboxEnd, s.holds, s.kept, s.due = false, false, false, false, false, 0, 0
	if s.inbox.Len() > 0 {
		s.inbox.Reset(keepBody)
	}
}

func (s *side) busy() bool { return s.paused || s.waits || s.blocked }

func (l *link) seesBody(d Direction) bool {
	return l.in && l.wants&onBody(d) != 0 && !l.sides[d].bypass
}

func onHead(d Direction) Callbacks     { return OnRequestHead << (3 * d) }
func onBody(d Direction) Callbacks     { return OnRequestBody << (3 * d) }
func onTrailers(d Direction) Callbacks { return OnRequestTrailers << (3 * d) }

// mayCall says whether a callback of direction d may be made now; after Wait it takes a Wake.
func (l *link) mayCall(d Direction) bool {
	l.wakeUp()
	return !l.sides[d].waits
}

// wakeUp takes a Wake: whatever has returned Wait may be called again.
func (l *link) wakeUp() {
	if l.signals.Load()&signalWoken != 0 {
		l.signals.And(^signalWoken)
		l.waits, l.sides[Request].waits, l.sides[Response].waits = false, false, false
	}
}

// enter readies the signals for a callback: what was said for a pause that is no more does not count.
func (l *link) enter(d Direction) {
	l.wakeUp()
	l.seen = true
	looking := signalLooking
	if l.sides[d].paused {
		looking |= signalAgain
	} else if stale := signalContinue(d); l.signals.Load()&stale != 0 {
		l.signals.And(^stale)
	}
	if l.resting {
		l.resting = false
		l.signals.Or(looking)
	}
	l.sides[d].waits = false
}

// leave comes after a callback of direction d. It returns what the callback's action comes to together with the signals
// given meanwhile, and whether the stream has called Respond or Abort, which the caller leaves to Chain.signalled.
func (l *link) leave(d Direction, a Action) (verdict Action, asked bool) {
	s := &l.sides[d]
	w := l.signals.Load()
	if w&signalAgain != 0 {
		drop := signalAgain
		if a == Pause {
			drop |= signalContinue(d)
		}
		w = l.signals.And(^drop) &^ drop
	}
	if a == Pause || a == Wait || l.sides[0].paused || l.sides[1].paused {
		l.resting = true
		w = l.signals.And(^signalLooking) &^ signalLooking
		l.chain.unusual = true
		if other := 1 - d; w&signalContinue(other) != 0 && l.sides[other].paused {
			l.chain.host.Wake()
		}
	}
	if a != Wait && !s.paused {
		s.due = 0
	}
	switch a {
	case Pause:
		if w&signalContinue(d) != 0 {
			l.signals.And(^signalContinue(d))
			a = Continue
		}
	case Wait:
		s.waits = true
		l.measure(d)
	}
	return a, w&(signalRespond|signalAbort) != 0
}

// enterCall and leaveCall are enter and leave for CallDone, which belongs to no direction. What the stream has ended by
// Continue, Chain.Run finds.
func (l *link) enterCall() {
	l.wakeUp()
	l.seen = true
	if l.resting {
		l.resting = false
		l.signals.Or(signalLooking)
	}
	l.waits = false
}

func (l *link) leaveCall(a Action) (verdict Action, asked bool) {
	w := l.signals.Load()
	if a == Wait || l.busy() {
		l.resting = true
		w = l.signals.And(^signalLooking)
	}
	l.waits = a == Wait
	return a, w&(signalRespond|signalAbort) != 0
}

// measure starts the clock of a pause or of a wait for the lane, unless it runs.
func (l *link) measure(d Direction) {
	if s := &l.sides[d]; s.due == 0 {
		limit := l.filter.Limits().Pause
		if limit <= 0 {
			limit = DefaultPause
		}
		s.due = l.chain.host.Now() + int64(limit)
	}
}

// most is the most bytes of a body the filter may hold.
func (l *link) most() int {
	if n := l.filter.Limits().Body; n > 0 {
		return n
	}
	return DefaultBody
}

// continued says whether the lane has ended a pause in direction d which the connection has not ended yet. Until it has,
// the stream is shown nothing of that direction: a later Pause must not be taken for the one that is over.
func (l *link) continued(d Direction) bool {
	return l.sides[d].paused && l.signals.Load()&signalContinue(d) != 0
}

// takeContinue says, once, whether the lane has ended the pause in direction d.
func (l *link) takeContinue(d Direction) bool {
	if !l.continued(d) {
		return false
	}
	l.signals.And(^signalContinue(d))
	return true
}

// ShownAgain is for streams that keep a lane. In Body and Trailers, once it holds the lane, such a stream calls it: what
// the lane has said before by Continue(d), and the connection has not yet heard, is void, for the stream is being shown
// what it holds together with more and decides anew. Without it a Continue that comes while the callback is being made
// for a stream paused on that body does not count, on either side of the callback: the chain could not tell which pause
// it was meant for.
func ShownAgain(x Exchange, d Direction) {
	if l, ok := x.(*link); ok && l.signals.Load()&signalAgain != 0 {
		l.signals.And(^(signalAgain | signalContinue(d)))
	}
}

// HoldHead is for streams that can say what becomes of a head only when they have seen body: in Head such a stream calls
// it and returns Continue. The head then goes on to the other filters but does not leave the chain before the first piece
// of body does, whether it declares a length or not; until then the stream may change it in its callbacks, or answer.
func HoldHead(x Exchange, d Direction) {
	if l, ok := x.(*link); ok {
		l.sides[d].holds = true
	}
}

// signal tells the connection something.
func (l *link) signal(bit uint32) {
	if l.signals.Or(bit)&signalLooking == 0 {
		l.chain.host.Wake()
	}
}

// Request is part of Exchange.
func (l *link) Request() *message.Request { return l.chain.req }

// Response is part of Exchange.
func (l *link) Response() *message.Response { return l.chain.resp }

// Held is part of Exchange.
func (l *link) Held(d Direction) *message.Body {
	if l.wants&onBody(d) == 0 {
		return nil
	}
	return &l.sides[d].held
}

// Continue is part of Exchange.
func (l *link) Continue(d Direction) { l.signal(signalContinue(d)) }

// Respond is part of Exchange.
func (l *link) Respond(r *Reply) error {
	if l.chain.sent.Load() || l.signals.Load()&signalRespond != 0 {
		return ErrTooLate
	}
	if err := r.check(); err != nil {
		return err
	}
	l.reply.copy(r)
	l.signal(signalRespond)
	return nil
}

// Abort is part of Exchange.
func (l *link) Abort() { l.signal(signalAbort) }

// Wake is part of Exchange.
func (l *link) Wake() {
	l.signals.Or(signalWoken)
	l.chain.host.Wake()
}

// Call is part of Exchange.
func (l *link) Call(call *Call) (id uint32, err error) {
	if err := call.Check(); err != nil {
		return 0, err
	}
	if l.calls.Add(1) > MaxCalls {
		l.calls.Add(-1)
		return 0, ErrCallLimit
	}
	if id, err = l.chain.host.Call(l.index, call); err != nil {
		l.calls.Add(-1)
	}
	return id, err
}

// Property is part of Exchange. The server's own attributes cannot be overwritten.
func (l *link) Property(path string) (Value, bool) {
	if v, ok := l.chain.host.Property(path); ok {
		return v, true
	}
	return l.chain.attributes.get(path)
}

// SetProperty is part of Exchange.
func (l *link) SetProperty(path string, value []byte) error {
	return l.chain.attributes.set(path, value)
}

// Log is part of Exchange.
func (l *link) Log(level Level, text string) { l.chain.host.Log(l.filter.Name(), level, text) }
