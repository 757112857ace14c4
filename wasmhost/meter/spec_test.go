package meter

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// wazeroDir is where the engine's source is, with the tests of the WebAssembly specification in it.
func wazeroDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := strings.TrimSpace(string(out))
	if _, missing := os.Stat(filepath.Join(dir, "internal/integration_test/spectest")); err != nil || missing != nil {
		t.Skip("the engine's source is not in the module cache")
	}
	return dir
}

type specCommand struct {
	Type     string
	Line     int
	Name     string
	Filename string
	As       string
	Action   *specAction
}

type specAction struct {
	Type, Module, Field string
	Args                []specValue
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    json.RawMessage
}

// specWorld is a runtime in which one script of the specification's tests runs, as it is or metered.
type specWorld struct {
	runtime wazero.Runtime
	metered bool
	last    api.Module
	named   map[string]api.Module
	yields  int
}

// shortSlice is as little fuel as keeps a loop from beginning again for ever.
const shortSlice = 2 + maxPending/unitsPerTick

func newSpecWorld(t *testing.T, dir string, metered bool) *specWorld {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	w := &specWorld{runtime: rt, metered: metered, named: map[string]api.Module{}}
	t.Cleanup(func() { _ = w.runtime.Close(ctx) })
	linkYield(t, w.runtime, func(depth int32) int32 {
		if depth < 0 {
			panic(errDepth)
		}
		w.yields++
		return shortSlice
	})
	host, err := os.ReadFile(filepath.Join(dir, "internal/integration_test/spectest/testdata/spectest.wasm"))
	if err != nil {
		t.Skip("no spectest.wasm")
	}
	if _, err := w.runtime.InstantiateWithConfig(ctx, host, wazero.NewModuleConfig().WithName("spectest")); err != nil {
		t.Fatal(err)
	}
	return w
}

// module instantiates a module; skip says that the rewriter refuses it by intention.
func (w *specWorld) module(wasm []byte, name string) (err error, skip bool) {
	ctx := context.Background()
	if w.metered {
		out, _, err := Rewrite(wasm)
		if err != nil {
			return err, true
		}
		wasm = out
	}
	compiled, err := compile(ctx, w.runtime, wasm)
	if err != nil {
		return err, false
	}
	m, err := w.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
	if err == nil {
		w.last = m
		prepare(m)
	}
	return err, false
}

func compile(ctx context.Context, rt wazero.Runtime, wasm []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return rt.CompileModule(ctx, wasm)
}

// act does what a command says, and returns what came of it as text.
func (w *specWorld) act(a *specAction) string {
	m := w.last
	if a.Module != "" {
		m = w.named[a.Module]
	}
	if m == nil {
		return "no module"
	}
	if a.Type == "get" {
		if g := m.ExportedGlobal(a.Field); g != nil {
			return fmt.Sprint(g.Get())
		}
		return "no global"
	}
	f := m.ExportedFunction(a.Field)
	if f == nil {
		return "no function"
	}
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.words()...)
	}
	n := max(len(args), slots(f.Definition().ResultTypes()))
	stack := append(args, make([]uint64, n-len(args)+1)...)
	if d := m.ExportedGlobal(Depth); d != nil {
		d.(api.MutableGlobal).Set(StartDepth)
	}
	if err := f.CallWithStack(context.Background(), stack); err != nil {
		return "trap: " + kindOfTrap(err)
	}
	results := stack[:slots(f.Definition().ResultTypes())]
	at := 0
	for _, t := range f.Definition().ResultTypes() { // a reference is a pointer; the sign and payload of a NaN are nobody's promise
		switch {
		case t == api.ValueTypeExternref || t == 0x70:
			results[at] = min(results[at], 1)
		case t == api.ValueTypeI32:
			results[at] = uint64(uint32(results[at]))
		case t == api.ValueTypeF32:
			results[at] = uint64(uint32(results[at]))
		case t == 0x7b:
			at++
		}
		at++
	}
	return fmt.Sprintf("%x", results)
}

func slots(types []api.ValueType) (n int) {
	for _, t := range types {
		n++
		if t == 0x7b {
			n++
		}
	}
	return n
}

// kindOfTrap is the engine's first line. Exhaustion is found by depth where it was found by the stack's size.
func kindOfTrap(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if strings.Contains(line, "stack overflow") || strings.Contains(line, errDepth.Error()) {
		return "exhausted"
	}
	return line
}

