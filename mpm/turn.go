package mpm

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"edge/mpm/internal/poll"
	"edge/mpm/internal/state"
)

// stage is what the next event of a connection is for.
type stage uint8

const (
	stageServe  stage = iota // the handler decides
	stageAgain               // the handler goes on where it stopped, whatever has happened
	stageIdle                // keep-alive, or not a byte yet: bytes are the handler's, the rest is the engine's (C3)
	stageFlush               // write completion (C2)
	stageLinger              // half-closed, reading what still comes (C7)
	stageClose               // socket closed, the handler's Close is not done yet
)

const (
	// always ends any wait.
	always = Expired | state.Kill

	// idleWait ends the wait of a connection that has nothing to do.
	idleWait = In | Broken | Woken | state.Shed

	// public is what a handler sees of the events.
	public = In | Out | Broken | Borrow | Expired | Woken
)

// turnRounds is how often a connection goes round in one turn, because what it waits for is there already, before it goes to the
// tail of the run queue: no client and no handler keeps a worker to itself.
const turnRounds = 16

// worker runs connections, one at a time. It never polls.
type worker struct {
	engine *Engine
	index  int
	turn   Turn
	in     []byte // Turn.In and Turn.Out as each round finds them
	out    []byte
	locals []any // what each listener's handler keeps for this worker
	had    bool
	turns  uint16
	cell   *atomic.Uint64 // what it does, for others to see (P8)
}

func newWorker(e *Engine, index int) *worker {
	w := &worker{engine: e, index: index, cell: e.cellOf(index)}
	w.in, w.out = make([]byte, ScratchBytes), make([]byte, 0, ScratchBytes)
	w.turn.Worker = index
	w.locals = make([]any, len(e.handlers))
	for i, h := range e.handlers {
		w.locals[i] = h.NewWorker(index)
	}
	return w
}

func (w *worker) run() {
	for {
		c, ok := w.engine.queue.Pop(w.index, w.had)
		if !ok {
			return
		}
		w.had = true
		w.serve(c)
		w.rests()
	}
}

// serve is one turn: claim, then go round until the connection is released, requeued or closed. A panic of the handler costs
// that connection only.
func (w *worker) serve(c *Conn) {
	ev := w.claim(c)
	w.begins(c)
	defer w.rescue(c)
	c.fresh = false
	for round := 1; ; round++ {
		c.ready |= ev & (In | Out | Broken)
		if ev&Expired != 0 && !c.due(w.turn.Now) {
			ev &^= Expired // the deadline has moved since the timer was set
		}
		var again bool
		if ev, again = w.step(c, ev); !again {
			return
		}
		if round == turnRounds {
			c.word.Raise(ev) // kept for the next turn
			w.requeue(c)
			return
		}
		w.turn.Now = w.engine.clock()
	}
}

// claim takes a queued connection (E6) and lays out what the turn needs.
func (w *worker) claim(c *Conn) Events {
	ev := c.word.Claim()
	w.turn.Now = w.engine.clock()
	w.turn.Local = w.locals[c.listener.handler]
	return ev
}

// requeue puts the connection at the tail of the run queue; after it the worker touches nothing of it.
func (w *worker) requeue(c *Conn) (Events, bool) {
	c.word.Requeue(uint8(PhaseRunning))
	w.engine.push(c, false)
	return 0, false
}

// refuse ends a queued connection that the run queue had no room for (E5).
func (w *worker) refuse(c *Conn) {
	w.claim(c)
	defer w.rescue(c)
	for again := true; again; {
		_, again = w.end(c, CauseError)
	}
}

