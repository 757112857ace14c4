package mpm

import "edge/mpm/internal/poll"

// CloseWrite sends the client the end of the stream behind what has been written, while reading goes on: for a handler whose protocol
// ends one direction before the other. The client's own end of stream then comes with Broken, too.
func (c *Conn) CloseWrite() { poll.CloseWrite(c.fd) }
