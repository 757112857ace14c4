package upstream

import (
	"slices"
	"sync"

	"edge/mpm"
)

// Bounds of shared connections.
const (
	MaxSessions   = 16  // HTTP/2 connections to one server on one poller
	MaxStreams    = 100 // requests on one of them at a time; the server may allow fewer
	maxWaiting    = 400 // requests that wait for one of them, beyond those
	sessionWindow = 1 << 20
)

// hall is where the exchanges of one poller meet the shared connections to a pool's servers.
type hall struct {
	mu     sync.Mutex // guards what follows, and load and slots of its sessions
	list   []*Session // that take streams
	all    int        // sessions that have not ended, those that take no more among them
	load   int        // streams in them
	closed bool
}

// join gives a stream to a session to the server, beginning one where the others are full. It says whether there was room.
func (h *hall) join(c *mpm.Conn, p *Pool, server *Server, st *stream) bool {
	for {
		s, fresh := h.pick(p, server)
		if s == nil {
			return false
		}
		st.session = s
		st.mu.Lock()
		joined := st.post()
		if fresh {
			s.begin(c)
		}
		if joined {
			return true
		}
		st.posted = false // nobody else has seen it
	}
}

// pick finds the session for one more stream, and counts the stream.
func (h *hall) pick(p *Pool, server *Server) (s *Session, fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var least *Session
	n := 0
	for _, s := range h.list {
		if s.server != server {
			continue
		}
		n++
		if s.load < s.slots {
			s.load++
			h.load++
			return s, false
		}
		if least == nil || s.load-s.slots < least.load-least.slots {
			least = s
		}
	}
	switch {
	case h.closed:
		return nil, false
	case n < MaxSessions:
		s := newSession(p, server, h)
		s.load = 1
		h.load++
		h.all++
		h.list = append(h.list, s)
		return s, true
	case least.load-least.slots < maxWaiting:
		least.load++
		h.load++
		return least, false
	}
	return nil, false
}

// leave counts n streams of a session out, and sets how many it takes at a time. It says how many are left.
func (h *hall) leave(s *Session, n, slots int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.load -= n
	s.slots = slots
	h.load -= n
	return s.load
}

// retire has a session get no more streams. Where idle is set that is done only if it has none.
func (h *hall) retire(s *Session, idle bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if idle && s.load > 0 {
		return false
	}
	if i := slices.Index(h.list, s); i >= 0 {
		h.list = slices.Delete(h.list, i, i+1)
	}
	return true
}

// ended notes that a session is no more.
func (h *hall) ended(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.list, s); i >= 0 {
		h.list = slices.Delete(h.list, i, i+1)
	}
	h.all--
	h.load -= s.load
	s.load = 0
}

func (h *hall) count() (sessions, streams int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all, h.load
}

// close has every session end once its streams have.
func (h *hall) close() {
	h.mu.Lock()
	h.closed = true
	list := slices.Clone(h.list)
	h.mu.Unlock()
	for _, s := range list {
		s.stop()
	}
}
