package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Waker is woken when a handshake that waits may go on, or one that is under way must end: *mpm.Conn. Waking one whose connection has
// ended does no harm.
type Waker interface{ Wake() }

// Bounds of the handshakes of a process.
const (
	// MaxHandshakes is how many may be under way: each holds a goroutine and some 22 KiB. One more waits until another ends; how long
	// is its owner's to bound. A client that has not sent a whole record does not count.
	MaxHandshakes = 4096

	// StallTime is how long one may be under way while others wait. A client that means it needs two round trips.
	StallTime = time.Second
)

// Handshakes bounds the handshakes of servers that are under way at once, and counts how they ended. It is shared by all connections
// of a process. The zero value lets MaxHandshakes in.
type Handshakes struct {
	Most int // 0 is MaxHandshakes; set before the first

	full, resumed atomic.Uint64
	failed        [outcomes]atomic.Uint64
	violations    atomic.Uint64

	mu      sync.Mutex // guards what follows, and every place
	inside  line       // those under way, the longest first
	waiting line       // those in the queue, in order
	waited  uint64
	clock   int64 // the latest time that enter was told
}

// place is a handshake's place among those under way, or in the queue for one.
type place struct {
	state      placeState
	wake       Waker
	since      int64 // when it came in
	prev, next *place
}

type placeState uint8

const (
	outside placeState = iota
	queued
	inside
	evicted // had to make room
)

// line is a list of places.
type line struct {
	first, last *place
	n           int
}

func (l *line) add(p *place) {
	if p.prev = l.last; p.prev != nil {
		p.prev.next = p
	} else {
		l.first = p
	}
	l.last = p
	l.n++
}

func (l *line) remove(p *place) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.last = p.prev
	}
	p.prev, p.next = nil, nil
	l.n--
}

// enter asks for a place. Where there is none yet w is woken when there is, and enter is called again; where the answer is evicted, later,
// too. Those who stall make room for those who come: else a few hundred idle clients a second could keep everybody else out.
func (h *Handshakes) enter(p *place, w Waker, now int64) placeState {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = max(h.clock, now)
	if p.state != outside {
		return p.state
	}
	most := h.Most
	if most <= 0 {
		most = MaxHandshakes
	}
	p.wake = w
	if h.inside.n < most {
		h.admit(p)
		return inside
	}
	p.state = queued
	h.waiting.add(p)
	h.waited++
	for h.waiting.n > 0 && h.clock-h.inside.first.since >= int64(StallTime) {
		late := h.inside.first
		h.inside.remove(late)
		late.state = evicted
		late.wake.Wake()
		h.next()
	}
	return p.state
}

// admit puts a place among those under way.
func (h *Handshakes) admit(p *place) {
	p.state, p.since = inside, h.clock
	h.inside.add(p)
}

// next lets in whoever has waited longest.
func (h *Handshakes) next() {
	if p := h.waiting.first; p != nil {
		h.waiting.remove(p)
		h.admit(p)
		p.wake.Wake()
	}
}

// stands says how a place that was given stands.
func (h *Handshakes) stands(p *place) placeState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.state
}

// leave gives the place up.
func (h *Handshakes) leave(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch p.state {
	case queued:
		h.waiting.remove(p)
	case inside:
		h.inside.remove(p)
		h.next()
	}
	p.state = outside
}

// outcome is how a handshake failed.
type outcome uint8

const (
	garbage  outcome = iota // the first bytes were not TLS
	closed                  // the client went away
	tooSlow                 // it took too long
	crowded                 // it stalled while others waited
	stopped                 // the server stopped
	alerted                 // the client refused: an alert
	refused                 // the server did: no common version or protocol, a certificate that is missing or not trusted, a violation
	outcomes = iota
)

var outcomeNames = [outcomes]string{"garbage", "closed", "timeout", "crowded", "stopped", "alert", "refused"}

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
	case err == ErrCrowded:
		return crowded
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
	Violations    uint64            // sessions that were ended after the handshake, because the client broke the rules
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
	c.Violations = h.violations.Load()
	h.mu.Lock()
	c.InProgress, c.Waiting, c.Waited = h.inside.n, h.waiting.n, h.waited
	h.mu.Unlock()
	return c
}
