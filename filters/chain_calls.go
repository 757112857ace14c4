package filters

import "edge/filters/message"

// answer is a call-out's answer that the stream could not take when it came. The chain keeps a copy.
type answer struct {
	id     uint32
	failed bool
	part   Part
	body   []byte
	header message.Fields
	tail   message.Fields
	status int
	text   string
}

// Holds says that an answer for filter index is kept, as its stream could not take it. Until it is delivered, by Run, no part of an
// answer that has More is to be brought: that bounds what is kept.
func (c *Chain) Holds(index int) bool {
	return !c.over && index >= 0 && index < len(c.links) && c.links[index].in && len(c.links[index].answers) > 0
}

// CallDone brings the answer to Host.Call, or a part of it: for filter index of the chain, nil where an HTTPCall failed or timed out.
// It is valid during the call. An answer that comes when the stream is gone is dropped.
func (c *Chain) CallDone(index int, id uint32, a *CallAnswer) {
	if c.over || index < 0 || index >= len(c.links) || !c.links[index].in {
		return
	}
	l := &c.links[index]
	if len(l.answers) > 0 || (c.owner != nil && c.owner != l) || !c.callDone(l, id, a) {
		c.keep(l, id, a)
	}
	c.Run()
}

// callDone makes the callback; false means that it has not run.
func (c *Chain) callDone(l *link, id uint32, a *CallAnswer) bool {
	c.entering(l)
	l.enterCall()
	action, asked := l.leaveCall(l.stream.CallDone(id, a))
	c.left(l)
	if action == Wait {
		if asked {
			c.signalled(l, action)
		}
		return false
	}
	if !a.More() {
		l.calls.Add(-1)
	}
	owned, d := c.owner == l, c.owned
	if owned && (action == Skip || action == Fail) {
		c.owner = nil // what it has decided ends its pause
	}
	switch {
	case asked:
		c.signalled(l, action)
	case action == Fail:
		c.failed(l)
	case action == Skip && owned:
		c.skip(l, d)
		c.owned = d
		c.release(l)
	case action == Skip:
		c.skip(l, Request)
		c.orphan(l, Request)
	}
	return true
}

// keep copies an answer for later.
func (c *Chain) keep(l *link, id uint32, a *CallAnswer) {
	c.unusual = true
	k := answer{id: id, failed: a == nil}
	if a != nil {
		k.part, k.status, k.text = a.Part, a.Status, a.Text
		k.body = append([]byte(nil), a.Body...)
		if a.Header != nil {
			k.header.CopyFrom(a.Header)
		}
		if a.Trailer != nil {
			k.tail.CopyFrom(a.Trailer)
		}
	}
	l.answers = append(l.answers, k)
}

// deliver shows a stream the oldest answer kept for it.
func (c *Chain) deliver(l *link) bool {
	if len(l.answers) == 0 || !l.in {
		return false
	}
	if l.wakeUp(); l.waits {
		return false
	}
	k := &l.answers[0]
	var a *CallAnswer
	if !k.failed {
		a = &CallAnswer{Part: k.part, Status: k.status, Text: k.text, Header: &k.header, Body: k.body, Trailer: &k.tail}
	}
	if !c.callDone(l, k.id, a) {
		return false
	}
	if len(l.answers) > 0 { // not closed by what came of it
		l.answers = append(l.answers[:0], l.answers[1:]...)
	}
	return true
}
