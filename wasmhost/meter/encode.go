package meter

import (
	"fmt"
	"slices"
)

// encode writes the metered module. Custom sections are left out, but for the names of functions.
func (m *parsed) encode(size int) ([]byte, error) {
	added := m.number()
	out := append(make([]byte, 0, size+size/4+4096), header...)
	for _, id := range order {
		content, count := m.content[id], m.count[id]
		switch id {
		case secType:
			content, count = m.encodeTypes(), count+addedTypes
		case secImport:
			content = appendName(appendName(slices.Clone(content), Module), Yield)
			content, count = appendU(append(content, 0), uint32(len(m.types))+typeYield), count+1
		case secFunction:
			content, count = slices.Clone(content), count+added
			for _, t := range m.helperTypes() {
				content = appendU(content, t)
			}
		case secTable:
			content = m.encodeTables()
		case secGlobal:
			var err error
			if content, err = m.encodeGlobals(); err != nil {
				return nil, err
			}
			count += 2
		case secExport:
			var err error
			if content, count, err = m.encodeExports(); err != nil {
				return nil, err
			}
		case secStart:
			if content == nil {
				continue
			}
			r := &reader{b: content}
			start := m.functionIndex(r)
			if err := r.end("the start section"); err != nil {
				return nil, err
			}
			out = appendSection(out, id, nil, appendU(nil, m.moved(start)))
			continue
		case secElement:
			if content == nil {
				continue
			}
			var err error
			if content, count, err = m.encodeElements(); err != nil {
				return nil, err
			}
		case secCode:
			content, count = m.encodeCode(), count+added
		default:
			if content != nil {
				out = appendSection(out, id, nil, m.whole(id))
			}
			continue
		}
		if count > 0 {
			out = appendSection(out, id, appendU(nil, count), content)
		}
	}
	return m.appendNames(out), nil
}

// whole is the content of a section that is kept as it is.
func (m *parsed) whole(id int) []byte {
	if id != secData {
		return m.content[id]
	}
	return append(appendU(nil, m.count[id]), m.content[id]...)
}

func appendSection(out []byte, id int, lead, content []byte) []byte {
	out = appendU(append(out, byte(id)), uint32(len(lead)+len(content)))
	return append(append(out, lead...), content...)
}

func (m *parsed) encodeTypes() []byte {
	return append(slices.Clone(m.content[secType]),
		0x60, 1, typeI32, 1, typeI32,
		0x60, 1, typeI32, 0,
		0x60, 3, typeI32, typeI32, typeI32, 0)
}

func (m *parsed) encodeTables() (b []byte) {
	own := m.tables[uint32(len(m.tables))-m.count[secTable]:]
	for _, t := range own {
		b = appendU(appendU(append(b, t.kind, 1), t.min), t.max)
	}
	return b
}

// mover copies a section's content with the functions in it moved.
type mover struct {
	m    *parsed
	r    *reader
	b    []byte
	from int // up to where the content is in b
}

func (v *mover) moved(start, end int, index uint32) {
	v.b = appendU(append(v.b, v.r.b[v.from:start]...), v.m.moved(index))
	v.from = end
}

func (v *mover) rest(what string) ([]byte, error) {
	if err := v.r.end(what); err != nil {
		return nil, err
	}
	return append(v.b, v.r.b[v.from:]...), nil
}

// encodeGlobals moves the functions that globals begin with, and adds fuel and depth.
func (m *parsed) encodeGlobals() ([]byte, error) {
	v := &mover{m: m, r: &reader{b: m.content[secGlobal]}}
	for range m.count[secGlobal] {
		readGlobalType(v.r)
		m.constant(v.r, v.moved)
	}
	b, err := v.rest("the global section")
	for _, value := range []int64{Slice, StartDepth} {
		b = append(appendS(append(b, typeI32, 1, opI32Const), value), opEnd)
	}
	return b, err
}

