package proxywasm

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

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

// Link gives rt the host functions that compiled imports. It must be called once in a runtime, before NewInstance.
// foreign names modules of imports that somebody else provides. The error names every import that nobody provides.
func Link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, foreign ...string) error {
	var unknown []string
	env := rt.NewHostModuleBuilder("env")
	wasiNames := map[string]bool{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		switch {
		case module == "env":
			c, found := hostCalls[name]
			if !found {
				unknown = append(unknown, module+"."+name)
				continue
			}
			params, results := link.ValueTypes(c.params), []api.ValueType{api.ValueTypeI32}
			if c.none || c.either && len(f.ResultTypes()) == 0 {
				results = nil
			}
			if c.bare && len(f.ParamTypes()) == 0 {
				c.params, params = "", nil
			}
			if !slices.Equal(f.ParamTypes(), params) || !slices.Equal(f.ResultTypes(), results) {
				return fmt.Errorf("the module imports env.%s as %s; it is %s", name,
					link.Signature(f.ParamTypes(), f.ResultTypes()), link.Signature(params, results))
			}
			env.NewFunctionBuilder().WithGoModuleFunction(goFunction(name, c, len(results) > 0), params, results).Export(name)
		case slices.Contains(wasi.Modules, module):
			wasiNames[module] = true
		case !slices.Contains(foreign, module):
			unknown = append(unknown, module+"."+name)
		}
	}
	for _, m := range compiled.ImportedMemories() {
		module, name, _ := m.Import()
		unknown = append(unknown, module+"."+name+" (a memory)")
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("the module imports what Proxy-Wasm does not have: %s", strings.Join(slices.Compact(unknown), ", "))
	}
	if _, err := env.Instantiate(ctx); err != nil {
		return err
	}
	for module := range wasiNames {
		if err := wasi.Link(ctx, rt, module, randomness); err != nil {
			return err
		}
	}
	return nil
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

// randomness is what random_get gives.
var randomness = wasi.Randomness{Source: func(ctx context.Context) io.Reader { return instanceOf(ctx).plugin.Random }, Most: MaxRandom}
