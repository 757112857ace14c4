package mpm

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/mpm/internal/queue"
)

// block adds a command that keeps its worker until the channel gives.
func block(h *script) (entered, leave chan struct{}) {
	entered, leave = make(chan struct{}, 16), make(chan struct{})
	h.commands["block"] = func(*session, *Turn, string) (Verdict, bool) {
		entered <- struct{}{}
		<-leave
		return Verdict{}, false
	}
	return entered, leave
}

// TestFreshFirstE5: a new connection goes ahead of ordinary work that was there before it.
func TestFreshFirstE5(t *testing.T) {
	h := newScript(t)
	entered, leave := block(h)
	var mu sync.Mutex
	var order []string
	h.commands["note"] = func(_ *session, _ *Turn, arg string) (Verdict, bool) {
		mu.Lock()
		order = append(order, arg)
		mu.Unlock()
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 8, Pollers: 1})
	old, young := w.dial(), w.dial()
	old.ask("echo x", "x")
	until(t, "both accepted", func() bool { return w.stats.Accepted.Load() == 2 })
	for range 8 { // every worker
		w.dial().send("block\n")
		<-entered
	}
	old.send("note old\n")
	until(t, "the old one is queued", func() bool { return w.Load().Pending == 1 })
	young.send("note young\n")
	until(t, "the young one too", func() bool { return w.Load().Pending == 2 })
	leave <- struct{}{} // one worker takes both
	until(t, "served", func() bool { mu.Lock(); defer mu.Unlock(); return len(order) == 2 })
	if order[0] != "young" {
		t.Errorf("served %v", order)
	}
	close(leave)
}

// TestFullQueueE5: what the run queue has no room for is closed cleanly and counted.
func TestFullQueueE5(t *testing.T) {
	h := newScript(t)
	entered, leave := block(h)
	w := start(t, h, Options{Workers: 1, Pollers: 1}, func(e *Engine) {
		e.queue = queue.New[*Conn](1, 1, 2)
		e.queue.Relieved = e.relieved
	})
	var all []*client
	for range 6 {
		c := w.dial()
		c.ask("echo x", "x")
		all = append(all, c)
	}
	all[0].send("block\n")
	<-entered
	for _, c := range all[1:] {
		c.send("echo y\n")
	}
	until(t, "three are closed", func() bool { return w.stats.QueueFull.Load() == 3 })
	close(leave)
	served := 0
	for _, c := range all[1:] {
		buf := make([]byte, 2)
		if _, err := io.ReadFull(c, buf); err == nil {
			served++
		}
	}
	if served != 2 || w.stats.Closed[CauseError].Load() != 3 || h.causes[CauseError].Load() != 3 {
		t.Errorf("%d served, %d closed", served, w.stats.Closed[CauseError].Load())
	}
}

var errFlush = errors.New("no room for this")

