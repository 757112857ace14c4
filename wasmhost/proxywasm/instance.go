package proxywasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/internal/guest"
	"edge/wasmhost/internal/wasi"
)

// Instance is one instance of a guest and what the host knows about it. One caller at a time: the holder of its lane.
//
// An Instance is the context.Context that its guest is called with, which is how a host function finds it without a
// look-up or an allocation. It is never done: a guest is stopped by metering, not by cancellation, which wazero can only
// offer at the price of a goroutine per call.
type Instance struct {
	context.Context

	guest.Guest

	plugin  *Plugin
	module  *Module
	exports exports

	streams streamTable
	current *Stream // whose callback is running, or nil
	active  *Stream // the effective context, or nil for the root context
	touched *Stream // list of streams for which the running callback asked something, in order
	lastly  *Stream // its end

	answer     *filters.CallAnswer // during proxy_on_http_call_response
	grpc       grpcShown           // during a callback of gRPC
	outboxes   map[uint32]outbox   // gRPC calls of which the guest wants to hear, by its id
	unanswered bool                // during one for a call that has failed
	lastCall   uint32              // the call id given last
	did        Did                 // in this callback, to its own stream
	lines      int                 // logged in this callback
	traces     int                 // lines of the trace in it
	hostCalls  int                 // made in this callback
	allocating bool                // the guest's allocator is running
	starting   bool                // _initialize, _start and main are running
	chosen     bool                // the guest has made the root context effective itself
	root       root

	stack         [5]uint64
	allocateStack [1]uint64
	scratch       scratch
}

// scratch is memory that host calls use and reuse.
type scratch struct {
	pairs   [][2]string
	trailer [][2]string
	call    filters.Call
}

// exports are the guest's functions, nil where it has none. Each owns the stack it runs on.
type exports struct {
	allocate, contextCreate, done, log, delete api.Function
	requestHeaders, responseHeaders            api.Function
	requestBody, responseBody                  api.Function
	requestTrailers, responseTrailers          api.Function
	callResponse, tick, queueReady             api.Function
	grpcInitial, grpcReceive                   api.Function
	grpcTrailing, grpcClose                    api.Function
}

// ErrRejected says that the guest refused its configuration: proxy_on_vm_start or proxy_on_configure returned false.
var ErrRejected = errors.New("the filter refuses its configuration")

// ErrHostCalls says that a callback has made more than MaxHostCalls host calls.
var ErrHostCalls = errors.New("too many host calls in one callback")

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

// NewInstance instantiates the module in rt, where it must have been linked, and starts it in the order of 1.6-9:
// _initialize or _start, then main, then the root context, proxy_on_vm_start, proxy_on_configure. It runs guest code,
// and belongs off the request path. Errors: ErrRejected, a trap, or no memory; the instance is closed then.
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
	i := &Instance{Context: context.Background(), plugin: p, module: m, starting: true}
	err := i.Instantiate(i, rt, m.compiled, guest.World{
		Fuel: &p.Fuel, Plan: m.Plan, Now: p.Now, Began: p.Began, Random: p.Random, Log: i.log, MaxLine: MaxLogLine,
	})
	if err != nil {
		return nil, err
	}
	i.bind()
	return i, nil
}

func (i *Instance) started() {
	i.starting = false
	i.Gauge().Started()
}

func (i *Instance) bind() {
	f := i.Module.ExportedFunction
	i.exports = exports{
		contextCreate:    f("proxy_on_context_create"),
		done:             f("proxy_on_done"),
		log:              f("proxy_on_log"),
		delete:           f("proxy_on_delete"),
		requestHeaders:   f("proxy_on_request_headers"),
		responseHeaders:  f("proxy_on_response_headers"),
		requestBody:      f("proxy_on_request_body"),
		responseBody:     f("proxy_on_response_body"),
		requestTrailers:  f("proxy_on_request_trailers"),
		responseTrailers: f("proxy_on_response_trailers"),
		callResponse:     f("proxy_on_http_call_response"),
		grpcInitial:      f("proxy_on_grpc_receive_initial_metadata"),
		grpcReceive:      f("proxy_on_grpc_receive"),
		grpcTrailing:     f("proxy_on_grpc_receive_trailing_metadata"),
		grpcClose:        f("proxy_on_grpc_close"),
		tick:             f("proxy_on_tick"),
		queueReady:       f("proxy_on_queue_ready"),
	}
	if i.exports.grpcTrailing == nil {
		i.exports.grpcTrailing = f(grpcTrailingAS)
	}
	if i.module.allocator != "" {
		i.exports.allocate = f(i.module.allocator)
	}
}

func (i *Instance) start() error {
	once := func(name string, args ...uint64) error {
		f := i.Module.ExportedFunction(name)
		if f == nil {
			return nil
		}
		if err := i.call(f, args...); err != nil {
			var e wasi.Exit
			if i.starting && errors.As(err, &e) && e.Code == 0 {
				return nil
			}
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	first := "_initialize"
	if i.Module.ExportedFunction(first) == nil {
		first = "_start"
	}
	if err := once(first); err != nil {
		return err
	}
	if first == "_initialize" {
		name, args := "main", []uint64{0, 0}
		if i.Module.ExportedFunction(name) == nil {
			name, args = "__main_void", nil
		}
		if err := once(name, args...); err != nil {
			return err
		}
	}
	i.starting = false
	if err := once("proxy_on_context_create", rootID, 0); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		size int
	}{{"proxy_on_vm_start", len(i.plugin.VMConfig)}, {"proxy_on_configure", len(i.plugin.Config)}} {
		i.stack[0] = 1
		if err := once(step.name, rootID, uint64(step.size)); err != nil {
			return err
		}
		if i.Module.ExportedFunction(step.name) != nil && uint32(i.stack[0]) == 0 {
			return fmt.Errorf("%w (%s returned false)", ErrRejected, step.name)
		}
	}
	i.begin(nil)
	return nil
}

// call runs a guest function. Afterwards stack[0] is its result.
func (i *Instance) call(f api.Function, args ...uint64) error {
	copy(i.stack[:], args)
	return i.run(f)
}

// run is call with the arguments on the stack already.
func (i *Instance) run(f api.Function) error {
	i.Gauge().Begin()
	if i.plugin.Trace {
		return i.traceRun(f)
	}
	return f.CallWithStack(i, i.stack[:])
}

// begin is the state every callback starts from: the effective context is the stream's, or the root's.
func (i *Instance) begin(s *Stream) {
	i.current, i.active, i.chosen, i.lines, i.traces, i.hostCalls, i.did = s, s, false, 0, 0, 0, Nothing
	i.Words.Reset()
}

// Close ends the root context, for which RootDone may have been called already, and the instance. No stream may be open.
func (i *Instance) Close() {
	if _, err := i.RootDone(); err == nil && i.exports.delete != nil {
		i.begin(nil)
		_ = i.call(i.exports.delete, rootID)
	}
	i.Shut()
}

// Discard closes an instance whose guest has failed. No guest code runs.
func (i *Instance) Discard() { i.Shut() }