func (v specValue) words() []uint64 {
	number := func(s string, bits int) uint64 {
		if s == "null" {
			return 0
		}
		if strings.HasPrefix(s, "nan") {
			return map[int]uint64{32: 0x7fc00000, 64: 0x7ff8 << 48}[bits]
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			i, _ := strconv.ParseInt(s, 10, 64)
			n = uint64(i)
		}
		return n
	}
	if v.Type != "v128" {
		var s string
		_ = json.Unmarshal(v.Value, &s)
		width, _ := strconv.Atoi(strings.TrimLeft(v.Type, "externfuc"))
		return []uint64{number(s, width)}
	}
	var lanes []string
	_ = json.Unmarshal(v.Value, &lanes)
	width, _ := strconv.Atoi(v.LaneType[1:])
	var out [2]uint64
	for k, s := range lanes {
		bit := k * width
		mask := ^uint64(0) >> (64 - width)
		out[bit/64] |= (number(s, width) & mask) << (bit % 64)
	}
	return out[:]
}

// TestSpecification runs the WebAssembly specification's tests, as wazero carries them, metered and not, and compares what
// every command comes to.
func TestSpecification(t *testing.T) {
	dir := wazeroDir(t)
	for _, version := range []string{"v1", "v2"} {
		scripts, _ := filepath.Glob(filepath.Join(dir, "internal/integration_test/spectest", version, "testdata/*.json"))
		if len(scripts) < 50 {
			t.Fatalf("%d scripts", len(scripts))
		}
		modules, commands, yields := 0, 0, 0
		for _, path := range scripts {
			t.Run(version+"/"+strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
				m, c := runScript(t, dir, path, &yields)
				modules, commands = modules+m, commands+c
			})
		}
		t.Logf("%s: %d modules, %d commands compared, %d yields", version, modules, commands, yields)
		if modules < 300 || commands < 10_000 || yields < 10_000 {
			t.Errorf("%s: only %d modules, %d commands and %d yields", version, modules, commands, yields)
		}
	}
}

func runScript(t *testing.T, dir, path string, yields *int) (modules, compared int) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	plain, metered := newSpecWorld(t, dir, false), newSpecWorld(t, dir, true)
	defer func() { *yields += metered.yields }()
	off := false // the rewriter has refused the current module
	for _, c := range script.Commands {
		switch c.Type {
		case "module":
			wasm, err := os.ReadFile(filepath.Join(filepath.Dir(path), c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			want, _ := plain.module(wasm, c.Name)
			got, refused := metered.module(wasm, c.Name)
			off = refused
			modules++
			if refused {
				t.Logf("line %d: refused: %v", c.Line, got)
			} else if (want == nil) != (got == nil) {
				t.Fatalf("line %d: %v, metered %v", c.Line, want, got)
			}
			if c.Name != "" {
				plain.named[c.Name], metered.named[c.Name] = plain.last, metered.last
			}
		case "register":
			for _, w := range []*specWorld{plain, metered} {
				w.register(t, path, script.Commands, c)
			}
		case "assert_return", "assert_trap", "assert_exhaustion", "action":
			if off || c.Action == nil {
				continue
			}
			want, got := plain.act(c.Action), metered.act(c.Action)
			if want != got {
				t.Errorf("line %d: %s %v: %s, metered %s", c.Line, c.Action.Field, c.Action.Args, want, got)
			}
			compared++
		}
	}
	return modules, compared
}

// register makes an instance importable under another name, by an alias: a second instance of the module it was made of.
func (w *specWorld) register(t *testing.T, path string, commands []specCommand, c specCommand) {
	k := slices.IndexFunc(commands, func(o specCommand) bool { return o.Line == c.Line })
	for k--; k >= 0; k-- {
		if o := commands[k]; o.Type == "module" && (c.Name == "" || o.Name == c.Name) {
			wasm, err := os.ReadFile(filepath.Join(filepath.Dir(path), o.Filename))
			if err != nil {
				t.Fatal(err)
			}
			last := w.last
			if err, _ := w.module(wasm, c.As); err != nil {
				t.Logf("line %d: %v", c.Line, err)
				return
			}
			if c.Name == "" {
				return
			}
			w.named[c.Name] = w.last
			w.last = last
			return
		}
	}
}
