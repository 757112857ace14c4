package mpm

import (
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestC1PartialRequest: half a request waits on the poller, not on a worker, and is finished later.
func TestC1PartialRequest(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 4})
	var slow []*client
	for range 20 {
		c := w.dial()
		c.send("ec")
		slow = append(slow, c)
	}
	until(t, "20 connections reading", func() bool { return w.Load().Phases[PhaseReading] == 20 })
	if l := w.Load(); l.Idle != 4 || l.Pending != 0 {
		t.Errorf("half requests hold workers: %+v", l)
	}
	w.dial().ask("echo quick", "quick")
	for _, c := range slow {
		c.ask("ho slow", "slow")
	}
}

// TestC1Timeout: a wait whose deadline passes gives a turn with Expired, once, and not before.
func TestC1Timeout(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	fired := make(chan Events, 10)
	h.commands["wait"] = func(s *session, turn *Turn, _ string) (Verdict, bool) {
		s.then = func(s *session, _ *Turn, ev Events) (Verdict, bool) { fired <- ev; return Verdict{}, false }
		return Wait(In, turn.Now+int64(5*time.Second), PhaseReading), true
	}
	w := start(t, h, Options{Workers: 4, clock: clock.now.Load})
	c := w.dial()
	c.send("wait\n")
	until(t, "the connection waits", func() bool { return w.Load().Phases[PhaseReading] == 1 })
	clock.advance(w.Engine, 4999*time.Millisecond)
	w.dial().ask("echo x", "x")
	if len(fired) != 0 {
		t.Fatal("early")
	}
	clock.advance(w.Engine, 3*time.Millisecond)
	if ev := <-fired; ev != Expired {
		t.Errorf("events %b", ev)
	}
	c.ask("echo still here", "still here")
}

// TestC2WriteCompletion: output that the client does not take waits for room under the write timeout, holding no worker; progress
// renews the timeout; none ends the connection with a reset.
func TestC2WriteCompletion(t *testing.T) {
	for _, reads := range []bool{true, false} {
		clock := newFakeClock()
		h := newScript(t)
		w := start(t, h, Options{Workers: 4, Times: Times{WriteTimeout: time.Minute}, clock: clock.now.Load})
		c := w.dial()
		const size = 32 << 20
		c.send("big 33554432\n")
		until(t, "write completion", func() bool { return w.Load().Phases[PhaseWriting] == 1 })
		if l := w.Load(); l.Idle != 4 {
			t.Errorf("it holds a worker: %+v", l)
		}
		if !reads {
			clock.advance(w.Engine, 61*time.Second)
			until(t, "closed for its timeout", func() bool { return w.stats.Closed[CauseTimeout].Load() == 1 })
			if _, err := io.Copy(io.Discard, c); err == nil {
				t.Error("the client takes the piece for the whole")
			}
			if w.stats.Timeouts.Load() != 1 {
				t.Error("not counted")
			}
			continue
		}
		for got := int64(0); got < size; got += size / 4 {
			before := h.written.Load()
			if n, err := io.CopyN(io.Discard, c, size/4); err != nil {
				t.Fatalf("after %d bytes: %v", got+n, err)
			}
			if before < size {
				until(t, "progress", func() bool { return h.written.Load() > before })
				clock.advance(w.Engine, 25*time.Second) // the progress seen may be one round old: two must stay below the timeout
			}
		}
		c.ask("echo next", "next")
	}
}

// TestC3KeepAlive: an idle connection holds no worker, and lingers and closes at its deadline with a line at debug level (C6).
func TestC3KeepAliveC6(t *testing.T) {
	clock, log := newFakeClock(), &logged{}
	h := newScript(t)
	h.keepAlive = 15 * time.Second
	w := start(t, h, Options{Workers: 4, clock: clock.now.Load, Log: log.logger(slog.LevelDebug)})
	c := w.dial()
	for range 5 {
		c.ask("echo x", "x")
		clock.advance(w.Engine, 14*time.Second) // the deadline moves each time
	}
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 1 })
	clock.advance(w.Engine, 2*time.Second)
	c.eof()
	until(t, "lingering", func() bool { return w.Load().Phases[PhaseLingering] == 1 })
	c.Close()
	until(t, "closed", func() bool { return w.stats.Closed[CauseIdle].Load() == 1 })
	if log.count("idle connection timed out") != 1 {
		t.Error("C6: no line at debug level")
	}
}

