package httpwasm

import (
	"errors"
	"fmt"
	"strings"

	"edge/filters"
	"edge/filters/message"
)

// readable finds the map of a kind. Trailers come after the body, so asking for them waits for its end.
func (s *Stream) readable(kind uint32) *message.Fields {
	switch kind {
	case kindRequest:
		return &s.x.Request().Header
	case kindResponse:
		if s.phase == asking {
			return &s.made.header
		}
		if s.ending {
			return &s.void
		}
		return &s.x.Response().Header
	case kindRequestTrailers:
		return s.trailers(filters.Request, &s.x.Request().Trailer)
	case kindResponseTrailers:
		if s.phase == asking {
			return &s.made.trailer
		}
		return s.trailers(filters.Response, &s.x.Response().Trailer)
	}
	panic(fmt.Errorf("header kind %d", kind))
}

// trailers returns void where the message has none, and without the feature, as if it had none.
func (s *Stream) trailers(d filters.Direction, there *message.Fields) *message.Fields {
	if s.features&featureTrailers == 0 {
		return &s.void
	}
	side := &s.sides[d]
	for s.waits(d) && !side.end {
		s.wait(0)
	}
	if side.trailers {
		return there
	}
	return &s.void
}

// writable finds the map of a kind for a change of n bytes, or traps. What is written to void is dropped.
func (s *Stream) writable(kind uint32, n int) *message.Fields {
	if s.written += n; s.written > MaxMutationBytes {
		panic(fmt.Errorf("the guest has written more than %d bytes into one exchange", MaxMutationBytes))
	}
	d := filters.Direction(kind & 1) // the kinds take turns
	switch {
	case d == filters.Request && s.phase != asking:
		panic(errors.New("the request was changed after it had gone on"))
	case d == filters.Response && s.phase == answering:
		s.mustBuffer("change the response")
	}
	if (kind == kindRequestTrailers || kind == kindResponseTrailers) && s.features&featureTrailers == 0 {
		panic(errors.New("trailers were changed without the feature"))
	}
	f := s.readable(kind)
	if f == &s.void && !s.warned && !s.ending {
		s.warned = true
		s.x.Log(filters.Warn, "trailers cannot be given to a message that has none; they are dropped")
	}
	if f.Len() >= MaxFields {
		panic(fmt.Errorf("the guest has made more than %d fields", MaxFields))
	}
	return f
}

// name reads a field name. The view is good until guest code runs.
func (i *Instance) name(at, n uint64) string {
	if uint32(n) == 0 {
		panic(errors.New("an empty field name"))
	}
	return i.readString(at, n)
}

// field reads a name and a value to be written, and says whether it is one that the guest decides on: fields of the
// connection and of framing are the codecs' alone (W99), and what guests write in them is ignored.
func (i *Instance) field(a []uint64) (name, value string, own bool) {
	name, value = i.name(a[1], a[2]), trim(i.readString(a[3], a[4]))
	if !message.ValidName(name) || !message.ValidValue(value) {
		panic(fmt.Errorf("%q is not a valid field", name[:min(len(name), 64)]))
	}
	return name, value, !codecs(name)
}

func codecs(name string) bool {
	const longest = 32 // more than any of those names
	if len(name) > longest {
		return false
	}
	var lower [longest]byte
	for k := range len(name) {
		lower[k] = name[k]
		if c := name[k]; 'A' <= c && c <= 'Z' {
			lower[k] = c | 0x20
		}
	}
	low := text(lower[:len(name)])
	return filters.Framing(low) || low == "content-length"
}

func isHost(kind uint32, name string) bool {
	return kind == kindRequest && strings.EqualFold(name, "host")
}

func getHeaderNames(i *Instance, a []uint64) {
	kind := uint32(a[0])
	f := i.stream.readable(kind)
	out, count := i.scratch[:0], uint64(0)
	if kind == kindRequest && i.stream.x.Request().Authority != "" {
		out, count = append(out, "host\x00"...), 1
	}
	for k := range f.Len() {
		name, _ := f.At(k)
		if seen(f, name, k) {
			continue
		}
		out, count = append(append(out, name...), 0), count+1
	}
	i.scratch = out
	a[0] = count<<32 | i.give(text(out), a[1], a[2])
}

// seen says whether a line before line k has the same name.
func seen(f *message.Fields, name string, k int) bool {
	for j := range k {
		if other, _ := f.At(j); other == name {
			return true
		}
	}
	return false
}

func getHeaderValues(i *Instance, a []uint64) {
	kind := uint32(a[0])
	f := i.stream.readable(kind)
	name := i.name(a[1], a[2])
	out, count := i.scratch[:0], uint64(0)
	if isHost(kind, name) {
		out, count = append(append(out, i.stream.x.Request().Authority...), 0), 1
	}
	for k := range f.Len() {
		if other, value := f.At(k); strings.EqualFold(other, name) {
			out, count = append(append(out, value...), 0), count+1
		}
	}
	i.scratch = out
	a[0] = count<<32 | i.give(text(out), a[3], a[4])
}

func setHeaderValue(i *Instance, a []uint64) { i.change(a, true) }
func addHeaderValue(i *Instance, a []uint64) { i.change(a, false) }

// change sets or adds. A request's host is its authority, of which there is one.
func (i *Instance) change(a []uint64, set bool) {
	s, kind := i.stream, uint32(a[0])
	f := s.writable(kind, int(uint32(a[2]))+int(uint32(a[4])))
	name, value, own := i.field(a)
	switch {
	case f == &s.void:
	case isHost(kind, name):
		s.setAuthority(value)
	case !own:
	case set:
		f.Set(name, value)
		if f == &s.made.header {
			s.made.sets.Set(name, "")
		}
	default:
		f.Add(name, value)
	}
}

func removeHeader(i *Instance, a []uint64) {
	f := i.stream.writable(uint32(a[0]), int(uint32(a[2])))
	if name := i.name(a[1], a[2]); !codecs(name) {
		f.Delete(name)
	}
}

func trim(s string) string { return strings.Trim(s, " \t") }
