package mpm

import (
	"context"
	"errors"
	"sync"
	"time"
)

// CloseTime is how long Stop waits for handlers that do not let go of what has ended: a Handler.Close that is not done, a turn that does
// not come back.
const CloseTime = 2 * time.Second

// ErrStuck says that Stop has not waited any longer for a handler: what that holds must stay as it is until the process ends.
var ErrStuck = errors.New("mpm: a handler does not let go")

// Drain closes the listeners, ends idle connections and waits until the others have finished, or the context ends (P4).
func (e *Engine) Drain(ctx context.Context) error {
	if !e.started {
		return nil
	}
	e.beginEnd(stopping)
	for _, p := range e.pollers {
		p.shed.Store(int64(e.options.Connections) + 1)
		p.set.Wake()
		p.tell(false)
	}
	return e.emptied(ctx)
}

// Stop drains, ends what is left when the context does, and joins every goroutine. After it nothing of the engine runs (P7).
// It waits for each Handler.Close to be done, since what it frees may be what others still hold, for at most CloseTime after that; then it
// says in the log what is left, leaves it as it is, and returns ErrStuck. It is called once, also after a Start that failed.
func (e *Engine) Stop(ctx context.Context) error {
	err := e.Drain(ctx)
	late, cancel := context.WithTimeout(context.Background(), e.options.closeTime)
	defer cancel()
	stuck := false
	if err != nil {
		e.logCut()
		for _, p := range e.pollers {
			p.kill(false)
		}
		stuck = e.emptied(late) != nil
	}
	stuck = !e.endUnits(late) || stuck
	e.abandoned.Store(stuck)
	for _, p := range e.pollers {
		p.killed.Store(true)
		p.set.Wake()
	}
	close(e.untrimmed)
	e.trimEnd.Wait()
	e.pollersEnd.Wait()
	e.queue.Close()
	stuck = !joined(&e.workersEnd, late) || stuck
	if e.listening {
		e.closeListeners()
	}
	if stuck {
		e.log.Error("the engine has stopped, and a handler has not let go of what has ended", "connections", e.connections.Load(),
			"units", e.unitCount(), "waited", e.options.closeTime.String())
		return errors.Join(err, ErrStuck)
	}
	for _, p := range e.pollers {
		p.closeIdle()
		p.set.Close()
	}
	return err
}

// logCut says what the connections were doing that Stop ends before they have finished.
func (e *Engine) logCut() {
	l := e.Load()
	said := []any{"connections", l.Connections, "queued", l.Pending}
	for phase, n := range l.Phases {
		if n > 0 {
			said = append(said, Phase(phase).String(), n)
		}
	}
	e.log.Warn("connections that have not finished in time are cut off", said...)
}

// joined waits for goroutines until late.
func joined(all *sync.WaitGroup, late context.Context) bool {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-late.Done():
	}
	select {
	case <-done: // at the same moment
		return true
	default:
		return false
	}
}

// closeIdle closes the sockets that wait for a borrower, and those whose borrower has ended without closing them.
func (p *poller) closeIdle() {
	for i := range p.slots {
		s := p.slots[i].src
		if s == nil || s.sock == nil {
			continue
		}
		if s.sock.owner.Load() == nil {
			s.sock.keeper.Lost(s.sock)
		}
		if p.slots[i].src == s {
			s.sock.owner.Store(nil)
			s.sock.Close()
		}
	}
}

// left counts a connection out.
func (e *Engine) left() {
	if e.connections.Add(-1) == 0 && e.endingAt(retiring) {
		e.noteEmpty()
	}
}
