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
			i.unpause(s)
			if s == cur {
				if i.did = Responded; !a.respond {
					i.did = Aborted
				}
				action, d = filters.Continue, noDirection
			}
		}
		for dir := filters.Request; dir <= filters.Response; dir++ {
			switch {
			case !a.resume[dir]:
			case s == cur && dir == d:
				action = filters.Continue
			case s.paused[dir] != running:
				s.x.Continue(dir)
				i.setPaused(s, dir, running)
			}
		}
		a.reset()
		if s != cur {
			s.x.Wake()
		}
	}
	if d != noDirection {
		to := running
		switch {
		case action != filters.Pause:
		case cur.held[d] != nil:
			to = onBody
		default:
			to = onHead
		}
		i.setPaused(cur, d, to)
	}
	return action
}

// setPaused keeps the count of paused streams.
func (i *Instance) setPaused(s *Stream, d filters.Direction, p pause) {
	if s.paused[d] == p {
		return
	}
	before := s.Paused()
	s.paused[d] = p
	if after := s.Paused(); after && !before {
		i.plugin.Counters.Parked.Add(1)
	} else if before && !after {
		i.plugin.Counters.Parked.Add(-1)
	}
}

// Did is what a callback has done to its own stream's exchange beyond its action.
type Did uint8

// What it may have done.
const (
	Nothing Did = iota
	Responded
	Aborted
)

// Did is that of the callback that ended last.
func (i *Instance) Did() Did { return i.did }

func (i *Instance) unpause(s *Stream) {
	i.setPaused(s, filters.Request, running)
	i.setPaused(s, filters.Response, running)
}
