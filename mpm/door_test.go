package mpm

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
)

// atLine runs a function when a line is logged.
type atLine struct {
	slog.Handler
	line string
	do   func()
}

func (h atLine) Enabled(context.Context, slog.Level) bool { return true }

func (h atLine) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.line {
		h.do()
	}
	return nil
}

// TestDoorLooksTwiceA2: the last busy worker may become idle after the door has looked at the load and before it is seen to be
// closed, and so wakes nobody. The door looks again after it has closed.
func TestDoorLooksTwiceA2(t *testing.T) {
	fd, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	var e *Engine
	idle := make(chan struct{})
	log := atLine{slog.DiscardHandler, "listeners closed", func() {
		go e.queue.Pop(0, true)
		<-idle
	}}
	if e, err = New(Options{Workers: 1, Pollers: 1, Log: slog.New(log)}, []Listener{{FD: fd, Handler: newScript(t)}}); err != nil {
		t.Fatal(err)
	}
	e.accepting.Store(true)
	e.queue.Relieved = nil
	e.queue.Push(new(Conn), false)
	e.queue.Pop(0, false) // the only worker is busy
	e.queue.Relieved = func() { close(idle) }
	e.door()
	if closed, opened := e.stats.DoorClosed.Load(), e.stats.DoorOpened.Load(); closed != 1 || opened != 1 || e.notAccepting.Load() {
		t.Errorf("closed %d times, opened %d: it waits for a wake that nobody sends", closed, opened)
	}
	e.queue.Relieved = nil
	e.queue.Close()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
