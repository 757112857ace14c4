package server

import (
	"io"

	"edge/mpm"
	"edge/runtime/upstream"
)

// tunnel moves the bytes of an upgraded protocol both ways (RFC 9110 section 7.8): as much as the other side takes, a turn's share at
// a time. It has no timeout of its own: it ends when a side does.
func (x *exchange) tunnel() {
	cn, l := x.conn, &x.leg
	if err := l.TunnelFlush(); err != nil {
		x.tunnelEnd()
		return
	}
	if !x.fromClient() {
		return
	}
	for moved := 0; moved < turnBytes && cn.pending() < highWater; {
		n, err := l.TunnelRead(cn.t.In)
		if n > 0 {
			moved += n
			x.replyOut += int64(n)
			cn.send(cn.t.In[:n])
		}
		switch {
		case err == mpm.ErrAgain:
			return
		case err != nil:
			x.tunnelEnd()
			return
		}
	}
	cn.c.Wake() // more is there than one turn's share
}

// fromClient moves the client's bytes, and says whether the tunnel lives on.
func (x *exchange) fromClient() bool {
	cn, l := x.conn, &x.leg
	for moved := 0; moved < turnBytes && l.Pending() < upstream.HighWater; {
		data := cn.wire.Unread()
		if len(data) == 0 {
			if cn.eof || !cn.c.Readable() {
				return true
			}
			n, err := cn.c.Read(cn.t.In)
			switch {
			case err == mpm.ErrAgain:
				return true
			case err == io.EOF:
				cn.eof = true
				l.TunnelEnd()
				return true
			case err != nil:
				x.tunnelEnd()
				return false
			}
			data = cn.t.In[:n]
		} else {
			cn.wire.Keep(nil)
		}
		moved += len(data)
		x.requestIn += int64(len(data))
		if l.TunnelWrite(data) != nil {
			x.tunnelEnd()
			return false
		}
	}
	return true
}

// tunnelEnd ends both directions: the server is done, or one side is broken.
func (x *exchange) tunnelEnd() {
	x.leg.Cancel()
	x.flags |= flagDone
	x.flags &^= flagKeep
}
