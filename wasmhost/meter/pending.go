package meter

// walk goes through a function's code and finds where it must be edited.
//
// pending is the most that any path to the present place has executed since it was last paid for, in units. A branch
// carries it to its label: the ends of blocks take the greatest of those that meet there, a loop's header must pay for
// whatever comes back to it, and the function's end for what leaves it, in advance. What is pending before a loop is paid
// there, so that the header need not pay for it at each turn. Code that cannot be reached has nothing pending.
type walk struct {
	m       *parsed
	f       *function
	r       reader
	labels  []label
	pending int
	total   int // units of the whole function
	work    int
	loops   []int  // the labels of those around the present place
	jumps   []jump // branches out of the innermost of them
	scan    bool   // find out only whether it is a small leaf
}

type label struct {
	op     byte
	arity  int // values that a branch to it carries
	met    int // the most that branches have brought to it
	before int // pending where an if began

	// Of a loop.
	edit  int  // its header
	start int  // where it begins
	body  int  // where its body does
	work  int  // the walk's before it
	jumps int  // the walk's before it
	bare  bool // it takes and leaves no values
}

// code walks a function. What it finds is in w.f.
func (w *walk) code() error {
	r := &w.r
	w.labels = append(w.labels[:0], label{op: opEnd, arity: w.m.types[w.f.signature].results})
	for r.ok() && len(w.labels) > 0 {
		start := r.at
		op := r.byte()
		if !r.ok() {
			break
		}
		w.instruction(op, start)
		if w.pending > maxPending && len(w.labels) > 0 {
			w.add(edit{at: r.at, kind: editCheck, arg: ticks(w.pending)})
			w.work += w.m.mutable
			w.pending = 0
		}
		if w.work > MaxFunctionWork {
			return unsupported("a function with too many calls and blocks for its locals, results and the module's globals")
		}
	}
	return r.end("a function")
}

func (w *walk) cost(units int) {
	w.pending += units
	w.total += units
}

func (w *walk) add(e edit) {
	if !w.scan {
		w.f.edits = append(w.f.edits, e)
	}
}

func (w *walk) instruction(op byte, start int) {
	r, m := &w.r, w.m
	switch {
	case op <= 0x01, op >= 0x1a && op <= 0x1b, op == opRefIsNull:
		switch op {
		case 0:
			w.pending = 0
		case opSelect:
			w.cost(costPlain)
		}
	case op >= opFirstPlain && op <= opLastPlain:
		w.cost(plainCost(op))
	case op >= opLocalGet && op <= opLocalTee:
		if index := r.u32(); r.ok() && index >= w.f.locals {
			r.fail(malformed("there is no local %d", index))
		}
		if op != opLocalGet {
			w.cost(costPlain)
		}
	case op == opGlobalGet, op == opGlobalSet:
		m.globalIndex(r)
		w.cost(costPlain)
	case op >= opFirstLoad && op <= opLastStore:
		w.memoryArgument()
		w.cost(loadOrStore(op >= opFirstStore))
	case op == opI32Const:
		r.skipLEB(32)
	case op == opI64Const:
		r.skipLEB(64)
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op >= opBlock && op <= opReturn:
		w.control(op, start)
	case op == opCall, op == opCallIndirect, op == opRefFunc:
		w.call(op, start)
	case op == opSelectTyped:
		r.values(r.count())
		w.cost(costPlain)
	case op == opTableGet, op == opTableSet:
		r.u32()
		m.info.ChangesTable = m.info.ChangesTable || op == opTableSet
		w.cost(costTable)
	case op == opMemorySize:
		r.byte()
		w.cost(costPlain)
	case op == opMemoryGrow:
		r.byte()
		w.cost(costGrow)
		w.work += m.mutable
	case op == opRefNull:
		r.referenceType()
	case op == opMisc:
		w.misc(start)
	case op == opVector:
		w.vector()
	default:
		r.fail(unsupported("the instruction 0x%02x", op))
	}
}

func loadOrStore(store bool) int {
	if store {
		return costStore
	}
	return costLoad
}

func (w *walk) memoryArgument() {
	if align := w.r.u32(); w.r.ok() && align > 4 {
		w.r.fail(malformed("a memory argument is aligned to 2^%d", align))
	}
	w.r.u32()
}

func (w *walk) control(op byte, start int) {
	switch op {
	case opBlock, opLoop, opIf:
		w.block(op, start)
	case opElse:
		l := &w.labels[len(w.labels)-1]
		if l.op != opIf {
			w.r.fail(malformed("an else without its if"))
			return
		}
		l.op, l.met, w.pending = opElse, max(l.met, w.pending), l.before
	case opEnd:
		w.end()
	case opBr, opBrIf:
		w.cost(costPlain)
		w.operand()
		if op == opBr {
			w.pending = 0
		}
	case opBrTable:
		w.cost(costCall)
		n := w.r.count()
		for k := uint32(0); k <= n && w.r.ok(); k++ {
			w.operand()
		}
		w.pending = 0
	case opReturn:
		w.branch(uint32(len(w.labels) - 1))
		w.pending = 0
	default:
		w.r.fail(unsupported("the instruction 0x%02x", op))
	}
}

// operand reads the operand of a branch.
func (w *walk) operand() {
	at := w.r.at
	depth := w.r.u32()
	w.branch(depth)
	w.leaves(at, depth)
}

func (w *walk) branch(depth uint32) {
	if uint64(depth) >= uint64(len(w.labels)) {
		w.r.fail(malformed("a branch leaves its function"))
		return
	}
	l := &w.labels[len(w.labels)-1-int(depth)]
	w.cost(l.arity * costPlain)
	l.met = max(l.met, w.pending)
	w.work += l.arity
}

