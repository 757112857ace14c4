package mpm

import (
	"errors"
	"io"
	"net/netip"
	"sync/atomic"
	"syscall"

	"edge/mpm/internal/poll"
	"edge/mpm/internal/state"
)

// Errors of a connection's and a borrowed socket's methods.
var (
	// ErrAgain says that the socket has nothing, or takes nothing, now: wait for In or Out.
	ErrAgain = errors.New("mpm: try again")

	// ErrNotSuspended says that Resume found a connection that is not suspended; nothing has changed (C4).
	ErrNotSuspended = errors.New("mpm: the connection is not suspended")
)

// childShift puts the child's number above the sequence in a connection's id (P9).
const childShift = 44

// Conn is one client's connection. All of it belongs to the worker that runs it, except Wake and Resume, which any
// goroutine may call at any time.
type Conn struct {
	source
	word      state.Word
	stage     stage
	after     next   // what follows when the flush is done
	want      Events // what the connection waits for
	ready     Events // In, Out, Broken: as far as is known, reading or writing would not be in vain
	phase     Phase
	cause     Cause
	fresh     bool // has not had a turn
	newcomer  bool // has made no request, as far as is known
	gone      bool // its socket is closed; only the handler's Close is outstanding
	sent      uint64
	flushed   uint64      // sent, when the present flush last made progress
	drained   int         // bytes read while lingering
	idleUntil int64       // the keep-alive deadline, while a flush comes first
	tells     atomic.Bool // WakeOnDrain was called
	listener  *Listener
	engine    *Engine
	id        uint64
	peer      netip.AddrPort

	// State is the handler's, nil at first. The engine never looks at it.
	State any
}

// begin makes recycled or new memory a connection.
func (c *Conn) begin(e *Engine, p *poller, l *Listener, fd int, peer netip.AddrPort) {
	c.fd, c.poller, c.conn = fd, p, c
	c.fin.Store(false)
	c.tells.Store(false)
	c.stage, c.after, c.want, c.ready, c.phase, c.cause = stageIdle, nextLinger, idleWait, Out, PhaseKeepAlive, CauseDone
	c.fresh, c.newcomer, c.gone, c.sent, c.flushed, c.drained = true, true, false, 0, 0, 0
	c.listener, c.engine, c.peer, c.State = l, e, peer, nil
}

// ID is unique among the connections of all children, and never 0 (P9).
func (c *Conn) ID() uint64 { return c.id }

// Peer is the client's address; not valid for a Unix socket.
func (c *Conn) Peer() netip.AddrPort { return c.peer }

// Listener is where the connection came in.
func (c *Conn) Listener() *Listener { return c.listener }

// Local is the address the connection came in on, as the listener is bound.
func (c *Conn) Local() netip.AddrPort { return c.listener.local }

// Poller is the number of the connection's poller: pools of borrowed sockets are kept by it.
func (c *Conn) Poller() int { return c.poller.index }

// Now is the engine's clock at this moment, in nanoseconds; Turn.Now is what it was at the start of the turn. Any goroutine may call it.
func (c *Conn) Now() int64 { return c.engine.clock() }

// Draining says that the engine retires or stops: the connection should end with the present request.
func (c *Conn) Draining() bool { return c.engine.endingAt(retiring) }

// Sent is the number of bytes written to the client.
func (c *Conn) Sent() uint64 { return c.sent }

// Readable says whether a Read may find something.
func (c *Conn) Readable() bool { return c.ready&In != 0 }

// Writable says whether a Write may be taken.
func (c *Conn) Writable() bool { return c.ready&Out != 0 }

// Broken says whether the socket is reset or closed in both directions.
func (c *Conn) Broken() bool { return c.ready&Broken != 0 }

// Read reads from the client: ErrAgain where there is nothing yet, io.EOF at the end of its stream. After io.EOF the socket
// stays readable: waiting for In would end at once.
func (c *Conn) Read(p []byte) (int, error) {
	c.own()
	return c.source.read(p, &c.ready)
}

// Write writes to the client what it takes: a short count comes with ErrAgain.
func (c *Conn) Write(p []byte) (int, error) {
	c.own()
	n, err := c.source.write(p, nil, &c.ready)
	c.sent += uint64(n)
	return n, err
}

// Writev writes two pieces as one.
func (c *Conn) Writev(a, b []byte) (int, error) {
	c.own()
	n, err := c.source.write(a, b, &c.ready)
	c.sent += uint64(n)
	return n, err
}

// Sendfile moves up to n bytes of an open file from *offset to the client, and advances *offset. It returns io.ErrUnexpectedEOF
// where the file has become shorter.
func (c *Conn) Sendfile(file int, offset *int64, n int) (int, error) {
	c.own()
	sent, errno := poll.Sendfile(c.fd, file, offset, n)
	switch {
	case errno == syscall.EAGAIN:
		c.ready &^= Out
		return 0, ErrAgain
	case errno == syscall.EINTR:
		return 0, ErrAgain
	case errno != 0:
		return 0, errno
	case sent == 0 && n > 0:
		return 0, io.ErrUnexpectedEOF
	}
	c.sent += uint64(sent)
	return sent, nil
}

// Wake gives the connection a turn with Woken, whatever it waits for. Any goroutine may call it; once the connection has
// ended it does nothing.
func (c *Conn) Wake() {
	if c.word.Raise(Woken) {
		c.engine.push(c, true)
	}
}

// Resume is Wake for a connection that is suspended (C4), also where another event has just queued it, and for one whose
// worker still runs and may be about to suspend it. For any other it is ErrNotSuspended and changes nothing. Any goroutine may
// call it. Where a connection may wait for other things too, Wake is the call.
func (c *Conn) Resume() error {
	push, ok := c.word.Resume()
	if push {
		c.engine.push(c, true)
	}
	if !ok {
		return ErrNotSuspended
	}
	return nil
}

// read reads once. A short read has emptied the socket: the next bytes will raise an event of their own (epoll(7), Q9), unless
// the end of the stream is already among what was reported.
func (s *source) read(p []byte, ready *Events) (int, error) {
	n, errno := poll.Read(s.fd, p)
	switch {
	case errno == syscall.EAGAIN:
		*ready &^= In
		return 0, ErrAgain
	case errno == syscall.EINTR:
		return 0, ErrAgain
	case errno != 0:
		return 0, errno
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	case n < len(p) && !s.fin.Load():
		*ready &^= In
	}
	return n, nil
}

func (s *source) write(a, b []byte, ready *Events) (int, error) {
	n, errno := poll.Writev(s.fd, a, b)
	switch {
	case errno == syscall.EAGAIN:
		*ready &^= Out
		return 0, ErrAgain
	case errno == syscall.EINTR:
		return 0, ErrAgain
	case errno != 0:
		return 0, errno
	case n < len(a)+len(b):
		*ready &^= Out
		return n, ErrAgain
	}
	return n, nil
}
