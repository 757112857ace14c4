package meter

import (
	"math/rand/v2"
	"testing"

	"edge/wasmhost/internal/asm"
)

// random makes modules at random that are valid and come to an end: every loop and every call counts a global down, and
// returns at its end.
type random struct {
	*rand.Rand
	funcs int // imports none; all take two parameters and give one result
	self  uint32
	loops int // around the present place
	size  int // instructions left
}

const (
	randomLocals = 4   // two of them parameters
	randomFuel   = 500 // less than StartDepth, so that calls never go too deep
)

func randomModule(seed uint64) []byte {
	g := &random{Rand: rand.New(rand.NewPCG(seed, 0)), funcs: 2 + int(seed%3)}
	m := &asm.Module{Globals: []int32{0, 7, -1}}
	m.Data(64, "some bytes to begin with")
	for k := range g.funcs {
		g.self, g.loops, g.size = uint32(k), 0, 20+g.IntN(150)
		code := asm.Join(countDown(), g.block(0), g.value(0))
		m.Func("", "ii", "i", randomLocals-2, code...)
	}
	main := asm.Join(asm.Const(randomFuel), []byte{asm.GlobalSet, 0, asm.LocalGet, 0, asm.LocalGet, 1}, asm.Call(0))
	for g := range byte(3) { // the globals go where they are compared
		main = asm.Join(main, asm.Const(int32(g)*4), []byte{asm.GlobalGet, g, asm.I32Store, 0, 0})
	}
	m.Func("main", "ii", "i", 0, main...)
	return m.Encode()
}

// countDown leaves the function where the module has run long enough.
func countDown() []byte {
	const lessOrEqual = 0x4c
	return asm.Join([]byte{asm.GlobalGet, 0}, asm.Const(1), []byte{opI32Sub, asm.GlobalSet, 0, asm.GlobalGet, 0},
		asm.Const(0), []byte{lessOrEqual, asm.If, asm.Void}, asm.Const(5), []byte{opReturn, asm.End})
}

// value is code that leaves an i32.
func (g *random) value(deep int) []byte {
	if g.size--; g.size < 0 || deep > 4 {
		return asm.Const(int32(g.Uint32()))
	}
	switch g.IntN(9) {
	case 0, 1:
		return []byte{asm.LocalGet, byte(g.IntN(randomLocals))}
	case 2:
		return []byte{asm.GlobalGet, byte(1 + g.IntN(2))}
	case 3:
		return asm.Join(g.address(deep), []byte{[]byte{0x28, 0x2c, 0x2d, 0x2f}[g.IntN(4)], 0, byte(g.IntN(100))})
	case 4:
		return asm.Join(g.value(deep+1), g.value(deep+1), asm.Call(uint32(g.IntN(g.funcs))))
	case 5: // now and then a division by zero
		divisor := g.value(deep + 1)
		if g.IntN(8) > 0 {
			divisor = asm.Join(divisor, asm.Const(1), []byte{opI32Or})
		}
		return asm.Join(g.value(deep+1), divisor, []byte{[]byte{0x6d, 0x6e, 0x6f, 0x70}[g.IntN(4)]})
	case 6:
		return asm.Join([]byte{opBlock, typeI32}, g.value(deep+1), g.value(deep+1), []byte{opBrIf, 0, asm.End})
	}
	return asm.Join(g.value(deep+1), g.value(deep+1), []byte{byte(0x6a + g.IntN(3)*2 - g.IntN(2)*0x20)})
}

// address is mostly within memory.
func (g *random) address(deep int) []byte {
	if g.IntN(50) == 0 {
		return g.value(deep + 1)
	}
	return asm.Join(g.value(deep+1), asm.Const(0x3fff), []byte{0x71})
}

// block is statements within labels labels.
func (g *random) block(labels int) (code []byte) {
	for range 1 + g.IntN(5) {
		if g.size--; g.size < 0 {
			break
		}
		code = append(code, g.statement(labels)...)
	}
	return code
}

func (g *random) statement(labels int) []byte {
	switch g.IntN(12) {
	case 0, 1:
		return asm.Join(g.value(0), []byte{asm.LocalSet, byte(g.IntN(randomLocals))})
	case 2:
		return asm.Join(g.value(0), []byte{asm.GlobalSet, byte(1 + g.IntN(2))})
	case 3:
		return asm.Join(g.address(0), g.value(0), []byte{[]byte{0x36, 0x3a, 0x3b}[g.IntN(3)], 0, byte(g.IntN(100))})
	case 4:
		return asm.Join([]byte{opBlock, asm.Void}, g.block(labels+1), []byte{asm.End})
	case 5:
		return asm.Join(g.value(0), []byte{asm.If, asm.Void}, g.block(labels+1), []byte{opElse}, g.block(labels+1), []byte{asm.End})
	case 6, 7, 8: // small bodies mostly, with a way back at the end or not
		if g.loops > 1 {
			return nil
		}
		g.loops++
		defer func() { g.loops-- }()
		back := asm.Join(g.value(3), []byte{opBrIf, 0})
		if g.IntN(4) == 0 {
			back = nil
		}
		return asm.Join([]byte{asm.Loop, asm.Void}, countDown(), g.block(labels+1), back, []byte{asm.End})
	case 9:
		if labels == 0 {
			return nil
		}
		return asm.Join(g.value(3), []byte{opBrIf}, g.label(labels))
	case 10:
		targets := g.IntN(4)
		code := asm.Join([]byte{opBlock, asm.Void}, g.value(3), []byte{opBrTable, byte(targets)})
		for range targets + 1 {
			code = append(code, g.label(labels+1)...)
		}
		return append(code, asm.End)
	}
	length := asm.Join(g.value(3), asm.Const(0xff), []byte{0x71})
	if g.IntN(2) == 0 {
		return asm.Join(g.address(0), g.value(3), length, []byte{opMisc, miscMemoryFill, 0})
	}
	return asm.Join(g.address(0), g.address(0), length, []byte{opMisc, miscMemoryCopy, 0, 0})
}

// label is one of those around, and not the function's, which takes a value.
func (g *random) label(labels int) []byte { return []byte{byte(g.IntN(labels))} }

// Modules made at random come to the same result, trap, memory and globals, metered and not.
func TestRandomModules(t *testing.T) {
	modules := 2000
	if testing.Short() {
		modules = 300
	}
	unrolls, outcomes := 0, map[string]int{}
	for seed := range uint64(modules) {
		wasm := randomModule(seed)
		m, err := parse(wasm)
		if err == nil {
			err = m.analyse()
		}
		if err != nil {
			t.Fatalf("module %d: %v", seed, err)
		}
		for k := range m.funcs {
			unrolls += len(m.funcs[k].unrolls)
		}
		p := newPair(t, wasm)
		for _, args := range [][]uint64{{0, 1}, {77, 3}, {1 << 31, 0xffffffff}} {
			out := p.call(t, "main", args...)
			if len(out) > 0 && out[0] == '[' {
				out = "a result"
			}
			outcomes[out]++
		}
		p.close()
		if t.Failed() {
			t.Fatalf("module %d", seed)
		}
	}
	t.Logf("%d loops unrolled; %v", unrolls, outcomes)
	if unrolls < modules/10 || outcomes["a result"] < modules/4 {
		t.Errorf("%d loops unrolled; %v", unrolls, outcomes)
	}
}
