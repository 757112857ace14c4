package server

import (
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http2"
)

var http2Protocol = message.HTTP2.String()

// stream is a request on an HTTP/2 connection and the client of its exchange. It stays when the exchange is over until the client's
// windows have let all of the answer go. It belongs to the worker that runs the connection, and to its free list.
type stream struct {
	s http2.Stream
	h *http2Conn
	x *exchange // nil once it is over

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
	if x.req.Expect && !st.s.Complete() && st.s.Held() == 0 && x.wantsBody() {
		x.sendContinue()
	}
	return moved
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
	if st.s.Tunnel() {
		x.resp.Header.Delete("sec-websocket-accept")
	}
	st.s.WriteHead(&x.resp, cn.local.date.at(cn.t.Now, cn.srv.options.Now), end)
}

func (st *stream) body(p []byte, end bool) {
	st.s.Write(p, end)
	st.h.spill(http2Spill)
}

func (st *stream) trailers(f *message.Fields) { st.s.WriteTrailers(f) }

// pending is part of client: what waits for the socket, which is everybody's, and what waits for windows. A stream without room, or a
// connection that has said its turn's share, counts as full.
func (st *stream) pending() int {
	if !st.s.Room() || st.h.said >= turnBytes {
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

// Timeouts of a stream are those of an HTTP/1 connection: a body that is waited for, and an answer that the client's windows keep back,
// must move within timeout (C1, C2), and at the least rate (R71, R72). The socket's own are the connection's.

// waits says whether the client is waited for.
func (st *stream) waits() bool {
	x := st.x
	switch {
	case st.s.Blocked():
		return true
	case x == nil:
		return false
	case x.tunnels():
		return x.tunnelWaits() && !x.is(flagClientEnd)
	}
	return !st.s.Complete() && st.s.Held() == 0 && x.wantsBody()
}

// deadline is when to look at the bounds next, or 0.
func (st *stream) deadline() int64 {
	if !st.waits() {
		st.movedAt, st.rateAt = 0, 0
		if st.x == nil {
			return st.discardBy
		}
		return 0
	}
	h := st.h
	o, now, progress := &h.cn.srv.options, h.cn.t.Now, st.s.Progress()
	if st.movedAt == 0 || st.moved != progress {
		st.movedAt, st.moved = now, progress
	}
	deadline := st.movedAt + int64(o.Timeout)
	if o.RatePer <= 0 || st.x != nil && st.x.tunnels() {
		return deadline
	}
	if st.rateAt == 0 {
		st.rateAt, st.rateMark = now, progress
	}
	return sooner(deadline, st.rateAt+int64(o.RatePer))
}

// expire looks at the bounds when a deadline has passed, perhaps another stream's.
func (st *stream) expire() {
	o, now, progress := &st.h.cn.srv.options, st.h.cn.t.Now, st.s.Progress()
	switch {
	case st.movedAt == 0:
	case st.moved == progress && now >= st.movedAt+int64(o.Timeout):
		st.tooSlow()
	case st.rateAt != 0 && now >= st.rateAt+int64(o.RatePer):
		if progress-st.rateMark < o.RateBytes {
			st.tooSlow()
			return
		}
		st.rateAt = 0
	}
}

// tooSlow ends a request whose client does not keep up: with 408 where there is still something to answer.
func (st *stream) tooSlow() {
	const cause = "the client was too slow"
	x := st.x
	switch {
	case x == nil:
		st.h.session.Abort(&st.s, http2.ErrCancel)
	case st.s.Blocked() || x.tunnels():
		x.fail("DT", cause)
		x.clientGone()
	default:
		st.h.session.Discard(&st.s)
		x.refuse(408, "DT", cause)
	}
}

// clientDeadline is when to look at the connection's own bounds next: those of the session, of a head that is not whole (R70), and of
// output that the client does not take.
func (h *http2Conn) clientDeadline(pending bool) int64 {
	o, now := &h.cn.srv.options, h.cn.t.Now
	deadline := h.session.Deadline()
	if h.since != 0 && h.wantsInput() {
		deadline = sooner(deadline, h.since+int64(o.HeaderTimeout))
	}
	if !pending {
		h.movedAt, h.rateAt = 0, 0
		return deadline
	}
	if h.movedAt == 0 {
		h.movedAt = now
	}
	deadline = sooner(deadline, h.movedAt+int64(o.Timeout))
	if o.RatePer <= 0 {
		return deadline
	}
	if h.rateAt == 0 {
		h.rateAt, h.rateMark = now, h.cn.c.Sent()
	}
	return sooner(deadline, h.rateAt+int64(o.RatePer))
}

// expire looks at all bounds when a deadline has passed.
func (h *http2Conn) expire() {
	o, now := &h.cn.srv.options, h.cn.t.Now
	h.session.Expire()
	for _, s := range h.session.Streams() {
		s.Owner.(*stream).expire()
	}
	slow := false
	if h.movedAt != 0 && h.cn.wire.Pending() > 0 {
		slow = now >= h.movedAt+int64(o.Timeout)
		if h.rateAt != 0 && now >= h.rateAt+int64(o.RatePer) {
			slow = slow || h.cn.c.Sent()-h.rateMark < uint64(o.RateBytes)
			h.rateAt = 0
		}
	}
	switch {
	case slow:
		h.gone()
		h.closing = closeReset
	case h.since != 0 && now >= h.since+int64(o.HeaderTimeout):
		h.logRefused(408, "header_timeout")
		h.session.End()
		h.closing = closeAbuse
		for _, s := range h.session.Streams() {
			if x := s.Owner.(*stream).x; x != nil && !s.Complete() {
				x.clientGone()
			}
		}
	}
}

// Free lists.

func (l *local) takeHTTP2(cn *conn) *http2Conn {
	h := new(http2Conn)
	if n := len(l.http2s); n > 0 {
		h = l.http2s[n-1]
		l.http2s = l.http2s[:n-1]
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
	if n := len(l.streams); n > 0 {
		st := l.streams[n-1]
		l.streams = l.streams[:n-1]
		return st
	}
	st := new(stream)
	st.s.Owner = st
	return st
}

func (l *local) putStream(st *stream) {
	st.h, st.x, st.s.Request = nil, nil, nil
	st.movedAt, st.rateAt, st.discardBy = 0, 0, 0
	if len(l.streams) < freeStreams {
		l.streams = append(l.streams, st)
	}
}

var _ mpm.Parting = (*Server)(nil)
