package filters

import (
	"sync/atomic"

	"edge/filters/message"
)

// Host is what the server gives a chain to reach the world with.
//
// Wake may be called from any goroutine at any time, also a little after the exchange has ended. The other methods are
// called on the connection's turn, or by the holder of a paused filter's lane; so Call, Property and Log may be called
// while the connection runs, each by several goroutines at once.
type Host interface {
	// Wake has the connection's turn come, and in it Chain.Run.
	Wake()

	// Now is the engine's clock in nanoseconds; pauses are measured by it. Called on the connection's turn only.
	Now() int64

	// Call starts a call-out for filter index of the chain; the answer goes to Chain.CallDone. The chain has checked the
	// call's syntax and MaxCalls. Errors: ErrNoUpstream, or the server's own.
	Call(index int, c *Call) (id uint32, err error)

	// CancelCalls gives up the calls of filter index that are under way. Called on the connection's turn only.
	CancelCalls(index int)

	// Property looks up the server's own attributes. What SetProperty stored is the chain's affair.
	Property(path string) (Value, bool)

	// Log writes a line for a filter.
	Log(filter string, level Level, text string)
}

// Sink takes what leaves the far end of a chain, on the connection's turn and in order. A piece of body is valid during
// the call. A Sink may call the chain's Response methods and Answer from within Request methods (an action that answers
// at once), but never End or Begin.
type Sink interface {
	// RequestHead and the next two go to the action.
	RequestHead(end bool)
	RequestBody(p []byte, end bool)
	RequestTrailers()

	// Cancel says that the chain answers by itself: the action is to be given up if it has begun, and nothing of it may
	// be written to the Response any longer. What is left of the client's request body is the server's affair. It is
	// called before the Response is filled, perhaps more than once.
	Cancel()

	// ResponseHead and the next two go to the client.
	ResponseHead(end bool)
	ResponseBody(p []byte, end bool)
	ResponseTrailers()

	// Abort cuts the exchange off. Nothing follows it.
	Abort(cause string)
}

// Chain runs a route's filters over one exchange: what is pushed in at one end goes through the filters and comes out in
// the [Sink], as far as the filters let it. The request runs first to last, the response last to first. It has no
// goroutine, no clock and no lock held across a callback.
//
// A Chain belongs to its connection: all methods are called on the connection's turn. The zero value is ready for
// Begin. It is made to be reused; Begin and the passage of heads do not allocate.
//
// Who owns what. A stream paused on a head or on trailers owns its message, and the chain makes no callback of any
// other stream, nor of either direction, until that pause is over: there is at most one such owner. A stream paused on a
// body owns the body it holds and nothing else, so any number may be paused on bodies. What lanes say (Continue, Respond,
// Abort, Wake) reaches the connection in one atomic word per filter, link.signals.
type Chain struct {
	req  *message.Request
	resp *message.Response
	host Host
	sink Sink

	links []link // one per filter of the route; its backing array never moves while an exchange runs
	flows [2]flow

	owner *link // the stream paused on a head or on trailers, or nil
	owned Direction

	local      reply // the chain's own answer
	answer     bool  // local waits for the owner's Close
	answered   bool  // the response is the chain's own
	localBody  bool  // local's body has still to be pushed
	unusual    bool  // something has been paused, has waited or was closed early: Run has work to look for
	over       bool  // aborted or ended: no callback but Close
	headAsked  bool  // the client's method was HEAD
	sent       atomic.Bool
	was        head // the head as it was last accepted
	outcome    Outcome
	attributes attributes
	inside     *link // the callback that runs, where ownership is checked
}

// stage is how far a direction has come at the near end.
type stage uint8

const (
	stageNone stage = iota // nothing yet
	stageHead              // the head is at link flow.at
	stageBody              // the head is out; body may enter
	stageTail              // all body is in; trailers are at link flow.at
	stageDone              // the end is out
	stageDrop              // given up; what still comes in is dropped
)

// flow is one direction.
type flow struct {
	stage   stage
	end     bool  // no body and no trailers follow the head
	tail    bool  // trailers end the message, not a piece of body
	parked  bool  // the head is through, but stays until the first body comes out, to tell its length
	swallow bool  // the body must not reach the client: an answer to HEAD, 204 or 304
	at      int   // steps the head, or the trailers, have come
	length  int64 // Length as it came in; filters cannot change it
	bodies  int   // filters taking part that see this body
	blocked int   // sides with something unshown
}

