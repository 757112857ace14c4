package meter

// helpers are the functions that a rewritten module has besides its own. Functions are numbered
//
//	imports · edge.yield · the guest's own · slow · a thunk for each import · the wanted ones of the others
//
// A thunk pays for a host call and makes it. It stands in for its import everywhere but in the exports, so that a call
// through a table is paid for too.
type helpers struct {
	elements, fill, copy helper
	init                 []segment // in the order in which they are wanted

	slow, thunks uint32 // indices
}

type helper struct {
	wanted bool
	index  uint32
}

// segment is the helper of memory.init for one data segment.
type segment struct{ data, index uint32 }

func (h *helpers) wantInit(data uint32) {
	for _, s := range h.init {
		if s.data == data {
			return
		}
	}
	h.init = append(h.init, segment{data: data})
}

func (h *helpers) initOf(data uint32) uint32 {
	for _, s := range h.init {
		if s.data == data {
			return s.index
		}
	}
	return 0
}

// number gives the helpers their indices, from the first one after the guest's own functions. The result is how many
// there are.
func (m *parsed) number() (n uint32) {
	h := &m.helpers
	first := m.functionCount() + 1
	next := first
	take := func() uint32 { next++; return next - 1 }
	h.slow = take()
	h.thunks = next
	next += uint32(len(m.imports))
	for _, one := range []*helper{&h.elements, &h.fill, &h.copy} {
		if one.wanted {
			one.index = take()
		}
	}
	for k := range h.init {
		h.init[k].index = take()
	}
	return next - first
}

// moved is where a function of the original is to be found by code, elements and the start section.
func (m *parsed) moved(index uint32) uint32 {
	if m.imported(index) {
		return m.helpers.thunks + index
	}
	return index + 1
}

// Types that are added after the guest's.
const (
	typeYield  = iota // (i32) → i32
	typeSlow          // (i32)
	typeBulk          // (i32, i32, i32)
	addedTypes        // how many
)

// helperTypes are the helpers' types, in the order of their indices.
func (m *parsed) helperTypes() (types []uint32) {
	first, h := uint32(len(m.types)), &m.helpers
	types = append(types, first+typeSlow)
	types = append(types, m.imports...)
	if h.elements.wanted {
		types = append(types, first+typeYield)
	}
	for _, one := range []helper{h.fill, h.copy} {
		if one.wanted {
			types = append(types, first+typeBulk)
		}
	}
	for range h.init {
		types = append(types, first+typeBulk)
	}
	return types
}

// helperBodies are the helpers' bodies, in the same order.
func (m *parsed) helperBodies() (bodies [][]byte) {
	h := &m.helpers
	add := func(a *assembler) { bodies = append(bodies, a.op(opEnd).b) }

	// slow asks the host for fuel: its parameter is what the host gets.
	add(m.assemble().local(opLocalGet, 0).index(opCall, uint32(len(m.imports))).index(opGlobalSet, m.fuel()))
	for k, t := range m.imports {
		a := m.assemble().check(hostCallTicks)
		for p := range m.types[t].params {
			a.local(opLocalGet, uint32(p))
		}
		add(a.index(opCall, uint32(k)))
	}
	if h.elements.wanted {
		a := m.assemble().fuelLess(func(a *assembler) { a.local(opLocalGet, 0).i32(elementShift).op(opI32ShrU) })
		add(a.refill().local(opLocalGet, 0))
	}
	if h.fill.wanted {
		add(m.inPieces(func(a *assembler) { a.outside(0) },
			func(a *assembler) { a.args().i32(bulkPiece).misc(miscMemoryFill, 0).forward(0) },
			func(a *assembler) { a.args().local(opLocalGet, 2).misc(miscMemoryFill, 0) }))
	}
	if h.copy.wanted {
		add(m.inPieces(func(a *assembler) { a.outside(0).outside(1) },
			func(a *assembler) {
				a.local(opLocalGet, 0).local(opLocalGet, 1).op(opI32LeU).op(opIf, blockVoid)
				a.args().i32(bulkPiece).misc(miscMemoryCopy, 0, 0).forward(0).forward(1)
				a.op(opElse)
				for p := range uint32(2) {
					a.local(opLocalGet, p).local(opLocalGet, 2).op(opI32Add).i32(bulkPiece).op(opI32Sub)
				}
				a.i32(bulkPiece).misc(miscMemoryCopy, 0, 0).op(opEnd)
			},
			func(a *assembler) { a.args().local(opLocalGet, 2).misc(miscMemoryCopy, 0, 0) }))
	}
	for _, s := range h.init {
		add(m.inPieces(func(a *assembler) { a.outside(0).beyond(1, m.data[s.data]) },
			func(a *assembler) { a.args().i32(bulkPiece).misc(miscMemoryInit, s.data, 0).forward(0).forward(1) },
			func(a *assembler) { a.args().local(opLocalGet, 2).misc(miscMemoryInit, s.data, 0) }))
	}
	return bodies
}

// inPieces is a helper of three parameters, the last of which is a number of bytes. While there are more than bulkPiece,
// and guard, which branches to label 1 where they are not all within bounds, lets it, it pays for a piece and handles
// it; then it pays for the rest, and last handles that, or traps as the original would: without having written anything.
func (m *parsed) inPieces(guard, piece, last func(*assembler)) *assembler {
	a := m.assemble().op(opBlock, blockVoid).op(opLoop, blockVoid)
	a.local(opLocalGet, 2).i32(bulkPiece).op(opI32LeU).index(opBrIf, 1)
	guard(a)
	a.check(bulkPiece >> bulkShift)
	piece(a)
	a.local(opLocalGet, 2).i32(bulkPiece).op(opI32Sub).local(opLocalSet, 2)
	a.index(opBr, 0).op(opEnd).op(opEnd)
	a.fuelLess(func(a *assembler) { a.local(opLocalGet, 2).i32(bulkShift).op(opI32ShrU).i32(1).op(opI32Add) }).refill()
	last(a)
	return a
}
