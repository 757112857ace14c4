// Package guest is what an instance is made of, whatever ABI its guest speaks: the module's instance and its memory, the gauge
// that meters it, its state to be saved and put back, and its standard output.
package guest

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"edge/filters"
	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/internal/snapshot"
	"edge/wasmhost/internal/wasi"
	"edge/wasmhost/internal/words"
)

// World is what a guest finds around it. Clocks are given to the microsecond (W107).
type World struct {
	Fuel   *fuel.Limits
	Plan   snapshot.Plan
	Now    func() time.Time // the wall clock
	Began  time.Time        // where the monotonic clock begins
	Random io.Reader

	// Log takes a line of standard output (at info) or standard error (at error), of at most MaxLine bytes, as a view.
	Log     func(level filters.Level, line []byte)
	MaxLine int
}

// Guest is embedded in the instance of an ABI, which is the context that the guest is called with. One caller at a time.
type Guest struct {
	Module api.Module
	Memory api.Memory  // "memory"
	Words  words.Words // what it has told as errors in this call

	gauge  fuel.Gauge
	linear snapshot.Room
	state  snapshot.State
	stdout wasi.Lines
	stderr wasi.Lines
}

// Instantiate instantiates a module in rt, where it must have been linked. The module's own start function runs, and nothing else of the
// guest. Where there is an error nothing is left.
func (g *Guest) Instantiate(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, w World) error {
	g.stdout, g.stderr = g.standard(filters.Info, &w), g.standard(filters.Error, &w)
	g.gauge.Starting(w.Fuel)
	now, began := w.Now, w.Began
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(&g.stdout).WithStderr(&g.stderr).WithRandSource(w.Random).
		WithWalltime(func() (int64, int32) {
			t := now().Truncate(time.Microsecond)
			return t.Unix(), int32(t.Nanosecond())
		}, sys.ClockResolution(time.Microsecond)).
		WithNanotime(func() int64 { return int64(now().Sub(began).Truncate(time.Microsecond)) }, sys.ClockResolution(time.Microsecond))
	module, err := g.linear.Instantiate(ctx, rt, compiled, c)
	if err != nil {
		return fmt.Errorf("instantiating: %w", err)
	}
	g.Module, g.Memory = module, module.ExportedMemory("memory")
	g.gauge.Attach(module)
	g.state.Attach(module, w.Plan, &g.linear)
	return nil
}

func (g *Guest) standard(level filters.Level, w *World) wasi.Lines {
	log := w.Log
	return wasi.Lines{Log: func(line []byte) { log(level, line) }, Look: g.gauge.Look, Most: w.MaxLine}
}

// Gauge implements fuel.Holder.
func (g *Guest) Gauge() *fuel.Gauge { return &g.gauge }

// LastWords is what the guest wrote as errors in the call that failed: the text of its panic, in most languages.
func (g *Guest) LastWords() string {
	g.stderr.Flush()
	return g.Words.String()
}

// Save takes a snapshot. The error says why there can be none.
func (g *Guest) Save() (*snapshot.Snapshot, error) { return g.state.Save() }

// Back brings the guest to a snapshot of the same module. Lines that it has begun to write are written. It returns false where it
// cannot be brought back.
func (g *Guest) Back(s *snapshot.Snapshot) bool {
	g.stdout.Flush()
	g.stderr.Flush()
	return g.state.Restore(s)
}

// MemoryBytes is the size of the guest's memory.
func (g *Guest) MemoryBytes() int { return int(g.Memory.Size()) }

// Shut closes the instance. No guest code runs.
func (g *Guest) Shut() {
	if g.Module != nil {
		_ = g.Module.Close(context.Background())
	}
}
