package wasmhost

import (
	"edge/filters"
	"edge/wasmhost/httpwasm"
	"edge/wasmhost/proxywasm"
)

// place is a stream's part in its pool: by it the stream waits for an instance. The pool keeps it, with its stream, for use by
// another exchange.
type place struct {
	pool   *pool
	stream filters.Stream // the place's own
	x      filters.Exchange

	// Guarded by pool.mu.
	granted *member // handed over while this waited
	waits   bool
	refused bool
}

// newPlace makes a stream for a pool.
func newPlace(l *pool) *place {
	if l.plugin != nil {
		h := &handler{}
		h.place = place{pool: l, stream: h}
		return &h.place
	}
	s := &isolated{}
	s.place = place{pool: l, stream: s}
	return &s.place
}

// Forgo implements filters.Waiting.
func (s *place) Forgo() {
	s.pool.mu.Lock()
	s.pool.leaveLine(s)
	s.pool.mu.Unlock()
}

// member is an instance of a pool, of one ABI or the other.
type member struct {
	proxy   *proxywasm.Instance
	handler *httpwasm.Instance
	bytes   int64 // of its memory, as counted
	calls   *callCounts
}

func (m *member) memoryBytes() int {
	if m.proxy != nil {
		return m.proxy.MemoryBytes()
	}
	return m.handler.MemoryBytes()
}

func (m *member) discard() {
	if m.proxy != nil {
		m.proxy.Discard()
	} else {
		m.handler.Discard()
	}
}

// shot is a filter's snapshot, of one ABI or the other. The zero value is none.
type shot struct {
	proxy   *proxywasm.Snapshot
	handler *httpwasm.Snapshot
}

func (s shot) taken() bool { return s != shot{} }

func (s shot) bytes() int {
	switch {
	case s.proxy != nil:
		return s.proxy.Bytes()
	case s.handler != nil:
		return s.handler.Bytes()
	}
	return 0
}

// take takes a snapshot of an instance.
func (m *member) take() (s shot, err error) {
	if m.proxy != nil {
		s.proxy, err = m.proxy.Snapshot()
	} else {
		s.handler, err = m.handler.Snapshot()
	}
	return s, err
}

// restore brings an instance to the snapshot, if there is one and that can be.
func (m *member) restore(s shot) bool {
	switch {
	case s.proxy != nil:
		return m.proxy.Restore(s.proxy)
	case s.handler != nil:
		return m.handler.Restore(s.handler)
	}
	return false
}
