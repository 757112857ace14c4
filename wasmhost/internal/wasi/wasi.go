// Package wasi is the WASI preview 1 that guests of every ABI get: nothing behind it but clocks, randomness, and standard output and
// error as log lines (W107).
package wasi

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// ErrnoInval is WASI's errno 28.
const ErrnoInval = 28

const (
	errnoBadf  = 8
	errnoFault = 21
	stderr     = 2 // the highest descriptor
)

// Modules are the two names under which guests import it.
var Modules = []string{"wasi_snapshot_preview1", "wasi_unstable"}

// Randomness says where a guest's random bytes come from, and how many it may ask for at once. Source finds the reader of the
// instance that a call belongs to; it must be safe for use by several instances at once.
type Randomness struct {
	Source func(ctx context.Context) io.Reader
	Most   uint32
}

// Link provides WASI under the given module name: wazero's, but for what differs below. There are no files, sockets, arguments or
// environment; sleeping returns at once, as a guest must never hold a worker.
func Link(ctx context.Context, rt wazero.Runtime, module string, r Randomness) error {
	b := rt.NewHostModuleBuilder(module)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	i32 := api.ValueTypeI32
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(procExit), []api.ValueType{i32}, nil).Export("proc_exit")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(r.get), []api.ValueType{i32, i32}, []api.ValueType{i32}).
		Export("random_get")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(poll), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).
		Export("poll_oneoff")
	for name, params := range descriptorCalls {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(keepDescriptor), params, []api.ValueType{i32}).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// descriptorCalls would change an instance's table of descriptors, which is the standard streams and nothing else, and by that
// leave something behind for the next stream in a guest that is restored between them. They succeed and change nothing. wazero's
// own fd_filestat_set_times panics on a standard stream (1.12).
var descriptorCalls = map[string][]api.ValueType{
	"fd_close":            {api.ValueTypeI32},
	"fd_renumber":         {api.ValueTypeI32, api.ValueTypeI32},
	"fd_fdstat_set_flags": {api.ValueTypeI32, api.ValueTypeI32},

	"fd_filestat_set_times": {api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeI64, api.ValueTypeI32},
}

func keepDescriptor(_ context.Context, _ api.Module, stack []uint64) {
	if fd := uint32(stack[0]); fd > stderr {
		stack[0] = errnoBadf
		return
	}
	stack[0] = 0
}

// Exit is the panic by which proc_exit ends the call under way.
type Exit struct{ Code uint32 }

// Error says so.
func (e Exit) Error() string { return fmt.Sprintf("the guest ended itself with exit code %d", e.Code) }

// procExit differs from wazero's in that it leaves the module open: a command's _start ends with proc_exit(0), and the
// guest serves after that.
func procExit(_ context.Context, _ api.Module, stack []uint64) { panic(Exit{uint32(stack[0])}) }

// get is random_get.
func (r Randomness) get(ctx context.Context, mod api.Module, stack []uint64) {
	at, n := uint32(stack[0]), uint32(stack[1])
	stack[0] = ErrnoInval
	if n > r.Most {
		return
	}
	buf, fits := mod.Memory().Read(at, n)
	if !fits {
		return
	}
	if _, err := io.ReadFull(r.Source(ctx), buf); err == nil {
		stack[0] = 0
	}
}

// Lines makes log lines of what a guest writes to standard output or standard error. It belongs to the guest's instance.
type Lines struct {
	Log   func(line []byte)
	Look  func() // at the clock: what a guest writes in one call may be long
	Most  int    // bytes of a line; it is cut there
	begun []byte
}

// lookEvery is how many bytes are written between two looks at the clock.
const lookEvery = 64 << 10

// Write logs each whole line.
func (w *Lines) Write(p []byte) (int, error) {
	w.Look()
	for piece := range slices.Chunk(p, lookEvery) {
		for _, c := range piece {
			if c == '\n' || len(w.begun) == w.Most {
				w.Flush()
			}
			if c != '\n' {
				w.begun = append(w.begun, c)
			}
		}
		w.Look()
	}
	return len(p), nil
}

// Flush logs a line that has begun.
func (w *Lines) Flush() {
	if len(w.begun) > 0 {
		w.Log(w.begun)
		w.begun = w.begun[:0]
	}
}