// TestTeardownE10: on every path the socket is closed once, Close is called once, with the cause, and the memory comes back.
func TestTeardownE10(t *testing.T) {
	cases := []struct {
		name  string
		cause Cause
		end   func(t *testing.T, w *testWorld, h *script, clock *fakeClock, c *client)
	}{
		{"close", CauseDone, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) { c.send("close\n") }},
		{"reset", CauseDone, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) { c.send("reset\n") }},
		{"finish", CauseDone, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) { c.send("finish\n") }},
		{"client closes", CauseDone, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) { c.Close() }},
		{"client resets while lingering", CauseClient, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) {
			c.send("linger\n")
			c.eof()
			c.SetLinger(0)
			c.Close()
		}},
		{"linger end", CauseDone, func(t *testing.T, w *testWorld, _ *script, clock *fakeClock, c *client) {
			c.send("linger\n")
			c.eof()
			until(t, "lingering", func() bool { return w.Load().Phases[PhaseLingering] == 1 })
			clock.advance(w.Engine, 31*time.Second)
		}},
		{"keep-alive timeout", CauseIdle, func(t *testing.T, w *testWorld, _ *script, clock *fakeClock, c *client) {
			clock.advance(w.Engine, 2*time.Hour)
			c.eof()
			c.Close()
		}},
		{"write timeout", CauseTimeout, func(t *testing.T, w *testWorld, _ *script, clock *fakeClock, c *client) {
			c.send("big 33554432\n")
			until(t, "writing", func() bool { return w.Load().Phases[PhaseWriting] == 1 })
			clock.advance(w.Engine, time.Hour)
		}},
		{"client resets while written to", CauseClient, func(t *testing.T, w *testWorld, _ *script, _ *fakeClock, c *client) {
			c.send("big 33554432\n")
			until(t, "writing", func() bool { return w.Load().Phases[PhaseWriting] == 1 })
			c.SetLinger(0)
			c.Close()
		}},
		{"panic in Serve", CausePanic, func(t *testing.T, _ *testWorld, _ *script, _ *fakeClock, c *client) { c.send("panic\n") }},
		{"killed", CauseShutdown, func(t *testing.T, w *testWorld, _ *script, _ *fakeClock, c *client) {
			for _, p := range w.pollers {
				p.kill(false)
			}
		}},
		{"no room in the run queue", CauseError, func(t *testing.T, w *testWorld, h *script, _ *fakeClock, c *client) {
			s := h.only(t)
			if !s.c.word.Raise(Woken) {
				t.Error("it is not idle")
			}
			w.overflow(s.c)
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			clock, h := newFakeClock(), newScript(t)
			w := start(t, h, Options{Workers: 4, Pollers: 2, clock: clock.now.Load})
			c := w.dial()
			c.ask("echo x", "x")
			until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 1 })
			tc.end(t, w, h, clock, c)
			until(t, "gone", func() bool { return w.connections.Load() == 0 })
			for cause := range Causes {
				want := int64(0)
				if Cause(cause) == tc.cause {
					want = 1
				}
				if got, engine := h.causes[cause].Load(), w.stats.Closed[cause].Load(); got != want || engine != uint64(want) {
					t.Errorf("%v: the handler saw %d, the engine counts %d, expected %d", Cause(cause), got, engine, want)
				}
			}
			p := w.pollers[0]
			p.mu.Lock()
			if len(p.free) != len(p.slots) || p.wheel.Len() != 0 {
				t.Errorf("%d of %d slots free, %d timers", len(p.free), len(p.slots), p.wheel.Len())
			}
			p.mu.Unlock()
			c.Close()
			if err := w.stopClean(time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

// faulty panics or fails where it is told to.
type faulty struct {
	*script
	flushErr   atomic.Bool
	flushPanic atomic.Bool
	closePanic atomic.Bool
	closes     atomic.Int64
}

func (f *faulty) Flush(c *Conn, t *Turn) (bool, error) {
	if f.flushPanic.Load() {
		panic("in Flush")
	}
	if f.flushErr.Load() {
		return false, errFlush
	}
	return f.script.Flush(c, t)
}

func (f *faulty) Close(c *Conn, t *Turn, cause Cause) bool {
	f.closes.Add(1)
	if f.closePanic.Load() {
		panic("in Close")
	}
	return f.script.Close(c, t, cause)
}

// TestPanicsE10: a panic costs its connection only, wherever the handler panics, and Close is called once all the same.
func TestPanicsE10(t *testing.T) {
	log := &logged{}
	f := &faulty{script: newScript(t)}
	w := start(t, f, Options{Workers: 2, Log: log.logger(0)})
	cases := []struct {
		name  string
		set   []*atomic.Bool
		send  string
		cause Cause
	}{
		{"error of Flush", []*atomic.Bool{&f.flushErr}, "echo x\n", CauseError},
		{"panic in Flush", []*atomic.Bool{&f.flushPanic}, "echo x\n", CausePanic},
		{"panic in Close", []*atomic.Bool{&f.closePanic}, "close\n", CauseDone},
		{"panic in Flush and Close", []*atomic.Bool{&f.flushPanic, &f.closePanic}, "echo x\n", CausePanic},
		{"panic in Serve and Close", []*atomic.Bool{&f.closePanic}, "panic\n", CausePanic},
	}
	for _, c := range cases {
		bystander := w.dial()
		bystander.ask("echo before", "before")
		for _, b := range c.set {
			b.Store(true)
		}
		before, closes := w.stats.Closed[c.cause].Load(), f.closes.Load()
		victim := w.dial()
		victim.send(c.send)
		if _, err := victim.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection lives", c.name)
		}
		until(t, c.name+": closed", func() bool { return w.connections.Load() == 1 })
		if got := w.stats.Closed[c.cause].Load() - before; got != 1 {
			t.Errorf("%s: %d closed with cause %v", c.name, got, c.cause)
		}
		if got := f.closes.Load() - closes; got != 1 {
			t.Errorf("%s: Close called %d times", c.name, got)
		}
		for _, b := range c.set {
			b.Store(false)
		}
		bystander.ask("echo after", "after")
		bystander.Close()
		until(t, "bystander gone", func() bool { return w.connections.Load() == 0 })
	}
	if got := w.stats.Panics.Load(); got != 4 || log.count("panicked") != 4 {
		t.Errorf("%d panics counted, %d logged", got, log.count("panicked"))
	}
}

