package mpm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrainP4: idle connections end, those with work finish it and end, nothing new is accepted, and nothing is left.
func TestDrainP4(t *testing.T) {
	h := newScript(t)
	h.commands["suspend"] = func(s *session, _ *Turn, _ string) (Verdict, bool) {
		s.then = func(s *session, _ *Turn, _ Events) (Verdict, bool) {
			if !s.c.Draining() {
				t.Error("it does not know that the engine stops")
			}
			s.out = append(s.out, "finished\n"...)
			return Verdict{}, false
		}
		return Suspend(0), true
	}
	w := start(t, h, Options{Workers: 4, Pollers: 2})
	var idle []*client
	for range 20 {
		c := w.dial()
		c.ask("echo x", "x")
		idle = append(idle, c)
	}
	silent := w.dial()
	active := w.dial()
	active.send("suspend\n")
	until(t, "suspended", func() bool { return w.Load().Phases[PhaseSuspended] == 1 })
	until(t, "all accepted", func() bool { return w.Load().Connections == 22 })
	s := h.only22(t)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := w.stop(long); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range append(idle, silent) {
		c.eof()
		c.Close()
	}
	until(t, "only the active one is left", func() bool { return w.connections.Load() == 1 })
	if c, err := net.DialTimeout("tcp", w.addr, long); err == nil {
		c.Close()
		t.Error("still accepting")
	}
	s.c.Wake()
	active.expect("finished\n")
	active.eof()
	active.Close()
	<-stopped
	if got := w.stats.Closed[CauseIdle].Load(); got != 22 {
		t.Errorf("%d ended as idle", got)
	}
}

// TestNewcomerP5: who has only just connected when the engine stops is not sent away before the request that may be on its way, and holds the
// stop up for no longer than a short linger.
func TestNewcomerP5(t *testing.T) {
	clock := newFakeClock()
	w := start(t, &leaver{script: newScript(t)}, Options{Workers: 4, clock: clock.now.Load})
	newcomer, silent := w.dial(), w.dial()
	until(t, "both are accepted", func() bool { return w.connections.Load() == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop(long) }()
	until(t, "both have heard of it", func() bool {
		heard := 0
		for _, p := range w.pollers {
			p.mu.Lock()
			for _, at := range p.slots {
				if at.src != nil && at.src.deadline.Load() <= clock.now.Load()+int64(ShortLinger) {
					heard++
				}
			}
			p.mu.Unlock()
		}
		return heard == 2
	})
	newcomer.ask("echo x", "x\nlast")
	newcomer.eof()
	newcomer.Close()
	clock.advance(w.Engine, ShortLinger+time.Second)
	silent.eof()
	silent.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// only22 is the session that is suspended.
func (h *script) only22(t testing.TB) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		if s.c.word.String() == "parked|out" || s.c.word.String() == "parked" {
			return s
		}
	}
	t.Fatal("none is suspended")
	return nil
}

// TestIdleAfterShedP4: a connection that becomes idle after idle ones were asked to go does not keep the drain waiting.
func TestIdleAfterShedP4(t *testing.T) {
	h := newScript(t)
	w := start(t, h, Options{Workers: 4})
	c := w.dial()
	c.send("ec")
	until(t, "reading", func() bool { return w.Load().Phases[PhaseReading] == 1 })
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(context.Background()) }()
	s := h.only(t)
	until(t, "asked to go", func() bool { return s.c.word.String() == "armed|shed" || s.c.word.String() == "armed|out|shed" })
	c.ask("ho y", "y")
	c.eof()
	c.Close()
	select {
	case <-drained:
	case <-time.After(long):
		t.Fatal("the drain waits for an idle connection")
	}
}

// TestKillP4: at the deadline what is left ends, in whatever state it is; goroutines and descriptors are as before.
func TestKillP4(t *testing.T) {
	h := newScript(t)
	h.commands["suspend"] = func(*session, *Turn, string) (Verdict, bool) { return Suspend(0), true }
	h.commands["wait"] = func(*session, *Turn, string) (Verdict, bool) { return Wait(0, 0, PhaseUpstream), true }
	w := start(t, h, Options{Workers: 4, Pollers: 2})
	sends := map[string]Phase{
		"suspend\n": PhaseSuspended, "wait\n": PhaseUpstream, "linger\n": PhaseLingering, "big 33554432\n": PhaseWriting, "ec": PhaseReading,
	}
	var all []*client
	for s, phase := range sends {
		c := w.dial()
		c.send(s)
		until(t, phase.String(), func() bool { return w.Load().Phases[phase] == 1 })
		all = append(all, c)
	}
	if err := w.stop(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop says %v", err)
	}
	if got := w.stats.Closed[CauseShutdown].Load(); got != uint64(len(sends)) {
		t.Errorf("%d killed", got)
	}
	for _, c := range all {
		c.Close()
	}
	until(t, "descriptors as before", func() bool { return openFDs(t) <= w.fds })
}

