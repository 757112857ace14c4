package wasmhost

import (
	"errors"
	"strings"
	"testing"
)

// wazero's errors, as they are shown.
func TestExplain(t *testing.T) {
	metered := numbers{imports: 3, own: 10}
	for name, test := range map[string]struct {
		err         string
		n           numbers
		text, stack string
	}{
		"no stack": {"the guest does not like it", metered, "the guest does not like it", ""},
		"a trap": {
			"wasm error: unreachable\nwasm stack trace:\n\t.main.f(i32,i32) i32\n\t\t0x12: /src/f.go:7:3\n\t.$3()\n\t.$1(i32)", metered,
			"unreachable", "main.f < $2 < $1",
		},
		"not metered": {"wasm error: unreachable\nwasm stack trace:\n\t.$3()", numbers{}, "unreachable", "$3"},
		"the meter's own left out": {
			"too long (recovered by wazero)\nwasm stack trace:\n\tedge.yield(i32) i32\n\t.$13(i32)\n\t.$12()\n\t.f()", metered,
			"too long", "$11 < f",
		},
		"host functions stay": {"no\nwasm stack trace:\n\tenv.proxy_log(i32,i32,i32) i32\n\t.f()", metered, "no", "env.proxy_log < f"},
		"methods, and names of other languages": {
			"x\nwasm stack trace:\n\t.main.(*T).f(i32) i32\n\t.std::vector<int>::at(unsigned)(i32) i32", metered,
			"x", "main.(*T).f < std::vector<int>::at(unsigned)",
		},
		"recursion": {
			"x\nwasm stack trace:" + strings.Repeat("\n\t.f(i32)", 30) + "\n\t... maybe followed by omitted frames", metered,
			"x", "f (30 times) < …",
		},
		"a panic of the host's": {"boom (recovered by wazero)\ngoroutine 7 [running]:\nx.go:1\nwasm stack trace:\n\t.f()", metered, "boom", "f"},
		"no end": {
			strings.Repeat("x", 2*maxError) + "\nwasm stack trace:" + strings.Repeat("\n\t.a()\n\t.b()", 100), metered,
			strings.Repeat("x", maxError), strings.TrimSuffix(strings.Repeat("a < b < ", maxFrames/2), " < "),
		},
		"long names": {"x\nwasm stack trace:\n\t." + strings.Repeat("n", 3*maxStack) + "()\n\t.f()", metered, "x", "f"},
	} {
		t.Run(name, func(t *testing.T) {
			text, stack := explain(errors.New(test.err), test.n)
			if text != test.text || stack != test.stack {
				t.Errorf("got  %q, %q\nwant %q, %q", text, stack, test.text, test.stack)
			}
		})
	}
}
