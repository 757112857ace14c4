package proxywasm

import (
	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/filters/message"
)

// Stream is a guest's part in one exchange: its context. The zero value is a stream that is not open. It belongs to the
// lane's holder, and may be used again once it has ended.
type Stream struct {
	x    filters.Exchange
	id   uint32
	held [2]*message.Body // during a body callback

	paused   [2]pause
	written  int // bytes the guest has written into the messages
	calls    [filters.MaxCalls]call
	asked    asked
	queued   bool // on Instance.touched
	nextDone *Stream
}

// call is one call to an upstream under way: the exchange's id and the guest's. Of one of gRPC the guest hears as long as its outbox is in
// Instance.outboxes.
type call struct {
	exchange, guest uint32
	kind            filters.CallKind
}

// asked is what the guest wants to happen once its callback has returned (1.6-5).
type asked struct {
	resume  [2]bool
	respond bool
	abort   bool
	reply   filters.Reply
	text    []byte // memory of reply
}

// pause is what a stream has paused on. On a head, or on trailers, the stream owns the message meanwhile; on a body it
// owns the body it holds and nothing else.
type pause uint8

const (
	running pause = iota
	onHead
	onBody
)

// Paused says whether the stream is paused in either direction.
func (s *Stream) Paused() bool { return s.paused != [2]pause{} }

// Open creates the stream's context in the guest. A stream is opened before its first callback, once.
func (i *Instance) Open(s *Stream, x filters.Exchange) error {
	*s = Stream{x: x, asked: s.asked}
	s.asked.reset()
	if !i.streams.add(s) {
		return ErrTooManyStreams
	}
	if i.exports.contextCreate == nil {
		return nil
	}
	i.begin(s)
	return i.call(i.exports.contextCreate, uint64(s.id), rootID)
}

// ErrTooManyStreams says that an instance has MaxStreams open.
var ErrTooManyStreams = tooMany{}

type tooMany struct{}

func (tooMany) Error() string { return "too many streams in one instance" }

// Head shows the guest a head.
func (i *Instance) Head(s *Stream, d filters.Direction, end bool) (filters.Action, error) {
	f := i.exports.requestHeaders
	if d == filters.Response {
		f = i.exports.responseHeaders
	}
	i.stack[1], i.stack[2] = uint64(s.fieldCount(d)), flag(end)
	return i.callback(s, d, f)
}

// Body shows the guest a piece of body, together with what it has held so far.
func (i *Instance) Body(s *Stream, d filters.Direction, held *message.Body, chunk []byte, end bool) (filters.Action, error) {
	f := i.exports.requestBody
	if d == filters.Response {
		f = i.exports.responseBody
	}
	held.Append(chunk)
	s.held[d] = held
	i.stack[1], i.stack[2] = uint64(held.Len()), flag(end)
	action, err := i.callback(s, d, f)
	s.held[d] = nil
	return action, err
}

// Trailers shows the guest the trailers.
func (i *Instance) Trailers(s *Stream, d filters.Direction) (filters.Action, error) {
	f, n := i.exports.requestTrailers, s.x.Request().Trailer.Len()
	if d == filters.Response {
		f, n = i.exports.responseTrailers, s.x.Response().Trailer.Len()
	}
	i.stack[1] = uint64(n)
	return i.callback(s, d, f)
}

// callback runs a callback that returns an action; its arguments after the context id are on the stack.
func (i *Instance) callback(s *Stream, d filters.Direction, f api.Function) (filters.Action, error) {
	if f == nil {
		return filters.Continue, nil
	}
	i.begin(s)
	i.stack[0] = uint64(s.id)
	if err := i.run(f); err != nil {
		i.forget()
		return filters.Continue, err
	}
	action := filters.Pause
	switch r := uint32(i.stack[0]); {
	case r == actionContinue, r > actionStopAllMark:
		action = filters.Continue
	case r == actionEndStream && s.held[d] == nil:
		action = filters.Continue
	}
	return i.settle(s, d, action), nil
}

