package httpwasm

import (
	"errors"
	"fmt"

	"edge/filters"
	"edge/filters/message"
)

// Stream is a guest's part in one exchange. It pins an instance from Begin until Free says that it is not needed any
// more. The zero value is ready for Begin, and after End for another one. Its methods are the callbacks of a
// filters.Stream; an error from one means that the instance must be discarded and that a policy answers.
type Stream struct {
	x        filters.Exchange
	in       *Instance // while the stream needs it
	phase    phase
	features uint32
	reqCtx   uint32 // what handle_request gave for handle_response
	written  int    // bytes the guest has written into messages
	warned   bool
	answered bool // the guest has made a response of its own, and Responded has not said so yet
	ending   bool // there is no response, and there will be none
	need     int  // bytes the waiting guest wants; 0: it waits for the body's end

	sides [2]side
	made  made
	void  message.Fields // takes what has nowhere to go
	reply filters.Reply
}

// phase is how far the exchange has come.
//
//	asking ──next=1──► between ──response──► answering ──► over          asking ──next=0──► over
type phase uint8

const (
	asking    phase = iota // handle_request runs or waits
	between                // the exchange goes on; handle_response is to be called
	answering              // handle_response runs or waits
	over                   // the guest has nothing more to say
)

// side is one of the two messages' bodies.
type side struct {
	held     *message.Body // what has come, during a body callback of a guest that waits; the chain's
	read     int           // bytes of it that the guest has read
	end      bool          // all has come
	trailers bool          // and there were trailers
	none     bool          // the message has neither body nor trailers
	replaced bool          // out stands for the body that came
	given    bool          // and has been passed on
	out      []byte
}

// made is what handle_request has said about the response, before there is one.
type made struct {
	status  int // 0: nothing said
	header  message.Fields
	sets    message.Fields // names that were set, not added: the upstream's lines give way to them
	trailer message.Fields
	body    []byte
}

// ErrUndecided says that the exchange went on, or ended, without the guest that was waiting for more of a body. It is no
// fault of the guest's, but its instance cannot be used any more.
var ErrUndecided = errors.New("the guest was waiting for a body that nobody waits for any more")

// Begin makes the stream the one that in serves.
func (s *Stream) Begin(x filters.Exchange, in *Instance) {
	s.x, s.in = x, in
	s.phase, s.features, s.reqCtx, s.written, s.warned, s.ending = asking, in.features, 0, 0, false, false
	s.answered = false
	for d := range s.sides {
		s.sides[d] = side{out: kept(s.sides[d].out)}
	}
	s.made.status, s.made.body = 0, kept(s.made.body)
	s.made.header.Reset()
	s.made.sets.Reset()
	s.made.trailer.Reset()
}

func kept(b []byte) []byte {
	if cap(b) > keepBytes {
		return nil
	}
	return b[:0]
}

// Free says that the stream has no need of its instance any more.
func (s *Stream) Free() bool { return s.phase == over }

// Head is the head callback.
func (s *Stream) Head(d filters.Direction, end bool) (filters.Action, error) {
	side := &s.sides[d]
	side.end, side.none = end, end
	switch {
	case d == filters.Request:
		return s.went(d, s.in.begin(s, s.in.handleRequest, 0, 0))
	case s.phase == asking:
		return filters.Continue, ErrUndecided
	case s.phase != between:
		return filters.Continue, nil
	}
	s.phase = answering
	s.merge(&s.x.Response().Header)
	return s.went(d, s.in.begin(s, s.in.handleResponse, uint64(s.reqCtx), 0))
}

// Body is the body callback.
func (s *Stream) Body(d filters.Direction, held *message.Body, chunk []byte, end bool) (filters.Action, error) {
	side := &s.sides[d]
	if d == filters.Response && len(s.made.body) > 0 {
		held.Append(s.made.body)
		s.made.body = s.made.body[:0]
	}
	held.Append(chunk)
	side.end = side.end || end
	if !s.waits(d) {
		s.give(d, held)
		return filters.Continue, nil
	}
	if !side.end && (s.need == 0 || held.Len()-side.read < s.need) {
		return filters.Pause, nil
	}
	return s.resume(d, held)
}

// Trailers is the trailers callback.
func (s *Stream) Trailers(d filters.Direction) (filters.Action, error) {
	side := &s.sides[d]
	side.end, side.trailers = true, true
	if d == filters.Response {
		for k := range s.made.trailer.Len() {
			name, value := s.made.trailer.At(k)
			s.x.Response().Trailer.Add(name, value)
		}
	}
	held := s.x.Held(d)
	if d == filters.Response && len(s.made.body) > 0 && held != nil {
		held.Append(s.made.body)
		s.made.body = s.made.body[:0]
	}
	if s.waits(d) {
		return s.resume(d, held)
	}
	if held != nil {
		s.give(d, held)
	}
	return filters.Continue, nil
}

