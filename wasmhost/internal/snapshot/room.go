package snapshot

import "github.com/tetratelabs/wazero/experimental"

// Room is where one instance's linear memory lives. It is an experimental.MemoryAllocator, to be given to the instantiation,
// and differs from wazero's own memory in that it can go back to a size it had: see [State.Restore]. It belongs to whoever may
// call the instance.
type Room struct {
	bytes []byte // the guest's memory
	dirty int    // bytes from the start of bytes' array that a guest may have written
	back  int    // more than 0: the next Reallocate makes it this long, whatever it asks for
}

// spareBytes is how much more than it needs a Room keeps when it goes back to an earlier size.
const spareBytes = 8 << 20

var _ experimental.MemoryAllocator = (*Room)(nil)

// Allocate implements experimental.MemoryAllocator: an instance has one memory.
func (r *Room) Allocate(_, _ uint64) experimental.LinearMemory { return r }

// Reallocate implements experimental.LinearMemory. What comes anew is zero.
func (r *Room) Reallocate(size uint64) []byte {
	n, had := int(size), len(r.bytes)
	switch {
	case r.back > 0:
		n, r.back = r.back, 0
		if cap(r.bytes) > n+spareBytes {
			r.bytes, r.dirty = append(make([]byte, 0, n), r.bytes[:n]...), n
		}
		r.bytes = r.bytes[:n]
		return r.bytes
	case n <= cap(r.bytes):
		r.bytes = r.bytes[:n]
		clear(r.bytes[had:max(had, min(n, r.dirty))])
	default:
		r.bytes = append(r.bytes, make([]byte, n-had)...) // in one step, which touches each new page once
		r.dirty = 0
	}
	r.dirty = max(r.dirty, n)
	return r.bytes
}

// Free implements experimental.LinearMemory. The instance is closed by then; the memory is the collector's, so that a view of
// it that somebody still has does no harm.
func (r *Room) Free() { r.bytes = nil }
