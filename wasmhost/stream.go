package wasmhost

import (
	"errors"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/proxywasm"
)

// stream is a guest's part in one exchange, bound to a lane for life. Its lane keeps it for use by another exchange.
type stream struct {
	lane *lane
	x    filters.Exchange

	// The holder's.
	guest    proxywasm.Stream
	instance *proxywasm.Instance // where guest is open, or nil
	lost     bool                // the policy has answered for it

	// Guarded by lane.mu.
	before, after *stream // in the line
	inLine        bool
	next          *stream // among the spares
}

var _ filters.Stream = (*stream)(nil)

// Head implements filters.Stream.
func (s *stream) Head(d filters.Direction, end bool) filters.Action {
	if !s.lane.enter(s) {
		return filters.Wait
	}
	defer s.lane.leave()
	in := s.ready()
	if in == nil {
		return s.refusal()
	}
	action, err := in.Head(&s.guest, d, end)
	return s.outcome(action, err)
}

// Body implements filters.Stream.
func (s *stream) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	if !s.lane.enter(s) {
		return filters.Wait
	}
	defer s.lane.leave()
	filters.ShownAgain(s.x, d)
	in := s.ready()
	if in == nil {
		held.Append(chunk)
		return s.refusal()
	}
	action, err := in.Body(&s.guest, d, held, chunk, end)
	return s.outcome(action, err)
}

// Trailers implements filters.Stream.
func (s *stream) Trailers(d filters.Direction) filters.Action {
	if !s.lane.enter(s) {
		return filters.Wait
	}
	defer s.lane.leave()
	filters.ShownAgain(s.x, d)
	in := s.ready()
	if in == nil {
		return s.refusal()
	}
	action, err := in.Trailers(&s.guest, d)
	return s.outcome(action, err)
}

// CallDone implements filters.Stream.
func (s *stream) CallDone(id uint32, answer *filters.CallAnswer) filters.Action {
	if !s.lane.enter(s) {
		return filters.Wait
	}
	defer s.lane.leave()
	if in := s.ready(); in != nil {
		return s.outcome(filters.Continue, in.CallDone(&s.guest, id, answer))
	}
	return filters.Continue
}

// Close implements filters.Stream.
func (s *stream) Close() (done bool) {
	if !s.lane.enter(s) {
		return false
	}
	if in := s.ready(); in != nil {
		if err := in.End(&s.guest); err != nil {
			s.lane.fault(s, err)
		} else {
			s.lane.counters.memory.Store(int64(in.MemoryBytes()))
		}
	}
	s.lane.unbind(s)
	return true
}

// ready is the instance with this stream open in it, or nil where the stream's instance, or the lane's, has failed.
func (s *stream) ready() *proxywasm.Instance {
	l := s.lane
	l.counters.calls.Add(1)
	if l.instance == nil {
		l.instance = l.fresh.Swap(nil)
	}
	if l.instance == nil || s.lost || s.instance != nil && s.instance != l.instance {
		return nil
	}
	if s.instance == nil {
		err := l.instance.Open(&s.guest, s.x)
		if errors.Is(err, proxywasm.ErrTooManyStreams) {
			return nil
		}
		s.instance = l.instance
		if err != nil {
			l.fault(s, err)
			return nil
		}
	}
	return l.instance
}

// refusal is the policy's answer in the guest's place.
func (s *stream) refusal() filters.Action {
	s.lost = true
	if s.lane.filter.spec.FailOpen {
		return filters.Skip
	}
	return filters.Fail
}

// outcome is what a callback's action comes to.
func (s *stream) outcome(action filters.Action, err error) filters.Action {
	if err != nil {
		s.lane.fault(s, err)
		return s.refusal()
	}
	return action
}
