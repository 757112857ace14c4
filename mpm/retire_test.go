package mpm

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// leaver is a handler that ends a connection with its next request while the engine ends, and says so.
type leaver struct {
	*script
	tells bool // it wants to hear of the end, and needs no request to end
}

func (h *leaver) Serve(c *Conn, t *Turn, ev Events) Verdict {
	if h.tells {
		c.WakeOnDrain()
	}
	v := h.script.Serve(c, t, ev)
	if s := c.State.(*session); v.next == nextKeepAlive && c.Draining() && (len(s.out) > 0 || h.tells) {
		s.out = append(s.out, "last\n"...)
		return Linger(false)
	}
	return v
}

// retire begins to retire the engine and waits until it does not listen any more.
func (w *testWorld) retire(ctx context.Context) (retired chan error) {
	retired = make(chan error, 1)
	go func() { retired <- w.Retire(ctx) }()
	<-w.unlistened
	return retired
}

// TestRetireP4: nobody is sent away. What is idle is used once more, or ends by its own deadline; new connections are for others.
func TestRetireP4(t *testing.T) {
	clock := newFakeClock()
	h := &leaver{script: newScript(t)}
	h.keepAlive = 15 * time.Second
	w := start(t, h, Options{Workers: 4, Pollers: 2, clock: clock.now.Load})
	other := w.beside(t)
	var idle []*client
	for range 8 {
		c := w.dial()
		c.ask("echo x", "x")
		idle = append(idle, c)
	}
	silent, late := w.dial(), w.dial()
	late.send("ec")
	until(t, "all there", func() bool {
		l := w.Load().Phases
		return l[PhaseKeepAlive] == 9 && l[PhaseReading] == 1
	})
	retired := w.retire(context.Background())
	for _, c := range idle[:4] {
		c.ask("echo y", "y\nlast")
		c.eof()
		c.Close()
	}
	late.ask("ho z", "z\nlast")
	late.eof()
	late.Close()
	silent.ask("echo first", "first\nlast")
	silent.eof()
	silent.Close()
	until(t, "four are left", func() bool { return w.connections.Load() == 4 })
	if got := w.Load(); !got.NotAccepting || got.Phases[PhaseKeepAlive] != 4 {
		t.Errorf("load is %+v", got)
	}
	select {
	case err := <-retired:
		t.Fatalf("retired with connections left: %v", err)
	default:
	}
	fresh := w.dial()
	fresh.send("echo there\n")
	until(t, "the other process accepts it", func() bool { return other.accepted() == 1 })
	clock.advance(w.Engine, 16*time.Second) // nobody hears of them again: not even their end is taken
	until(t, "they linger", func() bool { return w.Load().Phases[PhaseLingering] == 4 })
	clock.advance(w.Engine, ShortLinger+time.Second)
	if err := <-retired; err != nil {
		t.Error(err)
	}
	if got := w.stats.Closed[CauseIdle].Load(); got != 4 {
		t.Errorf("%d ended as idle", got)
	}
}

// TestLingerShortlyP4: a client that takes its last answer and does not close holds an end up for a short linger, not for a whole one.
func TestLingerShortlyP4(t *testing.T) {
	for _, retires := range []bool{true, false} {
		clock := newFakeClock()
		h := &leaver{script: newScript(t)}
		w := start(t, h, Options{Workers: 4, clock: clock.now.Load})
		if !retires {
			before := w.dial() // one that lingers already
			before.send("linger\n")
			before.eof()
			until(t, "it lingers", func() bool { return w.Load().Phases[PhaseLingering] == 1 })
		}
		c := w.dial()
		c.send("ec")
		until(t, "it is served", func() bool { return w.Load().Phases[PhaseReading] == 1 })
		var ended chan error
		if retires {
			ended = w.retire(context.Background())
		} else {
			ended = make(chan error, 1)
			go func() { ended <- w.stop(long) }()
			<-w.unlistened
		}
		c.ask("ho z", "z\nlast")
		c.eof()
		until(t, "all linger, and shortly", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, s := range h.sessions {
				if s.c.deadline.Load() > clock.now.Load()+int64(ShortLinger) {
					return false
				}
			}
			return w.Load().Phases[PhaseLingering] == len(h.sessions)
		})
		clock.advance(w.Engine, ShortLinger+time.Second)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// neighbour stands for another process that has the same listening socket.
type neighbour struct{ fd int }

func (w *testWorld) beside(t *testing.T) neighbour {
	fd, err := syscall.Dup(w.listeners[0].FD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return neighbour{fd}
}

// accepted takes one connection and says whether there was one.
func (n neighbour) accepted() int {
	fd, _, err := syscall.Accept(n.fd)
	if err != nil {
		return 0
	}
	syscall.Close(fd)
	return 1
}

// TestRetireThenStop: a stop ends what a retirement still waits for, whether that has been given up or goes on.
func TestRetireThenStop(t *testing.T) {
	for _, givenUp := range []bool{true, false} {
		h := &leaver{script: newScript(t)}
		w := start(t, h, Options{Workers: 4})
		c := w.dial()
		c.ask("echo x", "x")
		until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 1 })
		ctx, cancel := context.WithCancel(context.Background())
		retired := w.retire(ctx)
		if givenUp {
			cancel()
			if err := <-retired; !errors.Is(err, context.Canceled) {
				t.Errorf("retired with %v", err)
			}
		}
		stopped := make(chan error)
		go func() { stopped <- w.stop(long) }()
		c.eof()
		c.Close()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if !givenUp {
			if err := <-retired; err != nil {
				t.Error(err)
			}
		}
		cancel()
	}
}

