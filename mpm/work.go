package mpm

import "sync/atomic"

// Work is what a worker does at one moment (P8).
type Work struct {
	Busy       bool   // it runs a connection
	Phase      Phase  // what that connection waited for before this turn; a new one was PhaseKeepAlive
	Connection uint64 // that connection's id (P9)
	Turns      uint16 // turns that it has begun, modulo 65536: the same number twice is the same turn, which goes on
}

// A worker's cell is one number, so that whoever looks, another process perhaps, sees one moment:
//
//	 63            48 47     44 43                       0
//	┌────────────────┬─────────┬──────────────────────────┐
//	│     turns      │ phase+1 │ connection, no child     │
//	└────────────────┴─────────┴──────────────────────────┘
//
// phase+1 is 0 where the worker has no connection. The worker alone stores it: when a turn begins, and when it ends.
const (
	workPhaseShift = childShift
	workTurnsShift = 48
	workPhaseMask  = 1<<(workTurnsShift-workPhaseShift) - 1
	workIDMask     = 1<<childShift - 1
)

// cell is a worker's where nobody else has memory for it. It has a cache line to itself, and the next one, which processors fetch too.
type cell struct {
	atomic.Uint64
	_ [120]byte
}

// ReadWork is what the cell of one of a child's workers says. It takes any number: a phase that is none is left out.
func ReadWork(cell uint64, child int) Work {
	w := Work{Turns: uint16(cell >> workTurnsShift)}
	if phase := cell >> workPhaseShift & workPhaseMask; phase != 0 {
		w.Busy = true
		w.Connection = uint64(child)<<childShift | cell&workIDMask
		if phase <= uint64(Phases) {
			w.Phase = Phase(phase - 1)
		}
	}
	return w
}

// begins and rests are the two stores.
func (w *worker) begins(c *Conn) {
	w.turns++
	w.cell.Store(uint64(w.turns)<<workTurnsShift | uint64(c.phase+1)<<workPhaseShift | c.id&workIDMask)
}

func (w *worker) rests() { w.cell.Store(uint64(w.turns) << workTurnsShift) }

// cellOf is where a worker says what it does: Options.Cells, or memory of its own.
func (e *Engine) cellOf(worker int) *atomic.Uint64 {
	if worker >= 0 && worker < len(e.options.Cells) {
		return e.options.Cells[worker]
	}
	return &new(cell).Uint64
}

// Workers is what each worker does now, by number. Any goroutine may call it, once the engine has been started.
func (e *Engine) Workers() []Work {
	list := make([]Work, len(e.workers))
	for i, w := range e.workers {
		list[i] = ReadWork(w.cell.Load(), e.options.Child)
	}
	return list
}
