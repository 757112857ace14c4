package meter

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"edge/wasmhost/internal/asm"
)

// section is a section with a count that leads it.
func section(id byte, count uint32, content ...byte) []byte {
	content = append(appendU(nil, count), content...)
	return append(appendU([]byte{id}, uint32(len(content))), content...)
}

func module(sections ...[]byte) []byte {
	return slices.Concat(append([][]byte{header}, sections...)...)
}

// W106: what is beyond the bounds is refused, and says so.
func TestW106Bounds(t *testing.T) {
	types := section(secType, 1, 0x60, 0, 0)
	one := func(body ...byte) []byte {
		return module(types, section(secFunction, 1, 0), section(secCode, 1, append(appendU(nil, uint32(len(body))), body...)...))
	}
	for _, c := range []struct {
		name string
		wasm []byte
		kind error
		want string
	}{
		{"nothing", nil, ErrMalformed, "begin"},
		{"more code than there is", module(types, section(secFunction, 1, 0), section(secCode, 1<<31)), ErrMalformed, "middle"},
		{"a section twice", module(types, types), ErrMalformed, "place"},
		{"sections out of order", module(section(secFunction, 0), types), ErrMalformed, "place"},
		{"a section of exceptions", module([]byte{13, 1, 0}), ErrUnsupported, "section 13"},
		{"functions", module(types, section(secFunction, MaxFunctions+1, make([]byte, MaxFunctions+1)...)), ErrUnsupported, "functions"},
		{"bodies missing", module(types, section(secFunction, 1, 0)), ErrMalformed, "defined"},
		{"a body", one(append(make([]byte, MaxBodyBytes), opEnd)...), ErrUnsupported, "bytes"},
		{"locals", one(1, 0x91, 0x4e, typeI32, opEnd), ErrUnsupported, "locals"},
		{"locals beyond counting", one(2, 0xff, 0xff, 0xff, 0xff, 0x0f, typeI32, 0xff, 0xff, 0xff, 0xff, 0x0f, typeI32, opEnd), ErrUnsupported, "locals"},
		{"results", module(section(secType, 1, append(append([]byte{0x60, 0}, appendU(nil, MaxResults+1)...), bytes.Repeat([]byte{typeI32}, MaxResults+1)...)...)),
			ErrUnsupported, "results"},
		{"a table", module(section(secTable, 1, typeFuncref, 0, 0x81, 0x80, 0x80, 1)), ErrUnsupported, "table"},
		{"a tail call", one(0, 0x12, 0, opEnd), ErrUnsupported, "0x12"},
		{"an atomic", one(0, 0xfe, 0, opEnd), ErrUnsupported, "0xfe"},
		{"an exception", one(0, 0x06, blockVoid, opEnd, opEnd), ErrUnsupported, "0x06"},
		{"a constant vector encoded at length", one(0, opVector, 0x80|vecConst, 0, opEnd), ErrUnsupported, "0xfd"},
		{"a local of a type of two bytes", one(1, 1, 0x63, 0, opEnd), ErrUnsupported, "0x63"},
		{"a block of a type of two bytes", one(0, opBlock, 0x63, 0, opEnd, opEnd), ErrUnsupported, "block"},
		{"a parameter of a type of two bytes", module(section(secType, 1, 0x60, 1, 0x64, 0, 0)), ErrUnsupported, "0x64"},
		{"nothing of another kind", one(0, opRefNull, 0x71, opEnd), ErrUnsupported, "0x71"},
		{"relaxed vectors", one(0, opVector, 0x80, 2, opEnd), ErrUnsupported, "0xfd"},
		{"a shared memory's flags on a table", module(section(secTable, 1, typeFuncref, 3, 0, 0)), ErrUnsupported, "flags"},
		{"an import of the host's", func() []byte {
			m := &asm.Module{}
			m.Import("edge", "other", "", "")
			return m.Encode()
		}(), ErrUnsupported, "edge.other"},
		{"a function that is not there", one(0, opCall, 1, opEnd), ErrMalformed, "function 1"},
		{"a global that is not there", one(0, opGlobalGet, 0, opEnd), ErrMalformed, "global 0"},
		{"a local that is not there", one(0, opLocalGet, 0, opEnd), ErrMalformed, "local 0"},
		{"a type that is not there", one(0, opCallIndirect, 1, 0, opEnd), ErrMalformed, "type 1"},
		{"a branch out", one(0, opBr, 1, opEnd), ErrMalformed, "branch"},
		{"bytes after the end", one(0, opEnd, opEnd), ErrMalformed, "after its end"},
		{"no end", one(0, 0x01), ErrMalformed, "middle"},
	} {
		out, _, err := Rewrite(c.wasm)
		if out != nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %v that says %q", c.name, err, c.kind, c.want)
		}
	}
}

