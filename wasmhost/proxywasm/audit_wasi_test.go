package proxywasm

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"edge/wasmhost/internal/asm"
)

// Every function of WASI, with operands of every kind in every place: it answers with an error number, or does what it can, and
// neither ends the guest nor anybody else.
func TestW100EveryFunctionOfWASI(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(ctx)
	compiled, err := wasi_snapshot_preview1.NewBuilder(rt).Compile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	letters := func(types []api.ValueType) string {
		out := ""
		for _, v := range types {
			if v == api.ValueTypeI64 {
				out += "I"
			} else {
				out += "i"
			}
		}
		return out
	}
	m := &asm.Module{Pages: pages, Globals: []int32{heapAt}}
	index := map[string]uint32{}
	params := map[string]string{}
	for name, f := range compiled.ExportedFunctions() {
		if name == "proc_exit" {
			continue // ends the guest, as it should
		}
		params[name] = letters(f.ParamTypes())
		index[name] = m.Import("wasi_snapshot_preview1", name, params[name], letters(f.ResultTypes()))
	}
	if len(index) < 40 {
		t.Fatalf("only %d functions", len(index))
	}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	for name := range index {
		var code []byte
		for k := range params[name] {
			code = append(code, asm.LocalGet, byte(k))
		}
		m.Func("call_"+name, params[name], "i", 0, append(code, asm.Call(index[name])...)...)
	}
	r := newRig(t, withAllocator(m, bump))
	random := rand.New(rand.NewPCG(1, 2))
	values := []uint64{0, 1, 2, 3, 4, 16, 0x40, 0x1000, beyond - 8, beyond - 1, beyond, 1<<31 - 1, 1 << 31, 1<<32 - 8, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		for range 300 {
			args := make([]uint64, len(params[name]))
			for k := range args {
				if args[k] = values[random.IntN(len(values))]; params[name][k] == 'i' {
					args[k] &= 1<<32 - 1
				}
			}
			r.in.begin(r.stream)
			if _, err := r.try(name, args...); err != nil {
				t.Errorf("%s%#x: %v", name, args, err)
				break
			}
		}
	}
	if size := r.in.Memory.Size(); size != beyond {
		t.Errorf("the guest's memory has %d bytes", size)
	}
}
