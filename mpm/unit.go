package mpm

import (
	"context"
	"errors"
	"net/netip"
	"sync"
)

// MaxUnits is how many units an engine runs at once.
const MaxUnits = 4096

// Errors of Engine.Unit.
var (
	ErrNotRunning = errors.New("mpm: the engine does not run")
	ErrUnits      = errors.New("mpm: too many units")
)

// units are an engine's connections without a client.
//
// A unit is scheduled like any connection: one word, one worker at a time, a poller for its deadline and its borrowed sockets. It
// has no socket of its own, so nothing ever reads, flushes or lingers, and it does not count as a connection: admission does not
// see it, and a drain does not wait for it, since the connections that are finishing may be waiting for what it does. It ends after
// the last of them.
type units struct {
	listener Listener // stands where a connection has its listener: handler and counts

	mu   sync.Mutex // guards what follows
	open bool       // between Start and the end of the last connection
	n    int
	last uint64        // number of the last one, for ids
	gone chan struct{} // has a token when the last one has gone after the end
}

// unitShift puts a bit into the ids of units that no connection's sequence reaches.
const unitShift = childShift - 1

// Unit begins a unit: work of Options.Units that no client has asked for, with state as its State, on poller number poller of
// Pollers. Its first turn comes at once, with Woken; from then on its handler waits with Wait or Suspend and goes on with Again,
// and any other verdict ends it. Stop ends it after the last connection, through Handler.Close. Its memory is not used again:
// once it has ended, Wake does nothing for good. Any goroutine may call it. Errors: ErrNotRunning before Start and while
// stopping, ErrUnits.
func (e *Engine) Unit(state any, poller int) (*Conn, error) {
	u := &e.units
	u.mu.Lock()
	switch {
	case !u.open:
		u.mu.Unlock()
		return nil, ErrNotRunning
	case u.n >= MaxUnits:
		u.mu.Unlock()
		return nil, ErrUnits
	}
	u.n++
	u.last++
	p, c := e.pollers[poller%len(e.pollers)], new(Conn)
	c.begin(e, p, &u.listener, -1, netip.AddrPort{})
	c.stage, c.want, c.ready, c.fresh, c.State = stageServe, Woken, 0, false, state
	c.id = uint64(e.options.Child)<<childShift | 1<<unitShift | u.last
	c.deadline.Store(never)
	c.word.Open(c.want|always, uint8(PhaseUpstream))
	p.seat(&c.source)
	u.mu.Unlock()
	c.Wake()
	return c, nil
}

// unit says whether c is one.
func (c *Conn) unit() bool { return c.listener == &c.engine.units.listener }

// seat gives a source without a descriptor its slot, where the stop and timers find it.
func (p *poller) seat(s *source) {
	p.mu.Lock()
	p.takeSlot(s).src = s
	s.timer.Value = s
	s.timerAt.Store(never)
	p.mu.Unlock()
}

// openUnits lets units begin.
func (e *Engine) openUnits() {
	e.units.mu.Lock()
	e.units.open = true
	e.units.mu.Unlock()
}

// endUnits ends all units and waits until they have gone, or late comes. No connection is left.
func (e *Engine) endUnits(late context.Context) (gone bool) {
	u := &e.units
	u.mu.Lock()
	u.open = false
	left := u.n
	u.mu.Unlock()
	for _, p := range e.pollers {
		p.kill(true)
	}
	if left == 0 {
		return true
	}
	select {
	case <-u.gone:
		return true
	case <-late.Done():
		return false
	}
}

// unitLeft counts a unit out.
func (e *Engine) unitLeft() {
	u := &e.units
	u.mu.Lock()
	u.n--
	if u.n == 0 && !u.open {
		u.gone <- struct{}{}
	}
	u.mu.Unlock()
}

// unitCount is how many there are.
func (e *Engine) unitCount() int {
	e.units.mu.Lock()
	defer e.units.mu.Unlock()
	return e.units.n
}

// Unit begins a unit on the connection's own poller, as Engine.Unit does: what the connection shares with others there. Any goroutine may
// call it.
func (c *Conn) Unit(state any) (*Conn, error) { return c.engine.Unit(state, c.poller.index) }
