package filters

// pumpHead moves a direction's head on until a filter keeps it or it is out.
func (c *Chain) pumpHead(d Direction) (moved bool) {
	f := &c.flows[d]
	for f.stage == stageHead && f.at < len(c.links) {
		l := c.at(d, f.at)
		s := &l.sides[d]
		switch {
		case l.failed && d == Request:
			l.failed = false
			c.fail(l, 503, FlagFailed, "the filter could not take part")
			return true
		case !l.in || s.bypass || l.wants&onHead(d) == 0:
		case c.owner != nil || !l.mayCall(d):
			return moved
		default:
			if !c.showHead(l, d) {
				return true
			}
		}
		moved = true
		s.past = true
		f.at++
	}
	if f.stage == stageHead {
		moved = true
		c.emitHead(d)
		if d == Response && c.localBody && f.stage == stageBody {
			c.localBody = false
			c.body(Response, c.first(Response), c.local.body.Bytes(), true)
		}
	}
	return moved
}

// showHead makes the head callback; it returns true where the head may go on.
func (c *Chain) showHead(l *link, d Direction) bool {
	s := &l.sides[d]
	c.entering(l)
	l.enter(d)
	a, asked := l.leave(d, l.stream.Head(d, c.flows[d].end))
	c.left(l)
	s.past = s.past || a != Wait
	if asked {
		c.signalled(l, a)
		return false
	}
	switch a {
	case Wait:
		return false
	case Pause:
		c.own(l, d)
		return false
	case Skip:
		c.skip(l, d)
	case Fail:
		c.failed(l)
		return false
	}
	return c.acceptHead(l, d)
}

// own makes a stream the owner of a message.
func (c *Chain) own(l *link, d Direction) {
	l.sides[d].paused = true
	l.rest()
	c.owner, c.owned = l, d
	l.measure(d)
}

// release ends the owner's pause: the head, or the trailers, go on.
func (c *Chain) release(l *link) {
	d := c.owned
	s := &l.sides[d]
	c.owner = nil
	s.paused, s.due = false, 0
	l.rise()
	f := &c.flows[d]
	switch f.stage {
	case stageHead:
		if c.acceptHead(l, d) {
			f.at++
			c.pumpHead(d)
		}
	case stageTail:
		if c.tailPast(l, d) {
			f.at++
			c.pumpTail(d)
		}
	}
}

// acceptHead looks at what a filter has made of a head. It returns false where that cannot be sent and the filter has
// therefore failed.
func (c *Chain) acceptHead(l *link, d Direction) bool {
	var ok bool
	if d == Request {
		c.req.Length = c.flows[d].length
		ok = tidy(&c.req.Header, c.req.Length) && c.was.acceptRequest(c.req)
	} else {
		c.resp.Length = c.flows[d].length
		ok = tidy(&c.resp.Header, c.resp.Length) && c.was.acceptResponse(c.resp)
	}
	if !ok {
		c.fail(l, 503, FlagFailed, "the filter made a head that cannot be sent")
	}
	return ok
}

// emitHead sends a head out at the far end. Where filters see the body, its length is not known before it comes out: a
// head that declares a length then stays until the first piece of body does, since that may be the whole body; until
// then a filter can still answer in its place. (A head without a declared length does not wait: its body may be the
// client's side of a conversation. It does where a filter asks for it: HoldHead.)
func (c *Chain) emitHead(d Direction) {
	f := &c.flows[d]
	f.stage = stageBody
	length := f.length
	if d == Response {
		c.settleBody()
		length = c.resp.Length
	}
	if f.bodies > 0 && !f.end {
		if length > 0 && (d == Response || !c.req.Expect) || c.held(d) {
			f.parked = true
			return
		}
		c.setLength(d, unknown)
	} else if f.bodies > 0 && d == Response && c.resp.Bodiless {
		c.setLength(d, unknown) // the length a GET would have had
	}
	c.sinkHead(d, f.end)
}

// held says whether a filter keeps the head until body comes.
func (c *Chain) held(d Direction) bool {
	for i := range c.links {
		if l := &c.links[i]; l.sides[d].holds && l.seesBody(d) {
			return true
		}
	}
	return false
}

// settleBody makes the response's framing agree with its status and with what the client asked, whatever filters have
// made of either (a client that sent HEAD gets no body, though a filter asked the origin with GET).
func (c *Chain) settleBody() {
	f, r := &c.flows[Response], c.resp
	none := c.headAsked || r.Status == 204 || r.Status == 304
	switch {
	case r.Status < 200:
	case none && !r.Bodiless:
		r.Bodiless = true
		f.swallow = !f.end
		f.end = true
	case !none && r.Bodiless:
		r.Bodiless = false
		c.setLength(Response, 0)
	}
}

func (c *Chain) sinkHead(d Direction, end bool) {
	f := &c.flows[d]
	if end && !f.swallow {
		f.stage = stageDone
	}
	if d == Request {
		c.sink.RequestHead(end)
		return
	}
	c.sent.Store(true)
	c.sink.ResponseHead(end)
}
