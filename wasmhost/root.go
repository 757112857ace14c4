package wasmhost

import (
	"sync"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/commons"
	"edge/wasmhost/proxywasm"
)

// DoneTime is how long a guest that returns false from proxy_on_done at its end may take until it calls proxy_done.
const DoneTime = 5 * time.Second

// Bounds of what waits for a root context.
const (
	maxReady  = commons.MaxItems // items of one queue that the guest has not been told of
	rootSteps = 16               // calls into the guest in one turn of the unit
)

// root is a lane's root context at work: what its guest does without a stream. It ticks, hears of queues, makes calls, and has
// its time at the end. It is the filters.Task of a unit, which begins when the guest first asks for any of that, and it enters
// the lane like a stream does: between two of its calls others have their turn.
//
// What waits for a busy lane is bounded: one tick however many have passed, a number for each queue, proxywasm's bound of calls.
//
//	guest, in any call:  period, calls, proxy_done ──► Instance ── lane.leave ──► wake ──► Run: enter, sync, one call, leave
//	other goroutines:    queueHook, adopt (an instance started again) ──────────► wake
type root struct {
	lane *lane
	due  atomic.Bool // Run has something to look at

	mu    sync.Mutex // guards what follows; nothing else is locked under it but the server's units
	unit  filters.Unit
	over  bool    // the lane is closed: no unit begins
	ready []ready // queues the guest is to be told of, oldest first

	// The unit's.
	seat  seat
	waits bool          // the seat is in the lane's line, or called
	every time.Duration // between ticks; 0 is off
	tick  int64         // when the next one is due; 0 is never
	until int64         // when the guest's time at the end is over; 0: it has not begun

	stale bool // the lane's holder's: calls and ticks are those of a guest that has failed
}

// ready is a queue and how many items have come.
type ready struct{ queue, n uint32 }

var _ filters.Task = (*root)(nil)

// wake has the unit's turn come, and begins a unit if there is none. Any goroutine may call it; in the server's absence it does
// nothing.
func (r *root) wake() {
	r.due.Store(true)
	units := r.lane.filter.host.options.Units
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unit == nil && !r.over && units != nil {
		r.unit = units.Begin(r)
	}
	if r.unit != nil {
		r.unit.Wake()
	}
}

// nudge is wake for the unit that has begun, if any.
func (r *root) nudge() {
	r.due.Store(true)
	if u := r.runs(); u != nil {
		u.Wake()
	}
}

func (r *root) runs() filters.Unit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unit
}

// lingers says whether a unit runs on which the guest can have its time at the end.
func (r *root) lingers() bool {
	r.wake()
	return r.runs() != nil
}

// end is the lane's last word.
func (r *root) end() {
	r.mu.Lock()
	r.over = true
	u := r.unit
	r.mu.Unlock()
	if u != nil {
		u.End()
	}
}

// note keeps that n items have come into a queue. Any goroutine may call it; wake follows.
func (r *root) note(queue, n uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.ready {
		if q := &r.ready[k]; q.queue == queue {
			q.n = min(q.n+n, maxReady)
			return
		}
	}
	r.ready = append(r.ready, ready{queue, n})
}

// takeReady is the queue that the guest is to be told of next, once for each item.
func (r *root) takeReady() (queue uint32, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ready) == 0 {
		return 0, false
	}
	q := &r.ready[0]
	queue = q.queue
	if q.n--; q.n == 0 {
		r.ready = append(r.ready[:0], r.ready[1:]...)
	}
	return queue, true
}

// Run implements filters.Task.
func (r *root) Run(now int64) (next int64) {
	u := r.runs()
	if u == nil {
		return 0
	}
	for range rootSteps {
		if !r.due.Load() && !r.waits && !passed(r.tick, now) && !passed(r.until, now) {
			return sooner(r.tick, r.until)
		}
		if !r.enter(u) {
			return 0 // it is woken when its turn has come
		}
		r.due.Store(false)
		r.step(u, now)
	}
	return now
}

func passed(at, now int64) bool { return at != 0 && now >= at }