// block begins a block, loop or if.
func (w *walk) block(op byte, start int) {
	var s signature
	switch kind := w.r.s33(); {
	case !w.r.ok():
		return
	case kind >= 0 && kind < int64(len(w.m.types)):
		s = w.m.types[kind]
	case kind >= 0:
		w.r.fail(malformed("there is no type %d", kind))
		return
	case kind == blockVoid-1<<7:
	case kind >= typeV128-1<<7 && kind <= typeI32-1<<7, kind == typeFuncref-1<<7, kind == typeExternref-1<<7:
		s.results = 1
	default:
		w.r.fail(unsupported("a block of the type %d", kind))
		return
	}
	l := label{op: op, arity: s.results, before: w.pending}
	w.work += s.params + s.results + int(w.f.locals)
	if op == opIf {
		w.cost(costPlain)
		l.before = w.pending
	}
	if op == opLoop {
		if w.pending > unitsPerTick {
			w.add(edit{at: start, kind: editPay, arg: ticks(w.pending)})
		}
		l.arity, w.pending, l.edit = s.params, 0, len(w.f.edits)
		kind := editHeader
		if s.params > 0 {
			kind = editCheck
		}
		w.add(edit{at: w.r.at, kind: kind})
		w.loops = append(w.loops, len(w.labels))
		l.start, l.body, l.work, l.jumps, l.bare = start, w.r.at, w.work, len(w.jumps), s == signature{}
		w.work += w.m.mutable + len(w.loops)*int(w.f.locals)
		w.f.loops = true
	}
	w.labels = append(w.labels, l)
}

func (w *walk) end() {
	l := w.labels[len(w.labels)-1]
	w.labels = w.labels[:len(w.labels)-1]
	if l.op != opLoop {
		w.cost(l.arity * costPlain)
	}
	switch l.op {
	case opLoop:
		w.loops = w.loops[:len(w.loops)-1]
		if !w.scan {
			w.f.edits[l.edit].arg = max(ticks(l.met), 1)
		}
		w.unroll(&l)
	case opIf:
		w.pending = max(w.pending, l.met, l.before)
	default:
		w.pending = max(w.pending, l.met)
	}
	if len(w.labels) == 0 {
		w.f.entry = 1 + ticks(w.pending)
	}
}

func (w *walk) call(op byte, start int) {
	r, m := &w.r, w.m
	var s signature
	switch op {
	case opRefFunc:
		from := r.at
		index := m.functionIndex(r)
		w.add(edit{at: from, skip: r.at - from, kind: editIndex, arg: index})
		return
	case opCallIndirect:
		s = m.signatureAt(m.typeIndex(r))
		r.u32()
		w.add(edit{at: start, kind: editPublish})
		w.f.nests = true
		w.cost(costIndirect)
	case opCall:
		index := m.functionIndex(r)
		if !r.ok() {
			return
		}
		s = m.signatureOf(index)
		w.cost(costCall)
		if callee := m.local(index); callee != nil {
			w.f.nests = w.f.nests || !callee.leaf
			w.cost(callee.leafCost)
		}
		w.add(edit{at: start, skip: r.at - start, kind: editCall, arg: index})
	}
	w.cost((s.params + s.results) * costPlain)
	w.f.calls = true
	w.f.values += s.results
	w.work += m.mutable + s.params + s.results + (r.at-w.f.code)/liveBytesPerWork
}

// liveBytesPerWork says how much code before a call makes the call one more unit of work for a compiler, since the values
// that code has made may all be alive across it.
const liveBytesPerWork = 1 << 10

// misc is the instructions with the prefix 0xfc.
func (w *walk) misc(start int) {
	r, m := &w.r, w.m
	op := r.u32()
	switch {
	case !r.ok():
		return
	case op <= miscLastTrunc:
		w.cost(costVector)
		return
	case op == miscDataDrop:
		r.u32()
		m.info.DropsData = true
		return
	case op == miscElemDrop:
		r.u32()
		m.info.ChangesTable = true
		return
	case op == miscTableSize:
		r.u32()
		w.cost(costPlain)
		return
	case op > miscTableFill:
		r.fail(unsupported("the instruction 0xfc %d", op))
		return
	}
	first := r.u32()
	switch op {
	case miscMemoryInit, miscMemoryCopy, miscTableInit, miscTableCopy:
		r.u32()
	}
	e := edit{at: start, skip: r.at - start, kind: editCopy}
	switch op {
	case miscMemoryInit:
		if r.ok() && first >= uint32(len(m.data)) {
			r.fail(malformed("there is no data segment %d", first))
			return
		}
		e.kind, e.arg = editInit, first
		m.helpers.wantInit(first)
	case miscMemoryCopy:
		m.helpers.copy.wanted = true
	case miscMemoryFill:
		e.kind = editFill
		m.helpers.fill.wanted = true
	default:
		e.kind, e.skip = editElements, 0
		m.helpers.elements.wanted = true
		m.info.ChangesTable = true
	}
	w.add(e)
	w.f.calls = true
	w.cost(costCall)
	w.work += m.mutable
}

// vector is the instructions with the prefix 0xfd.
func (w *walk) vector() {
	r := &w.r
	op := r.vectorOp()
	w.cost(costVector)
	switch {
	case op <= vecStore, op == vecLoadZero, op == vecLoadZero+1:
		w.memoryArgument()
		w.cost(costLoad - costVector)
	case op == vecConst, op == vecShuffle:
		r.take(16)
	case op >= vecFirstLane && op <= vecLastLane:
		r.byte()
	case op >= vecFirstMem && op <= vecLastMem:
		w.memoryArgument()
		r.byte()
		w.cost(costLoad - costVector)
	}
}
