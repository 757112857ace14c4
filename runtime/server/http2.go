package server

import (
	"io"

	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/http2"
)

// http2Conn is a connection that speaks HTTP/2: many requests at a time, each a [stream] with an exchange. It is the protocol of its
// conn and the receiver of its session. With the conn it is all that an idle connection costs beside the engine's own.
//
// All streams run on the connection's turns, one after the other, in the order of their priority: none of them needs a lock, and none
// waits for another, since a connection never waits for less than all its streams do.
type http2Conn struct {
	cn      *conn
	session http2.Session

	since    int64  // when the first byte of the request that is not whole yet came; 0 while there is none
	movedAt  int64  // when the client last took output that was pending
	sent     uint64 // Conn.Sent then
	rateAt   int64  // when the present window of the least rate began; 0 while no output is pending
	rateMark uint64 // Conn.Sent then
	taken    int    // bytes read in this turn
	said     int    // bytes said in this turn beside what is gathered
	closing  closing
	starved  bool // the session has seen all that is unread
	eof      bool // the client has finished sending
	feeding  bool // the session is reading: Turn.In is in use
}

// http2Input is what is read from an HTTP/2 connection in one turn: it may hold a thousand requests.
const http2Input = mpm.ScratchBytes

// http2Spill is how much output is gathered before it is sent.
const http2Spill = 32 << 10

func (h *http2Conn) begin(cn *conn) {
	h.cn = cn
	h.session.Begin(&cn.settings.http2, &cn.srv.http2Counts, h)
	cn.c.WakeOnDrain()
}

// serve is part of protocol. It goes round while something moves: what has come is read first, so that one write holds all answers.
func (h *http2Conn) serve(ev mpm.Events) (again bool) {
	cn := h.cn
	h.taken, h.said = 0, 0
	h.open()
	h.noteSent()
	if ev&mpm.Expired != 0 {
		h.expire()
	}
	for moved := true; moved; {
		moved = h.wantsInput() && h.taken < http2Input && h.input()
		if cn.c.Draining() {
			h.session.Drain() // behind what was read: a client that has just begun is told of the end, too
		}
		if h.session.Fill(max(0, highWater-cn.wire.Pending())) {
			h.spill(0)
			moved = moved || cn.wire.Pending() < highWater // the socket has taken it: no event will tell
		}
		moved = h.step() || moved
	}
	if h.session.Finished() && h.session.Len() == 0 && h.closing == closeNot {
		h.closing = closeLinger
		if h.session.Failed() != nil {
			h.closing = closeAbuse
		}
	}
	again = h.closing == closeNot && (h.taken >= http2Input && h.wantsInput() || h.said >= turnBytes || h.more())
	cn.t.Out = cn.local.out.Dst
	return again
}

// open lends the session what it needs for a turn.
func (h *http2Conn) open() {
	l := h.cn.local
	if l.out == nil {
		l.out = http2.NewOutput()
	}
	l.out.Begin(h.cn.t.Out[:0])
	h.session.Turn(l.out, h.cn.t.Now)
}

// spill sends what is gathered, where it is at least so much.
func (h *http2Conn) spill(least int) {
	cn, o := h.cn, h.cn.local.out
	if len(o.Dst) > least {
		h.said += len(o.Dst)
		cn.wire.Send(cn.c, o.Dst, nil)
		o.Begin(o.Dst[:0])
	}
}

// noteSent notes that the client has taken output.
func (h *http2Conn) noteSent() {
	if sent := h.cn.c.Sent(); sent != h.sent {
		h.sent, h.movedAt = sent, h.cn.t.Now
	}
}

// wantsInput says whether the client's next bytes are read. Bodies have their windows; whatever else it sends makes output, and while
// the client does not take that nothing more is read.
func (h *http2Conn) wantsInput() bool {
	return h.closing == closeNot && h.session.Failed() == nil && !(h.eof && len(h.cn.wire.Unread()) == 0) &&
		h.cn.wire.Pending() < highWater
}

// input reads what the client has sent and hands it on. It returns false where there is nothing new.
func (h *http2Conn) input() (moved bool) {
	cn := h.cn
	data := cn.wire.Unread()
	if len(data) == 0 || h.starved {
		if h.eof || !cn.wire.Readable(cn.c) {
			return false
		}
		var err error
		data, err = cn.wire.Read(cn.c, cn.t.In)
		if err == mpm.ErrAgain {
			return false
		}
		if err != nil {
			h.ended(err)
			return true
		}
	}
	h.taken += len(data)
	h.feeding = true
	n, bad := h.session.Feed(data)
	h.feeding = false
	h.starved = !h.session.More()
	if bad != nil {
		cn.wire.Keep(nil)
		h.logRefused(0, bad.Reason)
		return true
	}
	cn.wire.Keep(data[n:])
	switch {
	case !h.session.Partial():
		h.since = 0
	case h.since == 0:
		h.since = cn.t.Now
	}
	return true
}

// ended is the end of the client's stream, or an error of its socket. What it has asked for is answered; what it has not said to its
// end never will be.
func (h *http2Conn) ended(err error) {
	h.eof = true
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		h.gone()
		h.closing = closeReset
		return
	}
	whole := true
	for _, s := range h.session.Streams() {
		st := s.Owner.(*stream)
		switch {
		case st.x == nil || s.Complete():
		case st.x.tunnels():
			st.x.tunnelEnd(true)
		default:
			st.x.clientGone()
		}
		whole = whole && s.Complete()
	}
	if h.session.Len() == 0 {
		h.closing = closeFinish
	}
}