// TestHeldE10: while somebody still holds a part of it, a connection without a socket waits for a Wake, however often it comes.
func TestHeldE10(t *testing.T) {
	h := newScript(t)
	var calls atomic.Int64
	h.onClose = func(*session, Cause) { calls.Add(1) }
	w := start(t, h, Options{Workers: 4})
	c := w.dial()
	c.ask("echo x", "x")
	s := h.only(t)
	s.held.Store(true)
	c.send("close\n")
	c.eof()
	until(t, "Close called", func() bool { return calls.Load() == 1 })
	for n := int64(2); n < 5; n++ {
		until(t, "parked", func() bool { return s.c.word.String() == "parked" })
		s.c.Wake()
		until(t, "Close called again", func() bool { return calls.Load() == n })
	}
	if w.connections.Load() != 1 || w.stats.Closed[CauseDone].Load() != 1 {
		t.Error("it should be closed, and kept")
	}
	s.held.Store(false)
	s.c.Wake()
	until(t, "gone", func() bool { return w.connections.Load() == 0 })
	s.c.Wake() // does nothing
	if err := s.c.Resume(); err != ErrNotSuspended {
		t.Error(err)
	}
}

// TestRecycleE9: the memory of closed connections is used again, and no more of it is kept than the bound.
func TestRecycleE9(t *testing.T) {
	h := newScript(t)
	var mu sync.Mutex
	memory := map[*Conn]int{}
	h.onServe = func(s *session, _ Events) {
		mu.Lock()
		memory[s.c]++
		mu.Unlock()
	}
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	p := w.pollers[0]
	kept := func() int { p.recycle.mu.Lock(); defer p.recycle.mu.Unlock(); return len(p.recycle.list) }
	for range 3 {
		var all []*client
		for range RecycleMax + 40 {
			c := w.dial()
			c.ask("echo x", "x")
			all = append(all, c)
		}
		if kept() != 0 {
			t.Errorf("%d kept while more are open", kept())
		}
		for _, c := range all {
			c.Close()
		}
		until(t, "all gone", func() bool { return w.connections.Load() == 0 })
		if kept() != RecycleMax {
			t.Errorf("%d kept, expected %d", kept(), RecycleMax)
		}
	}
	if n := len(memory); n != RecycleMax+40+2*40 {
		t.Errorf("memory for %d connections was made, expected %d", n, RecycleMax+40+2*40)
	}
}

// TestAgainIsFair: a connection that always has more to do takes turns with others on one worker.
func TestAgainIsFair(t *testing.T) {
	h := newScript(t)
	var rounds atomic.Int64
	var stop atomic.Bool
	var more func(*session, *Turn, Events) (Verdict, bool)
	more = func(s *session, _ *Turn, _ Events) (Verdict, bool) {
		rounds.Add(1)
		if stop.Load() {
			return Verdict{}, false
		}
		s.then = more
		return Again(), true
	}
	h.commands["again"] = func(s *session, turn *Turn, _ string) (Verdict, bool) { return more(s, turn, 0) }
	w := start(t, h, Options{Workers: 1, Pollers: 1})
	b := w.dial()
	b.ask("echo x", "x")
	a := w.dial()
	a.send("again\n")
	until(t, "it goes on", func() bool { return rounds.Load() > 100 })
	for i := range 100 {
		before := rounds.Load()
		b.ask("echo "+strconv.Itoa(i), strconv.Itoa(i))
		until(t, "it still goes on", func() bool { return rounds.Load() > before })
	}
	stop.Store(true)
	a.ask("echo end", "end")
}

