package mpm

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// duty is a unit's state: what it does on its turns, and the proof that one worker runs it.
type duty struct {
	serve   func(c *Conn, t *Turn, ev Events) Verdict
	running atomic.Int32
	turns   atomic.Int64
	held    atomic.Bool // Close is not done while it is set
	closed  bool
}

// duties is a handler of units.
type duties struct {
	t      testing.TB
	closes atomic.Int64
	causes [Causes]atomic.Int64
}

func (h *duties) NewWorker(int) any { return h }

func (h *duties) Serve(c *Conn, t *Turn, ev Events) Verdict {
	d := c.State.(*duty)
	if d.running.Add(1) != 1 || t.Local != any(h) {
		h.t.Error("E6: two workers run one unit, or with another handler's memory")
	}
	defer d.running.Add(-1)
	d.turns.Add(1)
	return d.serve(c, t, ev)
}

func (h *duties) Flush(*Conn, *Turn) (bool, error) {
	h.t.Error("a unit is flushed")
	return true, nil
}

func (h *duties) Close(c *Conn, _ *Turn, cause Cause) bool {
	d := c.State.(*duty)
	switch {
	case d.running.Load() != 0 && cause != CausePanic:
		h.t.Error("E6: closed while a worker runs it")
	case d.closed:
		h.t.Error("E10: closed twice")
	case d.held.Load():
		return false
	}
	d.closed = true
	h.closes.Add(1)
	h.causes[cause].Add(1)
	return true
}

// unitWorld is an engine with units.
func unitWorld(t testing.TB, h Handler, o Options) (*testWorld, *duties) {
	u := &duties{t: t}
	o.Units = u
	return start(t, h, o), u
}

