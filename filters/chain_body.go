package filters

import "edge/filters/message"

const unknown = message.UnknownLength

// body moves a piece of body on from link i: to the next filter that sees it, or out.
func (c *Chain) body(d Direction, i int, p []byte, end bool) {
	f := &c.flows[d]
	for ; i >= 0 && i < len(c.links) && f.bodies+f.blocked > 0; i = after(d, i) {
		l := &c.links[i]
		if l.sides[d].blocked || (l.seesBody(d) && (c.owner != nil || l.continued(d))) {
			c.block(l, d, p, end)
			return
		}
		if l.seesBody(d) {
			c.showBody(l, d, p, end)
			return
		}
	}
	c.emitBody(d, p, end)
}

// block keeps a piece until it can be shown. What is kept so is bounded by the piece: nothing more comes in meanwhile.
func (c *Chain) block(l *link, d Direction, p []byte, end bool) {
	s := &l.sides[d]
	s.inbox.Append(p)
	s.inboxEnd = s.inboxEnd || end
	if !s.blocked {
		s.blocked = true
		c.flows[d].blocked++
	}
	c.unusual = true
}

func (c *Chain) unblock(l *link, d Direction) {
	if s := &l.sides[d]; s.blocked {
		s.blocked = false
		c.flows[d].blocked--
	}
}

// showBody makes the body callback with p, which may be the link's own inbox, and moves on what the filter lets go. It
// does not look at held before it knows that the pause is over: held is the lane's.
func (c *Chain) showBody(l *link, d Direction, p []byte, end bool) {
	s := &l.sides[d]
	kept := s.kept + len(p)
	most := l.most()
	if s.paused && kept > most {
		c.tooLong(l, d)
		return
	}
	c.entering(l)
	l.enter(d)
	a, asked := l.leave(d, l.stream.Body(d, &s.held, p, end))
	c.left(l)
	if a == Wait {
		if !s.blocked {
			c.block(l, d, p, end)
		}
		if asked {
			c.signalled(l, a)
		}
		return
	}
	c.unblock(l, d)
	s.inbox.Reset(keepBody)
	s.inboxEnd = false
	s.ended = s.ended || end
	s.kept = kept
	if asked {
		c.signalled(l, a)
		return
	}
	switch a {
	case Pause:
		s.paused = true
		l.rest()
		l.measure(d)
		if kept > most {
			c.tooLong(l, d)
		}
		return
	case Skip:
		c.skip(l, d)
	case Fail:
		c.failed(l)
		return
	}
	if s.held.Len() > max(most, kept) {
		c.tooLong(l, d)
		return
	}
	c.letGo(l, d)
}

// letGo ends a pause on a body, or the passage of a piece: what the link holds moves on.
func (c *Chain) letGo(l *link, d Direction) {
	s := &l.sides[d]
	s.paused, s.due, s.kept = false, 0, 0
	l.rise()
	end := s.ended && !c.flows[d].tail
	if s.held.Len() == 0 && !end {
		return
	}
	c.body(d, after(d, l.index), s.held.Bytes(), end)
	s.held.Reset(keepBody)
}

// tooLong ends an exchange for a body above a filter's limit.
func (c *Chain) tooLong(l *link, d Direction) {
	status := 413
	if d == Response {
		status = 502
	}
	c.local.plain(status)
	c.conclude(l.filter.Name(), FlagBody, "the body is longer than the filter may hold")
}

// pumpBody lets go what lanes have released and shows what could not be shown, from the far end to the near one, so
// that what is ahead makes room for what follows.
func (c *Chain) pumpBody(d Direction) (moved bool) {
	f := &c.flows[d]
	for steps := len(c.links) - 1; steps >= 0; steps-- {
		if c.owner != nil || (f.stage != stageBody && f.stage != stageTail) {
			return moved
		}
		l := c.at(d, steps)
		s := &l.sides[d]
		if !c.clear(d, steps+1) {
			continue
		}
		switch {
		case l.takeContinue(d):
			moved = true
			if s.held.Len() > l.most() {
				c.tooLong(l, d)
			} else {
				c.letGo(l, d)
			}
			steps++ // look at its inbox next
		case s.blocked && !l.in:
			moved = true
			c.unblock(l, d)
			s.held.Append(s.inbox.Bytes())
			s.inbox.Reset(keepBody)
			s.ended = s.ended || s.inboxEnd
			c.letGo(l, d)
		case s.blocked && l.mayCall(d):
			moved = true
			c.showBody(l, d, s.inbox.Bytes(), s.inboxEnd)
		}
	}
	return moved
}

