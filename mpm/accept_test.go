package mpm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/mpm/internal/admit"
	"edge/mpm/internal/poll"
)

// TestPollersE1: one per CPU by default, at most eight, never more than workers, never none.
func TestPollersE1(t *testing.T) {
	cases := []struct{ asked, workers, want int }{
		{0, 16, min(runtime.NumCPU(), 8)},
		{0, 1, 1},
		{1, 16, 1},
		{4, 2, 2},
		{8, 16, 8},
		{9, 16, 8},
		{100, 100, 8},
		{-3, 16, min(runtime.NumCPU(), 8)},
		{3, 0, 3},
	}
	for _, c := range cases {
		e, err := New(Options{Pollers: c.asked, Workers: c.workers}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Pollers(); got != c.want {
			t.Errorf("pollers = %d of workers = %d: %d, expected %d", c.asked, c.workers, got, c.want)
		}
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestPlacementE2: connections are dealt in turn and stay where they are.
func TestPlacementE2(t *testing.T) {
	h := newScript(t)
	var mu sync.Mutex
	placed := map[uint64]int{}
	h.onServe = func(s *session, _ Events) {
		mu.Lock()
		defer mu.Unlock()
		at, ok := placed[s.c.ID()]
		if ok && at != s.c.Poller() {
			t.Errorf("connection %d went from poller %d to %d", s.c.ID(), at, s.c.Poller())
		}
		placed[s.c.ID()] = s.c.Poller()
	}
	w := start(t, h, Options{Workers: 8, Pollers: 4})
	var all []*client
	for i := range 20 {
		c := w.dial()
		c.ask("echo x", "x")
		all = append(all, c)
		mu.Lock()
		if at := placed[uint64(i+1)]; at != i%4 {
			t.Errorf("connection %d is on poller %d", i+1, at)
		}
		mu.Unlock()
	}
	for range 5 {
		for _, c := range all {
			c.ask("echo y", "y")
		}
	}
}

// TestDrainE3: what waits in the kernel is accepted in one wake-up, up to the EAGAIN; more than one batch too.
func TestDrainE3(t *testing.T) {
	for _, n := range []int{100, 2*acceptBatch + 50} {
		var agains, accepted atomic.Int64
		o := Options{Workers: 16, accept: func(fd int) (int, netip.AddrPort, syscall.Errno) {
			conn, peer, errno := poll.Accept(fd)
			if errno == syscall.EAGAIN {
				agains.Add(1)
			} else {
				accepted.Add(1)
			}
			return conn, peer, errno
		}}
		w := start(t, newScript(t), o, func(e *Engine) {
			for range n {
				c, err := net.DialTimeout("tcp", e.listeners[0].local.String(), long)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
			}
		})
		until(t, "all accepted", func() bool { return accepted.Load() == int64(n) })
		w.dial().ask("echo x", "x")
		if got := agains.Load(); got > 2 {
			t.Errorf("%d connections took %d wake-ups", n, got)
		}
	}
}

// TestExhaustedE4: without descriptors the door closes with back-off and idle connections go; accept is not called meanwhile;
// when there are descriptors again the client that waited is served.
func TestExhaustedE4(t *testing.T) {
	clock, log := newFakeClock(), &logged{}
	var failing atomic.Bool
	var calls, reads atomic.Int64
	o := Options{
		Workers: 4, Pollers: 2, Log: log.logger(slog.LevelDebug),
		clock: func() int64 { reads.Add(1); return clock.now.Load() },
		accept: func(fd int) (int, netip.AddrPort, syscall.Errno) {
			if failing.Load() {
				calls.Add(1)
				return -1, netip.AddrPort{}, syscall.EMFILE
			}
			return poll.Accept(fd)
		},
	}
	w := start(t, newScript(t), o)
	const idle = 10
	for range idle {
		c := w.dial()
		c.ask("echo x", "x")
		go func() { // a client that closes when told to
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
	busy := w.dial()
	busy.send("ec")
	until(t, "idle", func() bool {
		l := w.Load()
		return l.Phases[PhaseKeepAlive] == idle && l.Phases[PhaseReading] == 1
	})
	failing.Store(true)
	waiting := w.dial()
	waiting.send("echo waited\n")
	until(t, "half of the idle connections have gone", func() bool { return w.stats.Closed[CauseIdle].Load() >= idle/2 })
	busy.send("ho busy\nec")
	busy.expect("busy\n")
	if got := calls.Load(); got != 1 || !w.Load().NotAccepting {
		t.Errorf("accept called %d times", got)
	}
	for want, backoff := int64(2), time.Duration(admit.BackoffMin); want < 8; want, backoff = want+1, min(2*backoff, admit.BackoffMax) {
		clock.advance(w.Engine, backoff-1)
		busy.send("ho busy\nec")
		busy.expect("busy\n")
		if got := calls.Load(); got != want-1 {
			t.Fatalf("accept called %d times before the back-off of %v was over", got, backoff)
		}
		clock.advance(w.Engine, 1)
		until(t, "accept tried again", func() bool { return calls.Load() == want })
	}
	failing.Store(false)
	clock.advance(w.Engine, time.Second)
	waiting.expect("waited\n")
	if s := w.Stats(); s.AcceptExhausted.Load() != 7 || s.DoorClosed.Load() < 7 || s.DoorOpened.Load() < 7 {
		t.Errorf("exhausted %d, closed %d, opened %d", s.AcceptExhausted.Load(), s.DoorClosed.Load(), s.DoorOpened.Load())
	}
	if log.count("accept failed") != 7 {
		t.Errorf("%d log lines", log.count("accept failed"))
	}
}

// rest measures how often the pollers look at the clock in a quarter of a second in which nothing happens: a few times a
// round. A poller that spins does it a hundred thousand times.
func rest(t *testing.T, reads *atomic.Int64, what string) {
	t.Helper()
	before := reads.Load()
	time.Sleep(250 * time.Millisecond)
	if n := reads.Load() - before; n > 1000 {
		t.Errorf("%s: the clock is read %d times in 250 ms: a poller spins", what, n)
	}
}

// TestNoSpinE4: a back-off that is over costs nothing.
func TestNoSpinE4(t *testing.T) {
	clock := newFakeClock()
	var fail atomic.Int64
	var reads atomic.Int64
	w := start(t, newScript(t), Options{
		Workers: 4, Pollers: 2, clock: func() int64 { reads.Add(1); return clock.now.Load() },
		accept: func(fd int) (int, netip.AddrPort, syscall.Errno) {
			conn, peer, errno := poll.Accept(fd)
			if errno == 0 && fail.Add(-1) >= 0 {
				poll.Close(conn)
				return -1, peer, syscall.ENFILE
			}
			return conn, peer, errno
		},
	})
	fail.Store(1)
	w.dial()
	until(t, "the door closes", func() bool { return w.stats.AcceptExhausted.Load() == 1 })
	rest(t, &reads, "during the back-off")
	clock.advance(w.Engine, time.Second)
	until(t, "the door opens", func() bool { return w.stats.DoorOpened.Load() == 1 })
	rest(t, &reads, "after the back-off")
	w.dial().ask("echo x", "x")
	rest(t, &reads, "idle")
}

// TestTransientE4: errors of one connection are retried at once, and no errno makes accept spin.
func TestTransientE4(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM} {
		var calls atomic.Int64
		var left atomic.Int64
		left.Store(5)
		w := start(t, newScript(t), Options{Workers: 4, accept: func(fd int) (int, netip.AddrPort, syscall.Errno) {
			calls.Add(1)
			if left.Add(-1) >= 0 {
				return -1, netip.AddrPort{}, errno
			}
			return poll.Accept(fd)
		}})
		w.dial().ask("echo x", "x")
		if got := w.stats.AcceptTransient.Load(); got != 5 || w.stats.AcceptExhausted.Load() != 0 {
			t.Errorf("%v: %d transient, %d exhausted", errno, got, w.stats.AcceptExhausted.Load())
		}
		calls.Store(0)
		left.Store(transientMax * 3 / 2)
		w.dial().ask("echo y", "y")
		if got := w.stats.AcceptExhausted.Load(); got != 1 {
			t.Errorf("%v, time and again: exhausted %d", errno, got)
		}
	}
}

// TestSetupFailedC8: a connection that cannot be registered is closed and its place freed.
func TestSetupFailedC8(t *testing.T) {
	var fail atomic.Bool
	w := start(t, newScript(t), Options{Workers: 4, accept: func(fd int) (int, netip.AddrPort, syscall.Errno) {
		conn, peer, errno := poll.Accept(fd)
		if errno == 0 && fail.Swap(false) {
			poll.Close(conn)
			null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0) // epoll refuses it
			if err != nil {
				return -1, peer, err.(syscall.Errno)
			}
			return null, peer, 0
		}
		return conn, peer, errno
	}})
	for range 10 {
		fail.Store(true)
		defer w.dial().Close()
		until(t, "the set-up has failed", func() bool { return !fail.Load() })
	}
	until(t, "all have failed", func() bool { return w.stats.SetupFailed.Load() == 10 })
	c := w.dial()
	c.ask("echo x", "x")
	if l := w.Load(); l.Connections != 1 {
		t.Errorf("%+v", l)
	}
	c.Close()
	until(t, "gone", func() bool { return w.connections.Load() == 0 })
	for _, p := range w.pollers {
		if len(p.free) != len(p.slots) || p.wheel.Len() != 0 {
			t.Errorf("poller %d: %d of %d slots free, %d timers", p.index, len(p.free), len(p.slots), p.wheel.Len())
		}
	}
}

// TestStampedeA1A2A3: with four workers and thousands of clients pushing at once the queue is bounded, the listeners close and
// open again, every closing and opening is logged, and no accepted request is lost.
func TestStampedeA1A2A3(t *testing.T) {
	log := &logged{}
	h := newScript(t)
	h.commands["work"] = func(s *session, _ *Turn, _ string) (Verdict, bool) {
		for i := range 2000 {
			s.note = i
		}
		s.out = append(s.out, "done\n"...)
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 4, Pollers: 2, Connections: 5000, Log: log.logger(slog.LevelDebug)})
	clients, each := 4000, 3
	if testing.Short() {
		clients = 400
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); int(limit.Cur) < 2*clients+200 {
		clients = int(limit.Cur)/2 - 200
	}
	var wg sync.WaitGroup
	var failed atomic.Int64
	var pending int
	for range clients {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", w.addr, long)
			if err != nil {
				failed.Add(1)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(2 * long))
			buf := make([]byte, 5)
			for range each {
				if _, err := io.WriteString(c, "work\n"); err != nil {
					failed.Add(1)
					return
				}
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "done\n" {
					failed.Add(1)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(2 * time.Millisecond):
			l := w.Load()
			pending = max(pending, l.Pending)
			if l.Connections > 5000 || l.Pending > 5000 {
				t.Errorf("unbounded: %+v", l)
			}
		}
	}
	if n := failed.Load(); n != 0 {
		t.Errorf("%d of %d clients lost a request", n, clients)
	}
	s := w.Stats()
	until(t, "the listeners are open", func() bool { return !w.Load().NotAccepting })
	until(t, "closing and opening are logged once each (A3)", func() bool {
		return log.count("listeners closed") == int(s.DoorClosed.Load()) && log.count("listeners opened") == int(s.DoorOpened.Load())
	})
	closed, opened := s.DoorClosed.Load(), s.DoorOpened.Load()
	if closed == 0 || opened != closed || s.QueueFull.Load() != 0 {
		t.Errorf("closed %d, opened %d, queue full %d", closed, opened, s.QueueFull.Load())
	}
	t.Logf("%d clients, %d connections accepted, listeners closed %d times, at most %d pending", clients, s.Accepted.Load(), closed, pending)
}

// TestOneWorkerA4: one worker is warned of; and with it, the door opens at once when the worker is idle, not at the poller's
// next look by itself.
func TestOneWorkerA4(t *testing.T) {
	log := &logged{}
	w := start(t, newScript(t), Options{Workers: 1, Log: log.logger(slog.LevelInfo)})
	if log.count("workers = 1") != 1 {
		t.Error("no warning")
	}
	begin := time.Now()
	const n = 200
	for range n {
		c := w.dial()
		c.ask("echo x", "x")
		c.Close()
	}
	if d := time.Since(begin); d > n*pollMax/10 {
		t.Errorf("%d connections took %v: the door waits for the poller", n, d)
	}
	w2 := start(t, newScript(t), Options{Workers: 4, Log: log.logger(slog.LevelInfo)})
	w2.dial().ask("echo x", "x")
	if log.count("workers = 1") != 1 {
		t.Error("warned of four workers")
	}
}

// TestDoorOpensWhenIdleA2: the door closes because no worker is idle, and opens when one is, with nothing else going on.
func TestDoorOpensWhenIdleA2(t *testing.T) {
	h := newScript(t)
	block, blocked := make(chan struct{}), make(chan struct{}, 4)
	h.commands["block"] = func(*session, *Turn, string) (Verdict, bool) {
		blocked <- struct{}{}
		<-block
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 2, Pollers: 1})
	rounds := 50
	for range rounds {
		a, b := w.dial(), w.dial()
		a.send("block\n")
		b.send("block\necho b\n")
		<-blocked
		<-blocked
		late := w.dial()
		late.send("echo late\n")
		until(t, "the door is closed", func() bool { return w.Load().NotAccepting })
		begin := time.Now()
		block <- struct{}{}
		block <- struct{}{}
		late.expect("late\n")
		if d := time.Since(begin); d > pollMax/2 {
			t.Fatalf("the door opened after %v", d)
		}
		for _, c := range []*client{a, b, late} {
			c.Close()
		}
	}
	if w.stats.DoorClosed.Load() < uint64(rounds) {
		t.Error("the door did not close")
	}
}

// TestConnectionBound: beyond the most connections the listeners are closed, and open as connections go.
func TestConnectionBound(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 8, Connections: 10})
	var all []*client
	for i := range 30 {
		c := w.dial()
		c.send(fmt.Sprintf("echo %d\n", i))
		all = append(all, c)
	}
	for i, c := range all {
		c.expect(fmt.Sprintf("%d\n", i))
		if n := w.Load().Connections; n > 10 {
			t.Fatalf("%d connections", n)
		}
		c.Close()
	}
	if w.stats.DoorClosed.Load() == 0 {
		t.Error("the listeners never closed")
	}
}

// TestSharedListenerP4: where another process still holds the listener, the engine that drains does not hear of its connections.
// Closing a descriptor does not take it out of an epoll set while the socket is open elsewhere: the poller spun.
func TestSharedListenerP4(t *testing.T) {
	clock := newFakeClock()
	var reads atomic.Int64
	var copied int
	h := newScript(t)
	h.commands["suspend"] = func(*session, *Turn, string) (Verdict, bool) { return Suspend(0), true }
	w := start(t, h, Options{Workers: 4, clock: func() int64 { reads.Add(1); return clock.now.Load() }}, func(e *Engine) {
		var err error
		if copied, err = unix.FcntlInt(uintptr(e.listeners[0].FD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	})
	defer poll.Close(copied)
	c := w.dial()
	c.send("suspend\n")
	until(t, "suspended", func() bool { return w.Load().Phases[PhaseSuspended] == 1 })
	drained := make(chan error)
	go func() { drained <- w.Drain(context.Background()) }()
	<-w.unlistened
	w.dial() // for the other process
	rest(t, &reads, "while draining")
	h.only(t).c.Wake()
	c.eof()
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
