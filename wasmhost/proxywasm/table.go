package proxywasm

// streamTable finds a stream by its context id: open addressing with linear probing, keyed by id, at most half full.
// Ids rise by one, so that an id names one stream for as long as 2^31 streams last, and a guest that kept an old one
// reaches nobody else's. It allocates only to grow. Owned by the lane's holder, like all of an Instance.
type streamTable struct {
	slots []*Stream
	n     int
	last  uint32 // the id given last
}

const minTable = 16

func (t *streamTable) at(id uint32) int { return int(id) & (len(t.slots) - 1) }

func (t *streamTable) find(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	for k := t.at(id); t.slots[k] != nil; k = (k + 1) & (len(t.slots) - 1) {
		if t.slots[k].id == id {
			return t.slots[k]
		}
	}
	return nil
}

// add gives s an id and keeps it. It returns false where MaxStreams are there.
func (t *streamTable) add(s *Stream) bool {
	if t.n >= MaxStreams {
		return false
	}
	if 2*(t.n+1) > len(t.slots) {
		t.grow()
	}
	for {
		t.last++
		if t.last < firstStream || t.last > 1<<31-1 {
			t.last = firstStream
		}
		if t.find(t.last) == nil {
			break
		}
	}
	s.id = t.last
	t.put(s)
	t.n++
	return true
}

func (t *streamTable) put(s *Stream) {
	k := t.at(s.id)
	for t.slots[k] != nil {
		k = (k + 1) & (len(t.slots) - 1)
	}
	t.slots[k] = s
}

func (t *streamTable) grow() {
	old := t.slots
	t.slots = make([]*Stream, max(minTable, 2*len(old)))
	for _, s := range old {
		if s != nil {
			t.put(s)
		}
	}
}

// remove takes s out and moves back whatever had been pushed past its place.
func (t *streamTable) remove(s *Stream) {
	mask := len(t.slots) - 1
	k := t.at(s.id)
	for t.slots[k] != s {
		if t.slots[k] == nil {
			return
		}
		k = (k + 1) & mask
	}
	t.n--
	hole := k
	for next := (hole + 1) & mask; t.slots[next] != nil; next = (next + 1) & mask {
		home := t.at(t.slots[next].id)
		if (next-home)&mask >= (next-hole)&mask {
			t.slots[hole] = t.slots[next]
			hole = next
		}
	}
	t.slots[hole] = nil
}

// clear takes out all. Ids go on from where they were.
func (t *streamTable) clear() {
	if t.n > 0 {
		clear(t.slots)
		t.n = 0
	}
}
