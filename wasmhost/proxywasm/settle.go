package proxywasm

import "edge/filters"

// touch puts a stream on the list of those for which something is to be done when the callback has returned.
func (i *Instance) touch(s *Stream) *asked {
	if !s.queued {
		s.queued = true
		if i.lastly == nil {
			i.touched = s
		} else {
			i.lastly.nextDone = s
		}
		i.lastly = s
	}
	return &s.asked
}

// pop takes the first stream off that list.
func (i *Instance) pop() *Stream {
	s := i.touched
	if s == nil {
		return nil
	}
	i.touched, s.nextDone, s.queued = s.nextDone, nil, false
	if i.touched == nil {
		i.lastly = nil
	}
	return s
}

// forget drops what a callback that failed, or a stream that ended, had asked for.
func (i *Instance) forget() {
	for s := i.pop(); s != nil; s = i.pop() {
		s.asked.reset()
	}
}

func (a *asked) reset() {
	a.resume = [2]bool{}
	a.respond, a.abort = false, false
	if cap(a.reply.Body) > keepReply {
		a.reply.Body = nil
	}
	if cap(a.text) > keepReply {
		a.text = nil
	}
	a.reply = filters.Reply{Header: a.reply.Header[:0], Body: a.reply.Body[:0]}
	a.text = a.text[:0]
}

// keep copies s: the guest's memory is the guest's again before the reply is sent.
func (a *asked) keep(s string) string {
	at := len(a.text)
	a.text = append(a.text, s...)
	return text(a.text[at:])
}

// keepReply is how many bytes of memory for replies a stream keeps between uses.
const keepReply = 16 << 10

// settle does what the callback asked for (1.6-5), and returns the action for its own stream: a local response overrides
// it, and continuing the direction that the callback is about overrides a pause. cur is the callback's stream and d its
// direction, noDirection where it has none. Streams of other exchanges are woken.
func (i *Instance) settle(cur *Stream, d filters.Direction, action filters.Action) filters.Action {
	for s := i.pop(); s != nil; s = i.pop() {
		a := &s.asked
		switch {
		case a.respond:
			if err := s.x.Respond(&a.reply); err != nil {
				s.x.Log(filters.Warn, "a local response came too late: "+err.Error())
				s.x.Abort()
			}
		case a.abort:
			s.x.Abort()
		}
		if a.respond || a.abort {
			i.setPaused(s, 0, false)
			i.setPaused(s, 1, false)
			if s == cur {
				action, d = filters.Continue, noDirection
			}
		}
		for dir := filters.Request; dir <= filters.Response; dir++ {
			switch {
			case !a.resume[dir]:
			case s == cur && dir == d:
				action = filters.Continue
			case s.paused[dir]:
				s.x.Continue(dir)
				i.setPaused(s, dir, false)
			}
		}
		a.reset()
		if s != cur {
			s.x.Wake()
		}
	}
	if d != noDirection {
		i.setPaused(cur, d, action == filters.Pause)
	}
	return action
}

// setPaused keeps the count of paused streams.
func (i *Instance) setPaused(s *Stream, d filters.Direction, paused bool) {
	before := s.Paused()
	s.paused[d] = paused
	if after := s.Paused(); after != before {
		if after {
			i.plugin.Counters.Parked.Add(1)
		} else {
			i.plugin.Counters.Parked.Add(-1)
		}
	}
}
