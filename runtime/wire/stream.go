// Package wire is the byte stream between a socket and its codec, with TLS or without: what has been read and not yet understood, and
// what has been said and not yet taken.
//
// TLS is crypto/tls as it is. Its connection reads from and writes to a [session], which never blocks: the handshake runs in a coroutine
// that a worker steps whenever a whole record has come; afterwards a read is given whole records only, so it never stops half-way, and
// what is not read yet is here and nowhere else; a write always succeeds, into a buffer.
package wire

import (
	"edge/mpm"
)

// Gather is the largest piece that is copied behind other output to leave with it in one write; larger pieces are written from
// where they are.
const Gather = 16 << 10

// Socket is what carries a stream: a client's *mpm.Conn, or an *mpm.Socket. Every call of one stream is given the same.
type Socket interface {
	Read(p []byte) (int, error)
	Writev(a, b []byte) (int, error)
	Readable() bool
	Writable() bool
}

// Stream is the stream of one socket. It owns no memory while nothing is pending: a connection that is idle, or that keeps up, costs
// two empty slices, and a TLS session if there is one. It belongs to the worker that runs the connection.
type Stream struct {
	in      []byte   // read, not yet consumed; what was consumed is cut off the front
	out     []byte   // to be sent before anything else; ciphertext, where there is TLS
	sent    int      // bytes of out that are gone
	failure error    // the first error of a write; nothing is sent after it
	tls     *session // nil without TLS
}

// Unread is what has been read and not consumed.
func (s *Stream) Unread() []byte { return s.in }

// Read returns everything not yet consumed, after one read of the socket: into scratch where nothing is left over, else
// behind it. The bytes are valid until the next Read, or until scratch, of mpm.ScratchBytes, is used for something else. Errors are
// those of mpm.Conn.Read, with the bytes left over; under TLS also io.ErrUnexpectedEOF, where the peer's bytes end without its word for
// it, and errors of crypto/tls, after which nothing can be read.
func (s *Stream) Read(c Socket, scratch []byte) ([]byte, error) {
	if s.tls != nil {
		return s.readTLS(c, scratch)
	}
	if len(s.in) == 0 {
		n, err := c.Read(scratch)
		return scratch[:n], err
	}
	if free := cap(s.in) - len(s.in); free < minRead {
		grown := make([]byte, len(s.in), max(2*len(s.in), len(s.in)+4*minRead))
		copy(grown, s.in)
		s.in = grown
	}
	n, err := c.Read(s.in[len(s.in):cap(s.in)])
	s.in = s.in[:len(s.in)+n]
	return s.in, err
}

const minRead = 1 << 10

// Readable says whether a Read may find something.
func (s *Stream) Readable(c Socket) bool {
	return c.Readable() || s.tls != nil && (s.tls.ended != nil || s.tls.hasRecord())
}

// Keep notes that rest, the tail of what Read or Unread returned, has not been consumed. It copies where rest is in scratch.
func (s *Stream) Keep(rest []byte) {
	switch {
	case len(rest) == 0:
		s.in = nil
	case len(s.in) >= len(rest) && &s.in[len(s.in)-1] == &rest[len(rest)-1]:
		s.in = s.in[len(s.in)-len(rest):]
	default:
		s.in = append(make([]byte, 0, max(len(rest), minRead)), rest...)
	}
}

// Pending is the number of bytes that the socket has not taken yet.
func (s *Stream) Pending() int { return len(s.out) - s.sent }

// Send writes a, then b, in one system call where nothing is pending, and keeps what the socket does not take. It keeps
// whatever it is given: how much may be pending is the caller's to bound. After an error of the socket everything is
// dropped and Flush tells.
func (s *Stream) Send(c Socket, a, b []byte) {
	if s.tls != nil {
		s.sendTLS(c, a, b)
	} else {
		s.send(c, a, b)
	}
}

func (s *Stream) send(c Socket, a, b []byte) {
	if s.failure != nil {
		return
	}
	n := 0
	if s.Pending() == 0 {
		var err error
		if n, err = c.Writev(a, b); err != nil && err != mpm.ErrAgain {
			s.fail(err)
			return
		}
	}
	if n < len(a) {
		s.keepOut(a[n:])
		n = len(a)
	}
	s.keepOut(b[n-len(a):])
}

// keepOut puts bytes behind those that wait. What is gone makes room first, so that a stream that never drains quite does not
// grow with all that passes through it.
func (s *Stream) keepOut(b []byte) {
	if s.sent > 0 && len(s.out)+len(b) > cap(s.out) {
		s.out = s.out[:copy(s.out, s.out[s.sent:])]
		s.sent = 0
	}
	s.out = append(s.out, b...)
}

// Flush writes what is pending and says whether nothing is left.
func (s *Stream) Flush(c Socket) (done bool, err error) {
	if s.failure != nil {
		return false, s.failure
	}
	for s.Pending() > 0 && c.Writable() {
		n, err := c.Writev(s.out[s.sent:], nil)
		s.sent += n
		if err != nil && err != mpm.ErrAgain {
			s.fail(err)
			return false, err
		}
	}
	if s.Pending() > 0 {
		return false, nil
	}
	s.out, s.sent = nil, 0
	return true, nil
}

// Failed says that a write has failed: the client is gone.
func (s *Stream) Failed() bool { return s.failure != nil }

func (s *Stream) fail(err error) {
	s.failure = err
	s.out, s.sent = nil, 0
}

// Bye sends the last words of the side that has nothing more to say: close_notify. Nothing is sent after it. Without TLS there are none.
func (s *Stream) Bye(c Socket) {
	if s.tls != nil && s.failure == nil {
		s.tls.bye()
		s.push(c)
	}
}

// Reset ends a handshake that is under way and frees all that the stream holds, for another connection.
func (s *Stream) Reset() {
	if s.tls != nil {
		s.tls.abandon()
	}
	*s = Stream{}
}
