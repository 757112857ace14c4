package wasmhost

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

// goGuest is the Go guest of testdata/fails, built now: with its runtime it is too large to be kept.
func goGuest(t *testing.T) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("building a guest with the Go toolchain takes long")
	}
	out := filepath.Join(t.TempDir(), "fails.wasm")
	build := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-w", "-o", out, "main.go")
	build.Dir = "testdata/fails/golang"
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return guest(t, out)
}

// A guest's failure is told in one record: the cause, what was going on, what the guest said, and its stack by name.
func TestFaultsAreExplained(t *testing.T) {
	for name, test := range map[string]struct {
		wasm  func(t *testing.T) []byte
		path  string
		cause Cause
		limit string
		err   string
		said  string // what it contains
		stack string // how it begins
	}{
		"C": {
			wasm: kept("c"), cause: CauseUnreachable, err: "unreachable", stack: "innermost < between < on_request_headers",
		},
		"W94 C, cpu": {
			wasm: kept("c"), path: "/spin", cause: CauseCPU, limit: "cpu 10ms", err: "the call has taken longer than its limit of CPU time",
			stack: "spin < on_request_headers",
		},
		"W96 C, depth": {
			wasm: kept("c"), path: "/deeper", cause: CauseDepth, limit: "call_depth 512",
			err: "the guest's calls are nested deeper than its limit", stack: "deeper (",
		},
		"Rust": {
			wasm: kept("rust"), cause: CauseUnreachable, err: "unreachable",
			said: "panicked at 'attempt to divide by zero', fails.rs:", stack: "rust_begin_unwind < _ZN4core9panicking9panic_fmt17h",
		},
		"AssemblyScript": {
			wasm: kept("as"), cause: CauseExit, err: "the guest aborted",
			said:  "abort: a header that nobody asked for ü at fails.ts:11:3",
			stack: "env.abort < fails/proxy_on_request_headers",
		},
		"Go": {
			wasm: goGuest, cause: CauseUnreachable, err: "unreachable",
			said:  "panic: runtime error: index out of range [6] with length 0; goroutine 1 [running]:; main.look(0x6); ./main.go:17",
			stack: "runtime.abort < runtime.fatalpanic < runtime.gopanic < runtime.goPanicIndex < main.look < main.onRequestHeaders <",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got *Fault
			h := testHost(t, Options{
				Fault: func(f *Fault) { got = f },
				After: func(time.Duration, func()) {}, // no restart
			})
			f, err := h.NewFilter(Spec{Name: "fails", Wasm: test.wasm(t), Lanes: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Retire()
			x := fake.New()
			x.Props["request\x00id"] = filters.Value{Text: "0af1"}
			if test.path != "" {
				x.Req.Target = test.path
			}
			s := begin(t, f, x)
			if a := s.Head(filters.Request, true); a != filters.Fail {
				t.Fatalf("action %v", a)
			}
			s.Close()
			if got == nil || got != f.LastFault() {
				t.Fatalf("fault %v, last %v", got, f.LastFault())
			}
			if got.Filter != "fails" || got.RequestID != "0af1" || got.Phase != RequestHead || got.Cause != test.cause ||
				got.Limit != test.limit || got.Error != test.err {
				t.Errorf("%+v", got)
			}
			if !strings.Contains(got.Said, test.said) || test.said == "" && got.Said != "" {
				t.Errorf("said %q, want %q", got.Said, test.said)
			}
			if !strings.HasPrefix(got.Stack, test.stack) || len(got.Stack) > maxStack+100 {
				t.Errorf("stack %q, want %q…", got.Stack, test.stack)
			}
			t.Log(got.Line())
		})
	}
}

func kept(language string) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return guest(t, "testdata/fails/fails-"+language+".wasm") }
}

// W95: a guest that gives up as it gets no more memory is told of with its limit.
func TestW95MemoryInUseIsNamed(t *testing.T) {
	grow := asm.Join([]byte{asm.Loop, asm.Void}, asm.Const(1), []byte{0x40, 0}, asm.Const(-1), []byte{0x47, 0x0d, 0, asm.End, asm.Unreachable})
	for name, test := range map[string]struct {
		code []byte
		want string
	}{
		"all of it":   {grow, "memory 2097152, all in use"},
		"some of it":  {asm.Join(asm.Const(7), []byte{0x40, 0, asm.Drop, asm.Unreachable}), ""},
		"but for one": {asm.Join(asm.Const(30), []byte{0x40, 0, asm.Drop, asm.Unreachable}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &asm.Module{}
			m.Func("proxy_abi_version_0_2_1", "", "", 0)
			m.Func("proxy_on_request_headers", "iii", "i", 0, test.code...)
			f := testFilter(t, testHost(t, Options{}), Spec{Name: "bomb", Wasm: m.Encode(), Lanes: 1, Limits: Limits{Memory: 2 << 20}})
			s := begin(t, f, fake.New())
			if a := s.Head(filters.Request, true); a != filters.Fail {
				t.Fatalf("action %v", a)
			}
			s.Close()
			if last := f.LastFault(); last.Cause != CauseUnreachable || last.Limit != test.want {
				t.Errorf("%+v", last)
			}
		})
	}
}
