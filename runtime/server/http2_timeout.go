package server

import (
	"time"

	"edge/runtime/http2"
)

// Timeouts of a stream are those of an HTTP/1 connection: a body that is waited for, and an answer that the client's windows keep back,
// must move within timeout (C1, C2), and at the least rate (R71, R72). The socket's own are the connection's.

// waits says whether the client is waited for.
func (st *stream) waits() bool {
	x := st.x
	switch {
	case st.s.Shut():
		return true
	case x == nil:
		return false
	case x.tunnels():
		return x.tunnelWaits() && !x.is(flagClientEnd)
	}
	return !st.s.Complete() && st.s.Held() == 0 && st.takes()
}

// patience is how long the client, and whoever answers it, may say nothing: in a call of gRPC, whose servers often say nothing before
// their first message, as long as its upstream allows.
func (st *stream) patience() time.Duration {
	if x := st.x; x != nil && x.is(flagGRPC) && x.plan != nil && x.plan.pool != nil {
		if d := x.plan.pool.StreamTimeout(); d > 0 {
			return d
		}
	}
	return st.h.cn.settings.Timeout
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
	o, now, progress := h.cn.settings, h.cn.t.Now, st.s.Progress()
	if st.movedAt == 0 || st.moved != progress {
		st.movedAt, st.moved = now, progress
	}
	deadline := st.movedAt + int64(st.patience())
	if o.RatePer <= 0 || st.x != nil && (st.x.tunnels() || st.x.is(flagGRPC) && !st.s.Shut()) {
		st.rateAt = 0
		return deadline // messages come when there is something to say
	}
	if st.rateAt == 0 {
		st.rateAt, st.rateMark = now, progress
	}
	return sooner(deadline, st.rateAt+int64(o.RatePer))
}

// expire looks at the bounds when a deadline has passed, perhaps another stream's.
func (st *stream) expire() {
	o, now, progress := st.h.cn.settings, st.h.cn.t.Now, st.s.Progress()
	switch {
	case st.movedAt == 0:
	case st.moved == progress && now >= st.movedAt+int64(st.patience()):
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
	case x.is(flagHeaded):
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
	o, now := h.cn.settings, h.cn.t.Now
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
	o, now := h.cn.settings, h.cn.t.Now
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
