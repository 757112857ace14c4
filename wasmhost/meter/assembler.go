package meter

// assembler writes code.
type assembler struct {
	m *parsed
	b []byte
}

// assemble begins a function without locals.
func (m *parsed) assemble() *assembler { return &assembler{m, []byte{0}} }

// fuel and depth are the indices of the added globals.
func (m *parsed) fuel() uint32  { return uint32(len(m.globals)) }
func (m *parsed) depth() uint32 { return uint32(len(m.globals)) + 1 }

func (a *assembler) op(code ...byte) *assembler {
	a.b = append(a.b, code...)
	return a
}

// index writes an instruction with an index.
func (a *assembler) index(op byte, index uint32) *assembler {
	a.b = appendU(append(a.b, op), index)
	return a
}

func (a *assembler) local(op byte, index uint32) *assembler { return a.index(op, index) }

func (a *assembler) i32(v int32) *assembler {
	a.b = appendS(append(a.b, opI32Const), int64(v))
	return a
}

func (a *assembler) i64(v int64) *assembler {
	a.b = appendS(append(a.b, opI64Const), v)
	return a
}

func (a *assembler) misc(op uint32, immediates ...uint32) *assembler {
	a.b = appendU(append(a.b, opMisc), op)
	for _, v := range immediates {
		a.b = appendU(a.b, v)
	}
	return a
}

// fuelLess takes what amount pushes off the fuel.
func (a *assembler) fuelLess(amount func(*assembler)) *assembler {
	a.index(opGlobalGet, a.m.fuel())
	amount(a)
	return a.op(opI32Sub).index(opGlobalSet, a.m.fuel())
}

func (a *assembler) pay(ticks uint32) *assembler {
	return a.fuelLess(func(a *assembler) { a.i32(int32(ticks)) })
}

// refill asks for fuel where it is used up, and goes on.
func (a *assembler) refill() *assembler {
	a.index(opGlobalGet, a.m.fuel()).i32(0).op(opI32LtS).op(opIf, blockVoid)
	return a.i32(0).index(opCall, a.m.helpers.slow).op(opEnd)
}

func (a *assembler) check(ticks uint32) *assembler { return a.pay(ticks).refill() }

// header is what stands at the beginning of a loop: after a yield it begins again, which makes the way without one the
// only one that leads on.
func (a *assembler) header(ticks uint32) *assembler {
	a.pay(ticks).index(opGlobalGet, a.m.fuel()).i32(0).op(opI32LtS).op(opIf, blockVoid)
	return a.i32(0).index(opCall, a.m.helpers.slow).index(opBr, 1).op(opEnd)
}

// entry is what stands at the beginning of a function. Where its calls count, the local depth gets what is left for them.
func (a *assembler) entry(f *function) *assembler {
	if f.leaf {
		return a
	}
	a.op(opLoop, blockVoid)
	if !f.nests {
		return a.header(f.entry).op(opEnd)
	}
	a.pay(f.entry)
	a.index(opGlobalGet, a.m.depth()).i32(int32(f.depth())).op(opI32Sub).local(opLocalTee, f.locals)
	a.index(opGlobalGet, a.m.fuel()).op(opI32Or).i32(0).op(opI32LtS).op(opIf, blockVoid)
	a.local(opLocalGet, f.locals).index(opCall, a.m.helpers.slow).index(opBr, 1).op(opEnd)
	return a.op(opEnd)
}

// publish tells the function that is called next how deep it is.
func (a *assembler) publish(f *function) *assembler {
	return a.local(opLocalGet, f.locals).index(opGlobalSet, a.m.depth())
}

// args pushes the first two parameters.
func (a *assembler) args() *assembler { return a.local(opLocalGet, 0).local(opLocalGet, 1) }

// forward moves a parameter on by a piece.
func (a *assembler) forward(p uint32) *assembler {
	return a.local(opLocalGet, p).i32(bulkPiece).op(opI32Add).local(opLocalSet, p)
}

// sum pushes parameter p and the length, added without overflow.
func (a *assembler) sum(p uint32) *assembler {
	return a.local(opLocalGet, p).op(opI64ExtendU).local(opLocalGet, 2).op(opI64ExtendU).op(opI64Add)
}

// outside branches to label 1 where what begins at parameter p is not all in memory.
func (a *assembler) outside(p uint32) *assembler {
	const pageShift = 16
	a.sum(p).op(opMemorySize, 0).op(opI64ExtendU).i64(pageShift).op(opI64Shl)
	return a.op(opI64GtU).index(opBrIf, 1)
}

// beyond branches to label 1 where what begins at parameter p is not all within a length.
func (a *assembler) beyond(p, length uint32) *assembler {
	return a.sum(p).i64(int64(length)).op(opI64GtU).index(opBrIf, 1)
}

func appendU(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func appendS(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte { return append(appendU(b, uint32(len(s))), s...) }
