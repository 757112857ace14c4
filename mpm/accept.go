package mpm

import (
	"net/netip"
	"syscall"

	"edge/mpm/internal/admit"
	"edge/mpm/internal/poll"
)

// listenerSlot is the first of the slots, in poller 0's epoll set, that stand for listeners.
const listenerSlot = 1 << 31

// acceptBatch is how many connections of one listener poller 0 accepts before it looks at its events and timers again; it does
// not wait in between, so the kernel's queue is still drained in one wake-up (E3).
const acceptBatch = 256

// transientMax is how many accepts in a row may fail for reasons of one connection before that is taken for a reason of the
// machine: no errno makes accept spin (E4).
const transientMax = 64

// Accept opens the door for the first time: from then on the engine accepts. It is called once, after Start; once the engine ends it does nothing.
// Its error says that the system cannot watch a listener.
func (e *Engine) Accept() error {
	e.accepting.Store(true)
	e.pollers[0].set.Wake()
	select {
	case err := <-e.doorOpens:
		return err
	case <-e.unlistened:
		return nil
	}
}

func (e *Engine) openDoor() error {
	for i := range e.listeners {
		if err := e.pollers[0].set.AddListener(e.listeners[i].FD, listenerSlot+uint32(i), 0); err != nil {
			return err
		}
	}
	return nil
}

// door accepts what waits and opens or closes the listeners. Poller 0 calls it once a round, and owns all it touches.
func (e *Engine) door() {
	if !e.listening {
		return
	}
	if e.endingAt(retiring) {
		e.closeListeners()
		return
	}
	if !e.opened {
		if !e.accepting.Load() {
			return
		}
		e.opened = true
		e.doorOpens <- e.openDoor()
	}
	for i := range e.acceptable {
		if e.acceptable[i] && !e.admission.Closed() {
			e.acceptable[i] = false // the listener reports itself again if that was not all
			e.acceptFrom(i)
		}
	}
	if e.decide() && e.admission.Closed() {
		e.decide() // workers that saw the door still open, and so did not wake this poller, are seen now
	}
}

// decide lets admission control look at the load (A1–A3), and says whether that has moved the door.
func (e *Engine) decide() (changed bool) {
	p := e.pollers[0]
	if !e.admission.Decide(e.load(), p.now) {
		return false
	}
	closed := e.admission.Closed()
	e.notAccepting.Store(closed)
	if closed {
		e.stats.DoorClosed.Add(1)
		e.log.Debug("listeners closed", "connections", e.connections.Load())
		for i := range e.listeners {
			p.set.Remove(e.listeners[i].FD)
			e.acceptable[i] = false
		}
		return true
	}
	e.stats.DoorOpened.Add(1)
	e.log.Debug("listeners opened", "connections", e.connections.Load())
	for i := range e.listeners {
		p.set.AddListener(e.listeners[i].FD, listenerSlot+uint32(i), 0) // reports what waits already
	}
	return true
}

// relieved has poller 0 look at the door again when the load of closed listeners has come down: nothing else would end its
// wait. Workers call it when they have taken a connection from the queue and when they find none.
func (e *Engine) relieved() {
	if !e.notAccepting.Load() || e.endingAt(retiring) {
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

// acceptFrom drains a listener (E3): until there is none, the door closes, the engine stops, or accept fails (E4).
func (e *Engine) acceptFrom(i int) {
	l := &e.listeners[i]
	failed := 0
	for n := 0; n < acceptBatch && !e.endingAt(retiring); n++ {
		fd, peer, errno := e.accept(l.FD)
		switch {
		case errno == 0:
			failed = 0
			e.admission.Accepted()
			e.place(l, fd, peer)
		case errno == syscall.EAGAIN:
			return
		case transient(errno) && failed < transientMax:
			failed++
			e.stats.AcceptTransient.Add(1)
		default:
			e.exhausted(errno)
			return
		}
		if e.decide(); e.admission.Closed() {
			return
		}
	}
}

// transient says whether an error of accept is about the connection, which is lost, and not about the machine: accept(2)
// hands a new connection's pending network errors on.
func transient(errno syscall.Errno) bool {
	switch errno {
	case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EPERM, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH, syscall.ETIMEDOUT:
		return true
	}
	return false
}

// exhausted closes the door for a while and has idle connections end, for their descriptors (E4).
func (e *Engine) exhausted(errno syscall.Errno) {
	e.stats.AcceptExhausted.Add(1)
	e.log.Warn("accept failed, listeners close for a while", "error", errno.Error(), "connections", e.connections.Load())
	e.admission.Exhausted(e.pollers[0].now)
	for _, p := range e.pollers {
		p.shed.Add(shedAtOnce)
		p.set.Wake()
	}
	e.decide()
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
	l.counts.open.Add(1)
	l.counts.accepted.Add(1)
	if e.stats.Accepted.Add(1) == uint64(e.options.MaxAccepted) {
		close(e.full)
	}
	c.deadline.Store(p.engine.clock() + int64(e.times.Load().FirstByte))
	c.word.Open(c.want|always, uint8(PhaseKeepAlive))
	e.trace("connection accepted", c)
	if err := p.add(&c.source); err != nil { // C8
		e.stats.SetupFailed.Add(1)
		poll.Close(fd)
		e.connections.Add(-1)
		l.counts.open.Add(-1)
		c.word.Discard()
		p.recycle.put(c)
	}
}

// closeListeners ends accepting for good (P4, A2). What waits to be accepted is left to the other processes that have the listeners: they
// are closed here, never shut down.
func (e *Engine) closeListeners() {
	e.listening = false
	e.admission.Stop()
	e.notAccepting.Store(true)
	for i := range e.listeners {
		e.pollers[0].set.Remove(e.listeners[i].FD) // closing does not, where another process holds the listener too (P4)
		poll.Close(e.listeners[i].FD)
	}
	close(e.unlistened)
}
