package mpm

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"edge/mpm/internal/poll"
	"edge/mpm/internal/state"
	"edge/mpm/internal/wheel"
)

const (
	pollMax    = 500 * time.Millisecond // longest wait of a poller (E8)
	stallCheck = int64(time.Millisecond)
	stallPoll  = 5 * time.Millisecond // longest wait while work is queued
)

// slot is where an event's epoll data points. A generation tells an event of a closed socket from one of its successor.
type slot struct {
	gen uint32
	src *source
}

// poller owns an epoll set, the sockets in it and their timers.
type poller struct {
	engine *Engine
	index  int
	set    *poll.Set

	mu         sync.Mutex // slots, free, wheel, sleepUntil
	slots      []slot
	free       []uint32
	wheel      *wheel.Wheel[*source]
	sleepUntil int64 // when the poller will look at its timers by itself; 0 while it is awake

	recycle recycleList

	// The rest is the poller goroutine's alone.
	now        int64
	fresh      []*Conn // to be queued at the end of the round
	ready      []*Conn
	expired    []*source
	lost       []*Socket // idle sockets that something happened to
	pops       uint64
	checkAt    int64
	shed       atomic.Int64 // idle connections to end: others add, the poller takes
	killed     atomic.Bool
	staleCount atomic.Uint64
}

func newPoller(e *Engine, index int) (*poller, error) {
	set, err := poll.New()
	if err != nil {
		return nil, err
	}
	return &poller{engine: e, index: index, set: set, wheel: wheel.New[*source](e.clock())}, nil
}

// add registers a socket for good and lets events flow. The caller has set the source up completely. Slot, descriptor and
// timer become visible as one step under the lock (E7): nobody ends a connection whose registration may still fail (C8).
func (p *poller) add(s *source) error {
	p.mu.Lock()
	at := p.takeSlot(s)
	if err := p.set.Add(s.fd, s.slot, at.gen); err != nil {
		p.free = append(p.free, s.slot)
		p.mu.Unlock()
		return err
	}
	at.src = s
	s.timer.Value = s
	s.timerAt.Store(never)
	d := s.deadline.Load()
	if d != never {
		p.setTimer(s, d)
	}
	wake := d < p.sleepUntil
	p.mu.Unlock()
	if wake {
		p.set.Wake()
	}
	return nil
}

