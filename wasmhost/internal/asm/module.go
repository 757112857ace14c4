// Package asm puts small WebAssembly modules together for tests: guests that call one host function, or misbehave in one
// way, without a compiler.
package asm

import "slices"

// Opcodes and types that tests use.
const (
	Unreachable = 0x00
	Loop        = 0x03
	If          = 0x04
	End         = 0x0b
	Br          = 0x0c
	CallOp      = 0x10
	Drop        = 0x1a
	LocalGet    = 0x20
	LocalSet    = 0x21
	GlobalGet   = 0x23
	GlobalSet   = 0x24
	I32Load     = 0x28
	I32Store    = 0x36
	I32Const    = 0x41
	I32Add      = 0x6a
	I32DivS     = 0x6d
	Void        = 0x40 // block type
)

// Module is a module in the making. Types are written one letter each: I, V and E for i64, any other for i32. All imports come before the
// first function.
type Module struct {
	Pages    uint32 // of memory, exported as "memory"; 0 means 1
	NoMemory bool
	Globals  []int32 // initial values of mutable i32 globals
	Counted  bool    // say how many data segments there are, which code that names one needs

	types   []string
	imports []byte
	nImport uint32
	funcs   []uint32 // types
	bodies  [][]byte
	exports []byte
	nExport uint32
	start   []byte
	data    []byte
	nData   uint32
}

func (m *Module) typeOf(params, results string) uint32 {
	key := params + ">" + results
	if k := slices.Index(m.types, key); k >= 0 {
		return uint32(k)
	}
	m.types = append(m.types, key)
	return uint32(len(m.types) - 1)
}

// Import adds an imported function and returns its index.
func (m *Module) Import(module, name, params, results string) uint32 {
	m.imports = append(text(text(m.imports, module), name), 0)
	m.imports = U(m.imports, m.typeOf(params, results))
	m.nImport++
	return m.nImport - 1
}

// Func adds a function with nLocals more i32 locals, exported where it has a name, and returns its index. The code is
// without its last end.
func (m *Module) Func(export, params, results string, nLocals uint32, code ...byte) uint32 {
	m.funcs = append(m.funcs, m.typeOf(params, results))
	body := []byte{0}
	if nLocals > 0 {
		body = append(U([]byte{1}, nLocals), 0x7f)
	}
	m.bodies = append(m.bodies, append(append(body, code...), End))
	index := m.nImport + uint32(len(m.funcs)) - 1
	if export != "" {
		m.exports = U(append(text(m.exports, export), 0), index)
		m.nExport++
	}
	return index
}

// Start makes a function the one that runs when the module is instantiated.
func (m *Module) Start(index uint32) { m.start = U(nil, index) }

// Data puts bytes into memory at the start.
func (m *Module) Data(at int32, bytes string) {
	m.data = append(append(I(append(m.data, 0, I32Const), at), End), U(nil, uint32(len(bytes)))...)
	m.data = append(m.data, bytes...)
	m.nData++
}

// PassiveData keeps bytes for memory.init.
func (m *Module) PassiveData(bytes string) {
	m.data = append(U(append(m.data, 1), uint32(len(bytes))), bytes...)
	m.nData++
	m.Counted = true
}

// Encode is the module's binary form.
func (m *Module) Encode() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, n uint32, content []byte) {
		if n > 0 {
			content = append(U(nil, n), content...)
			out = append(U(append(out, id), uint32(len(content))), content...)
		}
	}
	var types []byte
	for _, t := range m.types {
		types = append(types, 0x60)
		params, results := t, ""
		for k := range t {
			if t[k] == '>' {
				params, results = t[:k], t[k+1:]
			}
		}
		types = letters(letters(types, params), results)
	}
	section(1, uint32(len(m.types)), types)
	section(2, m.nImport, m.imports)
	var funcs []byte
	for _, t := range m.funcs {
		funcs = U(funcs, t)
	}
	section(3, uint32(len(m.funcs)), funcs)
	exports, nExport := m.exports, m.nExport
	if !m.NoMemory {
		section(5, 1, U([]byte{0}, max(m.Pages, 1)))
		exports, nExport = append(text(exports, "memory"), 2, 0), nExport+1
	}
	var globals []byte
	for _, v := range m.Globals {
		globals = append(I(append(globals, 0x7f, 1, I32Const), v), End)
	}
	section(6, uint32(len(m.Globals)), globals)
	section(7, nExport, exports)
	if m.start != nil {
		out = append(append(out, 8, byte(len(m.start))), m.start...)
	}
	if m.Counted {
		out = append(out, 12, 1, byte(m.nData))
	}
	var code []byte
	for _, b := range m.bodies {
		code = append(U(code, uint32(len(b))), b...)
	}
	section(10, uint32(len(m.bodies)), code)
	section(11, m.nData, m.data)
	return out
}

func letters(to []byte, s string) []byte {
	to = U(to, uint32(len(s)))
	for _, c := range s {
		if c == 'I' || c == 'V' || c == 'E' {
			to = append(to, 0x7e)
		} else {
			to = append(to, 0x7f)
		}
	}
	return to
}

func text(to []byte, s string) []byte { return append(U(to, uint32(len(s))), s...) }

// U appends v as unsigned LEB128.
func U(to []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		to = append(to, byte(v)|0x80)
	}
	return append(to, byte(v))
}

// I appends v as signed LEB128.
func I(to []byte, v int32) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(to, b)
		}
		to = append(to, b|0x80)
	}
}

// Const is an i32.const, Call a call, both as code.
func Const(v int32) []byte { return I([]byte{I32Const}, v) }

// Call is a call of function index.
func Call(index uint32) []byte { return U([]byte{CallOp}, index) }

// LocalGetOf and LocalSetOf read and write a local, as code.
func LocalGetOf(index uint32) []byte { return U([]byte{LocalGet}, index) }

// LocalSetOf is described at LocalGetOf.
func LocalSetOf(index uint32) []byte { return U([]byte{LocalSet}, index) }

// Join is pieces of code in a row.
func Join(pieces ...[]byte) []byte { return slices.Concat(pieces...) }