// Begin readies the chain for one exchange and asks each filter for its stream. At most MaxChain filters count; the
// configuration is checked for that. A pair of Host and Sink keeps its chain for life: a late Wake may still come to it.
func (c *Chain) Begin(list []Filter, req *message.Request, resp *message.Response, host Host, sink Sink) {
	c.checkBegin()
	list = list[:min(len(list), MaxChain)]
	if cap(c.links) < len(list) {
		c.links = make([]link, len(list))
	}
	c.links = c.links[:len(list)]
	c.req, c.resp, c.sink = req, resp, sink
	if c.host != host {
		c.host = host // not written when equal: a late Wake may be reading it
	}
	c.flows = [2]flow{}
	c.owner = nil
	c.answer, c.answered, c.localBody, c.unusual, c.over, c.headAsked = false, false, false, false, false, false
	if c.sent.Load() {
		c.sent.Store(false)
	}
	c.was = head{}
	c.outcome = Outcome{}
	c.attributes.reset()
	for i, f := range list {
		c.links[i].begin(c, i, f)
	}
}

// RequestHead pushes the request's head in. It is in the Request; end says that nothing follows it.
func (c *Chain) RequestHead(end bool) {
	c.headAsked = c.req.Method == "HEAD"
	c.was.request(c.req)
	c.pushHead(Request, end, c.req.Length)
}

// ResponseHead pushes the head of the action's response in: a final one, or 101. Interim responses (100, 103) go past
// the chain. It is dropped where the chain has answered already; see Sink.Cancel.
func (c *Chain) ResponseHead(end bool) {
	if c.answered {
		return
	}
	c.was.status = c.resp.Status
	c.pushHead(Response, end, c.resp.Length)
}

func (c *Chain) pushHead(d Direction, end bool, length int64) {
	f := &c.flows[d]
	if c.over || f.stage != stageNone {
		return
	}
	f.stage, f.end, f.length, f.at = stageHead, end, length, 0
	c.pumpHead(d)
}

// RequestBody pushes a piece of the request's body in. Accepts(Request) must be true; p is valid during the call.
func (c *Chain) RequestBody(p []byte, end bool) { c.pushBody(Request, p, end) }

// ResponseBody pushes a piece of the action's body in, as RequestBody does.
func (c *Chain) ResponseBody(p []byte, end bool) {
	if !c.answered {
		c.pushBody(Response, p, end)
	}
}

func (c *Chain) pushBody(d Direction, p []byte, end bool) {
	if c.over || c.flows[d].stage != stageBody || (len(p) == 0 && !end) {
		return
	}
	c.body(d, c.first(d), p, end)
}

// RequestTrailers says that the request has ended with trailers, now in Request.Trailer. Accepts(Request) must be true.
func (c *Chain) RequestTrailers() { c.pushTrailers(Request) }

// ResponseTrailers says the same of the response.
func (c *Chain) ResponseTrailers() {
	if !c.answered {
		c.pushTrailers(Response)
	}
}

func (c *Chain) pushTrailers(d Direction) {
	f := &c.flows[d]
	if c.over || f.stage != stageBody {
		return
	}
	f.stage, f.tail, f.at = stageTail, true, 0
	c.pumpTail(d)
}

// Accepts says whether more of a direction may be pushed in. While it is false the server reads no further: a filter has
// paused on a head or on trailers, or a callback waits for its lane. It is true again only after some Run or Expire.
func (c *Chain) Accepts(d Direction) bool {
	f := &c.flows[d]
	switch f.stage {
	case stageNone:
		return c.owner == nil
	case stageHead:
		return false
	case stageBody:
		return f.blocked == 0 && (c.owner == nil || f.bodies == 0)
	}
	return true
}

// Passes says that the head of this direction is out and that no filter sees its body: the server may move the bytes by
// itself and need not tell the chain of them, nor of an end without trailers.
func (c *Chain) Passes(d Direction) bool {
	f := &c.flows[d]
	return f.stage == stageBody && f.bodies == 0 && f.blocked == 0 && !f.parked && !f.swallow && !(d == Response && c.answered)
}

// Busy says that the chain waits for something that a Wake will tell of: Run is to be called in each turn.
func (c *Chain) Busy() bool {
	if !c.unusual {
		return false
	}
	if c.answer {
		return true
	}
	for i := range c.links {
		if c.links[i].busy() {
			return true
		}
	}
	return false
}

// Run takes up what lanes have signalled and makes the calls again that returned Wait and whose lane has woken the
// connection since. It may be called at any time; without a signal it does nothing.
func (c *Chain) Run() {
	if !c.unusual {
		return
	}
	for c.turn() || c.closeOut() {
	}
	c.checkRun()
}

