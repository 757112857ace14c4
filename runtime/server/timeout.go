package server

import "edge/mpm"

// What a client is waited for has three bounds: a head must be whole header_timeout after its first byte (R70), something must move
// within timeout (C1, C2), and a body, or an answer the client does not take, must move at the least rate (R71, R72).

// progress is what the client has sent of bodies and taken of answers.
func (cn *conn) progress() uint64 { return cn.bodyBytes + cn.c.Sent() }

// clientDeadline is when to look at the bounds next, given what the client is waited for. While it is waited for nothing no time
// runs against it.
func (cn *conn) clientDeadline(want mpm.Events) int64 {
	tunnels := cn.tunnels()
	if want == 0 || tunnels && want&mpm.Out == 0 && !cn.x.tunnelWaits() {
		cn.rateAt, cn.movedAt = 0, 0
		return 0
	}
	o := &cn.srv.options
	if cn.movedAt == 0 {
		cn.movedAt = cn.t.Now
	}
	deadline := cn.movedAt + int64(o.Timeout)
	switch {
	case tunnels:
		return deadline
	case cn.discards:
		return sooner(deadline, cn.since+int64(discardTime))
	case cn.x == nil && want&mpm.In != 0 && cn.since != 0:
		deadline = sooner(deadline, cn.since+int64(o.HeaderTimeout))
	}
	if o.RatePer <= 0 || cn.x == nil && want&mpm.Out == 0 {
		cn.rateAt = 0
		return deadline
	}
	if cn.rateAt == 0 {
		cn.rateAt, cn.rateMark = cn.t.Now, cn.progress()
	}
	return sooner(deadline, cn.rateAt+int64(o.RatePer))
}

// expire looks at the bounds when the deadline has passed.
func (cn *conn) expire() {
	if cn.movedAt == 0 {
		return // nothing is expected of the client
	}
	now, o := cn.t.Now, &cn.srv.options
	writing := cn.wire.Pending() > 0 || cn.x != nil && cn.x.sends()
	switch {
	case now >= cn.movedAt+int64(o.Timeout):
		cn.tooSlow(writing)
	case cn.tunnels():
	case cn.discards && now >= cn.since+int64(discardTime):
		cn.discards, cn.closing = false, closeLinger
	case cn.x == nil && cn.closing == closeNot && !cn.discards && cn.since != 0 && cn.wantsInput() && now >= cn.since+int64(o.HeaderTimeout):
		cn.tooSlow(false)
	case cn.rateAt != 0 && now >= cn.rateAt+int64(o.RatePer):
		if cn.progress()-cn.rateMark < uint64(o.RateBytes) {
			cn.tooSlow(writing)
			return
		}
		cn.rateAt = 0
	}
}

// tooSlow ends a connection whose client does not keep up: with 408 where there is still something to answer.
func (cn *conn) tooSlow(writing bool) {
	switch {
	case writing || cn.closing != closeNot || cn.tunnels():
		if cn.x != nil {
			cn.x.fail("DT", "the client was too slow")
		}
		cn.clientGone()
		cn.closing = closeReset
	case cn.x != nil:
		cn.x.slowBody()
	case cn.discards:
		cn.closing = closeLinger
	default:
		cn.closing = closeAbuse
		cn.sayAndClose(408)
		cn.logSlow()
	}
}

func (cn *conn) tunnels() bool { return cn.x != nil && cn.x.tunnels() }
