package meter

// function is one function of the original, and what walking it has found.
type function struct {
	signature uint32
	body      []byte // the declarations of locals and the code
	code      int    // where in body the code begins
	locals    uint32 // parameters among them; also the index of the local that holds the depth, where there is one

	edits    []edit // in the order of at
	unrolls  []unroll
	entry    uint32 // ticks
	values   int    // results of the calls in it, for the size of its frame
	loops    bool
	calls    bool // anything
	nests    bool // what counts as a nested call
	leaf     bool // too small to pay for itself: its callers do
	leafCost int  // units
}

// edit is one change to a body: before at, where skip bytes are left out.
type edit struct {
	at, skip int
	kind     editKind
	arg      uint32
}

type editKind uint8

const (
	editHeader   editKind = iota // a loop's header: pay arg ticks, and begin again after a yield
	editUnroll                   // a loop, unrolled: f.unrolls[arg]
	editCheck                    // pay arg ticks, and go on after a yield
	editPay                      // pay arg ticks, without looking
	editCall                     // a call of the original function arg
	editPublish                  // say the depth before a call
	editIndex                    // the index of the original function arg
	editElements                 // the number on the stack is how many elements the next instruction handles
	editFill                     // memory.fill
	editCopy                     // memory.copy
	editInit                     // memory.init of the segment arg
)

// frameBytesPerCall is how large a frame may be for its function to count as one nested call; a larger one counts as more.
const frameBytesPerCall = 16 << 10

// depth is how many nested calls a call of the function counts as. The engine keeps each value that outlives a call in a
// place of its own on the stack, so that a frame grows with the code, by 2 bytes for each at most, and with the values
// that code need not name one by one.
func (f *function) depth() uint32 {
	return uint32(1 + (2*len(f.body)+8*(int(f.locals)+f.values))/frameBytesPerCall)
}

// analyse walks all functions.
func (m *parsed) analyse() error {
	m.mutable = 2
	for k := range m.globals {
		g := &m.globals[k]
		if !g.mutable {
			continue
		}
		m.mutable++
		m.info.V128Globals = m.info.V128Globals || g.kind == typeV128
	}
	w := &walk{m: m}
	for k := range m.funcs {
		f := &m.funcs[k]
		f.signature = m.declared[k]
		if err := m.readLocals(f); err != nil {
			return err
		}
		if len(f.body) > leafBytes {
			continue
		}
		*w = walk{m: m, f: f, r: reader{b: f.body, at: f.code}, labels: w.labels, loops: w.loops[:0], scan: true}
		if err := w.code(); err != nil {
			return err
		}
		if f.leaf = !f.calls && !f.loops && w.total <= leafUnits; f.leaf {
			f.leafCost = w.total
		}
		f.nests = false
	}
	work := 0
	for k := range m.funcs {
		f := &m.funcs[k]
		f.values = 0
		*w = walk{m: m, f: f, r: reader{b: f.body, at: f.code}, labels: w.labels, loops: w.loops[:0]}
		if err := w.code(); err != nil {
			return err
		}
		if work += w.work; work > MaxWork {
			return unsupported("too many calls and blocks for the functions' locals and results and the module's globals")
		}
	}
	return nil
}

func (m *parsed) readLocals(f *function) error {
	r := &reader{b: f.body}
	n := uint64(m.types[f.signature].params)
	for range r.count() {
		n += uint64(r.u32())
		r.valueType()
		if n > MaxLocals {
			r.fail(unsupported("a function of more than %d locals", MaxLocals))
		}
		if !r.ok() {
			return r.err
		}
	}
	f.locals, f.code = uint32(n), r.at
	return r.err
}

// local is a function that is not imported, or nil.
func (m *parsed) local(index uint32) *function {
	if m.imported(index) {
		return nil
	}
	return &m.funcs[index-uint32(len(m.imports))]
}

func (m *parsed) signatureAt(index uint32) signature {
	if index >= uint32(len(m.types)) {
		return signature{}
	}
	return m.types[index]
}

func (m *parsed) signatureOf(index uint32) signature {
	if m.imported(index) {
		return m.types[m.imports[index]]
	}
	return m.types[m.declared[index-uint32(len(m.imports))]]
}
