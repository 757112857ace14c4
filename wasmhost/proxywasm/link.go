package proxywasm

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/internal/link"
	"edge/wasmhost/internal/wasi"
)

// hostCall is one function of module env. Parameters are written one letter each: those of package link, and the ones that
// traced has names for. The result is an i32 status unless none is set.
type hostCall struct {
	params string
	call   func(i *Instance, a []uint64) status
	none   bool // no result
	either bool // a result or none: as the module declares it
	bare   bool // all parameters or none: as the module declares it
}

// hostCalls is the whole of module env in 0.1.0, 0.2.0 and 0.2.1. A guest is linked to those it imports. Functions of
// 64-bit operands take them whole; the upper half of a 32-bit one is garbage and every reader cuts it off.
var hostCalls map[string]hostCall

func init() {
	hostCalls = map[string]hostCall{}
	for _, group := range []map[string]hostCall{
		logCalls, contextCalls, bufferCalls, mapCalls, streamCalls, httpCalls, propertyCalls,
		tickCalls, sharedDataCalls, queueCalls, metricCalls, grpcCalls, foreignCalls, legacyCalls,
	} {
		for name, c := range group {
			hostCalls[name] = c
		}
	}
}

// host is what guests are linked to.
var host = link.Host{
	ABI: "Proxy-Wasm", Module: "env", Function: hostFunction,
	Random: wasi.Randomness{Source: func(ctx context.Context) io.Reader { return instanceOf(ctx).plugin.Random }, Most: MaxRandom},
}

func hostFunction(name string, declared api.FunctionDefinition) *link.Function {
	c, found := hostCalls[name]
	if !found {
		return nil
	}
	f := &link.Function{Params: link.ValueTypes(c.params), Results: []api.ValueType{api.ValueTypeI32}}
	if c.none || c.either && len(declared.ResultTypes()) == 0 {
		f.Results = nil
	}
	if c.bare && len(declared.ParamTypes()) == 0 {
		c.params, f.Params = "", nil
	}
	f.Call = goFunction(name, c, len(f.Results) > 0)
	return f
}

// Link gives rt what compiled imports, as link.Host.Link says.
func Link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, foreign ...string) error {
	return host.Link(ctx, rt, compiled, foreign...)
}

// goFunction is call as wazero wants it. The instance is the context the guest was called with (see Instance).
func goFunction(name string, c hostCall, result bool) api.GoModuleFunc {
	call := c.call
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		i := instanceOf(ctx)
		if i.hostCalls++; i.hostCalls > MaxHostCalls {
			panic(ErrHostCalls)
		}
		s := badArgument
		switch {
		case i.Memory == nil || i.allocating:
			i.refuse(s)
		case i.plugin.Trace:
			s = i.trace(name, c, stack, result)
		default:
			s = call(i, stack)
		}
		if result {
			stack[0] = uint64(s)
		}
	}
}
