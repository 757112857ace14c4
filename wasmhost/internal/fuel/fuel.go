// Package fuel is the host's side of metering (edge/wasmhost/meter): it answers a guest that has used up a slice of fuel,
// and ends a call that has taken too long or gone too deep.
package fuel

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/meter"
)

// What ends a call. The guest's state can no longer be trusted after either.
var (
	ErrCPU   = errors.New("the call has taken longer than its limit of CPU time")
	ErrDepth = errors.New("the guest's calls are nested deeper than its limit")
)

// Limits are those of one filter.
type Limits struct {
	CPU   time.Duration    // of one call into the guest
	Start time.Duration    // of a guest's start: all its calls until it is ready
	Depth int              // nested calls
	Now   func() time.Time // nil: time is not looked at

	// Slices counts the slices of fuel that guests have used up, meter.Slice ticks each.
	Slices atomic.Uint64
}

// Gauge meters one instance. It belongs to whoever calls the instance, and its methods are called from there or from host
// functions. The context that the guest is called with must be its Holder.
//
// Time is the clock's, looked at when a slice is used up. A step between two looks counts as maxStep at most, as it is
// then the system that has let the thread wait; so a call is not ended because the machine was busy elsewhere for once.
// The time until the first look counts for nothing, so that a call that needs less than a slice costs no look.
type Gauge struct {
	limits *Limits
	depth  api.MutableGlobal // nil where the guest is not metered

	limit, used time.Duration
	started     bool
	looked      bool
	last        time.Time
}

const maxStep = 5 * time.Millisecond

// Holder is a context that carries a Gauge.
type Holder interface{ Gauge() *Gauge }

// Key is by which a context that was derived from a Holder gives its *Gauge as a value.
type Key struct{}

// Starting readies the gauge for an instance's start.
func (g *Gauge) Starting(l *Limits) {
	*g = Gauge{limits: l, limit: l.Start}
}

// Attach finds the guest's side, once it is instantiated. A guest without one is not metered.
func (g *Gauge) Attach(guest api.Module) {
	g.depth, _ = guest.ExportedGlobal(meter.Depth).(api.MutableGlobal)
}

// Started ends the start: from now on each call has its own time.
func (g *Gauge) Started() { g.started, g.limit = true, g.limits.CPU }

// Begin comes before a call into the guest.
func (g *Gauge) Begin() {
	if g.started {
		g.used, g.looked = 0, false
	}
	g.Nested()
}

// Nested comes before a call into the guest that is part of another: it has its own depth, and no time of its own.
func (g *Gauge) Nested() {
	if g.depth != nil {
		g.depth.Set(uint64(uint32(g.limits.Depth)))
	}
}

// Rest comes where the guest is about to wait for something. What passes until the next look does not count.
func (g *Gauge) Rest() { g.looked = false }

// Look ends the call, by a panic with ErrCPU, if its time is over. Host functions that may take long call it.
func (g *Gauge) Look() {
	if g.limits.Now == nil {
		return
	}
	now := g.limits.Now()
	if g.looked {
		if g.used += min(now.Sub(g.last), maxStep); g.used > g.limit {
			panic(ErrCPU)
		}
	}
	g.looked, g.last = true, now
}

// yield is the import of metered guests.
func yield(ctx context.Context, _ api.Module, stack []uint64) {
	if int32(uint32(stack[0])) < 0 {
		panic(ErrDepth)
	}
	g := of(ctx)
	g.limits.Slices.Add(1)
	g.Look()
	stack[0] = meter.Slice
}

func of(ctx context.Context) *Gauge {
	if h, direct := ctx.(Holder); direct {
		return h.Gauge()
	}
	return ctx.Value(Key{}).(*Gauge)
}

// Link gives a runtime the import of metered guests.
func Link(ctx context.Context, rt wazero.Runtime) error {
	i32 := []api.ValueType{api.ValueTypeI32}
	_, err := rt.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), i32, i32).Export(meter.Yield).Instantiate(ctx)
	return err
}
