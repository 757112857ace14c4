package mpm

import (
	"net/netip"
	"sync/atomic"

	"edge/mpm/internal/state"
)

// Handler is the protocol above the engine. The engine calls Serve, Flush and Close of one connection never two at a time.
// None of them may block, wait for a socket or a timer, or keep the Turn.
type Handler interface {
	// NewWorker makes what one worker keeps for itself: free lists, counters. It is Turn.Local on each of its turns. Workers
	// count from 0; worker -1 is the engine's own, which only calls Close, of connections that the run queue had no room for.
	NewWorker(worker int) any

	// Serve does what can be done now and says what the connection waits for. ev is what has happened since the last
	// turn, and may be less than there is: what Readable, Writable and Socket.Ready say counts. A connection's first turn has
	// Conn.State nil.
	Serve(c *Conn, t *Turn, ev Events) Verdict

	// Flush writes pending output and says whether none is left (write completion, C2). An error ends the connection.
	Flush(c *Conn, t *Turn) (done bool, err error)

	// Close frees what Serve made. It is called for each connection whose State is not nil, on every path, and returns true
	// exactly once (E10). done = false keeps the connection's memory for another call after the next Wake: somebody else still
	// holds a part of it, or may still call Wake or Resume. The client's socket is closed already.
	Close(c *Conn, t *Turn, cause Cause) (done bool)
}

// Parting is what a Handler implements too whose protocol has last words: TLS's close_notify, HTTP/2's GOAWAY.
type Parting interface {
	// Bye says them, before Flush is called, when a connection whose State is not nil is to end in order: on Linger and Finish, when it
	// has been idle too long, and when an idle one is to go. It is called once; the connection is not served afterwards.
	Bye(c *Conn, t *Turn)
}

// Events is a set of things that have happened to a connection.
type Events = state.Events

// The events that Serve sees and Wait names.
const (
	In      = state.In     // bytes from the client, or the end of its stream
	Out     = state.Out    // room for bytes to the client
	Broken  = state.Hup    // the client's socket is reset, or closed in both directions
	Borrow  = state.Socket // a borrowed socket's Ready has changed
	Expired = state.Timer  // Verdict.Deadline has passed
	Woken   = state.Wake   // Conn.Wake or Conn.Resume was called
)

// Turn is what a worker lends to the connection it runs, for the length of the turn.
type Turn struct {
	Now    int64  // the engine's clock at the start of the turn, nanoseconds
	In     []byte // to read into: ScratchBytes
	Out    []byte // to build output in: length 0, capacity ScratchBytes
	Local  any    // what NewWorker made
	Worker int
}

// ScratchBytes is the size of a worker's input and output buffers.
const ScratchBytes = 64 << 10

// Verdict is what Serve decides. The zero Verdict is a lingering close (C5).
type Verdict struct {
	next     next
	want     Events
	deadline int64
	phase    Phase
	first    bool
}

type next uint8

const (
	nextLinger next = iota
	nextShortLinger
	nextWait
	nextKeepAlive
	nextFinish
	nextSuspend
	nextAgain
	nextClose
	nextReset
)

// Wait has the connection wait on its poller for any of the events (C1), at most until the deadline on the engine's
// clock (0 for none), when Serve is called with Expired. Broken and Woken always end the wait. In and Out are levels: the wait
// ends at once while Readable or Writable says so. Borrow is an edge: look at Socket.Ready before waiting for it.
func Wait(want Events, deadline int64, phase Phase) Verdict {
	return Verdict{next: nextWait, want: want | Broken | Woken, deadline: deadline, phase: phase}
}

// KeepAlive flushes pending output (C2), then waits for the client's next bytes until the deadline (0 for none), when the
// connection lingers and closes (C3, C6). While the engine stops it lingers at once; while it retires it waits as ever.
func KeepAlive(deadline int64) Verdict {
	return Verdict{next: nextKeepAlive, want: In | Broken | Woken, deadline: deadline}
}

// FirstRequest is KeepAlive for a connection that has made no request yet, as after a handshake: while the engine stops it is given a short
// linger's time for it.
func FirstRequest(deadline int64) Verdict {
	v := KeepAlive(deadline)
	v.first = true
	return v
}

// Suspend parks the connection until Resume, or until the deadline (C4). A client that goes away, a borrowed socket and
// Wake end it too; bytes from the client do not.
func Suspend(deadline int64) Verdict {
	return Verdict{next: nextSuspend, want: Broken | Woken | Borrow, deadline: deadline, phase: PhaseSuspended}
}

// Again puts the connection at the tail of the run queue: it has more to do than its share of one turn. It ends the deadline
// of the last wait.
func Again() Verdict { return Verdict{next: nextAgain} }

// Linger flushes, half-closes and reads what still comes, then closes (C7): the client gets all that was sent to it. short is
// for abuse.
func Linger(short bool) Verdict {
	if short {
		return Verdict{next: nextShortLinger}
	}
	return Verdict{next: nextLinger}
}

// Finish flushes, then closes without lingering: for an exchange that is complete on both sides, with nothing of the client's
// left unread, where there is nothing that lingering could protect.
func Finish() Verdict { return Verdict{next: nextFinish} }

// Close closes at once; pending output is lost.
func Close() Verdict { return Verdict{next: nextClose} }

// Reset closes at once with RST: the client must not take what it got for whole.
func Reset() Verdict { return Verdict{next: nextReset} }

// Phase is what a connection is doing, as the scoreboard shows it (P8).
type Phase uint8

// The phases.
const (
	PhaseReading   Phase = iota // waiting for the rest of a request
	PhaseUpstream               // waiting for an upstream
	PhaseWriting                // waiting for the client to take output (write completion)
	PhaseKeepAlive              // idle between requests
	PhaseSuspended              // parked by a filter
	PhaseLingering              // half-closed, reading what still comes
	PhaseTunnel                 // carrying an upgraded protocol
	PhaseRunning                // on a worker, or queued for one
	Phases         = iota
)

var phaseNames = [Phases]string{"reading", "upstream", "writing", "keepalive", "suspended", "lingering", "tunnel", "running"}

// String is the phase in logs and metrics.
func (p Phase) String() string { return phaseNames[p] }

// Cause is why a connection ended.
type Cause uint8

// The causes.
const (
	CauseDone     Cause = iota // the handler lingered or closed
	CauseIdle                  // keepalive_timeout, or the engine wanted idle connections to go
	CauseTimeout               // a timeout of the handler's or of write completion
	CauseClient                // the client closed or reset
	CauseError                 // a system call failed
	CauseShutdown              // the engine stopped
	CausePanic                 // the handler panicked
	Causes        = iota
)

var causeNames = [Causes]string{"done", "idle", "timeout", "client", "error", "shutdown", "panic"}

// String is the cause in logs and metrics.
func (c Cause) String() string { return causeNames[c] }

// Listener is a socket to accept from and the protocol spoken there.
type Listener struct {
	FD      int // listening, non-blocking; the engine takes it over
	Handler Handler
	Name    string // for logs and metrics

	// Data is the handler's: what it knows of the listener. The engine never looks at it.
	Data any

	local   netip.AddrPort
	parting Parting // Handler as such, or nil
	handler int     // index in Engine.handlers
	counts  *listenerCounts
}

// listenerCounts are what one listener has brought.
type listenerCounts struct {
	accepted atomic.Uint64
	open     atomic.Int64
}
