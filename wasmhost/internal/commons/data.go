package commons

import "strings"

// entry is a value and the id of the write that made it. The group's lock guards both; the text itself never changes.
type entry struct {
	value string
	cas   uint32
}

// Get returns a value and the id to change it by. The key may be a view; the value is not.
func (m *Member) Get(key string) (value string, cas uint32, found bool) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.data[key]; e != nil {
		return e.value, e.cas, true
	}
	return "", 0, false
}

// Set writes a value; both texts are copied. Where cas is not 0, and the key has a value, it must be that value's id.
// Errors: ErrMismatch, ErrFull; nothing has changed then.
func (m *Member) Set(key string, value []byte, cas uint32) error {
	g := m.group
	if len(key) > MaxKey || len(value) > MaxValue {
		m.RefusedData.Add(1)
		return ErrFull
	}
	text := string(value)
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.data[key]
	size := g.bytes + len(value)
	if e != nil {
		size -= len(e.value)
	} else {
		size += len(key) + EntryBytes
	}
	switch {
	case e != nil && cas != 0 && cas != e.cas:
		return ErrMismatch
	case size > MaxBytes && size > g.bytes, e == nil && len(g.data) >= MaxEntries:
		m.RefusedData.Add(1)
		return ErrFull
	}
	g.bytes = size
	if e == nil { // and only then: assigning to a key that is there would put the view in the place of the copy
		e = &entry{}
		g.data[strings.Clone(key)] = e
	}
	e.value, e.cas = text, m.commons.nextCAS()
	return nil
}

// nextCAS gives the ids of writes: each once in 2^32, and never 0, which means none. Called with the group's lock, so
// that they rise with every write to a key.
func (c *Commons) nextCAS() uint32 {
	for {
		if id := c.cas.Add(1); id != 0 {
			return id
		}
	}
}
