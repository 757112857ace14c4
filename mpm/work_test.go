package mpm

import (
	"sync/atomic"
	"testing"
)

// TestWorkP8: each worker says what it does in its own cell, and which connection for, with the id that the log has.
func TestWorkP8(t *testing.T) {
	cells := []*atomic.Uint64{new(atomic.Uint64), new(atomic.Uint64)}
	free := make(chan struct{})
	h := newScript(t)
	h.commands["hold"] = func(*session, *Turn, string) (Verdict, bool) { <-free; return Verdict{}, false }
	w := start(t, h, Options{Workers: 3, Child: 5, Cells: cells})
	idle := func() bool {
		for _, at := range w.Workers() {
			if at.Busy || at.Phase != 0 || at.Connection != 0 {
				return false
			}
		}
		return len(w.Workers()) == 3
	}
	if !idle() {
		t.Errorf("%+v", w.Workers())
	}
	for range 3 {
		c := w.dial()
		c.ask("echo x", "x")
		c.send("hold\n")
	}
	busy := func() (list []Work) {
		for _, at := range w.Workers() {
			if at.Busy {
				list = append(list, at)
			}
		}
		return list
	}
	until(t, "all are busy", func() bool { return len(busy()) == 3 })
	seen := map[uint64]bool{}
	for _, at := range busy() {
		seen[at.Connection] = true
		if at.Phase != PhaseKeepAlive || at.Turns == 0 {
			t.Errorf("%+v", at)
		}
	}
	h.mu.Lock()
	for id := range h.sessions {
		if !seen[id] {
			t.Errorf("no worker has connection %#x: %v", id, seen)
		}
	}
	h.mu.Unlock()
	for i, cell := range cells {
		if got := ReadWork(cell.Load(), 5); got != w.Workers()[i] {
			t.Errorf("cell %d says %+v, the engine %+v", i, got, w.Workers()[i])
		}
	}
	if again := busy(); len(again) != 3 || again[0].Turns != w.Workers()[0].Turns {
		t.Errorf("a turn that goes on looks like another: %+v", again)
	}
	close(free)
	until(t, "all are idle", idle)
}

// TestReadWork: a cell that another process has written may hold anything.
func TestReadWork(t *testing.T) {
	for _, c := range []struct {
		cell uint64
		want Work
	}{
		{0, Work{}},
		{7 << workTurnsShift, Work{Turns: 7}},
		{1<<workTurnsShift | 5<<workPhaseShift | 9, Work{Busy: true, Phase: PhaseSuspended, Connection: 3<<childShift | 9, Turns: 1}},
		{1<<workPhaseShift | 1<<unitShift | 4, Work{Busy: true, Connection: 3<<childShift | 1<<unitShift | 4}},
		{^uint64(0), Work{Busy: true, Connection: 3<<childShift | workIDMask, Turns: 0xffff}},
	} {
		if got := ReadWork(c.cell, 3); got != c.want {
			t.Errorf("%#x is %+v, not %+v", c.cell, got, c.want)
		}
	}
}
