// Package headers is the native filter that removes, sets and adds fields of request and response heads, the same for
// every exchange.
package headers

import (
	"sync"

	"edge/filters"
	"edge/filters/message"
)

// filter is one configured headers filter.
type filter struct {
	name    string
	wants   filters.Callbacks
	changes [2]changes // by direction
}

// changes are made in this order, each in the order of names.
type changes struct {
	remove []string
	set    []field
	add    []field
}

// field is one line; its name is in lower case.
type field struct{ name, value string }

func (c *changes) none() bool { return len(c.remove)+len(c.set)+len(c.add) == 0 }

func (c *changes) apply(f *message.Fields) {
	for _, name := range c.remove {
		f.Delete(name)
	}
	for _, l := range c.set {
		f.Set(l.name, l.value)
	}
	for _, l := range c.add {
		f.Add(l.name, l.value)
	}
}

// Name is part of filters.Filter.
func (f *filter) Name() string { return f.name }

// Callbacks is part of filters.Filter.
func (f *filter) Callbacks() filters.Callbacks { return f.wants }

// Limits is part of filters.Filter. The filter holds nothing.
func (f *filter) Limits() filters.Limits { return filters.Limits{} }

// NewStream is part of filters.Filter.
func (f *filter) NewStream(x filters.Exchange) (s filters.Stream, failClosed bool) {
	st := streams.Get().(*stream)
	st.filter, st.x = f, x
	return st, true
}

// streams keeps streams between exchanges, so that an exchange allocates none.
var streams = sync.Pool{New: func() any { return new(stream) }}

// stream remembers whose heads to change.
type stream struct {
	filter *filter
	x      filters.Exchange
}

// Head is part of filters.Stream.
func (s *stream) Head(d filters.Direction, _ bool) filters.Action {
	header := &s.x.Request().Header
	if d == filters.Response {
		header = &s.x.Response().Header
	}
	s.filter.changes[d].apply(header)
	return filters.Continue
}

// Body is part of filters.Stream; Callbacks says that it is not called.
func (s *stream) Body(_ filters.Direction, held *message.Body, chunk []byte, _ bool) filters.Action {
	held.Append(chunk)
	return filters.Continue
}

// Trailers is part of filters.Stream; Callbacks says that it is not called.
func (s *stream) Trailers(filters.Direction) filters.Action { return filters.Continue }

// CallDone is part of filters.Stream; the filter makes no calls.
func (s *stream) CallDone(uint32, *filters.CallAnswer) filters.Action { return filters.Continue }

// Close is part of filters.Stream.
func (s *stream) Close() bool {
	*s = stream{}
	streams.Put(s)
	return true
}
