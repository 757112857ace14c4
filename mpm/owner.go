//go:build !ownercheck

package mpm

// own is nothing in an ordinary build; see the build tag ownercheck.
func (c *Conn) own() {}

func (s *Socket) own() {}
