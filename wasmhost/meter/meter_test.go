package meter

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

var (
	errDepth = errors.New("too deep")
	errTime  = errors.New("too long")
)

// linkYield gives a runtime the host's side: yield gets the depth and returns the fuel.
func linkYield(t testing.TB, rt wazero.Runtime, yield func(depth int32) int32) {
	t.Helper()
	i32 := []api.ValueType{api.ValueTypeI32}
	_, err := rt.NewHostModuleBuilder(Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			stack[0] = uint64(uint32(yield(int32(uint32(stack[0])))))
		}), i32, i32).Export(Yield).Instantiate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
}

// prepare makes an instance's first slice as short as can be, so that every path has its yield.
func prepare(m api.Module) {
	if g := m.ExportedGlobal(Fuel); g != nil {
		g.(api.MutableGlobal).Set(0)
	}
}