// TestC3FirstByte: a connection that never says anything ends like an idle one, without a turn of the handler.
func TestC3FirstByte(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	w := start(t, h, Options{Workers: 4, Times: Times{FirstByte: 10 * time.Second}, clock: clock.now.Load})
	c := w.dial()
	until(t, "accepted", func() bool { return w.stats.Accepted.Load() == 1 })
	clock.advance(w.Engine, 11*time.Second)
	c.eof()
	c.Close()
	until(t, "closed", func() bool { return w.stats.Closed[CauseIdle].Load() == 1 })
	if h.opened.Load() != 0 {
		t.Error("the handler had a turn")
	}
}

// TestSetTimes: waits that begin after it have the new times, those before keep theirs, and a zero is the default.
func TestSetTimes(t *testing.T) {
	clock := newFakeClock()
	w := start(t, newScript(t), Options{Workers: 4, Times: Times{FirstByte: time.Hour}, clock: clock.now.Load})
	before := w.dial()
	until(t, "accepted", func() bool { return w.stats.Accepted.Load() == 1 })
	w.SetTimes(Times{})
	after := w.dial()
	until(t, "accepted", func() bool { return w.stats.Accepted.Load() == 2 })
	clock.advance(w.Engine, 16*time.Second)
	after.eof()
	after.Close()
	before.ask("echo x", "x")
}

// TestC3RequestAtDeadline: a request that arrives with the idle deadline is served, and is not told of a deadline that is not
// its own.
func TestC3RequestAtDeadline(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	h.keepAlive = 15 * time.Second
	var seen atomic.Uint32
	h.onServe = func(_ *session, ev Events) { seen.Or(uint32(ev)) }
	block, blocked := make(chan struct{}), make(chan struct{})
	h.commands["block"] = func(*session, *Turn, string) (Verdict, bool) {
		close(blocked)
		<-block
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 1, Pollers: 1, clock: clock.now.Load})
	c, busy := w.dial(), w.dial()
	c.ask("echo x", "x")
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 2 })
	busy.send("block\n")
	<-blocked
	clock.advance(w.Engine, 16*time.Second)
	until(t, "the deadline queued it", func() bool { return w.Load().Pending == 1 })
	c.send("echo y\n")
	s := w.pollers[0]
	until(t, "the request is there too", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.slots {
			if src := s.slots[i].src; src != nil && src.conn.word.String() == "queued|in|out|timer" {
				return true
			}
		}
		return false
	})
	close(block)
	c.expect("y\n")
	if Events(seen.Load())&Expired != 0 {
		t.Error("the handler was told Expired")
	}
}

// TestE8LazyDeadline: the wheel's entry of a deadline that has moved back fires early, unseen, and is set again.
func TestE8LazyDeadline(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	h.keepAlive = 15 * time.Second
	w := start(t, h, Options{Workers: 4, Pollers: 1, clock: clock.now.Load})
	c := w.dial()
	idle := func() {
		c.ask("echo x", "x")
		until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 1 })
	}
	settled := func() {
		until(t, "the poller has looked at its timers", func() bool {
			p := w.pollers[0]
			p.mu.Lock()
			defer p.mu.Unlock()
			at, ok := p.wheel.Next()
			return !ok || at > clock.now.Load()
		})
	}
	idle()
	clock.advance(w.Engine, 10*time.Second)
	idle()
	turns := h.only(t).turns.Load()
	clock.advance(w.Engine, 6*time.Second) // the first deadline
	settled()
	if l := w.Load(); l.Phases[PhaseKeepAlive] != 1 || h.only(t).turns.Load() != turns {
		t.Errorf("the first deadline still counts: %+v", l)
	}
	clock.advance(w.Engine, 10*time.Second) // the second
	c.eof()
	c.Close()
}