// bombs are modules that are small and take long to compile; size is how much of what makes them so.
var bombs = map[string]func(size int) []byte{
	"functions": func(size int) []byte {
		m := &asm.Module{}
		for range size {
			m.Func("", "", "", 1, asm.Loop, asm.Void, asm.LocalGet, 0, asm.If, asm.Void, asm.End, asm.Br, 0, asm.End)
		}
		return m.Encode()
	},
	"calls and globals": func(size int) []byte {
		m := &asm.Module{Globals: make([]int32, 1000)}
		m.Func("", "", "", 0, bytes.Repeat(asm.Call(0), size)...)
		return m.Encode()
	},
	"calls and globals in many functions": func(size int) []byte {
		m := &asm.Module{Globals: make([]int32, 1000)}
		for range size {
			m.Func("", "", "", 0, bytes.Repeat(asm.Call(0), 10)...)
		}
		return m.Encode()
	},
	"locals and blocks": func(size int) []byte {
		m := &asm.Module{}
		var b []byte
		for range size {
			b = append(b, 0x02, asm.Void)
		}
		for k := range size {
			b = append(append(b, asm.LocalGet, 0, 0x0d, 0), asm.Join(asm.LocalGetOf(uint32(k)), asm.Const(1), []byte{asm.I32Add}, asm.LocalSetOf(uint32(k)))...)
			b = append(b, asm.End)
		}
		m.Func("", "", "", uint32(size), b...)
		return m.Encode()
	},
	"locals and loops": func(size int) []byte {
		m := &asm.Module{}
		var b []byte
		for range size {
			b = append(b, asm.Loop, asm.Void)
		}
		for k := range size {
			b = append(b, asm.Join(asm.LocalGetOf(uint32(k)), asm.Const(1), []byte{asm.I32Add}, asm.LocalSetOf(uint32(k)))...)
			b = append(b, asm.LocalGet, 0, 0x0d, 0, asm.End)
		}
		m.Func("", "", "", uint32(size), b...)
		return m.Encode()
	},
	"a long body": func(size int) []byte {
		m := &asm.Module{}
		m.Func("", "i", "i", 0, asm.Join([]byte{asm.LocalGet, 0}, bytes.Repeat([]byte{asm.LocalGet, 0, asm.I32Add}, size))...)
		return m.Encode()
	},
	"values that live long": func(size int) []byte {
		m := &asm.Module{}
		m.Func("", "", "i", 0, asm.Join(bytes.Repeat(asm.Call(0), size), bytes.Repeat([]byte{asm.I32Add}, size-1))...)
		return m.Encode()
	},
}

// W106: the largest of each bomb that is not refused compiles within a time that a configuration's check can take.
func TestW106CompileBombs(t *testing.T) {
	const patience = 10 * time.Second
	for name, make := range bombs {
		size := 64
		for out := make(size); len(out) < 4<<20; out = make(size) {
			if _, _, err := Rewrite(out); err != nil {
				break
			}
			size *= 2
		}
		size /= 2
		wasm := make(size)
		began := time.Now()
		out, _, err := Rewrite(wasm)
		if err != nil {
			t.Fatal(err)
		}
		rewriting := time.Since(began)
		ctx := context.Background()
		rt := wazero.NewRuntime(ctx)
		began = time.Now()
		_, err = compile(ctx, rt, out)
		took := time.Since(began)
		t.Logf("%s: %d, %d bytes, rewritten to %d in %v, compiled in %v: %v", name, size, len(wasm), len(out), rewriting, took, err)
		if took > patience {
			t.Errorf("%s: it took %v to compile", name, took)
		}
		_ = rt.Close(ctx)
	}
}
