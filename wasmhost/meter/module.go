package meter

import (
	"bytes"
	"strings"
)

// Section ids.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

// order is that in which sections stand in a module.
var order = [...]int{secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secStart, secElement,
	secDataCount, secCode, secData}

// Value types.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

// parsed is a module that has been read but not changed. Contents of sections are parts of the input; those that are
// rewritten are kept without the count that leads them.
type parsed struct {
	content [sections][]byte
	count   [sections]uint32
	names   []byte // the custom section "name", or nil

	types    []signature
	imports  []uint32 // types of the imported functions
	declared []uint32 // types of the functions, without imports
	funcs    []function
	globals  []global // imported ones first
	tables   []table
	data     []uint32 // lengths of the data segments

	mutable  int // globals that are mutable, those that are added among them
	unrolled int // bytes of loops' copies

	info    Info
	helpers helpers
}

type signature struct{ params, results int }

type global struct {
	kind    byte
	mutable bool
	export  string // a name it is exported under, or ""
}

type table struct {
	kind     byte
	min, max uint32
}

var header = []byte("\x00asm\x01\x00\x00\x00")

func parse(wasm []byte) (*parsed, error) {
	if !bytes.HasPrefix(wasm, header) {
		return nil, malformed("it does not begin as a module does")
	}
	m := &parsed{}
	r := &reader{b: wasm, at: len(header)}
	place := 0
	for r.more() {
		id := r.byte()
		content := r.take(r.u32())
		if !r.ok() {
			break
		}
		if id == secCustom {
			c := &reader{b: content}
			if c.name() == "name" && c.ok() {
				m.names = content[c.at:]
			}
			continue
		}
		if id >= sections {
			return nil, unsupported("section %d", id)
		}
		for place < len(order) && order[place] != int(id) {
			place++
		}
		if place == len(order) {
			return nil, malformed("section %d is not in its place", id)
		}
		place++
		m.content[id] = content
	}
	if err := r.end("it"); err != nil {
		return nil, err
	}
	for _, read := range []struct {
		id   int
		what string
		from func(*parsed, *reader)
	}{
		{secType, "the type section", (*parsed).readTypes},
		{secImport, "the import section", (*parsed).readImports},
		{secFunction, "the function section", (*parsed).readFunctions},
		{secTable, "the table section", (*parsed).readTables},
		{secGlobal, "the global section", (*parsed).readGlobals},
		{secExport, "the export section", (*parsed).readExports},
		{secDataCount, "the data count section", func(_ *parsed, r *reader) { r.u32() }}, // wazero takes an empty one, if it is the last
		{secData, "the data section", (*parsed).readData},
		{secCode, "the code section", (*parsed).readCode},
	} {
		r := &reader{b: m.content[read.id]}
		if r.b != nil {
			read.from(m, r)
		}
		if err := r.end(read.what); err != nil {
			return nil, err
		}
	}
	if len(m.funcs) != len(m.declared) {
		return nil, malformed("%d functions are declared and %d defined", len(m.declared), len(m.funcs))
	}
	return m, nil
}

// lead reads the count that leads a section, and keeps it.
func (m *parsed) lead(r *reader, section int, limit uint32, what string) uint32 {
	n := r.count()
	if n > limit {
		r.fail(unsupported("%d %s, more than %d", n, what, limit))
		return 0
	}
	m.count[section] = n
	m.content[section] = r.b[r.at:]
	return n
}

func (m *parsed) readTypes(r *reader) {
	for range m.lead(r, secType, MaxTypes, "types") {
		if form := r.byte(); r.ok() && form != 0x60 {
			r.fail(unsupported("a type of the form 0x%02x", form))
		}
		var s signature
		s.params = r.values(r.count())
		s.results = r.values(r.count())
		if s.params > MaxParams || s.results > MaxResults {
			r.fail(unsupported("a function type of %d parameters and %d results, more than %d and %d",
				s.params, s.results, MaxParams, MaxResults))
		}
		if !r.ok() {
			return
		}
		m.types = append(m.types, s)
	}
}

func (m *parsed) typeIndex(r *reader) uint32 {
	t := r.u32()
	if r.ok() && t >= uint32(len(m.types)) {
		r.fail(malformed("there is no type %d", t))
		return 0
	}
	return t
}

func (m *parsed) readImports(r *reader) {
	for range m.lead(r, secImport, MaxImports, "imports") {
		module, name := r.name(), r.name()
		if module == Module {
			r.fail(unsupported("it imports %s.%s: imports from %q are the host's own", module, name, Module))
		}
		switch kind := r.byte(); {
		case !r.ok():
			return
		case kind == 0:
			m.imports = append(m.imports, m.typeIndex(r))
		case kind == 1:
			m.tables = append(m.tables, readTable(r))
		case kind == 2:
			readLimits(r)
		case kind == 3:
			m.globals = append(m.globals, readGlobalType(r))
		default:
			r.fail(unsupported("an import of the kind %d", kind))
		}
	}
}

func (m *parsed) readFunctions(r *reader) {
	for range m.lead(r, secFunction, MaxFunctions, "functions") {
		if t := m.typeIndex(r); r.ok() {
			m.declared = append(m.declared, t)
		}
	}
}

