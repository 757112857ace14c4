package httpwasm

import (
	"errors"
	"fmt"

	"edge/filters"
)

func directionOf(kind uint64) filters.Direction {
	switch uint32(kind) {
	case bodyRequest:
		return filters.Request
	case bodyResponse:
		return filters.Response
	}
	panic(fmt.Errorf("body kind %d", uint32(kind)))
}

// readBody fills the guest's buffer, or gives what is left at the body's end. Where there is too little, it waits. Of a
// request's body in handle_response, and of a response's in handle_request, nothing is there.
func readBody(i *Instance, a []uint64) {
	s, d := i.stream, directionOf(a[0])
	limit := int(uint32(a[2]))
	if limit == 0 {
		panic(errors.New("read_body with buf_limit 0"))
	}
	i.read(a[1], a[2])
	if d == filters.Response && s.phase == answering {
		s.mustBuffer("read the response's body")
	}
	side := &s.sides[d]
	if !s.waits(d) {
		a[0] = 1 << 32
		return
	}
	for !side.end && (side.held == nil || side.held.Len()-side.read < limit) {
		s.wait(limit)
	}
	n := 0
	left := 0
	if side.held != nil {
		n = copy(i.read(a[1], a[2]), side.held.Bytes()[side.read:])
		side.read += n
		left = side.held.Len() - side.read
	}
	a[0] = uint64(n)
	if side.end && left == 0 {
		a[0] |= 1 << 32
	}
}

// writeBody overwrites a body with the first call of a handler, and appends to it with the others.
func writeBody(i *Instance, a []uint64) {
	s, d := i.stream, directionOf(a[0])
	data := i.read(a[1], a[2])
	side := &s.sides[d]
	to := &side.out
	switch {
	case d == filters.Request && s.phase != asking:
		panic(errors.New("the request's body was written after it had gone on"))
	case d == filters.Request && side.none:
		if len(data) > 0 {
			panic(errors.New("a request without a body cannot be given one"))
		}
		return
	case s.phase == asking && d == filters.Response:
		to = &s.made.body
	case d == filters.Response:
		s.mustBuffer("write the response's body")
		s.made.body = s.made.body[:0]
	}
	if len(*to)+len(data) > i.plugin.BodyLimit {
		panic(fmt.Errorf("the guest has written more than %d bytes of a body", i.plugin.BodyLimit))
	}
	side.replaced = side.replaced || to == &side.out
	*to = append(*to, data...)
}

// mustBuffer is a trap where the response is not the guest's to see whole or to change.
func (s *Stream) mustBuffer(what string) {
	if s.features&featureBufferResponse == 0 {
		panic(fmt.Errorf("cannot %s after the exchange went on without buffer_response", what))
	}
}