// turn does what can be done now, and says whether something happened that may have made more possible.
func (c *Chain) turn() bool {
	if c.over {
		return false
	}
	if c.takeSignals() {
		return true
	}
	if c.answer && c.owner == nil {
		c.startLocal()
		return true
	}
	if l := c.owner; l != nil {
		c.yield()
		switch {
		case l.closing:
			c.tryClose(l)
			return c.owner == nil
		case l.takeContinue(c.owned):
			c.release(l)
			return true
		}
		return c.deliver(l)
	}
	if c.pump(Response) || c.pump(Request) {
		return true
	}
	for i := range c.links {
		if c.deliver(&c.links[i]) {
			return true
		}
	}
	return false
}

// yield has streams give up the place in line that has come to them, while the owner keeps the chain from calling them. They wait anew when
// it is no more.
func (c *Chain) yield() {
	for i := range c.links {
		if l := &c.links[i]; l != c.owner && l.stream != nil && l.signals.Load()&signalWoken != 0 {
			l.giveWay()
			l.wakeUp()
		}
	}
}

// takeSignals acts on Abort and Respond.
func (c *Chain) takeSignals() bool {
	for i := range c.links {
		l := &c.links[i]
		if !l.in {
			continue
		}
		switch w := l.signals.Load(); {
		case w&signalAbort != 0:
			c.abortBy(l)
			return true
		case w&signalRespond != 0:
			c.respondBy(l)
			return true
		}
	}
	return false
}

// pump moves a direction on as far as it goes.
func (c *Chain) pump(d Direction) (moved bool) {
	f := &c.flows[d]
	if f.stage == stageHead {
		moved = c.pumpHead(d)
	}
	if f.stage == stageBody || f.stage == stageTail {
		moved = c.pumpBody(d) || moved
	}
	if f.stage == stageTail {
		moved = c.pumpTail(d) || moved
	}
	return moved
}

// first is the index of the first link of a direction; after is the next one's. Indexes run out at −1 or len(links).
func (c *Chain) first(d Direction) int {
	if d == Request {
		return 0
	}
	return len(c.links) - 1
}

func after(d Direction, i int) int { return i + 1 - 2*int(d) }

func (c *Chain) at(d Direction, steps int) *link {
	if d == Request {
		return &c.links[steps]
	}
	return &c.links[len(c.links)-1-steps]
}

// End ends the exchange, however far it has come: every stream is closed. Where it returns false a lane is busy; it is
// to be called again after a Wake, and nothing else of the chain until it has returned true.
func (c *Chain) End() (done bool) {
	c.over = true
	if l := c.owner; l != nil {
		c.takeOut(l)
		if c.owner != nil {
			c.yield()
			return false
		}
	}
	done = true
	for i := range c.links {
		c.takeOut(&c.links[i])
		done = done && c.links[i].stream == nil
	}
	if done {
		for i := range c.links {
			c.links[i].forget()
		}
		if c.local.status != 0 {
			c.local.reset()
		}
	}
	return done
}

// closeOut closes the streams that were taken out while their lane was busy, and says whether one has closed: what has waited for that goes
// on.
func (c *Chain) closeOut() (closed bool) {
	if c.over {
		return false
	}
	for i := range c.links {
		if l := &c.links[i]; l.closing {
			c.tryClose(l)
			closed = closed || !l.closing
		}
	}
	return closed
}

// takeOut takes a stream out of the exchange and closes it, now or when its lane is free.
func (c *Chain) takeOut(l *link) {
	l.in = false
	if !c.over {
		c.recount()
	}
	if l.stream != nil && !l.closing {
		l.closing, l.waits = true, false
	}
	c.tryClose(l)
}

// tryClose closes a stream unless that must wait: for its lane, or for the owner, since a stream's last words may read
// the messages. An owner is none any more when it has been closed.
func (c *Chain) tryClose(l *link) {
	if l.stream == nil || (c.owner != nil && c.owner != l) {
		return
	}
	if l.wakeUp(); l.waits {
		return
	}
	if !l.close() {
		c.unusual = true
		return
	}
	if c.owner == l {
		c.owner = nil
	}
	if l.calls.Load() != 0 {
		c.host.CancelCalls(l.index)
	}
}

// recount counts the filters that still see each body.
func (c *Chain) recount() {
	for d := range c.flows {
		n := 0
		for i := range c.links {
			if l := &c.links[i]; l.seesBody(Direction(d)) {
				n++
			}
		}
		c.flows[d].bodies = n
	}
}