// TestE8DeadlineMovedMeanwhile: a timer that fires while its connection runs does not count against the deadline that the turn
// ends with.
func TestE8DeadlineMovedMeanwhile(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	h.keepAlive = 15 * time.Second
	h.onServe = func(_ *session, ev Events) {
		if ev&Expired != 0 {
			t.Error("the handler is told of a deadline that has moved")
		}
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	verdicts := map[string]func(deadline int64) Verdict{
		"idle": func(d int64) Verdict { return KeepAlive(d) },
		"wait": func(d int64) Verdict { return Wait(In, d, PhaseReading) },
		"park": func(d int64) Verdict { return Suspend(d) },
	}
	h.commands["hold"] = func(_ *session, turn *Turn, arg string) (Verdict, bool) {
		entered <- struct{}{}
		<-leave
		return verdicts[arg](turn.Now + int64(time.Hour)), true
	}
	w := start(t, h, Options{Workers: 4, Pollers: 1, clock: clock.now.Load})
	for name := range verdicts {
		c := w.dial()
		c.ask("echo x", "x")
		s := h.only(t)
		c.send("hold " + name + "\n")
		<-entered
		turns := s.turns.Load()
		clock.advance(w.Engine, 16*time.Second)
		until(t, "the timer has fired", func() bool { return strings.HasSuffix(s.c.word.String(), "timer") })
		leave <- struct{}{}
		until(t, "released", func() bool {
			at := s.c.word.String()
			return strings.HasPrefix(at, "armed") || strings.HasPrefix(at, "parked")
		})
		s.c.Wake()
		until(t, "a turn for the wake", func() bool { return s.turns.Load() == turns+1 })
		c.ask("echo y", "y")
		c.Close()
		until(t, "gone", func() bool { return w.connections.Load() == 0 })
	}
}

// TestC4Suspend: suspended connections hold no worker, hear no bytes of the client, and go on at Resume, at their own
// deadline, or when the client goes away.
func TestC4Suspend(t *testing.T) {
	clock := newFakeClock()
	h := newScript(t)
	h.commands["suspend"] = func(s *session, turn *Turn, _ string) (Verdict, bool) {
		s.then = func(s *session, turn *Turn, ev Events) (Verdict, bool) {
			switch {
			case ev&Expired != 0:
				s.out = append(s.out, "expired\n"...)
			case ev&Woken != 0:
				s.out = append(s.out, "resumed\n"...)
			case ev&Broken != 0:
				return Close(), true
			default:
				t.Errorf("a suspended connection has a turn with %b", ev)
			}
			return Verdict{}, false
		}
		return Suspend(turn.Now + int64(10*time.Second)), true
	}
	w := start(t, h, Options{Workers: 4, Pollers: 2, clock: clock.now.Load})
	c := w.dial()
	c.send("suspend\n")
	suspended := func(n int) func() bool { return func() bool { return w.Load().Phases[PhaseSuspended] == n } }
	until(t, "suspended", suspended(1))
	if l := w.Load(); l.Idle != 4 {
		t.Errorf("it holds a worker: %+v", l)
	}
	s := h.only(t)
	c.send("echo more\n")
	w.dial().ask("echo x", "x")
	if !suspended(1)() {
		t.Error("bytes ended the suspension")
	}
	if err := s.c.Resume(); err != nil {
		t.Error(err)
	}
	c.expect("resumed\nmore\n")

	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 2 })
	if err := s.c.Resume(); err != ErrNotSuspended {
		t.Errorf("resume of an idle connection: %v", err)
	}
	turns := s.turns.Load()
	c.ask("echo y", "y")
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 2 })
	if s.turns.Load() != turns+1 {
		t.Errorf("a refused resume gave a turn")
	}

	c.send("suspend\n")
	until(t, "suspended", suspended(1))
	clock.advance(w.Engine, 11*time.Second)
	c.expect("expired\n")

	c.send("suspend\n")
	until(t, "suspended", suspended(1))
	c.SetLinger(0)
	c.Close()
	until(t, "gone", func() bool { return h.closes.Load() == 1 })
}

// TestC4ResumeRace: a resume that meets the suspension is never lost, whichever comes first.
func TestC4ResumeRace(t *testing.T) {
	h := newScript(t)
	h.commands["suspend"] = func(s *session, _ *Turn, _ string) (Verdict, bool) {
		s.then = func(s *session, _ *Turn, ev Events) (Verdict, bool) {
			if ev&Woken == 0 {
				t.Errorf("turn with %b", ev)
			}
			s.out = append(s.out, "resumed\n"...)
			return Verdict{}, false
		}
		go func() {
			if err := s.c.Resume(); err != nil {
				t.Error(err)
			}
		}()
		return Suspend(0), true
	}
	w := start(t, h, Options{Workers: 4})
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	c := w.dial()
	for range rounds {
		c.ask("suspend", "resumed")
	}
}

