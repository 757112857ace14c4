package mpm

import (
	"net/netip"
	"sync/atomic"
	"syscall"

	"edge/mpm/internal/poll"
)

// Address is a peer's address, made once by TCP or Unix and used for any number of connects.
type Address = poll.Address

// TCP is the address of a TCP peer.
func TCP(ap netip.AddrPort) *Address { return poll.TCP(ap) }

// Unix is the address of a Unix socket; "@" begins an abstract name. Paths of 108 bytes and more are refused.
func Unix(path string) (*Address, error) { return poll.Unix(path) }

// Keeper keeps the sockets of one poller that no connection has borrowed.
type Keeper interface {
	// Lost says that an idle socket should go: its peer has closed it or sent bytes that nobody asked for, or its deadline
	// has passed. The poller calls it; it must not block. The socket may have been borrowed or closed meanwhile: the keeper
	// closes it only if it still keeps it.
	Lost(s *Socket)
}

// Socket is a socket to somebody other than the client. A connection opens or borrows it; it belongs to the worker that runs
// that connection, its events are events of that connection (Borrow), and it lives on the same poller. Between two
// borrowers it belongs to its Keeper.
type Socket struct {
	source
	owner  atomic.Pointer[Conn]
	events atomic.Uint32 // what the poller has reported; the owner takes it
	ready  Events
	keeper Keeper

	// State is the borrower's or the keeper's.
	State any
}

// Dial opens a socket for the connection and begins to connect it; k may be nil if it will never Rest. It is connected, or has
// failed, when Connected says so.
func (c *Conn) Dial(a *Address, k Keeper) (*Socket, error) {
	c.own()
	fd, done, errno := poll.Connect(a)
	if errno != 0 {
		return nil, errno
	}
	s := &Socket{keeper: k}
	s.fd, s.poller, s.sock = fd, c.poller, s
	if done {
		s.ready = Out
	}
	s.deadline.Store(never)
	s.owner.Store(c)
	if err := c.poller.add(&s.source); err != nil {
		poll.Close(fd)
		return nil, err
	}
	return s, nil
}

// Ready is what has happened on the socket: In, Out, Broken stay until a Read or Write finds them used up.
func (s *Socket) Ready() Events {
	s.own()
	if s.events.Load() != 0 {
		s.ready |= Events(s.events.Swap(0))
	}
	return s.ready
}

// Readable says whether a Read may find something.
func (s *Socket) Readable() bool { return s.Ready()&(In|Broken) != 0 }

// Writable says whether a Write may be taken.
func (s *Socket) Writable() bool { return s.Ready()&Out != 0 }

// Connected says how the connect went: ErrAgain while it is under way.
func (s *Socket) Connected() error {
	if s.Ready()&(Out|Broken) == 0 {
		return ErrAgain
	}
	if errno := poll.ConnectError(s.fd); errno != 0 {
		return errno
	}
	if s.ready&Broken != 0 {
		return syscall.ECONNRESET
	}
	return nil
}

// Read is as Conn.Read.
func (s *Socket) Read(p []byte) (int, error) {
	s.Ready()
	return s.source.read(p, &s.ready)
}

// Write is as Conn.Write.
func (s *Socket) Write(p []byte) (int, error) { return s.Writev(p, nil) }

// Writev is as Conn.Writev.
func (s *Socket) Writev(a, b []byte) (int, error) {
	s.own()
	return s.source.write(a, b, &s.ready)
}

// CloseWrite sends the end of the stream.
func (s *Socket) CloseWrite() {
	s.own()
	poll.CloseWrite(s.fd)
}

// Close closes the socket. Its owner, or the keeper that keeps it, calls it once.
func (s *Socket) Close() {
	s.own()
	s.poller.forget(&s.source)
	s.owner.Store(nil)
	poll.Close(s.fd)
}

// Rest gives the socket to its keeper, who notes it and calls Rest under one lock, which taking it off the list needs too:
// whoever takes the socket finds it at rest. deadline, on the engine's clock, is when Lost is called at the latest; where
// something has happened on it already, that is soon. After it the caller touches nothing of the socket.
func (s *Socket) Rest(deadline int64) {
	had := s.Ready()
	s.owner.Store(nil)
	if (had|Events(s.events.Load()))&(In|Broken) != 0 {
		deadline = passed // the poller took it for an event of the borrower
	}
	s.hold(deadline) // last: a deadline that passes while there is an owner does nothing, so a new borrower is not disturbed
}

// Adopt gives an idle socket, which the keeper has struck off its list, to the worker's connection; it must be of the same
// poller. It returns false where something has happened meanwhile: the socket is no use and the caller closes it.
func (s *Socket) Adopt(c *Conn) bool {
	c.own()
	s.deadline.Store(never)
	s.owner.Store(c)
	return s.Ready()&(In|Broken) == 0
}
