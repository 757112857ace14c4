package server

import (
	"io"

	"edge/mpm"
	"edge/runtime/upstream"
)

// A tunnel moves the bytes of an upgraded protocol both ways (RFC 9110 section 7.8): as much as the other side takes, a turn's share at
// a time. Each direction ends by itself, behind its last byte. A tunnel at rest has no timeout; what one side does not take, and a
// tunnel whose one direction has ended, must move within timeout. The protocol brings the client's bytes, as it does those of a body.

// tunnels says that bytes move: the 101 is on its way to the client.
func (x *exchange) tunnels() bool { return x.leg.Tunnel() && x.is(flagHeaded) }

// tunnelReady says that tunnel can go on at once: no event will tell of it.
func (x *exchange) tunnelReady() bool {
	return !x.is(flagServerEnd) && x.roomy() && x.leg.Ready()
}

// takesClient says whether the client's bytes have somewhere to go.
func (x *exchange) takesClient() bool {
	return !x.is(flagClientEnd) && x.leg.Pending() < upstream.HighWater
}

// tunnelWaits says that a side of the tunnel is waited for.
func (x *exchange) tunnelWaits() bool {
	return x.is(flagClientEnd|flagServerEnd) || x.leg.Pending() > 0
}

// tunnel moves the server's bytes, and what it has not taken yet of the client's.
func (x *exchange) tunnel() {
	if x.fromServer() != nil {
		x.tunnelOver()
		return
	}
	x.toServerDone(x.leg.TunnelFlush(x.conn.t.Now))
	if x.is(flagClientEnd) && x.is(flagServerEnd) && x.leg.Pending() == 0 {
		x.tunnelOver()
	}
}

// fromServer moves the server's bytes; its error says that nothing can come from there any more, and did not end in order.
func (x *exchange) fromServer() error {
	in := x.conn.t.In
	for moved := 0; moved < turnBytes && !x.is(flagServerEnd) && x.roomy(); {
		n, err := x.leg.TunnelRead(in)
		if n > 0 {
			moved += n
			x.replyOut += int64(n)
			x.to.body(in[:n], false)
		}
		switch {
		case err == mpm.ErrAgain:
			return nil
		case err == io.EOF:
			x.flags |= flagServerEnd
			x.to.body(nil, true)
		case err != nil:
			return err
		}
	}
	return nil
}

// toServer moves the client's bytes. They may be in the memory that fromServer reads into.
func (x *exchange) toServer(p []byte) { x.toServerDone(x.leg.TunnelWrite(p, x.conn.t.Now)) }

// tunnelEnd is the end of the client's bytes: in order, or because it is gone.
func (x *exchange) tunnelEnd(whole bool) {
	x.flags |= flagClientEnd
	if whole {
		x.toServerDone(x.leg.TunnelEnd(x.conn.t.Now))
	} else {
		x.tunnelOver()
	}
}

// toServerDone looks at how a write to the server went. One that takes no more may have had last words.
func (x *exchange) toServerDone(err error) {
	if err != nil {
		x.fromServer()
		x.tunnelOver()
	}
}

// tunnelOver ends the tunnel, which no answer can follow.
func (x *exchange) tunnelOver() {
	x.leg.Cancel()
	x.flags |= flagDone
}
