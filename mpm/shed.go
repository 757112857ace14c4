package mpm

import (
	"cmp"
	"slices"

	"edge/mpm/internal/state"
)

// shedAtOnce is how many idle connections a poller ends at most when accept runs out of descriptors (E4).
const shedAtOnce = 32

// endIdle asks idle connections to go: as many as accept needs descriptors for (E4), or all of them when the engine stops: then
// those that are busy too, since they may become idle this moment.
func (p *poller) endIdle() {
	want := p.shed.Swap(0)
	if want <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine.endingAt(stopping) {
		for i := range p.slots {
			if s := p.slots[i].src; s != nil && s.conn != nil {
				p.queue(s.conn, state.Shed)
			}
		}
		return
	}
	for _, c := range p.longestIdle(int(want)) {
		p.queue(c, state.Shed)
	}
}

// longestIdle picks idle connections, those first whose deadline comes first, and at most half of them: among the others may be one
// whose request is on its way. The caller holds p.mu.
func (p *poller) longestIdle(most int) []*Conn {
	var idle []*Conn
	for i := range p.slots {
		s := p.slots[i].src
		if s == nil || s.conn == nil {
			continue
		}
		if _, phase := s.conn.word.Look(); Phase(phase) == PhaseKeepAlive {
			idle = append(idle, s.conn)
		}
	}
	slices.SortFunc(idle, func(a, b *Conn) int { return cmp.Compare(a.deadline.Load(), b.deadline.Load()) })
	return idle[:min(most, (len(idle)+1)/2)]
}
