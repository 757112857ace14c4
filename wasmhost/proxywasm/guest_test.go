package proxywasm

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/commons"
	"edge/wasmhost/internal/fake"
	"edge/wasmhost/internal/wasi"
)

// Where the tests put things in the guest's memory. The guest allocates from heapAt on.
const (
	keyAt   = 0x100
	valueAt = 0x1000
	mapAt   = 0x4000
	outAt   = 0x80 // four words for out pointers
	heapAt  = 0x10000
	pages   = 4
	beyond  = pages << 16 // the first address outside
)

// trampolines is a guest that exports call_X for every host call X, and an allocator that hands out memory upwards.
func trampolines(version string) *asm.Module {
	m := &asm.Module{Pages: pages, Globals: []int32{heapAt}}
	names := slices.Sorted(maps.Keys(hostCalls))
	index := map[string]uint32{}
	for _, name := range names {
		index[name] = m.Import("env", name, hostCalls[name].params, results(name))
	}
	m.Func("proxy_abi_version_"+version, "", "", 0)
	for _, name := range names {
		var code []byte
		for k := range hostCalls[name].params {
			code = append(code, asm.LocalGet, byte(k))
		}
		m.Func("call_"+name, hostCalls[name].params, results(name), 0, append(code, asm.Call(index[name])...)...)
	}
	return m
}

func results(name string) string {
	if hostCalls[name].none {
		return ""
	}
	return "i"
}

// bump is the code of an allocator over global 0.
var bump = []byte{
	asm.GlobalGet, 0, asm.GlobalGet, 0, asm.LocalGet, 0, asm.I32Add, asm.GlobalSet, 0,
}

func withAllocator(m *asm.Module, code []byte) *asm.Module {
	m.Func("proxy_on_memory_allocate", "i", "i", 0, code...)
	return m
}

// rig is an instance with one stream in the middle of a callback.
type rig struct {
	t      testing.TB
	x      *fake.Exchange
	in     *Instance
	stream *Stream
	plugin *Plugin
	lines  []string
}

func compile(t testing.TB, wasm []byte) (wazero.Runtime, *Module, error) {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(512))
	t.Cleanup(func() { rt.Close(ctx) })
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Inspect(compiled)
	if err != nil {
		return nil, nil, err
	}
	return rt, m, Link(ctx, rt, compiled)
}

func newRig(t testing.TB, m *asm.Module) *rig {
	t.Helper()
	rt, module, err := compile(t, m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, x: fake.New(), stream: &Stream{}}
	r.plugin = &Plugin{
		Name: "probe", RootID: "root", VMID: "vm", Config: []byte("plugin config"), VMConfig: []byte("vm config"),
		Upstreams: map[string]bool{"app": true}, BodyLimit: 1000, Shared: commons.New().Join("vm", "probe"),
		Log:    func(_ filters.Level, line string) { r.lines = append(r.lines, line) },
		Now:    func() time.Time { return time.Unix(1700000000, 123456789) },
		Random: rand.Reader,
	}
	if r.in, err = module.NewInstance(rt, r.plugin); err != nil {
		t.Fatal(err)
	}
	if err := r.in.Open(r.stream, r.x); err != nil {
		t.Fatal(err)
	}
	r.in.begin(r.stream)
	return r
}

func probe(t testing.TB) *rig { return newRig(t, withAllocator(trampolines("0_2_1"), bump)) }

// call calls a host function as the guest does, with garbage in the upper halves of 32-bit arguments.
func (r *rig) call(name string, args ...uint64) status {
	r.t.Helper()
	s, err := r.try(name, args...)
	if err != nil {
		r.t.Fatalf("%s%v: %v", name, args, err)
	}
	return s
}

func (r *rig) try(name string, args ...uint64) (status, error) {
	got, err := r.in.Module.ExportedFunction("call_"+name).Call(r.in, args...)
	if err != nil || len(got) == 0 {
		return ok, err
	}
	return status(uint32(got[0])), nil
}

func (r *rig) put(at uint32, s string) uint64 {
	r.t.Helper()
	if !r.in.Memory.WriteString(at, s) {
		r.t.Fatal("the test's own text is out of bounds")
	}
	return uint64(len(s))
}

// key and value put a text where the host call finds it, and return its place and length.
func (r *rig) text(at uint32, s string) (uint64, uint64) { return uint64(at), r.put(at, s) }

func (r *rig) word(at uint32) uint32 {
	v, _ := r.in.Memory.ReadUint32Le(at)
	return v
}

// given is what the last call handed over through the out pointers outAt and outAt+4.
func (r *rig) given() string {
	b, fits := r.in.Memory.Read(r.word(outAt), r.word(outAt+4))
	if !fits {
		r.t.Fatal("what was given is out of bounds")
	}
	return string(b)
}

