package httpwasm

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

const i64Const = 0x42

// calling is a guest whose handle_request runs code with the named host function, and goes on.
func calling(name string, code func(index uint32) []byte) []byte {
	m := &asm.Module{}
	c := hostCalls[name]
	index := m.Import(hostModule, name, c.params, c.results)
	m.Data(16, "x-name")
	m.Data(1024, strings.Repeat("v", 8192))
	m.Func("handle_request", "", "I", 0, append(code(index), i64Const, 1)...)
	m.Func("handle_response", "ii", "", 0)
	return m.Encode()
}

// launch starts a guest; every feature is enabled.
func launch(t *testing.T, wasm []byte, p *Plugin) *Instance {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() { rt.Close(ctx) })
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Inspect(compiled)
	if err != nil {
		t.Fatal(err)
	}
	if err := Link(ctx, rt, compiled); err != nil {
		t.Fatal(err)
	}
	p.Now, p.Random = time.Now, rand.Reader
	in, err := m.NewInstance(rt, p)
	if err != nil {
		t.Fatal(err)
	}
	in.features = allFeatures
	t.Cleanup(in.Discard)
	return in
}

// Whatever a guest hands to a host function, at worst its call traps (W: wrong pointers, lengths, kinds).
func TestNoArgumentHurtsTheHost(t *testing.T) {
	values := []int32{0, 1, 16, 6, -1, 1<<31 - 1, -1 << 31, 65535, 65536, 65530}
	for name, c := range hostCalls {
		t.Run(name, func(t *testing.T) {
			trapped, passed := 0, 0
			for seed := range 40 {
				in := launch(t, calling(name, func(index uint32) []byte {
					var code []byte
					for k := range c.params {
						code = append(code, asm.Const(values[(seed*7+k*(seed%9+1))%len(values)])...)
					}
					code = append(code, asm.Call(index)...)
					if c.results != "" {
						code = append(code, asm.Drop)
					}
					return code
				}), &Plugin{BodyLimit: 1 << 20, Config: []byte("configuration")})
				var s Stream
				x := fake.New()
				s.Begin(x, in)
				if _, err := s.Head(filters.Request, true); err != nil {
					trapped++
				} else {
					passed++
				}
				if in.err == nil && s.phase != between {
					t.Fatalf("phase %d without an error", s.phase)
				}
				if x.Req.Method == "" || x.Req.Target == "" || x.Req.Authority == "" {
					t.Fatalf("the request is broken: %+v", x.Req)
				}
			}
			if trapped+passed != 40 {
				t.Errorf("%d trapped, %d passed", trapped, passed)
			}
		})
	}
}

// A guest that does one thing for ever is stopped by the bound on that thing.
func TestBoundsOfOneCall(t *testing.T) {
	for _, c := range []struct {
		name, call string
		args       []int32
		want       string
		is         error
	}{
		{"W98 host calls", "get_method", []int32{0, 0}, "", ErrHostCalls},
		{"log lines", "log", []int32{0, 16, 6}, "", ErrHostCalls},
		{"fields", "add_header_value", []int32{kindRequest, 16, 6, 16, 6}, "more than 1024 fields", nil},
		{"bytes of mutations", "set_header_value", []int32{kindResponse, 16, 6, 1024, 8192}, "more than 1048576 bytes into one exchange", nil},
		{"the URI", "set_uri", []int32{0, 0}, "", ErrHostCalls},
		{"a body", "write_body", []int32{bodyResponse, 0, 65536}, "more than 1048576 bytes of a body", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Plugin{BodyLimit: 1 << 20}
			in := launch(t, calling(c.call, func(index uint32) []byte {
				code := []byte{asm.Loop, asm.Void}
				for _, v := range c.args {
					code = append(code, asm.Const(v)...)
				}
				code = append(code, asm.Call(index)...)
				if hostCalls[c.call].results != "" {
					code = append(code, asm.Drop)
				}
				return append(code, asm.Br, 0, asm.End)
			}), p)
			var s Stream
			x := fake.New()
			s.Begin(x, in)
			_, err := s.Head(filters.Request, true)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v", err)
			}
			if n := len(x.Lines); n > MaxLogLines || c.call == "log" && (n != MaxLogLines || p.Counters.DroppedLog.Load() == 0) {
				t.Errorf("%d lines, %d dropped", n, p.Counters.DroppedLog.Load())
			}
			if x.Req.Header.Len() > MaxFields {
				t.Errorf("%d fields", x.Req.Header.Len())
			}
		})
	}
}

func TestModulesThatAreNoHandlers(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		build func(m *asm.Module)
		want  string
	}{
		{"no handle_response", func(m *asm.Module) { m.Func("handle_request", "", "I", 0, i64Const, 1) }, "does not export handle_response"},
		{"no memory", func(m *asm.Module) {
			m.NoMemory = true
			m.Func("handle_request", "", "I", 0, i64Const, 1)
			m.Func("handle_response", "ii", "", 0)
		}, `exports no "memory"`},
		{"another type", func(m *asm.Module) {
			m.Func("handle_request", "", "i", 0, asm.Const(1)...)
			m.Func("handle_response", "ii", "", 0)
		}, "handle_request has type ()→(i32); the ABI's is ()→(i64)"},
		{"an import of another type", func(m *asm.Module) {
			m.Import(hostModule, "log", "ii", "")
			m.Func("handle_request", "", "I", 0, i64Const, 1)
			m.Func("handle_response", "ii", "", 0)
		}, "imports http_handler.log as (i32,i32)→(); it is (i32,i32,i32)→()"},
		{"unknown imports", func(m *asm.Module) {
			m.Import(hostModule, "next", "", "")
			m.Import("env", "sock_open", "", "")
			m.Func("handle_request", "", "I", 0, i64Const, 1)
			m.Func("handle_response", "ii", "", 0)
		}, "env.sock_open, http_handler.next"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			m := &asm.Module{}
			c.build(m)
			compiled, err := rt.CompileModule(ctx, m.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if !Detect(compiled) {
				t.Error("not detected")
			}
			if _, err = Inspect(compiled); err == nil {
				err = Link(ctx, rt, compiled)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Guests that touch no body are shown none: it passes uncopied.
func TestCallbacksFollowImports(t *testing.T) {
	heads := filters.OnRequestHead | filters.OnResponseHead
	bodies := []string{"read_body", "write_body", "enable_features"}
	for name, c := range hostCalls {
		ctx := context.Background()
		rt := wazero.NewRuntime(ctx)
		m := &asm.Module{}
		m.Import(hostModule, name, c.params, c.results)
		m.Func("handle_request", "", "I", 0, i64Const, 1)
		m.Func("handle_response", "ii", "", 0)
		compiled, err := rt.CompileModule(ctx, m.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if in, err := Inspect(compiled); err != nil || (in.Callbacks == heads) == slices.Contains(bodies, name) {
			t.Errorf("%s: %v, error %v", name, in, err)
		}
		rt.Close(ctx)
	}
}
