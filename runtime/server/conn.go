package server

import (
	"edge/mpm"
	"edge/runtime/upstream"
	"edge/runtime/wire"
)

// conn is what every client's connection has, whatever is spoken on it: the socket, the stream of bytes on it, and the turn. It belongs
// to the worker that runs the connection.
type conn struct {
	srv      *Server
	c        *mpm.Conn
	entry    *Entry
	settings *settings
	wire     wire.Stream
	proto    protocol
	ahead    upstream.Ahead
	halves   bool // the end of the stream is to be sent behind what is pending
	halved   bool // and has been

	// Of TLS.
	queued     bool   // the handshake waits for its turn
	failed     bool   // and has failed
	tlsVersion uint16 // that was negotiated
	openBy     int64  // when the handshake must be done
	name       string // that the client has asked for; "" for none

	// For the length of a turn.
	t     *mpm.Turn
	local *local
}

// protocol is what is spoken on a connection, chosen when it begins. Its methods are called on the connection's turn. What it holds of
// an idle connection is its own; what it says it appends to Turn.Out, or gives to conn.send.
type protocol interface {
	// serve does what can be done now. It returns true where the turn's share ran out first.
	serve(ev mpm.Events) (again bool)

	// verdict says what the connection waits for, and until when. What serve has said is on its way, or pending.
	verdict(again bool) mpm.Verdict

	// gone gives up all that is under way: there is nobody to answer.
	gone()

	// end is the end of the connection. It returns false where a filter's lane is busy: it is called again after the next wake-up.
	end(cause mpm.Cause) (done bool)
}

// turn does what can be done, ends with one write, and says what the connection waits for.
func (cn *conn) turn(t *mpm.Turn, l *local, ev mpm.Events) mpm.Verdict {
	cn.t, cn.local = t, l
	t.Out = t.Out[:0]
	if ev&mpm.Broken != 0 && cn.c.Broken() && !cn.halved {
		cn.proto.gone()
		return mpm.Close()
	}
	if cn.wire.Pending() > 0 {
		cn.wire.Flush(cn.c)
	}
	again := cn.proto.serve(ev)
	cn.flushOut()
	if cn.wire.Failed() {
		cn.proto.gone()
		return mpm.Close()
	}
	if cn.halves && !cn.halved {
		cn.wire.Bye(cn.c)
		if cn.wire.Pending() == 0 {
			cn.halved = true
			cn.c.CloseWrite()
		}
	}
	return cn.proto.verdict(again)
}

// pending is the output that is not gone yet.
func (cn *conn) pending() int { return cn.wire.Pending() + len(cn.t.Out) }

// send appends output, or sends it at once together with what is waiting where it is too large to gather.
func (cn *conn) send(p []byte) {
	if len(cn.t.Out)+len(p) <= wire.Gather {
		cn.t.Out = append(cn.t.Out, p...)
		return
	}
	cn.wire.Send(cn.c, cn.t.Out, p)
	cn.t.Out = cn.t.Out[:0]
}

// flushOut sends what has been gathered.
func (cn *conn) flushOut() {
	if len(cn.t.Out) > 0 {
		cn.wire.Send(cn.c, cn.t.Out, nil)
		cn.t.Out = cn.t.Out[:0]
	}
}

// end is the end of the connection. It returns false where a filter's lane is busy.
func (cn *conn) end(cause mpm.Cause) bool {
	if !cn.proto.end(cause) {
		return false
	}
	cn.wire.Reset()
	return true
}

// sooner is the earlier of two deadlines, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