// TestC5: a handler that chooses nothing gets a lingering close, output first.
func TestC5ZeroVerdictLingers(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 4})
	c := w.dial()
	c.send("echo last\nzero\n")
	c.expect("last\n")
	c.eof()
	until(t, "lingering", func() bool { return w.stats.Lingered.Load() == 1 && w.Load().Phases[PhaseLingering] == 1 })
	c.send("the client still talks\n")
	c.Close()
	until(t, "closed", func() bool { return w.stats.Closed[CauseDone].Load() == 1 })
}

// TestC7LingerHoldsNoWorker: 1,000 lingering connections and four workers; others are served at once.
func TestC7LingerHoldsNoWorker(t *testing.T) {
	h := newScript(t)
	w := start(t, h, Options{Workers: 4})
	const n = 1000
	var all []*client
	for range n {
		c := w.dial()
		c.send("linger\n")
		all = append(all, c)
	}
	until(t, "all linger", func() bool { return w.Load().Phases[PhaseLingering] == n })
	if l := w.Load(); l.Idle != 4 || l.Pending != 0 {
		t.Errorf("they hold workers: %+v", l)
	}
	begin := time.Now()
	c := w.dial()
	for range 100 {
		c.ask("echo x", "x")
	}
	t.Logf("100 exchanges beside %d lingering connections: %v", n, time.Since(begin))
	for _, c := range all {
		c.Close()
	}
	until(t, "all closed", func() bool { return h.closes.Load() == n })
}

// TestC7AbsoluteCap: a client that dribbles does not move the deadline of a lingering close, short or not.
func TestC7AbsoluteCap(t *testing.T) {
	for _, c := range []struct {
		verdict string
		limit   time.Duration
	}{{"linger", 30 * time.Second}, {"short", 2 * time.Second}} {
		clock := newFakeClock()
		w := start(t, newScript(t), Options{Workers: 4, clock: clock.now.Load})
		peer := w.dial()
		peer.send(c.verdict + "\n")
		peer.eof()
		until(t, "lingering", func() bool { return w.Load().Phases[PhaseLingering] == 1 })
		began := clock.now.Load()
		for w.connections.Load() == 1 && clock.now.Load()-began < int64(time.Hour) {
			peer.Write([]byte("x"))
			clock.advance(w.Engine, c.limit/10)
			until(t, "the poller has looked at its timers", func() bool {
				p := w.pollers[0]
				p.mu.Lock()
				defer p.mu.Unlock()
				at, ok := p.wheel.Next()
				return !ok || at > clock.now.Load()
			})
			if clock.now.Load()-began <= int64(c.limit) {
				if w.stats.Closed[CauseDone].Load() != 0 {
					t.Fatalf("%s: closed early", c.verdict)
				}
			} else {
				until(t, "closed at the cap", func() bool { return w.connections.Load() == 0 })
			}
		}
		if took := time.Duration(clock.now.Load() - began); took > c.limit+c.limit/5 {
			t.Errorf("%s: closed after %v", c.verdict, took)
		}
	}
}

// TestC7ByteCap: a client that pours on does not linger for ever either.
func TestC7ByteCap(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 4})
	c := w.dial()
	c.send("linger\n")
	c.eof()
	buf := make([]byte, 1<<20)
	sent := 0
	for sent < 3*LingerBytes {
		n, err := c.Write(buf)
		sent += n
		if err != nil {
			break
		}
	}
	if sent >= 3*LingerBytes {
		t.Errorf("%d bytes taken", sent)
	}
	until(t, "closed", func() bool { return w.connections.Load() == 0 })
}

// TestVerdicts: what the client sees of each way to end.
func TestVerdicts(t *testing.T) {
	for verdict, reset := range map[string]bool{"finish": false, "close": false, "reset": true} {
		w := start(t, newScript(t), Options{Workers: 4})
		c := w.dial()
		c.ask("echo first", "first")
		c.send(verdict + "\n")
		_, err := c.Read(make([]byte, 1))
		if (err == io.EOF) == reset {
			t.Errorf("%s: %v", verdict, err)
		}
		until(t, "closed", func() bool { return w.stats.Closed[CauseDone].Load() == 1 })
	}
}
