package wasmhost

import (
	"errors"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/proxywasm"
)

// stream is a guest's part in one exchange, bound to a lane for life. Its lane keeps it for use by another exchange.
type stream struct {
	seat // in the lane's line; who is x
	lane *lane
	x    filters.Exchange

	// The holder's.
	guest proxywasm.Stream
	life  uint32 // of the lane's instance in which guest is open, or 0
	lost  bool   // the policy has answered for it

	// Guarded by lane.mu.
	next *stream // among the spares
}

var (
	_ filters.Stream  = (*stream)(nil)
	_ filters.Waiting = (*stream)(nil)
)

// Head implements filters.Stream.
func (s *stream) Head(d filters.Direction, end bool) filters.Action {
	p := headOf(d)
	if !s.enter(p) {
		return filters.Wait
	}
	defer s.lane.leave()
	in, fault := s.ready(p)
	if in == nil {
		return s.refusal(fault)
	}
	action, err := in.Head(&s.guest, d, end)
	return s.outcome(p, action, err)
}

// Body implements filters.Stream.
func (s *stream) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	p := headOf(d) + 1
	if !s.enter(p) {
		return filters.Wait
	}
	defer s.lane.leave()
	filters.ShownAgain(s.x, d)
	in, fault := s.ready(p)
	if in == nil {
		held.Append(chunk)
		return s.refusal(fault)
	}
	action, err := in.Body(&s.guest, d, held, chunk, end)
	return s.outcome(p, action, err)
}

// Trailers implements filters.Stream.
func (s *stream) Trailers(d filters.Direction) filters.Action {
	p := headOf(d) + 2
	if !s.enter(p) {
		return filters.Wait
	}
	defer s.lane.leave()
	filters.ShownAgain(s.x, d)
	in, fault := s.ready(p)
	if in == nil {
		return s.refusal(fault)
	}
	action, err := in.Trailers(&s.guest, d)
	return s.outcome(p, action, err)
}

// CallDone implements filters.Stream.
func (s *stream) CallDone(id uint32, answer *filters.CallAnswer) filters.Action {
	if !s.enter(CallDone) {
		return filters.Wait
	}
	defer s.lane.leave()
	if in, _ := s.ready(CallDone); in != nil {
		return s.outcome(CallDone, filters.Continue, in.CallDone(&s.guest, id, answer))
	}
	return filters.Continue
}

// Close implements filters.Stream. A stream that no callback was made of is opened for its end.
func (s *stream) Close() (done bool) {
	if !s.enter(Close) {
		return false
	}
	if in, _ := s.ready(Close); in != nil {
		if err := in.End(&s.guest); err != nil {
			s.fault(Close, err)
		} else {
			s.lane.calls.end(Close, Continued, s.lane.filter.host.options.Now)
			s.lane.counters.memory.Store(int64(in.MemoryBytes()))
			s.lane.recovery.served++
		}
	}
	s.lane.unbind(s)
	return true
}

// Forgo implements filters.Waiting.
func (s *stream) Forgo() { s.lane.forgo(&s.seat) }

// enter makes the stream the lane's holder, or counts a wait.
func (s *stream) enter(p Phase) bool {
	if s.lane.enter(&s.seat) {
		return true
	}
	s.lane.calls.calls[p][Waited].Add(1)
	return false
}

// ready is the instance with this stream open in it, or nil where the stream's instance, or the lane's, has failed: just
// now, by the fault that comes with it, or before.
func (s *stream) ready(p Phase) (*proxywasm.Instance, *Fault) {
	l := s.lane
	if l.current() == nil || s.lost || s.life != 0 && s.life != l.life {
		l.calls.calls[p][Absent].Add(1)
		return nil, nil
	}
	l.calls.begin(l.filter.host.options.Now)
	if s.life == 0 {
		err := l.instance.Open(&s.guest, s.x)
		if errors.Is(err, proxywasm.ErrTooManyStreams) {
			l.calls.end(p, Absent, l.filter.host.options.Now)
			return nil, nil
		}
		s.life = l.life
		if err != nil {
			return nil, s.fault(p, err)
		}
	}
	return l.instance, nil
}

// fault ends a call that failed.
func (s *stream) fault(p Phase, err error) *Fault {
	l := s.lane
	l.calls.end(p, Faulted, l.filter.host.options.Now)
	return l.fault(s, p, err)
}

// refusal is the policy's answer in the guest's place: for the fault of this call, or because there is nobody to call (nil).
func (s *stream) refusal(f *Fault) filters.Action {
	s.lost = true
	return s.lane.filter.refusal(s.x, f)
}

// outcome is what a callback's action comes to.
func (s *stream) outcome(p Phase, action filters.Action, err error) filters.Action {
	if err != nil {
		return s.refusal(s.fault(p, err))
	}
	l := s.lane
	l.calls.end(p, resultOf(l.instance, action), l.filter.host.options.Now)
	return action
}

// resultOf is how a call ended that did not fail.
func resultOf(in *proxywasm.Instance, action filters.Action) Result {
	switch did := in.Did(); {
	case did == proxywasm.Responded:
		return Responded
	case did == proxywasm.Aborted:
		return Aborted
	case action == filters.Pause:
		return Paused
	}
	return Continued
}
