package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"edge/mpm"
)

// Sizes of TLS records (RFC 8446 section 5, RFC 5246 section 6.2).
const (
	recordHeader = 5
	recordMost   = 16<<10 + 2048 // of what follows the header; a longer one is crypto/tls's to refuse
)

// session is the TLS side of a stream. It is the net.Conn of its tls.Conn, and never blocks: Read hands out one whole record after
// another of what has been read, Write appends to a buffer. It belongs to the worker that runs the connection; the coroutine of the
// handshake runs only while that worker steps it.
type session struct {
	conn  *tls.Conn
	raw   []byte  // ciphertext that has been read and not handed out; beyond a call it is in own
	own   []byte  // memory for it
	rec   []byte  // what is left of the record being handed out
	made  *[]byte // ciphertext written in this call; from buffers
	ended error   // why nothing more can be read: io.EOF after close_notify
	hello *hello  // the handshake; nil when it is over
	empty uint8   // records in a row that brought no data

	server *Handshakes // counts; nil for a client
}

// maxEmptyRecords is how many records may come one after the other that bring no data: changes of keys, and tickets from servers.
const maxEmptyRecords = 32

var errEmptyRecords = errors.New("too many TLS records without data")

// buffers are for ciphertext on its way out.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, mpm.ScratchBytes+mpm.ScratchBytes/8)
	return &b
}}

// bufferMost is the capacity beyond which a buffer is not used again.
const bufferMost = 4 * mpm.ScratchBytes

// errAgain says that no whole record is there. crypto/tls goes on after errors that are net.Error and Temporary.
type errAgain struct{}

func (errAgain) Error() string   { return "no whole record yet" }
func (errAgain) Timeout() bool   { return true }
func (errAgain) Temporary() bool { return true }

// again is the one value, so that it is made once.
var again net.Error = errAgain{}

// hasRecord says whether a whole record is there, or a header that no record can follow.
func (t *session) hasRecord() bool {
	if len(t.raw) < recordHeader {
		return false
	}
	n := t.recordSize()
	return n > recordHeader+recordMost || len(t.raw) >= n
}

// recordSize is what the header in front of raw says, with the header.
func (t *session) recordSize() int { return recordHeader + (int(t.raw[3])<<8 | int(t.raw[4])) }

// Read is part of net.Conn.
func (t *session) Read(p []byte) (int, error) {
	if len(t.rec) == 0 {
		for !t.hasRecord() {
			if t.hello == nil {
				return 0, again
			}
			if !t.hello.yield(struct{}{}) {
				return 0, net.ErrClosed
			}
		}
		if t.hello != nil {
			t.hello.heard = true
		}
		n := min(t.recordSize(), len(t.raw))
		t.rec, t.raw = t.raw[:n], t.raw[n:]
	}
	n := copy(p, t.rec)
	t.rec = t.rec[n:]
	return n, nil
}

// Write is part of net.Conn.
func (t *session) Write(p []byte) (int, error) {
	if t.made == nil {
		t.made = buffers.Get().(*[]byte)
	}
	*t.made = append(*t.made, p...)
	return len(p), nil
}

// Close is part of net.Conn. The socket is its owner's to close.
func (t *session) Close() error { return nil }

// LocalAddr is part of net.Conn.
func (t *session) LocalAddr() net.Addr { return nowhere{} }

// RemoteAddr is part of net.Conn. A client's session is kept under it where there is no server's name.
func (t *session) RemoteAddr() net.Addr { return nowhere{} }

// nowhere is an address that nobody needs to know.
type nowhere struct{}

func (nowhere) Network() string { return "" }
func (nowhere) String() string  { return "" }

// SetDeadline is part of net.Conn; deadlines are the engine's.
func (t *session) SetDeadline(time.Time) error { return nil }

// SetReadDeadline is part of net.Conn.
func (t *session) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is part of net.Conn.
func (t *session) SetWriteDeadline(time.Time) error { return nil }

// keepRaw puts what has not been handed out into memory of its own, since raw is a part of the worker's. Memory stays as long as every
// call leaves something.
func (t *session) keepRaw() {
	if len(t.raw) == 0 {
		t.raw, t.own = nil, nil
		return
	}
	t.own = append(t.own[:0], t.raw...)
	t.raw = t.own
}

// bye makes close_notify.
func (t *session) bye() {
	if t.hello == nil {
		t.conn.CloseWrite()
	}
}

// push sends what the session has written.
func (s *Stream) push(c Socket) {
	t := s.tls
	if t.made == nil {
		return
	}
	made := t.made
	t.made = nil
	s.send(c, *made, nil)
	if cap(*made) <= bufferMost {
		*made = (*made)[:0]
		buffers.Put(made)
	}
}

// sendTLS is Send under TLS: what is sent is encrypted into a buffer first, and leaves in one write.
func (s *Stream) sendTLS(c Socket, a, b []byte) {
	if s.failure != nil {
		return
	}
	for _, p := range [...][]byte{a, b} {
		if len(p) == 0 {
			continue
		}
		if _, err := s.tls.conn.Write(p); err != nil {
			s.fail(err)
			return
		}
	}
	s.push(c)
}

// readTLS is Read under TLS: after one read of the socket into the upper half of scratch, all records that are whole are decrypted, into
// the lower half or behind what is left over. So what is not consumed is in Unread, and no record waits unseen.
func (s *Stream) readTLS(c Socket, scratch []byte) ([]byte, error) {
	t := s.tls
	if t.ended != nil {
		return s.in, t.ended
	}
	cipher := scratch[len(scratch)/2:]
	n := copy(cipher, t.raw)
	m, failed := 0, mpm.ErrAgain
	if c.Readable() {
		m, failed = c.Read(cipher[n:])
	}
	t.raw = cipher[:n+m]
	plain := scratch[: 0 : len(scratch)/2]
	if len(s.in) > 0 {
		plain = s.in
		if cap(plain)-len(plain) < len(t.raw) {
			plain = append(make([]byte, 0, len(s.in)+max(len(s.in), len(t.raw))), s.in...)
		}
	}
	had := len(plain)
	plain = t.decrypt(plain)
	t.keepRaw()
	if had > 0 {
		s.in = plain
	}
	s.push(c)
	switch {
	case t.ended != nil || failed == nil || failed == mpm.ErrAgain:
	case failed == io.EOF:
		t.ended = io.ErrUnexpectedEOF
	default:
		t.ended = failed
	}
	if len(plain) > had {
		return plain, nil
	}
	if t.ended != nil {
		return plain, t.ended
	}
	return plain, mpm.ErrAgain
}

// decrypt appends what all whole records hold; plain has room for it. crypto/tls bounds records that bring nothing only within a handshake
// message's: a peer that changes its key over and over would have us make keys, and answers, for ever (R78).
func (t *session) decrypt(plain []byte) []byte {
	for t.ended == nil && t.hasRecord() {
		n, err := t.conn.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
		if t.empty++; n > 0 {
			t.empty = 0
		}
		switch {
		case err != nil && err != error(again):
			t.ended = err
			t.violated(err)
		case t.empty > maxEmptyRecords:
			t.ended = errEmptyRecords
			t.violated(errEmptyRecords)
		}
	}
	return plain
}

// violated counts what ended a session against the rules: neither close_notify nor an alert did.
func (t *session) violated(err error) {
	var alert *net.OpError
	if t.server == nil || err == io.EOF || errors.As(err, &alert) && alert.Op == "remote error" {
		return
	}
	t.server.violations.Add(1)
}