// takeSlot finds a slot for s, of a new generation. The caller holds p.mu and stores s in it.
func (p *poller) takeSlot(s *source) *slot {
	if n := len(p.free); n > 0 {
		s.slot = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		s.slot = uint32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	at := &p.slots[s.slot]
	at.gen++
	return at
}

// forget takes a socket out of slots and wheel. Events of it that are under way are stale from here on.
func (p *poller) forget(s *source) {
	p.mu.Lock()
	p.slots[s.slot].src = nil
	p.free = append(p.free, s.slot)
	p.wheel.Remove(&s.timer)
	s.timerAt.Store(never)
	p.mu.Unlock()
}

// bring moves a source's timer forward, if it is still registered: an idle socket may have been closed meanwhile.
func (p *poller) bring(s *source, deadline int64) {
	p.mu.Lock()
	wake := false
	if p.slots[s.slot].src == s {
		p.setTimer(s, deadline)
		wake = deadline < p.sleepUntil
	}
	p.mu.Unlock()
	if wake {
		p.set.Wake()
	}
}

func (p *poller) setTimer(s *source, at int64) {
	p.wheel.Add(&s.timer, at)
	s.timerAt.Store(at)
}

// run is the poller's loop: wait, mark what has happened, queue what has something to do.
func (p *poller) run() {
	for !p.killed.Load() {
		events, woken := p.set.Ready()
		if len(events) == 0 && !woken {
			runtime.Gosched() // workers first: what they do usually makes the next round worth while
			if events, woken = p.set.Ready(); len(events) == 0 && !woken {
				events, _ = p.set.Park(p.sleep())
			}
		}
		p.now = p.engine.clock()
		p.mark(events)
		p.expire()
		p.endIdle()
		p.hand()
		if p.index == 0 {
			p.engine.door()
		}
	}
}

// sleep is how long to wait at most: min(next timer, pollMax), less while work is queued.
func (p *poller) sleep() time.Duration {
	wait := pollMax
	if pending, _ := p.engine.queue.Load(); pending > 0 {
		wait = stallPoll
	}
	now := p.engine.clock()
	p.mu.Lock()
	if at, ok := p.wheel.Next(); ok {
		wait = min(wait, time.Duration(max(at-now, 0)))
	}
	if p.index == 0 && p.engine.listening {
		if at := p.engine.admission.BackoffUntil(); at > 0 {
			wait = min(wait, time.Duration(max(at-now, 0)))
		}
	}
	p.sleepUntil = now + int64(wait)
	p.mu.Unlock()
	return wait
}

// mark raises the events of one round.
func (p *poller) mark(events []poll.Event) {
	p.mu.Lock()
	p.sleepUntil = 0
	for _, ev := range events {
		if ev.Slot >= listenerSlot {
			p.engine.acceptable[ev.Slot-listenerSlot] = true
			continue
		}
		at := &p.slots[ev.Slot]
		if at.gen != ev.Gen || at.src == nil {
			p.staleCount.Add(1)
			continue
		}
		p.raise(at.src, ev.Bits)
	}
	p.mu.Unlock()
	for i, s := range p.lost {
		s.keeper.Lost(s)
		p.lost[i] = nil
	}
	p.lost = p.lost[:0]
}

func (p *poller) raise(s *source, bits uint32) {
	var ev Events
	if bits&poll.In != 0 {
		ev |= In
	}
	if bits&poll.Out != 0 {
		ev |= Out
	}
	if bits&poll.PeerIn != 0 {
		s.fin.Store(true)
		ev |= In
	}
	if bits&poll.Broken != 0 {
		s.fin.Store(true)
		ev |= Broken | In | Out
	}
	if s.conn != nil {
		p.queue(s.conn, ev)
		return
	}
	s.sock.events.Or(uint32(ev))
	if owner := s.sock.owner.Load(); owner != nil {
		p.queue(owner, Borrow)
	} else if ev&(In|Broken) != 0 {
		p.lost = append(p.lost, s.sock)
	}
}

// queue raises an event and notes the connection for the end of the round, if this event is what it waited for.
func (p *poller) queue(c *Conn, ev Events) {
	if !c.word.Raise(ev) {
		return
	}
	if c.fresh {
		p.fresh = append(p.fresh, c)
	} else {
		p.ready = append(p.ready, c)
	}
}

// expire pops what is due, one at a time from a fresh look at the wheel (E8). An entry whose deadline has moved back
// meanwhile is set again.
func (p *poller) expire() {
	p.mu.Lock()
	for {
		t := p.wheel.Pop(p.now)
		if t == nil {
			break
		}
		s := t.Value
		s.timerAt.Store(never)
		switch d := s.deadline.Load(); {
		case d > p.now && d != never:
			p.setTimer(s, d)
		case d == never:
		case s.conn != nil:
			p.queue(s.conn, Expired)
		case s.sock.owner.Load() == nil:
			p.lost = append(p.lost, s.sock)
		}
	}
	p.mu.Unlock()
	for i, s := range p.lost {
		s.keeper.Lost(s)
		p.lost[i] = nil
	}
	p.lost = p.lost[:0]
}

// kill ends every connection, as the stop's deadline has passed, or every unit.
func (p *poller) kill(units bool) {
	p.mu.Lock()
	var kill []*Conn
	for i := range p.slots {
		if s := p.slots[i].src; s != nil && s.conn != nil && s.conn.unit() == units && s.conn.word.Raise(state.Kill) {
			kill = append(kill, s.conn)
		}
	}
	p.mu.Unlock()
	for _, c := range kill {
		p.engine.push(c, true)
	}
}

// hand queues what the round has made ready.
func (p *poller) hand() {
	q := p.engine.queue
	if len(p.fresh) > 0 {
		p.engine.overflow(p.fresh[q.PushAll(p.fresh, true):]...)
		clear(p.fresh)
		p.fresh = p.fresh[:0]
	}
	if len(p.ready) > 0 {
		p.engine.overflow(p.ready[q.PushAll(p.ready, false):]...)
		clear(p.ready)
		p.ready = p.ready[:0]
	}
	if p.now >= p.checkAt {
		p.pops = q.Stalled(p.pops)
		p.checkAt = p.now + stallCheck
	}
}

// phaseOf is what a connection is doing now: what it waits for, unless a worker has it or is about to.
func phaseOf(c *Conn) Phase {
	switch at, phase := c.word.Look(); at {
	case state.Queued, state.Running:
		return PhaseRunning
	default:
		return Phase(phase)
	}
}

// phases adds up what the poller's connections are doing.
func (p *poller) phases(counts *[Phases]int) {
	p.mu.Lock()
	for i := range p.slots {
		if s := p.slots[i].src; s != nil && s.conn != nil && !s.conn.unit() {
			counts[phaseOf(s.conn)]++
		}
	}
	p.mu.Unlock()
}