// TestStopUnderLoadP7: an engine that stops while clients connect, talk and go loses no answer it has begun and leaves nothing.
func TestStopUnderLoadP7(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		w := start(t, newScript(t), Options{Workers: 4, Pollers: 2})
		var clients sync.WaitGroup
		var answers atomic.Int64
		for range 8 {
			clients.Go(func() {
				for {
					c, err := net.DialTimeout("tcp", w.addr, long)
					if err != nil {
						return
					}
					c.SetDeadline(time.Now().Add(long))
					buf := make([]byte, 2)
					for range 5 {
						if _, err := c.Write([]byte("echo x\n")); err != nil {
							break
						}
						n, err := c.Read(buf)
						if n == 1 || n == 2 && string(buf) != "x\n" {
							t.Errorf("got %q", buf[:n])
						}
						if err != nil {
							break
						}
						answers.Add(1)
					}
					c.Close()
				}
			})
		}
		until(t, "clients talk", func() bool { return answers.Load() > 100 })
		if err := w.stop(long); err != nil {
			t.Error(err)
		}
		clients.Wait()
		until(t, "descriptors as before", func() bool { return openFDs(t) <= w.fds })
	}
}

// TestStopWithoutStart: an engine that never ran, or could not, gives its descriptors back.
func TestStopWithoutStart(t *testing.T) {
	fds := openFDs(t)
	for _, startIt := range []bool{false, true} {
		fd, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		listeners := []Listener{{FD: fd, Handler: newScript(t)}}
		if startIt {
			listeners = append(listeners, Listener{FD: -1, Handler: newScript(t)})
		}
		e, err := New(Options{Workers: 2}, listeners)
		if err != nil {
			t.Fatal(err)
		}
		if startIt {
			e.Start()
			if err := e.Accept(); err == nil {
				t.Error("accepts on a listener that is none")
			}
		}
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if got := openFDs(t); got != fds {
			t.Errorf("%d descriptors, %d before", got, fds)
		}
	}
}

// TestIDsP9: ids carry the child's number, are never 0 and never the same.
func TestIDsP9(t *testing.T) {
	seen := map[uint64]bool{0: true}
	for _, child := range []int{0, 1, 7} {
		h := newScript(t)
		var id atomic.Uint64
		h.onServe = func(s *session, _ Events) { id.CompareAndSwap(0, s.c.ID()) }
		w := start(t, h, Options{Workers: 4, Child: child})
		for range 3 {
			c := w.dial()
			c.ask("echo x", "x")
			if got := id.Load(); seen[got] || int(got>>childShift) != child {
				t.Errorf("child %d: id %#x", child, got)
			}
			seen[id.Swap(0)] = true
			c.Close()
			until(t, "gone", func() bool { return w.connections.Load() == 0 })
			id.Store(0)
		}
	}
}

// TestStopStuckP7: a handler that does not let go of what has ended holds a stop for as long as it may, and no longer; the log says what
// is left.
func TestStopStuckP7(t *testing.T) {
	for _, what := range []string{"close", "turn", "unit"} {
		t.Run(what, func(t *testing.T) {
			var lines logged
			h := newScript(t)
			free := make(chan struct{})
			h.commands["stick"] = func(*session, *Turn, string) (Verdict, bool) { <-free; return Close(), true }
			us := &stubborn{}
			fd, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
			if err != nil {
				t.Fatal(err)
			}
			e, err := New(Options{Workers: 4, Units: us, Log: lines.logger(0), closeTime: 30 * time.Millisecond}, []Listener{{FD: fd, Handler: h}})
			if err != nil {
				t.Fatal(err)
			}
			e.Start()
			if err := e.Accept(); err != nil {
				t.Fatal(err)
			}
			var s *session
			if what == "unit" {
				if _, err := e.Unit(us, 0); err != nil {
					t.Fatal(err)
				}
			} else {
				c, err := net.Dial("tcp", LocalAddr(fd).String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.Write([]byte(map[string]string{"close": "ec", "turn": "stick\n"}[what]))
				s = h.only(t)
				until(t, "has a turn", func() bool { return s.turns.Load() == 1 })
				s.held.Store(what == "close")
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			if err := e.Stop(ctx); !errors.Is(err, ErrStuck) {
				t.Errorf("stop says %v", err)
			}
			if lines.count("has not let go") != 1 {
				t.Errorf("the log says %s", lines.b.String())
			}
			close(free)
			if what == "close" { // it comes too late: nothing runs any more
				s.held.Store(false)
				s.c.Wake()
				if h.closes.Load() != 0 {
					t.Error("a handler runs after the stop")
				}
			}
			e.workersEnd.Wait()
			for _, p := range e.pollers {
				p.closeIdle()
				p.set.Close()
			}
		})
	}
}

// stubborn is a handler of units that never end.
type stubborn struct{ plain }

func (*stubborn) Serve(*Conn, *Turn, Events) Verdict { return Wait(0, 0, PhaseUpstream) }

func (*stubborn) Close(*Conn, *Turn, Cause) bool { return false }