// clear says whether a piece can move on to what follows: the next link that would keep it has nothing unshown.
func (c *Chain) clear(d Direction, steps int) bool {
	for ; steps < len(c.links); steps++ {
		l := c.at(d, steps)
		if l.sides[d].blocked {
			return false
		}
		if l.seesBody(d) {
			return true
		}
	}
	return true
}

// pumpTail moves trailers on, behind the last of the body. A filter that sees the body but not trailers is shown the
// body's end in their place.
func (c *Chain) pumpTail(d Direction) (moved bool) {
	f := &c.flows[d]
	for f.stage == stageTail && f.at < len(c.links) {
		l := c.at(d, f.at)
		s := &l.sides[d]
		if s.blocked || c.owner != nil || l.continued(d) || (l.in && !l.mayCall(d)) {
			return moved
		}
		switch sees := l.in && !s.bypass; {
		case sees && l.wants&onTrailers(d) != 0:
			moved = true
			if !c.showTrailers(l, d) {
				return true
			}
		case sees && l.wants&onBody(d) != 0 && !s.ended:
			moved = true
			c.showBody(l, d, nil, true)
			continue
		case s.paused:
			return moved
		}
		if f.stage != stageTail {
			return true
		}
		moved = true
		f.at++
	}
	if f.stage == stageTail {
		moved = true
		c.emitTrailers(d)
	}
	return moved
}

// showTrailers makes the trailers callback; it returns true where the trailers may go on.
func (c *Chain) showTrailers(l *link, d Direction) bool {
	c.entering(l)
	l.enter(d)
	a, asked := l.leave(d, l.stream.Trailers(d))
	c.left(l)
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
	return c.tailPast(l, d)
}

// tailPast lets what a link holds of the body go ahead of the trailers it has released.
func (c *Chain) tailPast(l *link, d Direction) bool {
	if l.sides[d].held.Len() > max(l.most(), l.sides[d].kept) {
		c.tooLong(l, d)
		return false
	}
	c.letGo(l, d)
	return c.flows[d].stage == stageTail
}

// emitBody sends a piece out at the far end, after the head if that is still there.
func (c *Chain) emitBody(d Direction, p []byte, end bool) {
	f := &c.flows[d]
	if f.parked && (len(p) > 0 || end) {
		f.parked = false
		none := false
		switch {
		case !end:
			c.setLength(d, unknown)
		case int64(len(p)) != c.length(d):
			c.setLength(d, int64(len(p)))
			none = len(p) == 0
		}
		c.sinkHead(d, none)
		if none || c.over {
			return
		}
	}
	if f.stage != stageBody && f.stage != stageTail {
		return
	}
	if end {
		f.stage = stageDone
	}
	if f.swallow || (len(p) == 0 && !end) {
		return
	}
	if d == Request {
		c.sink.RequestBody(p, end)
	} else {
		c.sink.ResponseBody(p, end)
	}
}

// emitTrailers sends the trailers out, after the head if that is still there.
func (c *Chain) emitTrailers(d Direction) {
	f := &c.flows[d]
	if f.parked {
		f.parked = false
		c.setLength(d, unknown)
		c.sinkHead(d, false)
		if f.stage != stageTail || c.over {
			return
		}
	}
	f.stage = stageDone
	if f.swallow {
		return
	}
	if d == Request {
		withoutFraming(&c.req.Trailer)
		c.sink.RequestTrailers()
	} else {
		withoutFraming(&c.resp.Trailer)
		c.sink.ResponseTrailers()
	}
}

func (c *Chain) length(d Direction) int64 {
	if d == Request {
		return c.req.Length
	}
	return c.resp.Length
}

// setLength says how long the body is that goes out.
func (c *Chain) setLength(d Direction, n int64) {
	header := &c.req.Header
	if d == Request {
		c.req.Length = n
	} else {
		c.resp.Length = n
		header = &c.resp.Header
	}
	header.Delete("content-length")
}
