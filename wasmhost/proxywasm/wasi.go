package proxywasm

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"edge/filters"
)

// errnoInval is WASI's errno 28.
const errnoInval = 28

// linkWASI provides WASI preview 1 under the given module name: wazero's, with nothing behind it but clocks, randomness
// and standard output as log lines. There are no files, sockets, arguments or environment (W107); sleeping returns at
// once, as a guest must never hold a worker.
func linkWASI(ctx context.Context, rt wazero.Runtime, module string) error {
	b := rt.NewHostModuleBuilder(module)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	i32 := api.ValueTypeI32
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(procExit), []api.ValueType{i32}, nil).Export("proc_exit")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(randomGet), []api.ValueType{i32, i32}, []api.ValueType{i32}).
		Export("random_get")
	_, err := b.Instantiate(ctx)
	return err
}

// exit is the panic by which proc_exit ends the call under way.
type exit struct{ code uint32 }

func (e exit) Error() string { return fmt.Sprintf("the guest ended itself with exit code %d", e.code) }

// procExit differs from wazero's in that it leaves the module open: a command's _start ends with proc_exit(0), and the
// guest serves after that.
func procExit(_ context.Context, _ api.Module, stack []uint64) { panic(exit{uint32(stack[0])}) }

func randomGet(ctx context.Context, mod api.Module, stack []uint64) {
	at, n := uint32(stack[0]), uint32(stack[1])
	stack[0] = errnoInval
	if n > MaxRandom {
		return
	}
	buf, fits := mod.Memory().Read(at, n)
	if !fits {
		return
	}
	if _, err := io.ReadFull(instanceOf(ctx).plugin.Random, buf); err == nil {
		stack[0] = 0
	}
}

// lineWriter makes log lines of what a guest writes to standard output or standard error.
type lineWriter struct {
	instance *Instance
	level    filters.Level
	line     []byte
}

// writePiece is how many bytes are written between two looks at the clock.
const writePiece = 64 << 10

// Write logs each whole line; what is longer than MaxLogLine is cut there.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.instance.gauge.Look()
	for piece := range slices.Chunk(p, writePiece) {
		for _, c := range piece {
			if c == '\n' || len(w.line) == MaxLogLine {
				w.flush()
			}
			if c != '\n' {
				w.line = append(w.line, c)
			}
		}
		w.instance.gauge.Look()
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	if len(w.line) > 0 {
		w.instance.log(w.level, w.line)
		w.line = w.line[:0]
	}
}
