package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Waker is woken when a handshake that waits may go on: *mpm.Conn. Waking one whose connection has ended does no harm.
type Waker interface{ Wake() }

// MaxHandshakes is how many handshakes may be under way in a process: each holds a goroutine and some 20 KiB. One more waits until
// another ends; how long is its owner's to bound. A client that has not sent a whole record does not count.
const MaxHandshakes = 1024

// Handshakes bounds the handshakes of servers that are under way at once, and counts how they ended. It is shared by all connections
// of a process. The zero value lets MaxHandshakes in.
type Handshakes struct {
	Most int // 0 is MaxHandshakes; set before the first

	full, resumed atomic.Uint64
	failed        [outcomes]atomic.Uint64

	mu          sync.Mutex
	inside      int
	first, last *place // who waits, in order
	waiting     int
	waited      uint64
}

// place is a handshake's place among those under way, or in the queue for one. It belongs to Handshakes.mu.
type place struct {
	state      placeState
	wake       Waker
	prev, next *place
}

type placeState uint8

const (
	outside placeState = iota
	queued
	inside
)

// enter says whether the handshake may begin; where it may not yet, w is woken when it may, and enter is called again.
func (h *Handshakes) enter(p *place, w Waker) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := h.Most
	if most <= 0 {
		most = MaxHandshakes
	}
	switch {
	case p.state == inside:
		return true
	case p.state == queued:
		return false
	case h.inside < most:
		h.inside++
		p.state = inside
		return true
	}
	p.state, p.wake, p.prev = queued, w, h.last
	if h.last != nil {
		h.last.next = p
	} else {
		h.first = p
	}
	h.last = p
	h.waiting++
	h.waited++
	return false
}

// leave gives the place to whoever has waited longest.
func (h *Handshakes) leave(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := p.state
	p.state = outside
	switch was {
	case queued:
		h.unlink(p)
	case inside:
		if n := h.first; n != nil {
			h.unlink(n)
			n.state = inside
			n.wake.Wake()
		} else {
			h.inside--
		}
	}
}

func (h *Handshakes) unlink(p *place) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		h.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		h.last = p.prev
	}
	p.prev, p.next = nil, nil
	h.waiting--
}

// outcome is how a handshake failed.
type outcome uint8

const (
	garbage  outcome = iota // the first bytes were not TLS
	closed                  // the client went away
	tooSlow                 // it took too long
	stopped                 // the server stopped
	alerted                 // the client refused: an alert
	refused                 // the server did: no common version or protocol, a certificate that is missing or not trusted, a violation
	outcomes = iota
)

var outcomeNames = [outcomes]string{"garbage", "closed", "timeout", "stopped", "alert", "refused"}

// count notes how a handshake ended.
func (h *Handshakes) count(t *session, err error) {
	if err == nil {
		if t.conn.ConnectionState().DidResume {
			h.resumed.Add(1)
		} else {
			h.full.Add(1)
		}
		return
	}
	h.failed[outcomeOf(err)].Add(1)
}

func outcomeOf(err error) outcome {
	var header tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case err == ErrNotTLS, err == ErrPlainHTTP, errors.As(err, &header) && header.Conn != nil:
		return garbage
	case err == ErrTimeout:
		return tooSlow
	case err == errStopped:
		return stopped
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return closed
	case errors.As(err, &remote) && remote.Op == "remote error":
		return alerted
	}
	return refused
}

// HandshakeCounts are how many handshakes there were, and are.
type HandshakeCounts struct {
	Full, Resumed uint64            // done
	Failed        map[string]uint64 // by reason
	Waited        uint64            // those that had to wait for their turn
	InProgress    int
	Waiting       int
}

// Counts looks at the counters, for a scrape.
func (h *Handshakes) Counts() HandshakeCounts {
	c := HandshakeCounts{Full: h.full.Load(), Resumed: h.resumed.Load(), Failed: make(map[string]uint64, outcomes)}
	for i := range h.failed {
		c.Failed[outcomeNames[i]] = h.failed[i].Load()
	}
	h.mu.Lock()
	c.InProgress, c.Waiting, c.Waited = h.inside, h.waiting, h.waited
	h.mu.Unlock()
	return c
}
