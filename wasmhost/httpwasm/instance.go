package httpwasm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/internal/guest"
	"edge/wasmhost/internal/wasi"
)

// Instance is one instance of a guest with the coroutine it runs in. One caller at a time: whoever runs the callbacks of
// the stream it serves. It is the context.Context that its guest is called with, which is how a host function finds it.
//
//	      begin                        read_body without a body
//	idle ───────► the guest runs ─────────────────────────────► blocked
//	 ▲                │    ▲                                       │
//	 └─── returns ────┘    └──────────────── step ─────────────────┘  ── Discard: the call is unwound
type Instance struct {
	context.Context

	guest.Guest

	plugin *Plugin

	handleRequest, handleResponse api.Function

	// The coroutine lives as long as the instance: it makes a call, yields true when that has returned, and false where
	// the guest waits. It must not be made on a goroutine that is locked to its thread.
	next  func() (returned bool, alive bool)
	stop  func()
	yield func(returned bool) bool
	call  api.Function // what is called next, with stack
	stack [2]uint64
	err   error // of the call that has returned

	stream    *Stream // whose call is under way, or nil
	features  uint32  // enabled at the start
	hostCalls int     // in this call
	lines     int     // logged in this call
	traces    int     // lines of the trace in this call
	scratch   []byte
}

// ErrHostCalls says that a call of the guest has made more than MaxHostCalls host calls.
var ErrHostCalls = errors.New("too many host calls in one call")

// errStopped unwinds a guest that is given up while it waits.
var errStopped = errors.New("the exchange ended while the guest was waiting")

func instanceOf(ctx context.Context) *Instance {
	if i, direct := ctx.(*Instance); direct {
		return i
	}
	return ctx.Value(instanceKey{}).(*Instance)
}

type instanceKey struct{}

// Value finds the instance behind a context that somebody derived from it.
func (i *Instance) Value(key any) any {
	switch key {
	case instanceKey{}:
		return i
	case fuel.Key{}:
		return i.Gauge()
	}
	return nil
}

// NewInstance instantiates the module in rt, where it must have been linked, and starts it: _initialize, or else _start,
// which is where guests enable features and read their configuration. It runs guest code, and belongs off the request
// path. On an error the instance is closed.
func (m *Module) NewInstance(rt wazero.Runtime, p *Plugin) (*Instance, error) {
	i, err := m.instantiate(rt, p)
	if err != nil {
		return nil, err
	}
	if err := i.start(); err != nil {
		i.Shut()
		return nil, err
	}
	i.started()
	return i, nil
}

// instantiate makes an instance that has not been started, but for the module's own start function.
func (m *Module) instantiate(rt wazero.Runtime, p *Plugin) (*Instance, error) {
	i := &Instance{Context: context.Background(), plugin: p}
	err := i.Instantiate(i, rt, m.compiled, guest.World{
		Fuel: &p.Fuel, Plan: m.Plan, Now: p.Now, Began: p.Began, Random: p.Random, Log: i.log, MaxLine: MaxLogLine,
	})
	if err != nil {
		return nil, err
	}
	i.handleRequest, i.handleResponse = i.Module.ExportedFunction("handle_request"), i.Module.ExportedFunction("handle_response")
	return i, nil
}

func (i *Instance) started() {
	i.Gauge().Started()
	i.next, i.stop = iter.Pull(i.loop)
}

func (i *Instance) start() error {
	for _, name := range []string{"_initialize", "_start"} {
		f := i.Module.ExportedFunction(name)
		if f == nil {
			continue
		}
		i.Gauge().Begin()
		_, err := f.Call(i)
		var left wasi.Exit
		if err != nil && !(errors.As(err, &left) && left.Code == 0) {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return nil
}

// loop is the coroutine.
func (i *Instance) loop(yield func(bool) bool) {
	i.yield = yield
	for {
		i.Gauge().Begin()
		i.traceCall()
		i.err = i.call.CallWithStack(i, i.stack[:])
		i.traceReturn()
		if !yield(true) {
			return
		}
	}
}

// begin calls f for a stream, and returns when it has returned (true) or waits (false).
func (i *Instance) begin(s *Stream, f api.Function, a, b uint64) (returned bool) {
	i.stream, i.call, i.stack = s, f, [2]uint64{a, b}
	i.hostCalls, i.lines, i.traces = 0, 0, 0
	i.Words.Reset()
	return i.step()
}

// step lets a guest that waits, or is to begin, run on.
func (i *Instance) step() (returned bool) {
	if returned, _ = i.next(); returned {
		i.stream = nil
	}
	return returned
}

// block is where a host function waits, until the stream's next step.
func (i *Instance) block() {
	i.plugin.Counters.Parked.Add(1)
	i.Gauge().Rest()
	alive := i.yield(false)
	i.plugin.Counters.Parked.Add(-1)
	if !alive {
		panic(errStopped)
	}
}

// Discard closes the instance. A guest that waits is unwound first; no more of its code runs.
func (i *Instance) Discard() {
	i.stop()
	i.Shut()
}

// read is a view of the guest's memory, good until guest code runs again.
func (i *Instance) read(at, n uint64) []byte {
	b, fits := i.Memory.Read(uint32(at), uint32(n))
	if !fits && uint32(n) > 0 {
		panic(fmt.Errorf("out of bounds memory access by a host function: %d bytes at %d", uint32(n), uint32(at)))
	}
	return b
}

func (i *Instance) readString(at, n uint64) string {
	return text(i.read(at, n))
}

// text is b as a string that shares its bytes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// give writes value into the guest's buffer, or nothing where it is longer than limit, and returns its length.
func (i *Instance) give(value string, at, limit uint64) uint64 {
	if len(value) <= int(uint32(limit)) {
		copy(i.read(at, uint64(len(value))), value)
	}
	return uint64(len(value))
}
