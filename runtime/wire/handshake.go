package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"

	"edge/mpm"
)

// hello is a handshake that is under way. crypto/tls wants to block in it, and after an error there is no going on; so it runs in a
// coroutine, which gives way whenever no whole record is there. There is none before the first record is: bytes that never become a
// record cost a few of memory.
type hello struct {
	bound *Handshakes // nil for a client's
	place place       // there
	began bool        // the coroutine exists
	heard bool        // it has had the peer's first record
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	err   error
}

// How a handshake ends, beside errors of the socket and of crypto/tls.
var (
	ErrNotTLS    = errors.New("the first bytes are not TLS")
	ErrPlainHTTP = errors.New("the first bytes are not TLS, but may be HTTP")
	ErrTimeout   = errors.New("the handshake took too long")
	ErrCrowded   = errors.New("the handshake stalled while others waited")
	errStopped   = errors.New("the handshake was given up")
)

// Server has the stream speak TLS as a server. h bounds and counts its handshake. It is called before anything is read or sent.
func (s *Stream) Server(config *tls.Config, h *Handshakes) {
	s.tls = &session{hello: &hello{bound: h}, server: h}
	s.tls.conn = tls.Server(s.tls, config)
}

// Client has the stream speak TLS as a client. It is called before anything is read or sent.
func (s *Stream) Client(config *tls.Config) {
	s.tls = &session{hello: new(hello)}
	s.tls.conn = tls.Client(s.tls, config)
}

// Secure says whether the stream speaks TLS.
func (s *Stream) Secure() bool { return s.tls != nil }

// TLS is the state of a handshake that is done: what was negotiated, and who the peer is. It is copied, and costs as much.
func (s *Stream) TLS() tls.ConnectionState { return s.tls.conn.ConnectionState() }

// Handshake goes on with the handshake and says whether it is done; it is called until then, or until its error, before Read and Send.
// While it is not done it waits for the socket, or with waiting for w to be woken: for its turn among the handshakes under way. w is
// woken, too, when it must end because others wait. now is a clock that all streams of one Handshakes share, in nanoseconds. What it has
// to say is sent, or pending, also where it fails: an alert. Without scratch nothing is read.
func (s *Stream) Handshake(c Socket, w Waker, now int64, scratch []byte) (done, waiting bool, err error) {
	t := s.tls
	h := t.hello
	if h == nil {
		return true, false, nil
	}
	if h.began && h.bound != nil && h.bound.stands(&h.place) == evicted {
		return false, false, s.fell(ErrCrowded)
	}
	for {
		if err := h.looksRight(t.raw); err != nil {
			return false, false, s.fell(err)
		}
		if t.hasRecord() || !h.began && h.bound == nil {
			if !h.began && h.bound != nil {
				switch h.bound.enter(&h.place, w, now) {
				case queued:
					return false, true, nil
				case evicted: // before its worker came to it
					return false, false, s.fell(ErrCrowded)
				}
			}
			over := t.step()
			s.push(c)
			if over {
				err := h.err
				t.settle()
				return err == nil, false, err
			}
			continue
		}
		if len(scratch) == 0 || !c.Readable() {
			return false, false, nil
		}
		n, err := c.Read(scratch[:len(scratch)/2-len(t.raw)]) // what stays fits in front of a Read
		t.own = append(t.raw, scratch[:n]...)
		t.raw = t.own
		switch {
		case err == mpm.ErrAgain:
			return false, false, nil
		case err == io.EOF:
			return false, false, s.fell(io.ErrUnexpectedEOF)
		case err != nil:
			return false, false, s.fell(err)
		}
	}
}

// looksRight refuses a peer's first bytes that no TLS record begins with, as soon as there is one: whoever speaks another protocol
// would wait for an answer, and its bytes would be taken for the length of a record.
func (h *hello) looksRight(raw []byte) error {
	const alert, handshake, major = 21, 22, 3
	switch {
	case h.heard || len(raw) == 0:
	case 'A' <= raw[0] && raw[0] <= 'Z':
		return ErrPlainHTTP
	case raw[0] != handshake && (h.bound != nil || raw[0] != alert), len(raw) > 1 && raw[1] != major:
		return ErrNotTLS
	}
	return nil
}

// step runs the handshake until it needs another record, or is over.
func (t *session) step() (over bool) {
	h := t.hello
	if !h.began {
		h.began = true
		h.next, h.stop = iter.Pull(func(yield func(struct{}) bool) {
			h.yield = yield
			h.err = t.conn.Handshake()
		})
	}
	_, more := h.next()
	return !more
}

// Abandon ends a handshake that is under way, because of err.
func (s *Stream) Abandon(err error) {
	if s.tls != nil && s.tls.hello != nil {
		s.fell(err)
	}
}

func (s *Stream) fell(err error) error {
	s.tls.hello.err = err
	s.tls.abandon()
	return err
}

// abandon ends the handshake, if one is under way: its coroutine returns. Afterwards nothing can be sent.
func (t *session) abandon() {
	if h := t.hello; h != nil {
		why := h.err
		if h.began {
			h.stop()
		}
		if h.err = why; why == nil {
			h.err = errStopped
		}
		t.settle()
	}
	if t.made != nil { // the alert of a handshake that nobody waits for
		t.made = nil
	}
}

// settle counts how the handshake ended, gives its place to the next, and forgets it.
func (t *session) settle() {
	h := t.hello
	t.hello = nil
	if h.err != nil {
		t.ended = h.err
	}
	if h.bound != nil {
		h.bound.leave(&h.place)
		h.bound.count(t, h.err)
	}
}