// CallDone brings the answer of a call, nil where there is none. The callback runs in the root context.
func (i *Instance) CallDone(s *Stream, id uint32, answer *filters.CallAnswer) error {
	c := s.findCall(id)
	if c == nil {
		return nil
	}
	guest := *c
	if !answer.More() {
		*c = call{}
	}
	err := i.answered(s, guest, answer)
	if err != nil {
		i.forget()
		return err
	}
	i.settle(s, noDirection, filters.Continue)
	return nil
}

const noDirection filters.Direction = 2

// answered tells the guest how a call has ended, or what more has come of it.
func (i *Instance) answered(s *Stream, c call, answer *filters.CallAnswer) error {
	if c.kind != filters.HTTPCall {
		return i.grpcAnswered(s, c, answer)
	}
	return i.callResponse(s, c.guest, answer)
}

// callResponse runs proxy_on_http_call_response. s is the stream that carried the call, or nil once it has ended.
func (i *Instance) callResponse(s *Stream, guest uint32, answer *filters.CallAnswer) error {
	f := i.exports.callResponse
	if f == nil {
		return nil
	}
	i.begin(s)
	i.active = nil
	i.stack = [5]uint64{rootID, uint64(guest), 0, 0, 0}
	if answer != nil {
		i.stack[2] = 1
		if answer.Header != nil {
			i.stack[2] += uint64(answer.Header.Len())
		}
		i.stack[3] = uint64(len(answer.Body))
		if answer.Trailer != nil {
			i.stack[4] = uint64(answer.Trailer.Len())
		}
	}
	i.answer, i.unanswered = answer, answer == nil
	err := i.run(f)
	i.answer, i.unanswered = nil, false
	return err
}

// findCall finds a call under way, or nil.
func (s *Stream) findCall(exchange uint32) *call {
	for k := range s.calls {
		if c := &s.calls[k]; c.guest != 0 && c.exchange == exchange {
			return c
		}
	}
	return nil
}

// End ends the stream: proxy_on_done, proxy_on_log, proxy_on_delete, and after them an empty answer for each call still
// under way, so that the guest's SDK forgets it. What the guest asks for the stream itself comes too late and is dropped; for
// other streams it is done. After proxy_on_delete the context is gone, and cannot be made effective (W102).
func (i *Instance) End(s *Stream) error {
	i.unpause(s)
	err := i.last(s)
	i.streams.remove(s)
	i.begin(nil)
	for k := range s.calls {
		if c := s.calls[k]; c.guest != 0 && err == nil {
			err = i.answered(nil, c, nil)
		}
		s.calls[k] = call{}
	}
	s.asked.reset()
	if err != nil {
		i.forget()
	} else {
		i.settle(s, noDirection, filters.Continue)
	}
	s.x, s.id = nil, 0
	return err
}

func (i *Instance) last(s *Stream) error {
	i.begin(s)
	if f := i.exports.done; f != nil {
		if err := i.call(f, uint64(s.id)); err != nil {
			return err
		}
	}
	if f := i.exports.log; f != nil {
		if err := i.call(f, uint64(s.id)); err != nil {
			return err
		}
	}
	if f := i.exports.delete; f != nil {
		return i.call(f, uint64(s.id))
	}
	return nil
}

// Abandon answers, for every stream that the failed guest has paused, in its place: the stream goes on (open) or gets
// reply, and is woken; because is why, for the access log. Their later callbacks are the caller's to answer, and so is all of
// cur, whose callback failed.
func (i *Instance) Abandon(cur *Stream, open bool, reply *filters.Reply, because string) {
	i.forget()
	for _, s := range i.streams.slots {
		if s == nil {
			continue
		}
		paused := s.paused
		i.unpause(s)
		if s == cur {
			continue
		}
		switch {
		case paused == [2]pause{}:
		case open:
			for d, p := range paused {
				if p != running {
					s.x.Continue(filters.Direction(d))
				}
			}
		case s.x.Respond(reply) != nil:
			filters.Because(s.x, reply.Flag == filters.FlagLimit, because)
			s.x.Abort()
		}
		s.x.Wake()
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
