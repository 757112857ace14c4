package server

import (
	"io"

	"edge/mpm"
	"edge/runtime/upstream"
)

// tunnel moves the bytes of an upgraded protocol both ways (RFC 9110 section 7.8): as much as the other side takes, a turn's share at
// a time. Each direction ends by itself, behind its last byte. A tunnel at rest has no timeout; what one side does not take, and a
// tunnel whose one direction has ended, must move within timeout.
func (x *exchange) tunnel() {
	gone := x.fromServer() != nil
	if x.fromClient() != nil {
		x.fromServer() // its last words
		gone = true
	}
	if cn := x.conn; gone || cn.eof && x.is(flagServerEnd) && x.leg.Pending() == 0 {
		x.leg.Cancel()
		x.flags |= flagDone
		x.flags &^= flagKeep
	}
}

// tunnels says that bytes move: the 101 is on its way to the client.
func (x *exchange) tunnels() bool { return x.leg.Tunnel() && x.is(flagHeaded) }

// tunnelReady says that tunnel can go on at once: no event will tell of it.
func (x *exchange) tunnelReady() bool {
	cn := x.conn
	return !x.is(flagServerEnd) && cn.pending() < highWater && x.leg.Ready() ||
		x.takesClient() && (len(cn.wire.Unread()) > 0 || cn.c.Readable())
}

// takesClient says whether the client's bytes have somewhere to go.
func (x *exchange) takesClient() bool { return !x.conn.eof && x.leg.Pending() < upstream.HighWater }

// tunnelWaits says that a side of the tunnel is waited for.
func (x *exchange) tunnelWaits() bool {
	return x.conn.eof || x.is(flagServerEnd) || x.leg.Pending() > 0
}

// fromServer moves the server's bytes; its error says that nothing can come from there any more, and did not end in order.
func (x *exchange) fromServer() error {
	cn := x.conn
	for moved := 0; moved < turnBytes && !x.is(flagServerEnd) && cn.pending() < highWater; {
		n, err := x.leg.TunnelRead(cn.t.In)
		if n > 0 {
			moved += n
			cn.movedAt = cn.t.Now
			x.replyOut += int64(n)
			cn.send(cn.t.In[:n])
		}
		switch {
		case err == mpm.ErrAgain:
			return nil
		case err == io.EOF:
			x.flags |= flagServerEnd
		case err != nil:
			return err
		}
	}
	return nil
}

// fromClient moves the client's bytes; its error says that one of the two is gone.
func (x *exchange) fromClient() error {
	cn, l := x.conn, &x.leg
	if err := l.TunnelFlush(cn.t.Now); err != nil {
		return err
	}
	for moved := 0; moved < turnBytes && x.takesClient(); {
		data := cn.wire.Unread()
		if len(data) == 0 {
			if !cn.c.Readable() {
				return nil
			}
			n, err := cn.c.Read(cn.t.In)
			switch {
			case err == mpm.ErrAgain:
				return nil
			case err == io.EOF:
				cn.eof = true
				return l.TunnelEnd(cn.t.Now)
			case err != nil:
				return err
			}
			data = cn.t.In[:n]
		}
		moved += len(data)
		cn.movedAt = cn.t.Now
		x.requestIn += int64(len(data))
		err := l.TunnelWrite(data, cn.t.Now)
		cn.wire.Keep(nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// halfClose passes the server's end on, once its last byte is on its way.
func (cn *conn) halfClose() {
	if x := cn.x; x != nil && x.is(flagServerEnd) && !cn.halved && cn.wire.Pending() == 0 {
		cn.halved = true
		cn.c.CloseWrite()
	}
}