// rescue ends a connection whose handler has panicked. Where that was in Close, or Close panics now, what the handler held is
// lost, and the connection's memory is not.
func (w *worker) rescue(c *Conn) {
	p := recover()
	if p == nil {
		return
	}
	w.engine.stats.Panics.Add(1)
	w.engine.log.Error("a connection's handler panicked", "connection", c.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if c.stage == stageClose {
		w.forget(c)
		return
	}
	defer func() {
		if recover() != nil {
			w.forget(c)
		}
	}()
	for again := true; again; {
		_, again = w.end(c, CausePanic)
	}
}

// step handles the events of one round. again = false means that c is no longer this worker's.
func (w *worker) step(c *Conn, ev Events) (next Events, again bool) {
	if ev&state.Kill != 0 && c.stage != stageClose {
		return w.end(c, CauseShutdown)
	}
	switch c.stage {
	case stageClose:
		return w.end(c, c.cause)
	case stageIdle:
		switch {
		case ev&(In|Woken) != 0:
			// A request has arrived: it is served even where the connection was to go, and the idle deadline is not its own.
			ev &^= Expired
		case ev&Broken != 0:
			return w.end(c, CauseClient)
		case ev&state.Shed != 0 && c.newcomer && w.engine.endingAt(stopping):
			w.holdNewcomer(c)
			return w.release(c)
		case ev&state.Shed != 0:
			c.cause, c.after = CauseIdle, nextShortLinger // its descriptor is wanted, or the engine stops
			return w.part(c)
		case ev&Expired != 0:
			w.engine.debug("idle connection timed out", c)
			c.cause, c.after = CauseIdle, nextLinger
			if c.Draining() {
				c.after = nextShortLinger // it has been given all the time there was
			}
			return w.part(c)
		default:
			return w.release(c)
		}
	case stageFlush:
		return w.flush(c, ev)
	case stageLinger:
		return w.drain(c, ev)
	case stageServe:
		if ev&(c.want|Expired) == 0 {
			return w.release(c) // nothing it waited for
		}
	}
	w.turn.In, w.turn.Out = w.in, w.out
	return w.apply(c, c.listener.Handler.Serve(c, &w.turn, ev&public))
}

// apply carries a verdict out.
func (w *worker) apply(c *Conn, v Verdict) (Events, bool) {
	if c.unit() && v.next != nextWait && v.next != nextSuspend && v.next != nextAgain {
		return w.end(c, CauseDone) // it has no socket to flush, or to linger on
	}
	switch v.next {
	case nextWait, nextSuspend:
		c.stage, c.want, c.phase = stageServe, v.want, v.phase
		c.hold(v.deadline)
		if v.next == nextSuspend {
			w.engine.trace("suspended", c)
			return c.word.Park(c.want|always, uint8(c.phase))
		}
		return w.release(c)
	case nextAgain:
		c.stage = stageAgain
		c.hold(0)
		return w.requeue(c)
	case nextClose:
		return w.end(c, CauseDone)
	case nextReset:
		poll.Reset(c.fd)
		return w.end(c, CauseDone)
	}
	c.after, c.idleUntil, c.newcomer = v.next, v.deadline, v.first
	if c.after == nextKeepAlive {
		c.flushed, c.stage = c.sent, stageServe
		return w.flush(c, 0)
	}
	return w.part(c)
}

// holdNewcomer has a connection wait for its first request while the engine stops: that may be on its way, and who has only just connected must
// not find the door closed behind it.
func (w *worker) holdNewcomer(c *Conn) {
	c.hold(min(c.deadline.Load(), w.turn.Now+int64(ShortLinger)))
}

// part has the handler say its last words, then flushes and does what c.after says.
func (w *worker) part(c *Conn) (Events, bool) {
	if c.State == nil && c.after != nextFinish {
		return w.linger(c) // the handler has said nothing yet
	}
	if p := c.listener.parting; p != nil && c.State != nil {
		w.turn.In, w.turn.Out = w.in, w.out
		p.Bye(c, &w.turn)
	}
	c.flushed, c.stage = c.sent, stageServe
	return w.flush(c, 0)
}

// release hands the connection back to its poller (E7): deadline and interest are in place, and this is the worker's last act on
// it. It goes round again if what it waits for is already there.
func (w *worker) release(c *Conn) (Events, bool) {
	if c.stage != stageLinger && c.ready&c.want&(In|Out) != 0 {
		return c.ready & c.want & (In | Out), true
	}
	w.engine.trace("waits for I/O", c)
	return c.word.Release(c.want|always, uint8(c.phase))
}

// flush is write completion (C2): it comes before keep-alive, before lingering and before an orderly close.
func (w *worker) flush(c *Conn, ev Events) (Events, bool) {
	if ev&Broken != 0 {
		return w.end(c, CauseClient)
	}
	if ev&Woken != 0 {
		c.word.Raise(Woken) // for the handler's next turn, when the flush is over
	}
	if ev&Expired != 0 {
		w.engine.debug("client takes no output, connection reset", c)
		w.engine.stats.Timeouts.Add(1)
		poll.Reset(c.fd) // the client has not taken all of it, and must not believe so
		return w.end(c, CauseTimeout)
	}
	w.turn.In, w.turn.Out = w.in, w.out
	done, err := c.listener.Handler.Flush(c, &w.turn)
	switch {
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return w.end(c, CauseClient)
	case err != nil:
		return w.end(c, CauseError)
	}
	if !done {
		if c.stage != stageFlush || c.sent != c.flushed {
			c.hold(w.turn.Now + int64(w.engine.times.Load().WriteTimeout))
		}
		c.stage, c.flushed, c.want, c.phase = stageFlush, c.sent, Out|Broken, PhaseWriting
		return w.release(c)
	}
	switch c.after {
	case nextKeepAlive:
		if w.engine.endingAt(stopping) && !c.Readable() && !c.newcomer {
			c.cause, c.after = CauseIdle, nextShortLinger
			return w.part(c)
		}
		c.stage, c.want, c.phase = stageIdle, idleWait, PhaseKeepAlive
		c.hold(c.idleUntil)
		if c.newcomer && w.engine.endingAt(stopping) {
			w.holdNewcomer(c)
		}
		return w.release(c)
	case nextFinish:
		return w.end(c, CauseDone)
	}
	return w.linger(c)
}

// linger half-closes and goes on reading (C7). Nobody waits: the connection is on its poller until the client has closed
// too, and at most until an absolute deadline. A client that does not close holds no end of the engine up for long.
func (w *worker) linger(c *Conn) (Events, bool) {
	poll.CloseWrite(c.fd)
	limit := w.engine.times.Load().Linger
	if c.after == nextShortLinger || c.Draining() {
		limit = min(limit, ShortLinger)
	}
	c.stage, c.want, c.phase = stageLinger, In|Broken|state.Shed, PhaseLingering
	c.hold(w.turn.Now + int64(limit))
	w.engine.stats.Lingered.Add(1)
	return w.drain(c, 0)
}

// drain reads and forgets, a small piece at a time.
func (w *worker) drain(c *Conn, ev Events) (Events, bool) {
	if ev&Expired != 0 {
		return w.end(c, c.cause)
	}
	if ev&state.Shed != 0 { // the engine stops
		c.hold(min(c.deadline.Load(), w.turn.Now+int64(ShortLinger)))
	}
	for range lingerReads {
		if !c.Readable() {
			return w.release(c)
		}
		n, err := c.Read(w.in[:lingerRead])
		c.drained += n
		switch {
		case errors.Is(err, ErrAgain):
		case err != nil, c.drained > LingerBytes:
			if err != nil && err != io.EOF && c.cause == CauseDone {
				c.cause = CauseClient
			}
			return w.end(c, c.cause)
		}
	}
	return w.requeue(c)
}

// end closes the socket and has the handler free what it holds, once (E10). Where the handler is not done yet the
// connection stays, without a socket, until it is woken.
func (w *worker) end(c *Conn, cause Cause) (Events, bool) {
	if c.stage != stageClose {
		c.stage, c.cause = stageClose, cause
		w.shut(c)
	}
	w.turn.In, w.turn.Out = w.in, w.out
	if c.State != nil && !c.listener.Handler.Close(c, &w.turn, c.cause) {
		return c.word.Park(Woken, uint8(PhaseSuspended))
	}
	w.forget(c)
	return 0, false
}

// shut closes the client's socket.
func (w *worker) shut(c *Conn) {
	if c.gone {
		return
	}
	c.gone = true
	w.engine.trace("connection closed", c)
	c.poller.forget(&c.source)
	if c.unit() {
		return
	}
	poll.Close(c.fd)
	w.engine.stats.Closed[c.cause].Add(1)
}

// forget gives the connection's memory back: the last anybody sees of it.
func (w *worker) forget(c *Conn) {
	w.shut(c)
	c.State = nil
	e, p, listener := w.engine, c.poller, c.listener
	c.word.Close()
	if listener == &e.units.listener {
		e.unitLeft()
		return
	}
	p.recycle.put(c)
	listener.counts.open.Add(-1)
	e.left()
}
