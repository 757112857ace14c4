package mpm

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// polite is a handler with last words.
type polite struct {
	*script
	byes atomic.Int64
}

func (h *polite) Bye(c *Conn, _ *Turn) {
	h.byes.Add(1)
	s := c.State.(*session)
	s.out = append(s.out, "bye\n"...)
}

// TestBye: every orderly end says the handler's last words, once and behind all other output; an end that is none does not.
func TestBye(t *testing.T) {
	for _, c := range []struct {
		say  string
		want string
	}{
		{"echo a\nlinger\n", "a\nbye\n"},
		{"echo a\nshort\n", "a\nbye\n"},
		{"echo a\nfinish\n", "a\nbye\n"},
		{"echo a\nzero\n", "a\nbye\n"},
		{"close\n", ""},
	} {
		h := &polite{script: newScript(t)}
		w := start(t, h, Options{Workers: 4})
		k := w.dial()
		k.send(c.say)
		k.expect(c.want)
		k.eof()
		k.Close()
		until(t, "closed", func() bool { return h.closes.Load() == 1 })
		want := int64(1)
		if c.want == "" {
			want = 0
		}
		if got := h.byes.Load(); got != want {
			t.Errorf("%q: %d times", c.say, got)
		}
	}
}

// TestByeBehindPending: output that the client has not taken yet comes first.
func TestByeBehindPending(t *testing.T) {
	const size = 8 << 20
	h := &polite{script: newScript(t)}
	w := start(t, h, Options{Workers: 4})
	c := w.dial()
	c.send("big 8388608\nlinger\n")
	until(t, "the client is waited for", func() bool { return w.Load().Phases[PhaseWriting] == 1 })
	for got := 0; got < size; {
		n, err := c.Read(make([]byte, min(64<<10, size-got)))
		if got += n; err != nil {
			t.Fatal(err)
		}
	}
	c.expect("bye\n")
	c.eof()
}

// TestByeWhenIdle: an idle connection that times out, or is to go because the engine stops, ends in order too; one that has never said
// anything has nobody to say goodbye to.
func TestByeWhenIdle(t *testing.T) {
	clock := newFakeClock()
	h := &polite{script: newScript(t)}
	h.keepAlive = 15 * time.Second
	w := start(t, h, Options{Workers: 4, clock: clock.now.Load})
	late, stays, silent := w.dial(), w.dial(), w.dial()
	late.ask("echo x", "x")
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 3 })
	clock.advance(w.Engine, 14*time.Second)
	stays.ask("echo x", "x")
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 3 })
	clock.advance(w.Engine, 1500*time.Millisecond)
	late.expect("bye\n")
	late.eof()
	late.Close()
	silent.eof()
	silent.Close()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(ctx) }()
	stays.expect("bye\n")
	stays.eof()
	stays.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := h.byes.Load(); got != 2 {
		t.Errorf("%d times", got)
	}
}
