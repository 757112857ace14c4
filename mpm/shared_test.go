package mpm

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// another is a second engine on the listening socket of a neighbour, as another process has it (P2).
func (w *testWorld) another(n neighbour, h Handler, o Options) *testWorld {
	w.t.Helper()
	other := w.held(n, h, o)
	if err := other.Accept(); err != nil {
		w.t.Fatal(err)
	}
	return other
}

// held is another that has not been told to accept.
func (w *testWorld) held(n neighbour, h Handler, o Options) *testWorld {
	w.t.Helper()
	fd, err := syscall.Dup(n.fd)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := New(o, []Listener{{FD: fd, Handler: h, Name: "test"}})
	if err != nil {
		w.t.Fatal(err)
	}
	e.Start()
	other := &testWorld{Engine: e, t: w.t, addr: w.addr}
	w.t.Cleanup(func() {
		if !other.stopped {
			other.stop(0)
		}
	})
	return other
}

// TestSharedListenerA1: a door that is closed in one process, for want of workers or because it retires, is its own: the others accept
// what comes, and it accepts again when it can.
func TestSharedListenerA1(t *testing.T) {
	free := make(chan struct{})
	h := newScript(t)
	h.commands["hold"] = func(*session, *Turn, string) (Verdict, bool) { <-free; return Verdict{}, false }
	one := start(t, h, Options{Workers: 2})
	for range 2 {
		one.dial().send("hold\n")
	}
	until(t, "the door is closed", func() bool { return one.Load().NotAccepting })
	other := newScript(t)
	two := one.another(one.beside(t), other, Options{Workers: 4})
	for range 20 {
		c := one.dial()
		c.ask("echo x", "x")
		c.Close()
	}
	if got := two.stats.Accepted.Load(); got != 20 {
		t.Errorf("the other process has accepted %d", got)
	}
	close(free)
	until(t, "the door is open", func() bool { return !one.Load().NotAccepting })
	retired := two.retire(context.Background())
	for range 20 {
		one.dial().ask("echo y", "y")
	}
	if got := one.stats.Accepted.Load(); got != 22 {
		t.Errorf("%d accepted", got)
	}
	two.stop(long)
	<-retired
}

// TestSharedHeldP4: an engine that runs leaves what comes to the others until it is told to accept.
func TestSharedHeldP4(t *testing.T) {
	one := start(t, newScript(t), Options{Workers: 4})
	two := one.held(one.beside(t), newScript(t), Options{Workers: 4})
	never := one.held(one.beside(t), newScript(t), Options{Workers: 4})
	for range 50 {
		c := one.dial()
		c.ask("echo x", "x")
		c.Close()
	}
	if got := two.stats.Accepted.Load(); got != 0 {
		t.Errorf("%d accepted by one that has not been told to", got)
	}
	if err := two.Accept(); err != nil {
		t.Fatal(err)
	}
	<-one.retire(context.Background())
	<-never.retire(context.Background())
	one.dial().ask("echo y", "y")
	if got := two.stats.Accepted.Load(); got != 1 {
		t.Errorf("%d accepted by the only one left", got)
	}
	if err := never.Accept(); err != nil || never.stats.Accepted.Load() != 0 {
		t.Errorf("told to accept when it ends: %v", err)
	}
}

// TestSharedGenerationsP4: processes come and go on one listening socket while clients connect: nobody is refused, reset or forgotten in the
// queue.
func TestSharedGenerationsP4(t *testing.T) {
	generations := 30
	if testing.Short() {
		generations = 5
	}
	first := start(t, &leaver{script: newScript(t)}, Options{Workers: 4, Pollers: 2})
	held := first.beside(t)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", first.addr, long)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(long))
				c.Write([]byte("echo x\n"))
				buf := make([]byte, 2)
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "x\n" {
					t.Errorf("%q, %v", buf, err)
				}
				c.Close()
			}
		})
	}
	now := first
	for range generations {
		next := first.another(held, &leaver{script: newScript(t)}, Options{Workers: 4, Pollers: 2})
		until(t, "the next one serves", func() bool { return next.stats.Accepted.Load() > 5 || now.stats.Accepted.Load() > 2000 })
		if err := <-now.retire(context.Background()); err != nil {
			t.Error(err)
		}
		now.stop(long)
		now = next
	}
	close(over)
	clients.Wait()
}
