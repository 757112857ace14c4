package upstream

import (
	"sync"

	"edge/mpm"
)

// shelf keeps the idle connections of one pool on one poller, the last one used on top. Workers put and take; the poller takes
// out what has died.
type shelf struct {
	mu     sync.Mutex
	idle   []*link
	closed bool
}

// take returns a connection to that server which belongs to the caller's connection from now on, or nil.
func (s *shelf) take(c *mpm.Conn, server *Server) *link {
	for {
		k := s.pick(server)
		if k == nil || k.sock.Adopt(c) {
			return k
		}
		k.close() // something happened to it while it was idle (U83)
	}
}

func (s *shelf) pick(server *Server) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.idle) - 1; i >= 0; i-- {
		if k := s.idle[i]; k.server == server {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return k
		}
	}
	return nil
}

// put keeps a connection that is good for another request, unless limit are kept already.
func (s *shelf) put(k *link, limit int, deadline int64) {
	s.mu.Lock()
	defer s.mu.Unlock() // Rest is within the lock: whoever takes the socket finds it at rest
	if s.closed || len(s.idle) >= limit {
		k.close()
		return
	}
	s.idle = append(s.idle, k)
	k.sock.Rest(deadline)
}

// Lost is mpm.Keeper: the server has closed the connection, has sent what nobody asked for, or it was idle for too long.
func (s *shelf) Lost(sock *mpm.Socket) {
	s.mu.Lock()
	for i, kept := range s.idle {
		if kept.sock == sock {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			s.mu.Unlock()
			kept.close()
			return
		}
	}
	s.mu.Unlock()
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.idle)
}

func (s *shelf) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, k := range s.idle {
		k.close()
	}
	s.idle = nil
}