func (w *testWorld) unit(d *duty) *Conn {
	w.t.Helper()
	c, err := w.Unit(d, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// TestUnitLife: a unit's first turn comes by itself, then one for each deadline and each Wake; it is no connection to anybody who
// counts; it ends when its handler says so, whatever the verdict is called, and a late Wake does nothing.
func TestUnitLife(t *testing.T) {
	for name, last := range map[string]Verdict{"close": Close(), "linger": Linger(false), "keep-alive": KeepAlive(0), "reset": Reset(), "finish": Finish()} {
		t.Run(name, func(t *testing.T) {
			clock := newFakeClock()
			w, u := unitWorld(t, newScript(t), Options{Workers: 4, Pollers: 2, clock: clock.now.Load})
			events := make(chan Events, 10)
			ending := false
			d := &duty{}
			d.serve = func(_ *Conn, turn *Turn, ev Events) Verdict {
				events <- ev
				if ending {
					return last
				}
				return Wait(Borrow, turn.Now+int64(time.Second), PhaseUpstream)
			}
			c := w.unit(d)
			if ev := <-events; ev != Woken {
				t.Errorf("the first turn's events are %b", ev)
			}
			if l := w.Load(); l.Units != 1 || l.Connections != 0 || l.Phases != [Phases]int{} {
				t.Errorf("load %+v", l)
			}
			until(t, "the unit waits", func() bool { at, _ := c.word.Look(); return at.String() == "armed" })
			clock.advance(w.Engine, 1001*time.Millisecond)
			if ev := <-events; ev != Expired {
				t.Errorf("the deadline's events are %b", ev)
			}
			until(t, "the unit waits", func() bool { at, _ := c.word.Look(); return at.String() == "armed" })
			ending = true
			c.Wake()
			if ev := <-events; ev != Woken {
				t.Errorf("a wake's events are %b", ev)
			}
			until(t, "it has ended", func() bool { return w.Load().Units == 0 })
			c.Wake()
			if u.causes[CauseDone].Load() != 1 || w.stats.Closed[CauseDone].Load() != 0 {
				t.Error("its end is not its handler's, or counts as a connection's")
			}
			if err := w.stopClean(long); err != nil || d.turns.Load() != 3 {
				t.Errorf("%v after %d turns", err, d.turns.Load())
			}
		})
	}
}

// TestUnitErrors: units begin while the engine runs, and so many.
func TestUnitErrors(t *testing.T) {
	u := &duties{t: t}
	early := func(e *Engine) {
		if _, err := e.Unit(&duty{}, 0); !errors.Is(err, ErrNotRunning) {
			t.Errorf("before Start: %v", err)
		}
	}
	w := start(t, newScript(t), Options{Workers: 4, Units: u}, early)
	rest := func(*Conn, *Turn, Events) Verdict { return Suspend(0) }
	for range MaxUnits {
		w.unit(&duty{serve: rest})
	}
	if _, err := w.Unit(&duty{serve: rest}, 0); !errors.Is(err, ErrUnits) {
		t.Errorf("unit %d: %v", MaxUnits+1, err)
	}
	if err := w.stopClean(long); err != nil || u.causes[CauseShutdown].Load() != MaxUnits {
		t.Errorf("%v, %d ended", err, u.causes[CauseShutdown].Load())
	}
	if _, err := w.Unit(&duty{}, 0); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

// TestUnitBorrows: a unit dials, and the events of its socket are its own.
func TestUnitBorrows(t *testing.T) {
	peer := newPeer(t)
	w, _ := unitWorld(t, newScript(t), Options{Workers: 4, Pollers: 2})
	got := make(chan string, 1)
	var s *Socket
	said := false
	w.unit(&duty{serve: func(c *Conn, turn *Turn, _ Events) Verdict {
		var err error
		if s == nil {
			if s, err = c.Dial(TCP(peer.addr), nil); err != nil {
				t.Error(err)
				return Close()
			}
		}
		if !said {
			if err = s.Connected(); errors.Is(err, ErrAgain) {
				return Wait(Borrow, 0, PhaseUpstream)
			}
			said = true
			s.Write([]byte("hello\n"))
		}
		n, err := s.Read(turn.In)
		if errors.Is(err, ErrAgain) {
			return Wait(Borrow, 0, PhaseUpstream)
		}
		got <- string(turn.In[:n])
		s.Close()
		return Close()
	}})
	if answer := <-got; answer == "" {
		t.Error("no answer")
	}
	until(t, "it has ended", func() bool { return w.Load().Units == 0 })
}

// TestUnitsOutliveConnections: a drain waits for connections and not for units, which work until the last connection has gone;
// those that never come to an end are ended by Stop, and one that still holds something is waited for.
func TestUnitsOutliveConnectionsP4(t *testing.T) {
	h := newScript(t)
	w, u := unitWorld(t, h, Options{Workers: 4})
	var client *Conn
	asked, stopping := make(chan struct{}), make(chan struct{})
	h.commands["ask"] = func(s *session, _ *Turn, _ string) (Verdict, bool) {
		client = s.c
		close(asked)
		s.then = func(s *session, _ *Turn, ev Events) (Verdict, bool) {
			s.out = append(s.out, "answered\n"...)
			return Linger(true), true
		}
		return Suspend(0), true
	}
	helper := w.unit(&duty{serve: func(*Conn, *Turn, Events) Verdict {
		select {
		case <-stopping:
			client.Wake()
		default:
		}
		return Suspend(0)
	}})
	holds := &duty{serve: func(*Conn, *Turn, Events) Verdict { return Suspend(0) }}
	holds.held.Store(true)
	holder := w.unit(holds)
	c := w.dial()
	c.send("ask\n")
	<-asked
	done := make(chan error)
	go func() { done <- w.stop(long) }()
	until(t, "the engine stops", func() bool { return client.Draining() })
	close(stopping)
	helper.Wake()
	c.expect("answered\n")
	c.Close()
	until(t, "one unit is left", func() bool { return u.closes.Load() == 1 })
	select {
	case <-done:
		t.Fatal("Stop does not wait for a unit that is held")
	default:
	}
	holds.held.Store(false)
	holder.Wake()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestUnitPanicE10: a panic costs the unit only.
func TestUnitPanicE10(t *testing.T) {
	w, u := unitWorld(t, newScript(t), Options{Workers: 4})
	w.unit(&duty{serve: func(*Conn, *Turn, Events) Verdict { panic("asked to") }})
	until(t, "it has ended", func() bool { return w.Load().Units == 0 })
	if u.causes[CausePanic].Load() != 1 {
		t.Error("it ended otherwise")
	}
	w.dial().ask("echo x", "x")
}

// TestUnitHammerE6E7: deadlines, wakes, requeues and ends meet on many units at once, among connections, while units begin and the
// engine stops: none is run by two workers (duties checks), each ends once, each Wake is followed by a turn.
func TestUnitHammerE6E7(t *testing.T) {
	w, u := unitWorld(t, newScript(t), Options{Workers: 4, Pollers: 2})
	var begun atomic.Int64
	var starters sync.WaitGroup
	var quit atomic.Bool
	rounds := MaxUnits/3 - 1
	if testing.Short() {
		rounds = 200
	}
	for seed := range uint64(3) {
		starters.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 7))
			for range rounds {
				var asked, heard atomic.Int64
				own := rand.New(rand.NewPCG(rng.Uint64(), 1))
				d := &duty{serve: func(_ *Conn, turn *Turn, _ Events) Verdict {
					heard.Store(asked.Load())
					if asked.Load() >= 5 {
						return Close()
					}
					switch own.IntN(3) {
					case 0:
						return Again()
					case 1:
						return Suspend(turn.Now + own.Int64N(1e6))
					}
					return Wait(0, turn.Now+own.Int64N(1e6), PhaseUpstream)
				}}
				c, err := w.Unit(d, int(rng.Uint64()%8))
				if err != nil {
					if !quit.Load() || !errors.Is(err, ErrNotRunning) {
						t.Error(err)
					}
					return
				}
				begun.Add(1)
				for range 5 {
					asked.Add(1)
					c.Wake()
				}
			}
		})
	}
	for range 4 {
		starters.Go(func() {
			c := w.dial()
			defer c.Close()
			for range rounds / 10 {
				c.ask("echo x", "x")
			}
		})
	}
	starters.Wait()
	until(t, "every unit has heard its last wake and ended", func() bool { return w.Load().Units == 0 })
	if u.closes.Load() != begun.Load() {
		t.Errorf("%d begun, %d closed", begun.Load(), u.closes.Load())
	}
	for range 100 { // some are ended by the stop, which comes in the midst of others beginning
		starters.Go(func() {
			for !quit.Load() {
				if _, err := w.Unit(&duty{serve: func(*Conn, *Turn, Events) Verdict { return Suspend(0) }}, 0); err != nil {
					return
				}
				begun.Add(1)
			}
		})
	}
	until(t, "units begin", func() bool { return w.Load().Units > 100 })
	quit.Store(true)
	if err := w.stopClean(long); err != nil {
		t.Error(err)
	}
	starters.Wait()
	if u.closes.Load() != begun.Load() {
		t.Errorf("%d begun, %d closed", begun.Load(), u.closes.Load())
	}
}

// TestUnitsOutliveRetirementP4: units go on, and may begin, while the engine retires and when it has: a filter says its farewell then. Stop
// ends them.
func TestUnitsOutliveRetirementP4(t *testing.T) {
	w, u := unitWorld(t, newScript(t), Options{Workers: 4})
	first := &duty{serve: func(*Conn, *Turn, Events) Verdict { return Suspend(0) }}
	c := w.unit(first)
	if err := w.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := first.turns.Load()
	c.Wake()
	until(t, "it has another turn", func() bool { return first.turns.Load() > before })
	second := &duty{serve: first.serve}
	w.unit(second)
	until(t, "another begins", func() bool { return second.turns.Load() > 0 })
	if n := u.closes.Load(); n != 0 {
		t.Errorf("%d have ended", n)
	}
	if err := w.stop(long); err != nil || u.closes.Load() != 2 {
		t.Errorf("%v, %d have ended", err, u.closes.Load())
	}
}