// encodeExports moves the functions and adds every mutable global that has no name.
func (m *parsed) encodeExports() (b []byte, count uint32, err error) {
	r := &reader{b: m.content[secExport]}
	for range m.count[secExport] {
		b = appendName(b, r.name())
		kind, index := r.byte(), r.u32()
		if kind == 0 {
			index = m.moved(index)
		}
		b = appendU(append(b, kind), index)
	}
	if err := r.end("the export section"); err != nil {
		return nil, 0, err
	}
	count = m.count[secExport]
	export := func(name string, index uint32) {
		b = appendU(append(appendName(b, name), 3), index)
		count++
	}
	for k, g := range m.globals {
		if !g.mutable {
			continue
		}
		if g.export == "" {
			g.export = fmt.Sprintf("%sglobal.%d", reserved, k)
			export(g.export, uint32(k))
		}
		m.info.Globals = append(m.info.Globals, g.export)
	}
	export(Fuel, m.fuel())
	export(Depth, m.depth())
	return b, count, nil
}

// Element segments: the low bits of what leads them.
const (
	elemPassive  = 1 // no offset; with elemExplicit, declarative
	elemExplicit = 2 // a table, where it is active
	elemConstant = 4 // its elements are constant expressions
)

func (m *parsed) encodeElements() (b []byte, count uint32, err error) {
	r := &reader{b: m.content[secElement]}
	v := &mover{m: m, r: r}
	total := uint64(0)
	count = r.count()
	v.from = r.at
	for k := uint32(0); k < count && r.ok(); k++ {
		flags := r.u32()
		if r.ok() && flags > 7 {
			r.fail(malformed("an element segment of the kind %d", flags))
		}
		if flags&elemPassive == 0 {
			if flags&elemExplicit != 0 {
				r.u32()
			}
			m.constant(r, v.moved)
		}
		switch {
		case flags&(elemPassive|elemExplicit) == 0:
		case flags&elemConstant != 0:
			r.referenceType()
		default:
			if kind := r.byte(); kind != 0 {
				r.fail(unsupported("elements of the kind 0x%02x", kind))
			}
		}
		n := r.count()
		if total += uint64(n); total > MaxTableElements {
			r.fail(unsupported("more than %d elements in segments", MaxTableElements))
		}
		for k := uint32(0); k < n && r.ok(); k++ {
			start := r.at
			if flags&elemConstant != 0 {
				m.constant(r, v.moved)
			} else if index := m.functionIndex(r); r.ok() {
				v.moved(start, r.at, index)
			}
		}
	}
	b, err = v.rest("the element section")
	return b, count, err
}

func (m *parsed) encodeCode() []byte {
	size := 0
	for k := range m.funcs {
		size += len(m.funcs[k].body)
	}
	b := make([]byte, 0, size+size/4)
	a := &assembler{m: m}
	for k := range m.funcs {
		a.b = a.b[:0]
		m.encodeFunction(a, &m.funcs[k])
		b = append(appendU(b, uint32(len(a.b))), a.b...)
	}
	for _, body := range m.helperBodies() {
		b = append(appendU(b, uint32(len(body))), body...)
	}
	return b
}

func (m *parsed) encodeFunction(a *assembler, f *function) {
	if f.nests {
		r := &reader{b: f.body}
		groups := r.count()
		a.b = appendU(a.b, groups+1)
		a.op(f.body[r.at:f.code]...).op(1, typeI32)
	} else {
		a.op(f.body[:f.code]...)
	}
	a.entry(f)
	at := f.code
	for _, e := range f.edits {
		a.op(f.body[at:e.at]...)
		at = e.at + e.skip
		m.edit(a, f, e)
	}
	a.op(f.body[at:]...)
}

func (m *parsed) edit(a *assembler, f *function, e edit) {
	switch e.kind {
	case editHeader:
		a.header(e.arg)
	case editUnroll:
		a.unroll(f, &f.unrolls[e.arg])
	case editCheck:
		a.check(e.arg)
	case editPay:
		a.pay(e.arg)
	case editCall:
		if callee := m.local(e.arg); callee != nil && callee.nests {
			a.publish(f)
		}
		a.index(opCall, m.moved(e.arg))
	case editPublish:
		a.publish(f)
	case editIndex:
		a.b = appendU(a.b, m.moved(e.arg))
	case editElements:
		a.index(opCall, m.helpers.elements.index)
	case editFill:
		a.index(opCall, m.helpers.fill.index)
	case editCopy:
		a.index(opCall, m.helpers.copy.index)
	case editInit:
		a.index(opCall, m.helpers.initOf(e.arg))
	}
}
