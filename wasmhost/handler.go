package wasmhost

import (
	"errors"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/httpwasm"
)

// handler is an http-wasm guest's part in one exchange. It belongs to whoever runs the exchange's callbacks; its pool
// keeps it for use by another exchange.
type handler struct {
	pool  *pool
	x     filters.Exchange
	guest httpwasm.Stream
	in    *member // pinned, or nil
	begun bool    // the guest has been shown the request
	lost  bool    // the policy has answered for it

	// Guarded by pool.mu.
	granted *member // handed over while this waited
	waits   bool
	refused bool
}

var _ filters.Stream = (*handler)(nil)

// Head implements filters.Stream. A response to a request that the guest has not seen, because another filter answered
// it, goes by.
func (h *handler) Head(d filters.Direction, end bool) filters.Action {
	if d == filters.Request {
		in, wait := h.pool.take(h)
		if in == nil {
			if wait {
				return filters.Wait
			}
			return h.refusal()
		}
		h.in, h.begun = in, true
		h.guest.Begin(h.x, in.Instance)
	}
	if !h.begun || h.lost {
		return filters.Continue
	}
	action, err := h.guest.Head(d, end)
	return h.outcome(action, err)
}

// Body implements filters.Stream.
func (h *handler) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	if !h.begun || h.lost {
		held.Append(chunk)
		return filters.Continue
	}
	action, err := h.guest.Body(d, held, chunk, end)
	return h.outcome(action, err)
}

// Trailers implements filters.Stream.
func (h *handler) Trailers(d filters.Direction) filters.Action {
	if !h.begun || h.lost {
		return filters.Continue
	}
	action, err := h.guest.Trailers(d)
	return h.outcome(action, err)
}

// CallDone implements filters.Stream: the ABI has no call-outs.
func (h *handler) CallDone(uint32, *filters.CallAnswer) filters.Action { return filters.Continue }

// Close implements filters.Stream.
func (h *handler) Close() (done bool) {
	if h.in != nil {
		h.release(h.guest.End())
	}
	h.begun = false
	h.pool.unbind(h)
	return true
}

// outcome is what a callback's action comes to. The instance goes back as soon as the guest has nothing more to say.
func (h *handler) outcome(action filters.Action, err error) filters.Action {
	h.pool.counters.calls.Add(1)
	if err == nil {
		if h.in != nil && h.guest.Free() {
			h.release(nil)
		}
		return action
	}
	h.release(err)
	return h.refusal()
}

// release gives the instance back, or discards it after an error.
func (h *handler) release(err error) {
	in, l := h.in, h.pool
	h.in = nil
	if err == nil {
		l.give(in)
		return
	}
	abandoned := errors.Is(err, httpwasm.ErrUndecided)
	if !abandoned {
		f := l.filter
		f.faults[causeOf(err)].Add(1)
		f.host.options.Log(f.spec.Name, filters.Error, "the guest failed: "+brief(err))
	}
	l.discard(in, !abandoned)
}

// refusal is the policy's answer in the guest's place.
func (h *handler) refusal() filters.Action {
	h.lost = true
	if h.pool.filter.spec.FailOpen {
		return filters.Skip
	}
	return filters.Fail
}
