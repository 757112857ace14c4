package wasmhost

import (
	"encoding/hex"
	"strings"
	"testing"

	"edge/wasmhost/internal/asm"
)

func TestModulesThatAreRefused(t *testing.T) {
	exporting := func(names ...string) []byte {
		m := &asm.Module{}
		for _, name := range names {
			m.Func(name, "", "", 0)
		}
		return m.Encode()
	}
	importing := func(module, name string) []byte {
		m := &asm.Module{}
		m.Import(module, name, "", "")
		m.Func("proxy_abi_version_0_2_1", "", "", 0)
		return m.Encode()
	}
	for _, c := range []struct {
		name string
		wasm []byte
		want string
	}{
		{"nothing", nil, "not a WebAssembly module"},
		{"text", []byte("(module (memory 1))"), "not a WebAssembly module"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00rest"), "component"},
		{"another version", []byte("\x00asm\x02\x00\x00\x00"), "binary version 02 00 00 00"},
		{"W106 cut off", exporting("proxy_abi_version_0_2_1")[:20], "malformed"},
		{"W106 a call to a function of no type, on which wazero panics", []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00" +
			"\x03\x03\x02\x00\x63\x0a\x09\x02\x04\x00\x10\x01\x0b\x02\x00\x0b"), "malformed"},
		{"W106 too large", make([]byte, MaxModuleBytes+1), "more than"},
		{"http-wasm", exporting("handle_request", "handle_response"), "http-wasm"},
		{"a WASI command", exporting("_start"), "WASI command"},
		{"no known ABI", exporting("run"), "ABI is unknown"},
		{"an unknown import", importing("env", "proxy_make_coffee"), "env.proxy_make_coffee"},
		{"W106 not valid", func() []byte {
			m := &asm.Module{}
			m.Func("proxy_abi_version_0_2_1", "", "", 0, asm.Drop)
			return m.Encode()
		}(), "not valid"},
		{"an import of the host's own", importing("edge", "yield"), "edge.yield"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := testHost(t, Options{})
			f, err := h.NewFilter(Spec{Name: "bad", Wasm: c.wasm})
			if f != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `filter "bad": `) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if h.Modules() != 0 {
				t.Error("the module is kept")
			}
		})
	}
}

func TestW95MemoryLimit(t *testing.T) {
	m := &asm.Module{Pages: 3}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	if _, err := testHost(t, Options{}).NewFilter(Spec{Name: "m", Wasm: m.Encode(), Limits: Limits{Memory: 2 << 16}}); err == nil {
		t.Error("a module that needs 3 pages starts within 2")
	}

	grow := func(pages int32) error {
		m := &asm.Module{}
		m.Func("proxy_abi_version_0_2_1", "", "", 0)
		// proxy_on_configure returns whether memory.grow(pages) succeeded: result + 1 != 0.
		m.Func("proxy_on_configure", "ii", "i", 0, asm.Join(asm.Const(pages), []byte{0x40, 0}, asm.Const(1), []byte{asm.I32Add})...)
		f, err := testHost(t, Options{}).NewFilter(Spec{Name: "m", Wasm: m.Encode(), Lanes: 1, Limits: Limits{Memory: 4 << 16}})
		if err == nil {
			if got := f.Stats().Memory; got != int(pages+1)<<16 {
				t.Errorf("%d bytes of memory", got)
			}
			f.Retire()
		}
		return err
	}
	if err := grow(3); err != nil {
		t.Errorf("to the limit: %v", err)
	}
	if err := grow(4); err == nil {
		t.Error("beyond the limit succeeds")
	}
}

func TestPin(t *testing.T) {
	wasm := example(t, "greeter")
	h := testHost(t, Options{})
	if _, err := h.NewFilter(Spec{Name: "g", Wasm: wasm, SHA256: strings.Repeat("0", 64)}); err == nil ||
		!strings.Contains(err.Error(), "not the pinned") {
		t.Errorf("error %v", err)
	}
	f := testFilter(t, h, Spec{Name: "g", Wasm: wasm})
	testFilter(t, h, Spec{Name: "g", Wasm: wasm, SHA256: strings.ToUpper(hex.EncodeToString(f.module.key.sum[:]))})
}

func TestSpecs(t *testing.T) {
	wasm := example(t, "greeter")
	for name, s := range map[string]Spec{
		"no name":         {},
		"isolation":       {Name: "x", Isolation: PerStream + 1},
		"background":      {Name: "x", Isolation: PerStream, Background: true},
		"too many lanes":  {Name: "x", Lanes: MaxLanes + 1},
		"too much memory": {Name: "x", Limits: Limits{Memory: MaxMemory + 1}},
		"a limit below 0": {Name: "x", Limits: Limits{CPU: -1}},
		"a body below 0":  {Name: "x", Limits: Limits{Body: -1}},
	} {
		s.Wasm = wasm
		if _, err := testHost(t, Options{}).NewFilter(s); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "x", Wasm: wasm})
	if l := f.Limits(); l.Pause != DefaultPause || l.Body != DefaultBody || f.Name() != "x" {
		t.Errorf("limits %+v", l)
	}
}

// What metering adds to a module is not within the guest's reach.
func TestGuestsCannotReachTheirMeter(t *testing.T) {
	for name, code := range map[string][]byte{
		"the fuel":     {asm.GlobalGet, 0, asm.Drop},
		"a helper":     {asm.CallOp, 2},
		"a local":      {asm.LocalGet, 0, asm.Drop},
		"an export of": nil,
	} {
		m := &asm.Module{}
		m.Func("proxy_abi_version_0_2_1", "", "", 0, asm.Join(asm.Call(0), code)...)
		if code == nil {
			m.Globals = []int32{0}
			m.Func("edge.fuel", "", "", 0)
		}
		if _, err := testHost(t, Options{}).NewFilter(Spec{Name: "bad", Wasm: m.Encode()}); err == nil {
			t.Errorf("a module that names %s is taken", name)
		}
	}
}
