package meter

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/internal/asm"
)

// pair is one module as it is and metered, each in an instance.
type pair struct {
	plain, metered api.Module
	yields         int
	runtimes       []wazero.Runtime
}

func (p *pair) close() {
	for _, rt := range p.runtimes {
		_ = rt.Close(context.Background())
	}
}

func newPair(t testing.TB, wasm []byte) *pair {
	t.Helper()
	p := &pair{}
	t.Cleanup(p.close)
	out, _, err := Rewrite(wasm)
	if err != nil {
		t.Fatal(err)
	}
	for k, b := range [][]byte{wasm, out} {
		ctx := context.Background()
		rt := wazero.NewRuntime(ctx)
		p.runtimes = append(p.runtimes, rt)
		linkYield(t, rt, func(depth int32) int32 {
			if depth < 0 {
				panic(errDepth)
			}
			p.yields++
			return shortSlice
		})
		m, err := rt.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatalf("metered %v: %v", k == 1, err)
		}
		*[]*api.Module{&p.plain, &p.metered}[k] = m
	}
	prepare(p.metered)
	return p
}

// call calls both and compares the result, the trap, and the whole memory.
func (p *pair) call(t testing.TB, name string, args ...uint64) string {
	t.Helper()
	var out [2]string
	for k, m := range []api.Module{p.plain, p.metered} {
		if d := m.ExportedGlobal(Depth); d != nil {
			d.(api.MutableGlobal).Set(StartDepth)
		}
		results, err := m.ExportedFunction(name).Call(context.Background(), args...)
		out[k] = fmt.Sprint(results)
		if err != nil {
			out[k] = kindOfTrap(err)
		}
	}
	if out[0] != out[1] {
		t.Errorf("%s%d: %s, metered %s", name, args, out[0], out[1])
	}
	if a, b := whole(p.plain), whole(p.metered); !bytes.Equal(a, b) {
		t.Errorf("%s%d: the memories differ", name, args)
	}
	return out[0]
}

func whole(m api.Module) []byte {
	if m.Memory() == nil {
		return nil
	}
	b, _ := m.Memory().Read(0, m.Memory().Size())
	return b
}

// Bulk operations come to the same in pieces: overlaps either way, ends at the bounds and past them, wrapping sums.
func TestBulkOperationsInPieces(t *testing.T) {
	args := asm.Join([]byte{asm.LocalGet, 0, asm.LocalGet, 1, asm.LocalGet, 2})
	m := &asm.Module{Pages: 8}
	m.Func("fill", "iii", "", 0, asm.Join(args, []byte{0xfc, 11, 0})...)
	m.Func("copy", "iii", "", 0, asm.Join(args, []byte{0xfc, 10, 0, 0})...)
	m.Func("init", "iii", "", 0, asm.Join(args, []byte{0xfc, 8, 0, 0})...)
	m.Func("drop", "", "", 0, 0xfc, 9, 0)
	seed := make([]byte, 3*bulkPiece+17)
	for k := range seed {
		seed[k] = byte(k * k >> 7)
	}
	m.Data(100, string(seed))
	m.Counted = true
	wasm := m.Encode()
	const size = 8 << 16
	lengths := []uint64{0, 1, bulkPiece - 1, bulkPiece, bulkPiece + 1, 2*bulkPiece + 3, 3*bulkPiece + 17, 3*bulkPiece + 18, size, size + 1, 1<<32 - 1}
	places := []uint64{0, 1, 100, bulkPiece - 5, bulkPiece, bulkPiece + 7, size - bulkPiece, size - 1, size, size + 1, 1<<32 - 1}
	for _, name := range []string{"fill", "copy"} {
		p := newPair(t, wasm)
		traps := 0
		for _, d := range places {
			for _, s := range places {
				for _, n := range lengths {
					if p.call(t, name, d, s, n) != "[]" {
						traps++
					}
				}
			}
		}
		if traps == 0 || traps == len(places)*len(places)*len(lengths) {
			t.Errorf("%s: %d traps", name, traps)
		}
	}
	// An active segment is dropped at the start: only nothing can be copied from it.
	p := newPair(t, wasm)
	for _, n := range lengths {
		p.call(t, "init", 0, 0, n)
	}
	// A passive one is there until it is dropped.
	m = &asm.Module{Pages: 8}
	m.Func("init", "iii", "", 0, asm.Join(args, []byte{0xfc, 8, 0, 0})...)
	m.Func("drop", "", "", 0, 0xfc, 9, 0)
	m.PassiveData(string(seed))
	p = newPair(t, m.Encode())
	for round := range 2 {
		for _, d := range places {
			for _, s := range places {
				for _, n := range lengths {
					p.call(t, "init", d, s, n)
				}
			}
		}
		if round == 0 {
			p.call(t, "drop")
		}
	}
	if p.yields == 0 {
		t.Error("no yields")
	}
}