func readLimits(r *reader) (low, high uint32) {
	high = 1<<32 - 1
	switch flags := r.byte(); {
	case !r.ok():
	case flags == 0:
		low = r.u32()
	case flags == 1:
		low, high = r.u32(), r.u32()
	default:
		r.fail(unsupported("a memory or table with the flags 0x%02x", flags))
	}
	return low, high
}

func readTable(r *reader) table {
	kind := r.referenceType()
	low, high := readLimits(r)
	return table{kind, low, high}
}

// maxTables bounds the number of tables, so that each may have a fair part of MaxTableElements.
const maxTables = 64

func (m *parsed) readTables(r *reader) {
	n := m.lead(r, secTable, maxTables, "tables")
	for range n {
		t := readTable(r)
		limit := MaxTableElements / n
		if t.min > limit {
			r.fail(unsupported("a table of %d elements, more than %d", t.min, limit))
		}
		if !r.ok() {
			return
		}
		if t.max < t.min {
			r.fail(malformed("a table with its limits the wrong way round"))
		}
		t.max = min(t.max, limit)
		m.tables = append(m.tables, t)
	}
}

func readGlobalType(r *reader) global {
	g := global{kind: r.valueType()}
	switch mutable := r.byte(); {
	case mutable > 1:
		r.fail(malformed("a global is mutable in the way %d", mutable))
	default:
		g.mutable = mutable == 1
	}
	return g
}

func (m *parsed) readGlobals(r *reader) {
	for range m.lead(r, secGlobal, MaxGlobals, "globals") {
		g := readGlobalType(r)
		m.constant(r, nil)
		if !r.ok() {
			return
		}
		m.globals = append(m.globals, g)
	}
}

func (m *parsed) readExports(r *reader) {
	for range m.lead(r, secExport, MaxExports, "exports") {
		name := r.name()
		kind, index := r.byte(), r.u32()
		switch {
		case !r.ok():
			return
		case kind > 3:
			r.fail(unsupported("an export of the kind %d", kind))
		case strings.HasPrefix(name, reserved):
			r.fail(unsupported("the export %q: names that begin with %q are the host's own", name, reserved))
		case kind == 0 && index >= m.functionCount():
			r.fail(malformed("there is no function %d", index))
		case kind == 3 && index >= uint32(len(m.globals)):
			r.fail(malformed("there is no global %d", index))
		case kind == 3:
			m.globals[index].export = name
		}
	}
}

func (m *parsed) readData(r *reader) {
	for range m.lead(r, secData, 1<<32-1, "data segments") {
		switch flags := r.u32(); {
		case !r.ok():
			return
		case flags == 0:
			m.constant(r, nil)
		case flags == 1:
		case flags == 2:
			r.u32()
			m.constant(r, nil)
		default:
			r.fail(malformed("a data segment of the kind %d", flags))
		}
		m.data = append(m.data, uint32(len(r.take(r.u32()))))
	}
}

func (m *parsed) readCode(r *reader) {
	for range m.lead(r, secCode, MaxFunctions, "functions") {
		body := r.take(r.u32())
		if len(body) > MaxBodyBytes {
			r.fail(unsupported("a function of %d bytes, more than %d", len(body), MaxBodyBytes))
		}
		if !r.ok() {
			return
		}
		m.funcs = append(m.funcs, function{body: body})
	}
}

// functionCount is the number of functions, imported ones among them.
func (m *parsed) functionCount() uint32 { return uint32(len(m.imports) + len(m.declared)) }

// imported says whether a function is, by its index in the original.
func (m *parsed) imported(index uint32) bool { return index < uint32(len(m.imports)) }

// constant passes a constant expression, and reports each function in it to visit as where its index begins and ends.
func (m *parsed) constant(r *reader, visit func(from, to int, index uint32)) {
	for r.ok() {
		switch op := r.byte(); op {
		case opEnd:
			return
		case opI32Const:
			r.skipLEB(32)
		case opI64Const:
			r.skipLEB(64)
		case opF32Const:
			r.take(4)
		case opF64Const:
			r.take(8)
		case opGlobalGet:
			m.globalIndex(r)
		case opRefNull:
			r.referenceType()
		case opRefFunc:
			from := r.at
			index := m.functionIndex(r)
			if visit != nil && r.ok() {
				visit(from, r.at, index)
			}
		case opVector:
			if r.vectorOp() != vecConst {
				r.fail(unsupported("an instruction in a constant expression"))
			}
			r.take(16)
		default:
			r.fail(unsupported("the instruction 0x%02x in a constant expression", op))
		}
	}
}

func (m *parsed) globalIndex(r *reader) uint32 {
	index := r.u32()
	if r.ok() && index >= uint32(len(m.globals)) {
		r.fail(malformed("there is no global %d", index))
	}
	return index
}

func (m *parsed) functionIndex(r *reader) uint32 {
	index := r.u32()
	if r.ok() && index >= m.functionCount() {
		r.fail(malformed("there is no function %d", index))
	}
	return index
}