// End is the exchange's end. It returns nil where the instance can serve another; that of a stream that is Free it does
// not touch. A guest that still expects a response is told that there is none.
func (s *Stream) End() (err error) {
	switch s.phase {
	case asking, answering:
		err = ErrUndecided
	case between:
		for d := range s.sides {
			s.sides[d].end, s.sides[d].held, s.sides[d].trailers = true, nil, false
		}
		s.phase, s.ending = answering, true
		if s.in.begin(s, s.in.handleResponse, uint64(s.reqCtx), 1) {
			err = s.in.err
		} else {
			err = ErrUndecided
		}
	}
	s.phase = over
	s.x, s.in = nil, nil
	return err
}

// waits says whether the guest waits for the body of direction d.
func (s *Stream) waits(d filters.Direction) bool {
	return s.phase == asking && d == filters.Request || s.phase == answering && d == filters.Response
}

// resume lets the guest run on with what is held.
func (s *Stream) resume(d filters.Direction, held *message.Body) (filters.Action, error) {
	side := &s.sides[d]
	side.held = held
	action, err := s.went(d, s.in.step())
	side.held = nil
	if action == filters.Continue && err == nil && held != nil {
		s.give(d, held)
	}
	return action, err
}

// wait is where a host function waits for need bytes of a body, 0 for its end.
func (s *Stream) wait(need int) {
	s.need = need
	s.in.block()
}

// went is what comes after the guest has run in a callback of direction d.
func (s *Stream) went(d filters.Direction, returned bool) (filters.Action, error) {
	if !returned {
		if side := &s.sides[d]; side.held == nil {
			filters.HoldHead(s.x, d)
			return filters.Continue, nil // the head: its body comes only if it goes on
		}
		return filters.Pause, nil
	}
	if s.in.err != nil {
		return filters.Continue, s.in.err
	}
	if d == filters.Response {
		s.phase = over
		return filters.Continue, s.answer()
	}
	result := s.in.stack[0]
	s.reqCtx = uint32(result >> 32)
	if uint32(result) != 0 {
		s.phase = between
		return filters.Continue, nil
	}
	s.phase = over
	status := s.made.status
	if status == 0 {
		status = 200
	}
	return filters.Continue, s.respond(status, &s.made.header, s.made.body)
}

// answer brings into the response what its head alone cannot say: a body where none was, or none where one is.
func (s *Stream) answer() error {
	side, r := &s.sides[filters.Response], s.x.Response()
	body := s.made.body
	if side.replaced {
		body = side.out
	}
	switch empty := r.Status == 204 || r.Status == 304; {
	case side.none && len(body) > 0 && !empty:
		return s.respond(r.Status, &r.Header, body)
	case side.held != nil && empty:
		return s.respond(r.Status, &r.Header, nil)
	}
	return nil
}

// respond makes the guest's response the exchange's.
func (s *Stream) respond(status int, header *message.Fields, body []byte) error {
	s.reply = filters.Reply{Status: status, Header: s.reply.Header[:0], Body: body}
	for k := range header.Len() {
		name, value := header.At(k)
		s.reply.Header = append(s.reply.Header, [2]string{name, value})
	}
	if err := s.x.Respond(&s.reply); err != nil {
		return fmt.Errorf("the guest's response cannot be sent: %w", err)
	}
	s.made.body = s.made.body[:0]
	s.answered = true
	return nil
}

// Responded says, once, that the guest has answered the exchange itself.
func (s *Stream) Responded() (did bool) {
	did, s.answered = s.answered, false
	return did
}

// give puts what the guest has written, once, in the place of what has come.
func (s *Stream) give(d filters.Direction, held *message.Body) {
	side := &s.sides[d]
	if !side.replaced {
		return
	}
	if side.given {
		held.Reset(keepBytes)
		return
	}
	side.given = true
	held.Replace(0, held.Len(), side.out)
	side.out = kept(side.out)
}

// merge adds what handle_request has said about the response's header to the upstream's: a name that was set replaces the
// upstream's lines, one that was added joins them.
func (s *Stream) merge(header *message.Fields) {
	for k := range s.made.sets.Len() {
		name, _ := s.made.sets.At(k)
		header.Delete(name)
	}
	for k := range s.made.header.Len() {
		name, value := s.made.header.At(k)
		header.Add(name, value)
	}
}
