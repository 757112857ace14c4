package mpm

import "context"

// ending is how far the engine's end has come. It only moves on.
type ending uint32

const (
	serving  ending = iota
	retiring        // nothing is accepted, and idle connections wait to be used once more
	stopping        // idle connections go too
)

// endingAt says whether the engine's end has come so far.
func (e *Engine) endingAt(least ending) bool { return ending(e.ending.Load()) >= least }

// beginEnd moves the end on, and waits until the listeners are closed.
func (e *Engine) beginEnd(to ending) {
	for {
		at := e.ending.Load()
		if ending(at) >= to {
			break
		}
		if e.ending.CompareAndSwap(at, uint32(to)) {
			e.pollers[0].set.Wake()
			break
		}
	}
	<-e.unlistened
}

// Retire closes the listeners in this process and waits until the last connection has gone, or the context ends (P4): for a process
// whose place another one has taken. Nobody is sent away. Draining is true from the beginning, so that handlers end connections with
// their next request; those that are idle wait for it until their own deadline, and linger shortly then. Connections that wait to be
// accepted are left to the other processes that have the listeners. Units go on: Stop, which is owed afterwards, ends them.
func (e *Engine) Retire(ctx context.Context) error {
	if !e.started {
		return nil
	}
	e.beginEnd(retiring)
	for _, p := range e.pollers {
		p.tell(true)
	}
	return e.emptied(ctx)
}

// emptied waits until no connection is left. New ones do not come any more.
func (e *Engine) emptied(ctx context.Context) error {
	for e.connections.Load() > 0 {
		select {
		case <-e.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e.noteEmpty() // for who else waits
	return nil
}

func (e *Engine) noteEmpty() {
	select {
	case e.empty <- struct{}{}:
	default:
	}
}

// WakeOnDrain has a Wake come when the engine begins to retire, or to stop while the connection is not idle, for a protocol that tells its
// client at once. The handler calls it on a turn and looks at Draining then: what began before is not told.
func (c *Conn) WakeOnDrain() { c.tells.Store(true) }

// tell wakes the connections that want to know of the end; idle says whether those that are idle are told too.
func (p *poller) tell(idle bool) {
	var woken []*Conn
	p.mu.Lock()
	for i := range p.slots {
		s := p.slots[i].src
		if s == nil || s.conn == nil || !s.conn.tells.Load() {
			continue
		}
		if _, phase := s.conn.word.Look(); !idle && Phase(phase) == PhaseKeepAlive {
			continue
		}
		if s.conn.word.Raise(Woken) {
			woken = append(woken, s.conn)
		}
	}
	p.mu.Unlock()
	for _, c := range woken {
		p.engine.push(c, true)
	}
}

// Full is closed when Options.MaxAccepted connections have been accepted (P3). The engine goes on: whoever wants another process in
// its place retires it.
func (e *Engine) Full() <-chan struct{} { return e.full }
