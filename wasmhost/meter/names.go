package meter

import "unicode/utf8"

// functionNames is the subsection of the name section that traps are explained with.
const functionNames = 1

// appendNames adds the name section with the functions' names, moved to where they are now; the other names are left
// out. A section that is not well formed is left out too: it is of no consequence.
func (m *parsed) appendNames(out []byte) []byte {
	r := &reader{b: m.names}
	for r.more() {
		id, content := r.byte(), r.take(r.u32())
		if id != functionNames || !r.ok() {
			continue
		}
		names, ok := m.moveNames(content)
		if !ok {
			return out
		}
		names = append(appendU([]byte{functionNames}, uint32(len(names))), names...)
		return appendSection(out, secCustom, appendName(nil, "name"), names)
	}
	return out
}

// moveNames moves each name with its function: they are sorted by index, so that the added import has its place between.
func (m *parsed) moveNames(content []byte) (b []byte, ok bool) {
	r := &reader{b: content}
	n := r.count()
	inserted := false
	insert := func() {
		b = appendName(appendU(b, uint32(len(m.imports))), Module+"."+Yield)
		inserted = true
	}
	last := -1
	for range n {
		index, name := r.u32(), r.name()
		if !r.ok() || int(index) <= last || index >= m.functionCount() || !utf8.ValidString(name) {
			return nil, false
		}
		last = int(index)
		if !m.imported(index) {
			if !inserted {
				insert()
			}
			index++
		}
		b = appendName(appendU(b, index), name)
	}
	if !inserted {
		insert()
	}
	if r.end("the names") != nil {
		return nil, false
	}
	return append(appendU(nil, n+1), b...), true
}
