package wasmhost

import (
	"sync"
	"sync/atomic"

	"edge/filters"
	"edge/wasmhost/proxywasm"
)

// lane is one instance, the streams that use it, and its root context (see root). Who has entered a lane holds it: only the holder calls the guest,
// touches the instance, and touches messages of streams the guest has paused. Nobody blocks: a stream that finds the lane
// held waits in its line, while its connection goes on or parks.
//
//	  ┌────────────── leave, nobody in line ──────────────┐
//	  ▼                                                   │
//	FREE ──────────────── enter ───────────────────────► HELD ◄─ enter: false, to the end of the line
//	  ▲                                                   │
//	  └── leave: first in line is called (Wake) ──────────┘
//
// The one called is first: it comes back through enter. Whoever passes by before it may enter once, so that a lane under
// load is not idle while the one called is on its way; if that makes the one called find the lane held, it is firm, and
// from the next leave on the lane admits nobody else. Every stream that waits comes back, or says that it will not (forgo).
//
// mu guards the state below it and is never held while a guest runs. Wake is called under it, so that the stream cannot
// have come, ended and been used again meanwhile; Wake must not call back into the lane.
type lane struct {
	filter *Filter

	// The holder's.
	instance *proxywasm.Instance // nil while it is being replaced
	life     uint32              // of the guest, from 1: another one after each fault, in the same instance or in a new one
	ending   bool                // it is retired, and the guest has been told

	mu      sync.Mutex
	held    bool
	first   *seat // called, not yet back
	firm    bool  // first found the lane held when it came
	head    *seat // the line, without first
	tail    *seat
	streams int     // bound to this lane
	spare   *stream // streams to be used again, by next
	spares  int
	retired bool // no new streams; the instance is closed after the last one
	shut    bool // it is closed; held stays true

	fresh atomic.Pointer[proxywasm.Instance] // a started instance that waits for the next holder
	busy  atomic.Bool                        // held, for choosing a lane
	up    atomic.Bool                        // there is an instance, or a fresh one
	bound atomic.Int32                       // streams, for choosing a lane

	root     root
	recovery recovery // the holder's, and the restart's while there is no instance
	counters laneCounters
	calls    callCounts
}

// maxSpares is how many ended streams a lane keeps for later.
const maxSpares = 1024

// seat is a place in a lane's line: a stream's, or the root context's.
type seat struct {
	who interface{ Wake() } // woken when its turn has come

	// Guarded by lane.mu.
	before, after *seat
	inLine        bool
}

// enter makes s the holder, or puts it in the line and returns false; s is woken then.
func (l *lane) enter(s *seat) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held || (l.firm && l.first != s) {
		if l.first == s {
			l.firm = true
		} else if !s.inLine {
			l.push(s)
		}
		return false
	}
	if l.first == s {
		l.first, l.firm = nil, false
	} else if s.inLine {
		l.remove(s)
	}
	l.held = true
	l.busy.Store(true)
	return true
}

// leave ends the hold and calls the next in line; where the lane is retired and has no stream left it closes it.
func (l *lane) leave() {
	if l.instance != nil && l.instance.RootNews() {
		l.root.wake()
	}
	l.mu.Lock()
	if l.retired && l.streams == 0 && !l.ending {
		l.mu.Unlock()
		l.close()
		return
	}
	defer l.mu.Unlock()
	l.held = false
	l.busy.Store(false)
	switch {
	case l.first == nil:
		l.call()
	case l.firm:
		l.first.who.Wake()
	}
}

// call calls the next in line. The caller holds mu.
func (l *lane) call() {
	if l.first = l.head; l.first != nil {
		l.remove(l.first)
		l.first.who.Wake()
	}
}

// forgo takes one out of the line that will not come back now. If it was its turn the next one is called.
func (l *lane) forgo(s *seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.inLine:
		l.remove(s)
	case l.first == s:
		l.first, l.firm = nil, false
		if !l.held {
			l.call()
		}
	}
}

func (l *lane) push(s *seat) {
	s.inLine, s.before, s.after = true, l.tail, nil
	if l.tail == nil {
		l.head = s
	} else {
		l.tail.after = s
	}
	l.tail = s
}

func (l *lane) remove(s *seat) {
	if s.before == nil {
		l.head = s.after
	} else {
		s.before.after = s.after
	}
	if s.after == nil {
		l.tail = s.before
	} else {
		s.after.before = s.before
	}
	s.inLine, s.before, s.after = false, nil, nil
}

// bind gives out a stream of this lane, or nil where the lane is retired.
func (l *lane) bind(x filters.Exchange) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return nil
	}
	s := l.spare
	if s == nil {
		s = &stream{lane: l}
	} else {
		l.spare, s.next = s.next, nil
		l.spares--
	}
	s.x, s.who = x, x
	l.streams++
	l.bound.Store(int32(l.streams))
	return s
}

// unbind takes back a stream that has ended, from the holder, and ends the hold.
func (l *lane) unbind(s *stream) {
	l.mu.Lock()
	s.x, s.who, s.life, s.lost = nil, nil, 0, false
	l.streams--
	l.bound.Store(int32(l.streams))
	if l.spares < maxSpares {
		s.next, l.spare = l.spare, s
		l.spares++
	}
	l.mu.Unlock()
	l.leave()
}

// retire admits no more streams, and closes the lane where there are none; otherwise whoever holds it does, in the end.
func (l *lane) retire() {
	l.mu.Lock()
	idle := !l.retired && l.streams == 0 && !l.held
	l.retired = true
	if idle {
		l.held = true
	}
	l.mu.Unlock()
	if idle {
		l.close()
	}
}

// current is the lane's instance, or nil where it has none. The holder calls it.
func (l *lane) current() *proxywasm.Instance {
	if l.instance == nil {
		l.instance = l.fresh.Swap(nil)
	}
	return l.instance
}

// close tells the guest that its end has come, and ends the lane unless the guest asks for time; then its root context goes on, and
// ends it. The holder calls it, as its last act.
func (l *lane) close() {
	in := l.current()
	l.ending = true
	if in != nil {
		if finished, err := in.RootDone(); err == nil && !finished && l.root.lingers() {
			l.leave()
			return
		}
	}
	l.finish()
}

// isShut says whether the lane is closed.
func (l *lane) isShut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shut
}

// finish closes the instance. It is the last holder's last act.
func (l *lane) finish() {
	l.mu.Lock()
	l.shut = true
	l.mu.Unlock()
	l.up.Store(false)
	for _, in := range []*proxywasm.Instance{l.instance, l.fresh.Swap(nil)} {
		if in != nil {
			in.Close()
			l.counters.instances.Add(-1)
		}
	}
	l.instance = nil
	l.counters.memory.Store(0)
	l.root.end()
	if l.filter.open.Add(-1) == 0 {
		close(l.filter.ended)
	}
	l.filter.drop()
}

// adopt offers an instance, started or restored, to the next holder.
func (l *lane) adopt(in *proxywasm.Instance) {
	if in.RootNews() {
		defer l.root.wake()
	} else {
		defer l.root.nudge()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		l.discard(in)
		return
	}
	l.fresh.Store(in)
	l.up.Store(true)
}
