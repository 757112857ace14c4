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
	place
	guest httpwasm.Stream
	in    *member // pinned, or nil
	begun bool    // the guest has been shown the request
	lost  bool    // the policy has answered for it
}

var _ filters.Stream = (*handler)(nil)

// Head implements filters.Stream. A response to a request that the guest has not seen, because another filter answered
// it, goes by.
func (h *handler) Head(d filters.Direction, end bool) filters.Action {
	if d == filters.Request {
		in, wait := h.pool.take(&h.place)
		if in == nil {
			if wait {
				h.pool.waits.calls[RequestHead][Waited].Add(1)
				return filters.Wait
			}
			h.pool.waits.calls[RequestHead][Absent].Add(1)
			return h.refusal(nil)
		}
		h.in, h.begun = in, true
		h.guest.Begin(h.x, in.handler)
	}
	if !h.begun || h.lost {
		return filters.Continue
	}
	h.timed()
	action, err := h.guest.Head(d, end)
	return h.outcome(headOf(d), action, err)
}

// Body implements filters.Stream.
func (h *handler) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) filters.Action {
	if !h.begun || h.lost {
		held.Append(chunk)
		return filters.Continue
	}
	h.timed()
	action, err := h.guest.Body(d, held, chunk, end)
	return h.outcome(headOf(d)+1, action, err)
}

// Trailers implements filters.Stream.
func (h *handler) Trailers(d filters.Direction) filters.Action {
	if !h.begun || h.lost {
		return filters.Continue
	}
	h.timed()
	action, err := h.guest.Trailers(d)
	return h.outcome(headOf(d)+2, action, err)
}

// CallDone implements filters.Stream: the ABI has no call-outs.
func (h *handler) CallDone(uint32, *filters.CallAnswer) filters.Action { return filters.Continue }

// Close implements filters.Stream.
func (h *handler) Close() (done bool) {
	if h.in != nil {
		h.timed()
		err := h.guest.End()
		if errors.Is(err, httpwasm.ErrUndecided) {
			h.release(err)
		} else {
			h.outcome(Close, filters.Continue, err)
		}
	}
	h.begun, h.lost = false, false
	h.pool.unbind(&h.place)
	return true
}

// timed has the call that begins timed where it is its turn.
func (h *handler) timed() {
	if h.in != nil {
		h.in.calls.begin(h.pool.filter.host.options.Now)
	}
}

// outcome is what a callback's action comes to. The instance goes back as soon as the guest has nothing more to say.
func (h *handler) outcome(p Phase, action filters.Action, err error) filters.Action {
	if h.in == nil {
		return action // the guest had said its last before
	}
	result := Continued
	switch {
	case err != nil:
		result = Faulted
	case h.guest.Responded():
		result = Responded
	case action == filters.Pause:
		result = Paused
	}
	h.in.calls.end(p, result, h.pool.filter.host.options.Now)
	if err == nil {
		if h.guest.Free() {
			h.release(nil)
		}
		return action
	}
	if errors.Is(err, httpwasm.ErrUndecided) {
		h.release(err)
		return h.refusal(nil)
	}
	in := h.in
	h.in = nil
	f := h.pool.filter.report(h.x, p, err, in.handler)
	h.pool.discard(in, true)
	return h.refusal(f)
}

// release gives the instance back, or discards it where the guest was still waiting for something.
func (h *handler) release(err error) {
	in := h.in
	h.in = nil
	if err == nil {
		h.pool.give(in)
	} else {
		h.pool.discard(in, false)
	}
}

// refusal is the policy's answer in the guest's place: for the fault of this call, or because there is nobody to call (nil).
func (h *handler) refusal(f *Fault) filters.Action {
	h.lost = true
	return h.pool.filter.refusal(h.x, f)
}
