package meter

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"edge/wasmhost/internal/asm"
)

// W94: code that was written so that it takes much longer than it pays for is stopped soon all the same: values that are
// moved about in a loop, selected, or carried by branches.
func TestW94NothingIsFree(t *testing.T) {
	const many = 5000
	var rotate, choose, push, drop []byte
	for k := range uint32(many) {
		rotate = append(rotate, asm.LocalGetOf(k)...)
		choose = append(choose, asm.LocalGet, 0, asm.LocalGet, 1, asm.LocalGet, 2, opSelect, asm.LocalSet, byte(k%3))
	}
	for k := range uint32(many) {
		rotate = append(rotate, asm.LocalSetOf(many-k)...)
	}
	for k := range uint32(200) {
		push = append(push, asm.LocalGetOf(k)...)
		drop = append(drop, asm.LocalSetOf((k*7)%200)...)
	}
	forever := func(body []byte) []byte {
		return asm.Join([]byte{asm.Loop, asm.Void}, body, []byte{asm.Br, 0, asm.End}, asm.Const(0))
	}
	for name, make := range map[string]func(m *asm.Module){
		"moves":   func(m *asm.Module) { m.Func("f", "i", "i", many, forever(rotate)...) },
		"selects": func(m *asm.Module) { m.Func("f", "i", "i", 2, forever(choose)...) },
		"swaps":   func(m *asm.Module) { m.Func("f", "i", "i", 200, forever(asm.Join(push, drop))...) },
		"selects in a call": func(m *asm.Module) {
			callee := m.Func("", "i", "i", 2, asm.Join(choose, asm.LocalGetOf(0))...)
			m.Func("f", "i", "i", 0, forever(asm.Join(asm.LocalGetOf(0), asm.Call(callee), asm.LocalSetOf(0)))...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &asm.Module{}
			make(m)
			out, _, err := Rewrite(m.Encode())
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			var looks []time.Time
			linkYield(t, rt, func(int32) int32 {
				if looks = append(looks, time.Now()); len(looks) > 20 {
					panic(errTime)
				}
				return Slice
			})
			in, err := rt.InstantiateWithConfig(ctx, out, wazero.NewModuleConfig().WithName("").WithStartFunctions())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.ExportedFunction("f").Call(ctx, 1); err == nil || len(looks) < 20 {
				t.Fatalf("%d looks, error %v", len(looks), err)
			}
			var between []time.Duration
			for k := range looks[1:] {
				between = append(between, looks[k+1].Sub(looks[k]))
			}
			if quick := slices.Min(between); quick > 10*time.Millisecond {
				t.Errorf("there are %v between two looks", quick)
			}
		})
	}
}
