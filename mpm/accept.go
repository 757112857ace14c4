package mpm

import (
	"net/netip"
	"syscall"

	"edge/mpm/internal/admit"
	"edge/mpm/internal/poll"
	"edge/mpm/internal/state"
)

// listenerSlot is the first of the slots, in poller 0's epoll set, that stand for listeners.
const listenerSlot = 1 << 31

// shedAtOnce is how many idle connections end when accept runs out of descriptors (E4).
const shedAtOnce = 32

// door accepts what waits and opens or closes the listeners. Poller 0 calls it once a round, and owns all it touches.
func (e *Engine) door() {
	if e.listening {
		for i := range e.acceptable {
			if e.acceptable[i] && !e.admission.Closed() {
				e.acceptable[i] = e.acceptFrom(i)
			}
		}
	}
	e.decide()
	if e.stopping.Load() && e.listening {
		e.closeListeners()
	}
}

// decide lets admission control look at the load (A1–A3).
func (e *Engine) decide() {
	p := e.pollers[0]
	if !e.admission.Decide(e.load(), p.now) {
		return
	}
	closed := e.admission.Closed()
	e.notAccepting.Store(closed)
	if !e.listening {
		return
	}
	if closed {
		e.stats.DoorClosed.Add(1)
		e.log.Debug("listeners closed", "connections", e.connections.Load())
		for i := range e.listeners {
			p.set.Remove(e.listeners[i].FD)
			e.acceptable[i] = false
		}
		return
	}
	e.stats.DoorOpened.Add(1)
	e.log.Debug("listeners opened", "connections", e.connections.Load())
	for i := range e.listeners {
		p.set.AddListener(e.listeners[i].FD, listenerSlot+uint32(i), 0) // reports what waits already
	}
}

// relieved has poller 0 look at the door again when a worker has brought the load of closed listeners down: nothing else would
// end its wait. Workers call it after each turn.
func (e *Engine) relieved() {
	if !e.notAccepting.Load() || e.stopping.Load() {
		return
	}
	if pending, _ := e.queue.Load(); pending*100 <= e.options.Workers*admit.LowWater {
		e.pollers[0].set.Wake()
	}
}

func (e *Engine) load() admit.Load {
	pending, idle := e.queue.Load()
	p := e.pollers[0]
	return admit.Load{Pending: pending + len(p.fresh) + len(p.ready), Idle: idle, Connections: int(e.connections.Load())}
}

// acceptFrom drains a listener (E3) and says whether it may have more: until there is none, the door closes, the engine
// stops, or accept fails (E4).
func (e *Engine) acceptFrom(i int) (more bool) {
	l := &e.listeners[i]
	for !e.stopping.Load() {
		fd, peer, errno := e.accept(l.FD)
		switch errno {
		case 0:
			e.admission.Accepted()
			e.place(l, fd, peer)
		case syscall.EAGAIN:
			return false
		case syscall.EINTR, syscall.ECONNABORTED:
			e.stats.AcceptTransient.Add(1)
		default:
			e.stats.AcceptExhausted.Add(1)
			e.log.Warn("accept failed, listeners close for a while", "error", errno.Error(), "connections", e.connections.Load())
			e.admission.Exhausted(e.pollers[0].now)
			for _, p := range e.pollers {
				p.shed.Add(shedAtOnce)
				p.set.Wake()
			}
			e.decide()
			return false
		}
		if e.decide(); e.admission.Closed() {
			return false
		}
	}
	return false
}

// place puts a new connection on its poller, for life (E2). Its first event finds it ahead of ordinary work (E5).
func (e *Engine) place(l *Listener, fd int, peer netip.AddrPort) {
	p := e.pollers[e.turn%uint64(len(e.pollers))]
	e.turn++
	c := p.recycle.take()
	if c == nil {
		c = new(Conn)
	}
	c.begin(e, p, l, fd, peer)
	e.sequence++
	c.id = uint64(e.options.Child)<<childShift | e.sequence
	e.connections.Add(1)
	e.stats.Accepted.Add(1)
	c.deadline.Store(p.engine.clock() + int64(e.options.FirstByte))
	c.word.Open(In|Broken|Expired|state.Shed|state.Kill, uint8(PhaseKeepAlive))
	if err := p.add(&c.source); err != nil { // C8
		e.stats.SetupFailed.Add(1)
		poll.Close(fd)
		e.connections.Add(-1)
		c.word.Discard()
		p.recycle.put(c)
	}
}

func (e *Engine) closeListeners() {
	e.listening = false
	e.admission.Stop()
	e.notAccepting.Store(true)
	for i := range e.listeners {
		poll.Close(e.listeners[i].FD)
	}
	close(e.unlistened)
}
