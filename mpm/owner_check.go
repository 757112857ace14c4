//go:build ownercheck

package mpm

import "edge/mpm/internal/state"

// own panics where a method that belongs to the owner of a connection is called while no worker runs it. It cannot tell one
// worker from another: that is the race detector's part.
func (c *Conn) own() {
	if at := c.word.State(); at != state.Running {
		panic("mpm: a connection that is " + at.String() + " is used as if it ran")
	}
}

// own panics where the connection that has borrowed the socket does not run. Idle sockets are their keeper's.
func (s *Socket) own() {
	if c := s.owner.Load(); c != nil {
		c.own()
	}
}