// TestWakeOnDrain: who wants to hear of the end does, idle or not; others are not disturbed.
func TestWakeOnDrain(t *testing.T) {
	for _, tells := range []bool{true, false} {
		h := &leaver{script: newScript(t), tells: tells}
		h.commands["suspend"] = func(s *session, _ *Turn, _ string) (Verdict, bool) { return Suspend(0), true }
		w := start(t, h, Options{Workers: 4, Pollers: 2})
		idle, busy := w.dial(), w.dial()
		idle.ask("echo x", "x")
		busy.send("suspend\n")
		until(t, "all there", func() bool {
			l := w.Load().Phases
			return l[PhaseKeepAlive] == 1 && l[PhaseSuspended] == 1
		})
		h.mu.Lock()
		turns := map[*session]int64{}
		for _, s := range h.sessions {
			turns[s] = s.turns.Load()
		}
		h.mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		retired := w.retire(ctx)
		if tells {
			idle.expect("last\n")
			busy.expect("last\n")
			idle.eof()
			busy.eof()
			idle.Close()
			busy.Close()
			if err := <-retired; err != nil {
				t.Error(err)
			}
		} else {
			cancel()
			<-retired
			for s, n := range turns {
				if s.turns.Load() != n {
					t.Error("an idle connection has had a turn")
				}
			}
		}
		cancel()
	}
}

// TestFullP3: the engine says when it has accepted so many connections, once, and goes on.
func TestFullP3(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 4, MaxAccepted: 3})
	for n := 1; n <= 5; n++ {
		c := w.dial()
		c.ask("echo x", "x")
		select {
		case <-w.Full():
			if n < 3 {
				t.Errorf("full after %d", n)
			}
		default:
			if n >= 3 {
				t.Errorf("not full after %d", n)
			}
		}
	}
}

// TestRetireUnderLoadP4: clients that ask over and over, each at its own pace, lose nothing while the engine retires: an answer comes for
// whatever was sent on a connection that was not said to end.
func TestRetireUnderLoadP4(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		h := &leaver{script: newScript(t)}
		w := start(t, h, Options{Workers: 4, Pollers: 2})
		var clients sync.WaitGroup
		ready := make(chan struct{}, 8)
		for n := range 8 {
			clients.Go(func() {
				c, err := net.DialTimeout("tcp", w.addr, long)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(long))
				buf := make([]byte, 8)
				for i := 0; ; i++ {
					if i == 20 {
						ready <- struct{}{}
					}
					if _, err := c.Write([]byte("echo x\n")); err != nil {
						t.Errorf("round %d: %v", round, err)
						return
					}
					got, err := c.Read(buf)
					if err == nil && string(buf[:got]) == "x\nlast\n" && i >= 20 {
						return
					}
					if err != nil || string(buf[:got]) != "x\n" {
						t.Errorf("round %d: request %d of client %d: %q, %v", round, i, n, buf[:got], err)
						return
					}
				}
			})
		}
		for range cap(ready) {
			<-ready
		}
		ctx, cancel := context.WithTimeout(context.Background(), long)
		if err := w.Retire(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		clients.Wait()
		w.stop(long)
	}
}