// sooner is the earlier of two times, of which 0 is never.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (r *root) enter(u filters.Unit) bool {
	if !r.waits {
		r.seat.who = u // in the line it belongs to the lane
	}
	r.waits = !r.lane.enter(&r.seat)
	return !r.waits
}

// step makes one call into the guest, if one is due, and leaves the lane.
func (r *root) step(u filters.Unit, now int64) {
	l := r.lane
	r.sync(u, l.current(), now)
	if l.instance != nil {
		r.call(l.instance, now)
		r.sync(u, l.instance, now)
	}
	if l.ending {
		if r.until == 0 {
			r.until = now + int64(DoneTime)
		}
		if l.instance == nil || l.instance.Finished() || now >= r.until {
			l.finish()
			return
		}
	}
	l.leave()
}

// sync takes over what the guest has asked for.
func (r *root) sync(u filters.Unit, in *proxywasm.Instance, now int64) {
	if r.stale || in == nil {
		u.CancelCalls()
		r.stale, r.every, r.tick = false, 0, 0
	}
	if in == nil {
		return
	}
	in.RootNews()
	if every := in.TickPeriod(); every != r.every {
		if r.every, r.tick = every, 0; every > 0 {
			r.tick = now + int64(every)
		}
	}
	for c, found := in.NextCall(); found; c, found = in.NextCall() {
		u.Call(c.ID, &c.Call)
	}
}

// call makes the call that is due.
func (r *root) call(in *proxywasm.Instance, now int64) {
	if passed(r.tick, now) {
		r.tick = now + int64(r.every) // those that have been missed are not made up for
		r.guest(Tick, in.Tick)
		r.due.Store(true)
		return
	}
	if queue, found := r.takeReady(); found {
		r.guest(QueueReady, func() error { return in.QueueReady(queue) })
		r.due.Store(true)
	}
}

// guest makes a call into the guest and counts it. The holder calls it.
func (r *root) guest(p Phase, call func() error) {
	l := r.lane
	now := l.filter.host.options.Now
	l.calls.begin(now)
	if err := call(); err != nil {
		l.calls.end(p, Faulted, now)
		l.fault(nil, p, err)
		return
	}
	l.calls.end(p, Continued, now)
	l.counters.memory.Store(int64(l.instance.MemoryBytes()))
}

// CallDone implements filters.Task.
func (r *root) CallDone(id uint32, answer *filters.CallAnswer) (taken bool) {
	u := r.runs()
	if u == nil {
		return true
	}
	if !r.enter(u) {
		r.lane.calls.calls[CallDone][Waited].Add(1)
		return false
	}
	if in := r.lane.current(); in != nil && !r.stale {
		r.guest(CallDone, func() error { return in.RootCallDone(id, answer) })
	}
	r.due.Store(true) // Run follows, and looks what the guest has asked for
	r.lane.leave()
	return true
}

// Close implements filters.Task: the lane is closed, or the server stops before it.
func (r *root) Close() (done bool) {
	l := r.lane
	if l.isShut() {
		return true
	}
	if u := r.runs(); !r.enter(u) {
		return l.isShut() // otherwise whoever holds the lane calls, at the latest when it is closed
	}
	r.mu.Lock()
	r.unit = nil
	r.mu.Unlock()
	r.stale, r.every, r.tick = true, 0, 0
	if l.ending {
		l.finish()
	} else {
		l.leave()
	}
	return true
}

// queueHook tells a filter of its queues. One root context hears of all of them, that of the first lane, since an item is for one
// reader; what comes while the filter is being started waits.
type queueHook struct {
	mu    sync.Mutex // guards what follows
	to    *root
	early root // keeps what waits; its lane is nil, and nothing runs
}

func (h *queueHook) ready(queue uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to == nil {
		h.early.note(queue, 1)
		return
	}
	h.to.note(queue, 1)
	h.to.wake()
}

func (h *queueHook) open(to *root) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to = to
	for _, q := range h.early.ready {
		to.note(q.queue, q.n)
		to.wake()
	}
	h.early.ready = nil
}
