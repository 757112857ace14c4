// Package state is the connection word: who may touch a connection, and what has happened to it meanwhile.
//
// One atomic 32-bit word a connection, and the only synchronisation a connection needs (DESIGN 2):
//
//	 31      24 23            16 15             8 7    4  3  2     0
//	┌──────────┬────────────────┬────────────────┬──────┬───┬───────┐
//	│  phase   │    interest    │     events     │  0   │ s │ state │
//	└──────────┴────────────────┴────────────────┴──────┴───┴───────┘
//	phase     what the connection is doing, for the scoreboard; means nothing to this package
//	interest  which events end the wait (ARMED and PARKED)
//	events    what has happened since the last claim; sticky until a claim takes them
//	s         suspended: Park has been, and no claim since; tells QUEUED out of PARKED from QUEUED out of ARMED
//	state     who owns the connection:
//
//	┌─────────┬──────────────────────────────┬─────────────────────────────────────────────────────────┐
//	│ CLOSED  │ nobody, or the poller's list │ every event is dropped                                  │
//	│ ARMED   │ its poller                   │ an event it is interested in queues it; others stick    │
//	│ QUEUED  │ the run queue                │ events stick                                            │
//	│ RUNNING │ one worker                   │ events stick; finish sees those it is interested in     │
//	│ PARKED  │ a filter, on its poller      │ as ARMED; Resume too puts it back                       │
//	└─────────┴──────────────────────────────┴─────────────────────────────────────────────────────────┘
//
//	          Open                 Raise (of interest)            Claim
//	CLOSED ─────────► ARMED ────────────────────────► QUEUED ────────────► RUNNING ◄─┐ Release or Park, with an event of
//	   ▲                ▲                               ▲  ▲                │ │ │ └────┘ interest there: RUNNING, go round
//	   │                │            Release            │  └──── Requeue ───┘ │ │
//	   │                └───────────────────────────────┼─────────────────────┘ │
//	   │                       Raise (of interest)      │                       │
//	   │              PARKED ───────────────────────────┘                       │
//	   │                ▲               Park                                    │
//	   │                └───────────────────────────────────────────────────────┤
//	   └───────────────────────────────── Close ────────────────────────────────┘
//
// Claim and Release are the seed's E6 and E7: because every way to a worker goes through QUEUED, and only one Raise can
// make that step, a connection is never dispatched twice, whether by two events or by an event and a timer. A timer is
// an event like the others, so claiming also disarms it.
package state

import "sync/atomic"

// State is the low part of the word.
type State uint32

// The states. CLOSED is zero: a connection that nobody has opened drops what happens to it.
const (
	Closed State = iota
	Armed
	Queued
	Running
	Parked
	stateMask = 7
)

const suspendedBit = 1 << 3

// String is the state's name as the diagram has it.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Armed:
		return "armed"
	case Queued:
		return "queued"
	case Running:
		return "running"
	case Parked:
		return "parked"
	}
	return "invalid"
}

// Events is a set of things that happen to a connection.
type Events uint8

// The events.
const (
	In     Events = 1 << iota // the client's socket has bytes, or its peer has finished sending
	Out                       // the client's socket takes bytes again
	Hup                       // the client's socket is broken, or finished in both directions
	Socket                    // something happened on a socket that the connection has borrowed
	Timer                     // the deadline has passed
	Wake                      // somebody has work for the connection's owner: a lane, a filter
	Shed                      // the engine wants the connection to end if it is idle
	Kill                      // the engine ends the connection now
)

const (
	eventShift    = 8
	interestShift = 16
	phaseShift    = 24
	eventMask     = 0xff << eventShift
	phaseMask     = 0xff << phaseShift
)

// Word is a connection's state. Use it by its methods only.
type Word struct{ w atomic.Uint32 }

func (w *Word) load() uint32 { return w.w.Load() }

// State returns the present state: for statistics and checks, since it may be another one by the time it is read.
func (w *Word) State() State { return State(w.load() & stateMask) }

// Look returns the present state and what the owner last published, from one moment.
func (w *Word) Look() (State, uint8) {
	v := w.load()
	return State(v & stateMask), uint8(v >> phaseShift)
}

// Open makes a closed word ARMED, forgetting everything. The caller owns the connection's memory.
func (w *Word) Open(interest Events, phase uint8) {
	if w.State() != Closed {
		panic("mpm: open of a connection that is " + w.State().String())
	}
	w.w.Store(uint32(Armed) | uint32(interest)<<interestShift | uint32(phase)<<phaseShift)
}