// step has every stream do what it can.
func (h *http2Conn) step() (moved bool) {
	for _, s := range h.session.Streams() {
		moved = s.Owner.(*stream).step() || moved
	}
	if h.eof && h.closing == closeNot && h.session.Len() == 0 {
		h.closing = closeFinish
	}
	return moved
}

// more says that a stream has something to do that no event will tell of.
func (h *http2Conn) more() bool {
	for _, s := range h.session.Streams() {
		if x := s.Owner.(*stream).x; x != nil && x.more() {
			return true
		}
	}
	return false
}

// gone is part of protocol.
func (h *http2Conn) gone() { h.session.Abandon(errClientGone) }

var errClientGone = &http2.Error{Reason: "the client closed the connection"}

// end is part of protocol.
func (h *http2Conn) end(cause mpm.Cause) (done bool) {
	h.open()
	for _, s := range h.session.Streams() {
		switch st := s.Owner.(*stream); {
		case st.x == nil:
			st.release()
		default:
			st.x.end(cause)
		}
	}
	if h.session.Len() > 0 {
		return false
	}
	h.cn.local.putHTTP2(h)
	return true
}

// bye says where the server has stopped, as the last words on a connection that ends in order.
func (h *http2Conn) bye() {
	h.open()
	h.session.End()
	h.spill(0)
}

// verdict is part of protocol.
func (h *http2Conn) verdict(again bool) mpm.Verdict {
	cn := h.cn
	h.noteSent()
	pending := cn.wire.Pending() > 0
	switch {
	case h.closing == closeReset:
		return mpm.Reset()
	case pending || h.session.Len() > 0:
	case h.closing == closeFinish:
		return mpm.Finish()
	case h.closing == closeLinger:
		return mpm.Linger(false)
	case h.closing == closeAbuse:
		return mpm.Linger(true)
	}
	if again {
		return mpm.Again()
	}
	if !pending && h.session.Idle() && len(cn.wire.Unread()) == 0 {
		return mpm.KeepAlive(cn.t.Now + int64(cn.settings.KeepaliveTimeout))
	}
	want, phase := mpm.Events(0), mpm.PhaseReading
	if h.wantsInput() && !h.eof {
		want |= mpm.In
	}
	deadline := h.clientDeadline(pending)
	parked := h.session.Len() > 0
	for _, s := range h.session.Streams() {
		st := s.Owner.(*stream)
		deadline = sooner(deadline, st.deadline())
		x := st.x
		if x == nil {
			continue
		}
		deadline = sooner(deadline, x.deadline())
		if x.borrows() {
			want |= mpm.Borrow
			phase = x.phase()
		}
		parked = parked && x.parked()
	}
	switch {
	case pending:
		want |= mpm.Out
		phase = mpm.PhaseWriting
	case parked:
		phase = mpm.PhaseSuspended
	}
	return mpm.Wait(want, deadline, phase)
}

// The connection as http2.Receiver.

// NextStream is part of http2.Receiver.
func (h *http2Conn) NextStream() *http2.Stream {
	l := h.cn.local
	if l.nextStream == nil {
		l.nextStream = l.takeStream()
	}
	l.nextStream.s.Request = &l.next.req
	return &l.nextStream.s
}

// Head is part of http2.Receiver.
func (h *http2Conn) Head(s *http2.Stream, end bool) {
	st, l := s.Owner.(*stream), h.cn.local
	x := l.next
	l.next, l.nextStream = l.takeExchange(), nil
	st.h, st.x = h, x
	since := h.since
	if since == 0 {
		since = h.cn.t.Now
	}
	if s.Tunnel() {
		st.offerWebSocket(&x.req, l.rand)
	}
	x.begin(h.cn, st, since, end)
}

// Accepts is part of http2.Receiver. What goes through a tunnel waits until the session has read: an origin that takes no more of it is
// read from at once, into the memory that the session reads from.
func (h *http2Conn) Accepts(s *http2.Stream) bool {
	st := s.Owner.(*stream)
	return st.takes() && !(h.feeding && st.x.leg.Tunnel())
}

// Data is part of http2.Receiver.
func (h *http2Conn) Data(s *http2.Stream, p []byte, end bool) {
	x := s.Owner.(*stream).x
	switch {
	case !x.tunnels():
		x.bodyIn(p, end)
	default:
		if len(p) > 0 {
			x.bodyIn(p, false)
		}
		if end {
			x.tunnelEnd(true)
		}
	}
}

// Trailers is part of http2.Receiver.
func (h *http2Conn) Trailers(s *http2.Stream) { s.Owner.(*stream).x.bodyEnd() }

// Reset is part of http2.Receiver.
func (h *http2Conn) Reset(s *http2.Stream, why *http2.Error) {
	if x := s.Owner.(*stream).x; x != nil {
		x.fail("DC", why.Reason)
		x.clientGone()
	}
}

// Reject is part of http2.Receiver.
func (h *http2Conn) Reject(s *http2.Stream, why *http2.Error) {
	if x := s.Owner.(*stream).x; x != nil {
		x.refuse(why.Status, "DP", why.Reason)
	}
}

// Refused is part of http2.Receiver.
func (h *http2Conn) Refused(why *http2.Error) { h.logRefused(why.Status, why.Reason) }

// logRefused writes a line for what was not a request.
func (h *http2Conn) logRefused(status int, reason string) {
	if h.cn.srv.current().AccessLog != nil {
		h.cn.log(&accesslog.Record{Status: status, Protocol: http2Protocol, Flags: "DP", Details: reason}, 0)
	}
}
