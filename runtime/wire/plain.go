// Package wire is the byte stream between a connection's socket and its codec: what has been read and not yet understood, and what
// has been said and not yet taken.
package wire

import (
	"edge/mpm"
)

// Gather is the largest piece that is copied behind other output to leave with it in one write; larger pieces are written from
// where they are.
const Gather = 16 << 10

// Plain is the stream of a connection without TLS. It owns no memory while nothing is pending: a connection that is idle, or that
// keeps up, costs two empty slices. It belongs to the worker that runs the connection.
type Plain struct {
	in      []byte // read, not yet consumed; what was consumed is cut off the front
	out     []byte // to be sent before anything else
	sent    int    // bytes of out that are gone
	failure error  // the first error of a write; nothing is sent after it
}

// Unread is what has been read and not consumed.
func (p *Plain) Unread() []byte { return p.in }

// Read returns everything not yet consumed, after one read of the socket: into scratch where nothing is left over, else
// behind it. The bytes are valid until the next Read, or until scratch is used for something else. Errors are those of
// mpm.Conn.Read; the bytes left over are returned with them.
func (p *Plain) Read(c *mpm.Conn, scratch []byte) ([]byte, error) {
	if len(p.in) == 0 {
		n, err := c.Read(scratch)
		return scratch[:n], err
	}
	if free := cap(p.in) - len(p.in); free < minRead {
		grown := make([]byte, len(p.in), max(2*len(p.in), len(p.in)+4*minRead))
		copy(grown, p.in)
		p.in = grown
	}
	n, err := c.Read(p.in[len(p.in):cap(p.in)])
	p.in = p.in[:len(p.in)+n]
	return p.in, err
}

const minRead = 1 << 10

// Keep notes that rest, the tail of what Read or Unread returned, has not been consumed. It copies where rest is in scratch.
func (p *Plain) Keep(rest []byte) {
	switch {
	case len(rest) == 0:
		p.in = nil
	case len(p.in) >= len(rest) && &p.in[len(p.in)-1] == &rest[len(rest)-1]:
		p.in = p.in[len(p.in)-len(rest):]
	default:
		p.in = append(make([]byte, 0, max(len(rest), minRead)), rest...)
	}
}

// Pending is the number of bytes that the socket has not taken yet.
func (p *Plain) Pending() int { return len(p.out) - p.sent }

// Send writes a, then b, in one system call where nothing is pending, and keeps what the socket does not take. It keeps
// whatever it is given: how much may be pending is the caller's to bound. After an error of the socket everything is
// dropped and Flush tells.
func (p *Plain) Send(c *mpm.Conn, a, b []byte) {
	if p.failure != nil {
		return
	}
	n := 0
	if p.Pending() == 0 {
		var err error
		if n, err = c.Writev(a, b); err != nil && err != mpm.ErrAgain {
			p.fail(err)
			return
		}
	}
	if n < len(a) {
		p.keepOut(a[n:])
		n = len(a)
	}
	p.keepOut(b[n-len(a):])
}

// keepOut puts bytes behind those that wait. What is gone makes room first, so that a stream that never drains quite does not
// grow with all that passes through it.
func (p *Plain) keepOut(b []byte) {
	if p.sent > 0 && len(p.out)+len(b) > cap(p.out) {
		p.out = p.out[:copy(p.out, p.out[p.sent:])]
		p.sent = 0
	}
	p.out = append(p.out, b...)
}

// Flush writes what is pending and says whether nothing is left.
func (p *Plain) Flush(c *mpm.Conn) (done bool, err error) {
	if p.failure != nil {
		return false, p.failure
	}
	for p.Pending() > 0 && c.Writable() {
		n, err := c.Write(p.out[p.sent:])
		p.sent += n
		if err != nil && err != mpm.ErrAgain {
			p.fail(err)
			return false, err
		}
	}
	if p.Pending() > 0 {
		return false, nil
	}
	p.out, p.sent = nil, 0
	return true, nil
}

// Failed says that a write has failed: the client is gone.
func (p *Plain) Failed() bool { return p.failure != nil }

func (p *Plain) fail(err error) {
	p.failure = err
	p.out, p.sent = nil, 0
}

// Reset frees what is pending in both directions, for another connection.
func (p *Plain) Reset() { *p = Plain{} }
