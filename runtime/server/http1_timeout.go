package server

import "edge/mpm"

// What a client is waited for has three bounds: a head must be whole header_timeout after its first byte (R70), something must move
// within timeout (C1, C2), and a body, or an answer the client does not take, must move at the least rate (R71, R72).

// progress is what the client has sent of bodies and taken of answers.
func (h *http1Conn) progress() uint64 { return h.bodyBytes + h.cn.c.Sent() }

// clientDeadline is when to look at the bounds next, given what the client is waited for. While it is waited for nothing no time
// runs against it.
func (h *http1Conn) clientDeadline(want mpm.Events) int64 {
	tunnels := h.tunnels()
	if want == 0 || tunnels && want&mpm.Out == 0 && !h.x.tunnelWaits() {
		h.rateAt, h.movedAt = 0, 0
		return 0
	}
	o := h.cn.settings
	if h.movedAt == 0 {
		h.movedAt = h.cn.t.Now
	}
	deadline := h.movedAt + int64(o.Timeout)
	switch {
	case tunnels:
		return deadline
	case h.discards:
		return sooner(deadline, h.since+int64(discardTime))
	case h.x == nil && want&mpm.In != 0 && h.since != 0:
		deadline = sooner(deadline, h.since+int64(o.HeaderTimeout))
	}
	if o.RatePer <= 0 || h.x == nil && want&mpm.Out == 0 {
		h.rateAt = 0
		return deadline
	}
	if h.rateAt == 0 {
		h.rateAt, h.rateMark = h.cn.t.Now, h.progress()
	}
	return sooner(deadline, h.rateAt+int64(o.RatePer))
}

// expire looks at the bounds when the deadline has passed.
func (h *http1Conn) expire() {
	if h.movedAt == 0 {
		return // nothing is expected of the client
	}
	now, o := h.cn.t.Now, h.cn.settings
	writing := h.cn.wire.Pending() > 0 || h.x != nil && h.x.sends()
	switch {
	case now >= h.movedAt+int64(o.Timeout):
		h.tooSlow(writing)
	case h.tunnels():
	case h.discards && now >= h.since+int64(discardTime):
		h.discards, h.closing = false, closeLinger
	case h.x == nil && h.closing == closeNot && !h.discards && h.since != 0 && h.wantsInput() && now >= h.since+int64(o.HeaderTimeout):
		h.tooSlow(false)
	case h.rateAt != 0 && now >= h.rateAt+int64(o.RatePer):
		if h.progress()-h.rateMark < uint64(o.RateBytes) {
			h.tooSlow(writing)
			return
		}
		h.rateAt = 0
	}
}

// tooSlow ends a connection whose client does not keep up: with 408 where there is still something to answer.
func (h *http1Conn) tooSlow(writing bool) {
	switch {
	case writing || h.closing != closeNot || h.tunnels():
		if h.x != nil {
			h.x.fail("DT", "the client was too slow")
		}
		h.gone()
		h.closing = closeReset
	case h.x != nil:
		h.closing = closeAbuse
		h.x.refuse(408, "DT", "the client was too slow")
	case h.discards:
		h.closing = closeLinger
	default:
		h.closing = closeAbuse
		h.sayAndClose(408)
		h.logRefused(408, "DT", "header_timeout")
	}
}