// TestTurnIsBounded: a handler that waits for what is there already does not keep its worker.
func TestTurnIsBounded(t *testing.T) {
	h := newScript(t)
	var stop atomic.Bool
	var ignore func(*session, *Turn, Events) (Verdict, bool)
	ignore = func(s *session, _ *Turn, _ Events) (Verdict, bool) {
		if stop.Load() {
			return Verdict{}, false
		}
		s.then = ignore
		return Wait(In|Out, 0, PhaseReading), true
	}
	h.commands["ignore"] = func(s *session, turn *Turn, _ string) (Verdict, bool) { return ignore(s, turn, 0) }
	w := start(t, h, Options{Workers: 1, Pollers: 1})
	b := w.dial()
	b.ask("echo x", "x")
	a := w.dial()
	a.send("ignore\n")
	for range 20 {
		b.ask("echo y", "y")
	}
	stop.Store(true)
	a.ask("echo end", "end")
}

// TestWakeWhileFlushing: a Wake that comes during write completion gives its turn when that is over.
func TestWakeWhileFlushing(t *testing.T) {
	h := newScript(t)
	woken := make(chan struct{}, 1)
	h.onServe = func(_ *session, ev Events) {
		if ev&Woken != 0 {
			woken <- struct{}{}
		}
	}
	w := start(t, h, Options{Workers: 4})
	c := w.dial()
	const size = 32 << 20
	c.send("big 33554432\n")
	until(t, "writing", func() bool { return w.Load().Phases[PhaseWriting] == 1 })
	s := h.only(t)
	s.c.Wake()
	buf := make([]byte, 1<<20)
	for got := 0; got < size; {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	select {
	case <-woken:
	case <-time.After(long):
		t.Fatal("the wake is lost")
	}
}

// TestHammerE6E7: bytes, deadlines, wakes, resumes and requeues meet on many connections at once; no connection is run by two
// workers (script checks), no answer is lost, every one ends once.
func TestHammerE6E7(t *testing.T) {
	h := newScript(t)
	h.commands["some"] = func(s *session, turn *Turn, arg string) (Verdict, bool) {
		s.out = append(append(s.out, arg...), '\n')
		rng, _ := s.note.(*rand.Rand)
		if rng == nil {
			rng = rand.New(rand.NewPCG(s.c.ID(), 1))
			s.note = rng
		}
		deadline := turn.Now + rng.Int64N(3e6)
		s.then = func(s *session, _ *Turn, ev Events) (Verdict, bool) {
			return Verdict{}, false
		}
		switch rng.IntN(5) {
		case 0:
			return Again(), true
		case 1:
			return Suspend(deadline), true
		case 2:
			return Wait(Out, deadline, PhaseUpstream), true
		case 3:
			return Wait(0, deadline, PhaseUpstream), true
		}
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 4, Pollers: 2})
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	var stop atomic.Bool
	var wakers, clients sync.WaitGroup
	for i := range 2 {
		wakers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				h.mu.Lock()
				for _, s := range h.sessions { // under the lock none of them has ended
					if i == 0 {
						s.c.Wake()
					} else {
						s.c.Resume()
					}
				}
				h.mu.Unlock()
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	for i := range 50 {
		clients.Go(func() {
			c := w.dial()
			defer c.Close()
			for n := range rounds {
				if i%2 == 0 {
					c.ask("some "+strconv.Itoa(n), strconv.Itoa(n))
					continue
				}
				c.send("some a\nso")
				c.send("me b\n")
				c.expect("a\nb\n")
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	wakers.Wait()
	until(t, "all gone", func() bool { return w.connections.Load() == 0 })
	if h.closes.Load() != 50 {
		t.Errorf("%d closed", h.closes.Load())
	}
}

// TestTraceL1: the steps of a connection are logged below debug, and not at debug.
func TestTraceL1(t *testing.T) {
	for level, want := range map[slog.Level]int{LevelTrace: 1, slog.LevelDebug: 0} {
		log := &logged{}
		w := start(t, newScript(t), Options{Workers: 4, Log: log.logger(level)})
		peer := w.dial()
		peer.ask("echo x", "x")
		peer.Close()
		until(t, "gone", func() bool { return w.connections.Load() == 0 })
		for _, line := range []string{"connection accepted", "connection closed"} {
			if got := log.count(line); got != want {
				t.Errorf("%v: %q %d times", level, line, got)
			}
		}
		if got := log.count("waits for I/O"); (got > 0) != (want > 0) {
			t.Errorf("%v: waits logged %d times", level, got)
		}
	}
}
