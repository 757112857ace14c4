package server

import (
	"sync"

	"edge/filters/message"
	"edge/runtime/http2"
)

var http2Protocol = message.HTTP2.String()

// stream is a request on an HTTP/2 connection and the client of its exchange. It stays when the exchange is over until the client's
// windows have let all of the answer go. It belongs to the worker that runs the connection, and to its free list.
type stream struct {
	s http2.Stream
	h *http2Conn
	x *exchange // nil once it is over

	accept [28]byte // what an origin must answer a WebSocket's key with

	discardBy int64 // when the rest of a request that nobody wants must have come

	movedAt  int64 // when the client last sent some of the body or opened its windows; 0 while it is waited for neither
	moved    int64 // Progress then
	rateAt   int64 // when the present window of the least rate began
	rateMark int64 // Progress then
}

// step does what can be done.
func (st *stream) step() (moved bool) {
	x := st.x
	if x == nil {
		if st.finished() {
			st.release()
		}
		return false
	}
	moved = st.h.session.Deliver(&st.s)
	if x.advance() || st.x != x {
		return true
	}
	moved = st.h.session.Deliver(&st.s) || moved // what was held has somewhere to go now: no event will tell
	if x.req.Expect && !st.s.Complete() && st.s.Held() == 0 && st.takes() {
		x.sendContinue()
	}
	return moved
}

// takes says whether the client's bytes have somewhere to go. Those of a tunnel have before it is open nowhere: in HTTP/1.1 they would be
// a request of their own to an origin that refuses it.
func (st *stream) takes() bool {
	x := st.x
	return x != nil && x.wantsBody() && (!st.s.Tunnel() || x.tunnels())
}

// finished says, of a stream whose exchange is over, that nothing more is to be sent or read. The rest of a request that was answered
// early is waited for as in HTTP/1 (S26), or the client might take the reset for the answer; a client that has much more to say is
// stopped.
func (st *stream) finished() bool {
	switch {
	case st.s.Gone():
		return true
	case !st.s.Flushed():
		return false
	}
	return st.s.Complete() || st.s.Exhausted() || st.h.cn.t.Now >= st.discardBy || st.h.eof
}

func (st *stream) release() {
	h := st.h
	h.session.Release(&st.s)
	h.cn.local.putStream(st)
}

// The stream as client.

func (st *stream) takesTrailers() bool { return st.s.TakesTrailers() }

func (st *stream) interim(status int, header *message.Fields) { st.s.WriteInterim(status, header) }

func (st *stream) head(end bool) {
	x, cn := st.x, st.h.cn
	if st.s.Tunnel() && x.resp.Status == 101 && !st.takesWebSocket(&x.resp) {
		x.fail("UP", "the upstream's sec-websocket-accept does not fit")
		x.flags |= flagAborted
		return
	}
	st.s.WriteHead(&x.resp, cn.local.date.at(cn.t.Now, cn.srv.now), end)
}

func (st *stream) body(p []byte, end bool) {
	st.s.Write(p, end)
	st.h.spill(http2Spill)
}

func (st *stream) trailers(f *message.Fields) { st.s.WriteTrailers(f) }

// pending is part of client: what waits for the socket, which is everybody's, and what waits for windows. A stream without room for
// more of its body, or a connection that has said its turn's share, counts as full.
func (st *stream) pending() int {
	if st.x.is(flagHeaded) && !st.s.Room() || st.h.said >= turnBytes {
		return highWater
	}
	return st.h.cn.wire.Pending() + st.s.Pending()
}

func (st *stream) direct() bool { return false }

// over is part of client.
func (st *stream) over(x *exchange) {
	c := &st.h.session
	st.x = nil
	if x.is(flagAborted) || !st.s.Answered() {
		code := http2.ErrInternal
		if x.causeFlag == "DT" {
			code = http2.ErrCancel // RFC 9113 section 7: the stream is no longer needed
		}
		c.Abort(&st.s, code)
	}
	if !st.s.Complete() {
		c.Discard(&st.s)
		st.discardBy = st.h.cn.t.Now + int64(discardTime)
	}
	if st.finished() {
		st.release()
	}
}

// Free lists.

func (l *local) takeHTTP2(cn *conn) *http2Conn {
	h := take(&l.http2s)
	if h == nil {
		h = new(http2Conn)
	}
	h.begin(cn)
	return h
}

func (l *local) putHTTP2(h *http2Conn) {
	*h = http2Conn{}
	if len(l.http2s) < freeMax {
		l.http2s = append(l.http2s, h)
	}
}

func (l *local) takeStream() *stream {
	if st := take(&l.streams); st != nil {
		return st
	}
	return spareStreams.Get().(*stream)
}

// spareStreams are those that workers have no place for, as spares are.
var spareStreams = sync.Pool{New: func() any {
	st := new(stream)
	st.s.Owner = st
	return st
}}

func (l *local) putStream(st *stream) {
	st.h, st.x, st.s.Request = nil, nil, nil
	st.movedAt, st.rateAt, st.discardBy, st.accept = 0, 0, 0, [28]byte{}
	if len(l.streams) < freeStreams {
		l.streams = append(l.streams, st)
	} else {
		spareStreams.Put(st)
	}
}
