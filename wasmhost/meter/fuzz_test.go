package meter

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"

	"edge/wasmhost/internal/asm"
)

// FuzzRewrite holds that no input makes the rewriter panic, that its errors are the two it declares, and that what it
// makes of a valid module is valid.
func FuzzRewrite(f *testing.F) {
	for _, path := range []string{"testdata/work-c.wasm", "../testdata/trap.wasm", "../testdata/hold.wasm"} {
		wasm, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	if paths, _ := filepath.Glob(filepath.Join(wazeroDir(f), "internal/integration_test/spectest/v2/testdata/*.wasm")); paths != nil {
		for k := 0; k < len(paths); k += 40 {
			if wasm, err := os.ReadFile(paths[k]); err == nil && len(wasm) < 4096 {
				f.Add(wasm)
			}
		}
	}
	m := &asm.Module{Globals: []int32{1, 2}}
	m.Import("env", "proxy_done", "", "i")
	m.Func("f", "ii", "i", 2, asm.Join(asm.Call(0), []byte{asm.Loop, asm.Void, asm.LocalGet, 0, 0x0d, 0, asm.End})...)
	m.Func("g", "iii", "", 0, asm.LocalGet, 0, asm.LocalGet, 1, asm.LocalGet, 2, 0xfc, 8, 0, 0)
	m.PassiveData("some data")
	f.Add(m.Encode())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, info, err := Rewrite(wasm)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) || out != nil {
				t.Fatalf("error %v", err)
			}
			return
		}
		if info.Functions > MaxFunctions {
			t.Errorf("%d functions", info.Functions)
		}
		if wasm = withoutCustom(wasm); valid(wasm) == nil {
			if err := valid(out); err != nil {
				t.Fatalf("valid as it came, but metered: %v", err)
			}
		}
	})
}

// withoutCustom leaves out the custom sections, in which the engine would trust every count.
func withoutCustom(wasm []byte) []byte {
	out := append([]byte(nil), header...)
	for r := (&reader{b: wasm, at: len(header)}); r.more(); {
		from := r.at
		if id := r.byte(); r.take(r.u32()) != nil && id != secCustom {
			out = append(out, wasm[from:r.at]...)
		}
	}
	return out
}

// valid has the engine validate a module.
func valid(wasm []byte) error {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(256))
	defer rt.Close(ctx)
	_, err := compile(ctx, rt, wasm)
	return err
}

// Mutants of real modules: a denser net than fuzzing in the time of a test, since most inputs of a fuzzer are no modules.
func TestMutants(t *testing.T) {
	var seeds [][]byte
	for _, path := range []string{"testdata/work-c.wasm", "testdata/work-as.wasm", "../testdata/trap.wasm", "../testdata/hold.wasm"} {
		wasm, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, wasm)
	}
	r := rand.New(rand.NewPCG(1, 2))
	rewritten, checked := 0, 0
	for range 20_000 {
		wasm := slices.Clone(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(4) {
			at := r.IntN(len(wasm) - 1)
			switch r.IntN(4) {
			case 0:
				wasm[at] = byte(r.IntN(256))
			case 1:
				wasm[at] ^= 1 << r.IntN(8)
			case 2:
				wasm = slices.Insert(wasm, at, byte(r.IntN(256)))
			case 3:
				wasm = slices.Delete(wasm, at, at+1)
			}
		}
		out, _, err := Rewrite(wasm)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error %v", err)
			}
			continue
		}
		rewritten++
		if valid(withoutCustom(wasm)) == nil {
			checked++
			if err := valid(out); err != nil {
				t.Fatalf("valid as it came, but metered: %v", err)
			}
		}
	}
	t.Logf("%d rewritten, %d of them valid", rewritten, checked)
	if checked < 500 {
		t.Errorf("only %d valid mutants", checked)
	}
}
