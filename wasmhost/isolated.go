package wasmhost

import (
	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/proxywasm"
)

// isolated is a Proxy-Wasm guest's part in one exchange where each stream has a state of its own. It pins an instance from its
// first callback to its end. It belongs to whoever runs the exchange's callbacks.
type isolated struct {
	place
	guest proxywasm.Stream
	in    *member // pinned, or nil
	open  bool    // guest is, in it
	lost  bool    // the policy has answered for it
}

var _ filters.Stream = (*isolated)(nil)

// Head implements filters.Stream.
func (s *isolated) Head(d filters.Direction, end bool) filters.Action {
	p := headOf(d)
	if !s.pin(p) {
		return filters.Wait
	}
	in, fault := s.ready(p)
	if in == nil {
		return s.refusal(fault)
	}
	action, err := in.Head(&s.guest, d, end)
	return s.outcome(p, action, err)
}

// Body implements filters.Stream.
func (s *isolated) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	p := headOf(d) + 1
	if !s.pin(p) {
		return filters.Wait
	}
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
func (s *isolated) Trailers(d filters.Direction) filters.Action {
	p := headOf(d) + 2
	if !s.pin(p) {
		return filters.Wait
	}
	filters.ShownAgain(s.x, d)
	in, fault := s.ready(p)
	if in == nil {
		return s.refusal(fault)
	}
	action, err := in.Trailers(&s.guest, d)
	return s.outcome(p, action, err)
}

// CallDone implements filters.Stream.
func (s *isolated) CallDone(id uint32, answer *filters.CallAnswer) filters.Action {
	if s.in == nil {
		return filters.Continue
	}
	in, _ := s.ready(CallDone)
	return s.outcome(CallDone, filters.Continue, in.CallDone(&s.guest, id, answer))
}

// Close implements filters.Stream. A stream that no callback was made of is opened for its end.
func (s *isolated) Close() (done bool) {
	if !s.pin(Close) {
		return false
	}
	if in, _ := s.ready(Close); in != nil {
		s.open = false
		if err := in.End(&s.guest); err != nil {
			s.fault(Close, err)
		} else {
			s.in.calls.end(Close, Continued, s.pool.filter.host.options.Now)
			s.pool.give(s.in)
			s.in = nil
		}
	}
	s.lost = false
	s.pool.unbind(&s.place)
	return true
}

// pin gets the stream an instance where it needs one. It returns false where the stream has to wait for it.
func (s *isolated) pin(p Phase) bool {
	if s.in != nil || s.lost {
		return true
	}
	var wait bool
	if s.in, wait = s.pool.take(&s.place); wait {
		s.pool.waits.calls[p][Waited].Add(1)
	}
	return !wait
}

// ready is the instance with this stream open in it, or nil where there is none: because it failed just now, by the fault that
// comes with it, or before, or because there was none to be had.
func (s *isolated) ready(p Phase) (*proxywasm.Instance, *Fault) {
	if s.in == nil {
		s.pool.waits.calls[p][Absent].Add(1)
		return nil, nil
	}
	s.in.calls.begin(s.pool.filter.host.options.Now)
	if !s.open {
		if err := s.in.proxy.Open(&s.guest, s.x); err != nil {
			return nil, s.fault(p, err)
		}
		s.open = true
	}
	return s.in.proxy, nil
}

// refusal is the policy's answer in the guest's place: for the fault of this call, or because there is nobody to call (nil).
func (s *isolated) refusal(f *Fault) filters.Action {
	s.lost = true
	return s.pool.filter.refusal(s.x, f)
}

// outcome is what a callback's action comes to.
func (s *isolated) outcome(p Phase, action filters.Action, err error) filters.Action {
	if err != nil {
		return s.refusal(s.fault(p, err))
	}
	s.in.calls.end(p, resultOf(s.in.proxy, action), s.pool.filter.host.options.Now)
	return action
}

// fault ends the stream's part after a call that failed.
func (s *isolated) fault(p Phase, err error) *Fault {
	in, f := s.in, s.pool.filter
	s.in, s.open, s.lost = nil, false, true
	in.calls.end(p, Faulted, f.host.options.Now)
	report := f.report(s.x, p, err, in.proxy)
	reply := report.reply()
	in.proxy.Abandon(&s.guest, f.spec.FailOpen, &reply, report.String())
	s.pool.discard(in, true)
	return report
}