// Raise records events. It returns true if the caller must push the connection on the run queue: exactly one of any
// number of concurrent callers is told so.
func (w *Word) Raise(ev Events) (push bool) {
	for {
		old := w.load()
		next := old | uint32(ev)<<eventShift
		switch State(old & stateMask) {
		case Closed:
			return false
		case Armed, Parked:
			if Events(old>>interestShift)&ev != 0 {
				next = next&^stateMask | uint32(Queued)
				push = true
			}
		}
		if next == old {
			return false
		}
		if w.w.CompareAndSwap(old, next) {
			return push
		}
		push = false
	}
}

// Resume is Raise of Wake for a suspended connection only (C4): one that is PARKED, that another event has queued out of PARKED,
// or whose worker still runs and may be about to park it. For any other ok is false and nothing has changed.
func (w *Word) Resume() (push, ok bool) {
	for {
		old := w.load()
		next := old | uint32(Wake)<<eventShift
		push = false
		switch State(old & stateMask) {
		case Running:
		case Queued:
			if old&suspendedBit == 0 {
				return false, false
			}
		case Parked:
			if Events(old>>interestShift)&Wake != 0 {
				next = next&^stateMask | uint32(Queued)
				push = true
			}
		default:
			return false, false
		}
		if next == old || w.w.CompareAndSwap(old, next) {
			return push, true
		}
	}
}

// Claim makes QUEUED RUNNING and takes the events (E6). Only the worker that popped the connection calls it.
func (w *Word) Claim() Events {
	for {
		old := w.load()
		if State(old&stateMask) != Queued {
			panic("mpm: claim of a connection that is " + State(old&stateMask).String())
		}
		if w.w.CompareAndSwap(old, old&phaseMask|uint32(Running)) {
			return Events(old >> eventShift)
		}
	}
}

// Release makes RUNNING ARMED (E7), or takes the events and stays RUNNING if there is one of interest. After false the
// caller touches nothing of the connection.
func (w *Word) Release(interest Events, phase uint8) (ev Events, again bool) {
	return w.settle(uint32(Armed), interest, phase)
}

// Park is Release to PARKED (C4).
func (w *Word) Park(interest Events, phase uint8) (ev Events, again bool) {
	return w.settle(uint32(Parked)|suspendedBit, interest, phase)
}

func (w *Word) settle(to uint32, interest Events, phase uint8) (Events, bool) {
	for {
		old := w.load()
		if State(old&stateMask) != Running {
			panic("mpm: release of a connection that is " + State(old&stateMask).String())
		}
		if ev := Events(old >> eventShift); ev&interest != 0 {
			if w.w.CompareAndSwap(old, old&^eventMask) {
				return ev, true
			}
			continue
		}
		next := to | old&eventMask | uint32(interest)<<interestShift | uint32(phase)<<phaseShift
		if w.w.CompareAndSwap(old, next) {
			return 0, false
		}
	}
}

// Requeue makes RUNNING QUEUED, keeping the events: the worker has done its share of a long job and pushes the
// connection at the tail.
func (w *Word) Requeue(phase uint8) {
	for {
		old := w.load()
		if State(old&stateMask) != Running {
			panic("mpm: requeue of a connection that is " + State(old&stateMask).String())
		}
		if w.w.CompareAndSwap(old, uint32(Queued)|old&eventMask|uint32(phase)<<phaseShift) {
			return
		}
	}
}

// Close makes RUNNING CLOSED. Only the worker that runs the connection closes it, once (E10).
func (w *Word) Close() {
	if old := w.w.Swap(uint32(Closed)); State(old&stateMask) != Running {
		panic("mpm: close of a connection that is " + State(old&stateMask).String())
	}
}

// Discard makes ARMED CLOSED: the connection's set-up failed before any event could reach it (C8).
func (w *Word) Discard() {
	if old := w.w.Swap(uint32(Closed)); State(old&stateMask) != Armed {
		panic("mpm: discard of a connection that is " + State(old&stateMask).String())
	}
}

// String is the word for logs and tests.
func (w *Word) String() string {
	v := w.load()
	s := State(v & stateMask).String()
	for i, name := range [...]string{"in", "out", "hup", "socket", "timer", "wake", "shed", "kill"} {
		if v>>eventShift&(1<<i) != 0 {
			s += "|" + name
		}
	}
	return s
}