// packed is a serialized map.
func packed(pairs ...string) string {
	word := func(n int) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) }
	out := word(len(pairs) / 2)
	for _, p := range pairs {
		out += word(len(p))
	}
	for _, p := range pairs {
		out += p + "\x00"
	}
	return out
}

func unpacked(t testing.TB, s string) [][2]string {
	t.Helper()
	pairs, valid := getPairs(nil, []byte(s))
	if !valid {
		t.Fatalf("not a map: %q", s)
	}
	return pairs
}

func TestEveryHostCallLinks(t *testing.T) {
	m := &asm.Module{}
	for _, module := range wasi.Modules {
		for name, params := range map[string]string{
			"fd_write": "iiii", "clock_time_get": "iIi", "random_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
			"args_get": "ii", "args_sizes_get": "ii", "sched_yield": "", "poll_oneoff": "iiii", "fd_close": "i", "fd_read": "iiii",
			"fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii",
		} {
			m.Import(module, name, params, "i")
		}
		m.Import(module, "proc_exit", "i", "")
	}
	for name, c := range hostCalls {
		m.Import("env", name, c.params, results(name))
	}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	withAllocator(m, asm.Const(0))
	newRig(t, m)
	if n := len(hostCalls); n != 46 {
		t.Errorf("%d host calls; 0.2.1 has 39, 0.1.0 four more, and toolchains three", n)
	}
}

func TestClearRouteCacheWithoutResult(t *testing.T) {
	m := &asm.Module{}
	k := m.Import("env", "proxy_clear_route_cache", "", "")
	m.Func("proxy_abi_version_0_1_0", "", "", 0)
	m.Func("proxy_on_context_create", "ii", "", 0, asm.Call(k)...)
	newRig(t, m)
}

func TestModulesThatAreRefused(t *testing.T) {
	marked := func() *asm.Module { return &asm.Module{} }
	for _, c := range []struct {
		name string
		make func() *asm.Module
		want string
	}{
		{"no marker", func() *asm.Module { return &asm.Module{} }, "proxy_abi_version"},
		{"no memory", func() *asm.Module {
			m := &asm.Module{NoMemory: true}
			m.Func("proxy_abi_version_0_2_0", "", "", 0)
			return m
		}, `no "memory"`},
		{"W106 unknown imports", func() *asm.Module {
			m := marked()
			m.Import("env", "proxy_make_coffee", "i", "i")
			m.Import("wasi_snapshot_preview2", "x", "", "")
			m.Func("proxy_abi_version_0_2_0", "", "", 0)
			return m
		}, "env.proxy_make_coffee, wasi_snapshot_preview2.x"},
		{"a host call of another type", func() *asm.Module {
			m := marked()
			m.Import("env", "proxy_log", "ii", "i")
			m.Func("proxy_abi_version_0_2_0", "", "", 0)
			return m
		}, "imports env.proxy_log as (i32,i32)→(i32); it is (i32,i32,i32)→(i32)"},
		{"a callback of another type", func() *asm.Module {
			m := marked()
			m.Func("proxy_abi_version_0_2_0", "", "", 0)
			m.Func("proxy_on_request_body", "ii", "i", 0, asm.Const(0)...)
			return m
		}, "export proxy_on_request_body has type (i32,i32)→(i32)"},
		{"no allocator", func() *asm.Module {
			m := marked()
			m.Import("env", "proxy_get_property", "iiii", "i")
			m.Func("proxy_abi_version_0_2_0", "", "", 0)
			return m
		}, "neither proxy_on_memory_allocate nor malloc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := compile(t, c.make().Encode())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		markers []string
		want    Version
	}{
		{[]string{"0_1_0"}, V0_1_0}, {[]string{"0_2_0"}, V0_2_0}, {[]string{"0_2_1"}, V0_2_1}, {[]string{"0_2_1", "0_1_0"}, V0_2_1},
	} {
		m := &asm.Module{}
		for _, marker := range c.markers {
			m.Func("proxy_abi_version_"+marker, "", "", 0)
		}
		_, module, err := compile(t, m.Encode())
		if err != nil || module.Version != c.want {
			t.Errorf("%v: version %v, error %v", c.markers, module.Version, err)
		}
	}
}

func TestHeaderCallbacksOfVersion010TakeTwoParameters(t *testing.T) {
	m := &asm.Module{Globals: []int32{0}}
	m.Func("proxy_abi_version_0_1_0", "", "", 0)
	m.Func("proxy_on_request_headers", "ii", "i", 0, asm.LocalGet, 1, asm.GlobalSet, 0, asm.I32Const, 1)
	r := newRig(t, m)
	got, err := r.in.Head(r.stream, filters.Request, true)
	if err != nil || got != filters.Pause {
		t.Errorf("action %v, error %v", got, err)
	}
}
