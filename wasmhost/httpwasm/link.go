package httpwasm

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

// hostCall is one function of module http_handler. Types are written one letter each: those of package link, and the ones
// that traced has names for. Operands of 32
// bits have garbage above; every reader cuts it off. What a function cannot do it panics with: a trap.
type hostCall struct {
	params, results string
	call            func(i *Instance, a []uint64)
	start           bool // may be called at the guest's start, when there is no exchange
}

// hostCalls is the whole of module http_handler.
var hostCalls map[string]hostCall

func init() {
	hostCalls = map[string]hostCall{
		"enable_features": {"f", "f", enableFeatures, true},
		"get_config":      {"BL", "n", getConfig, true},
		"log":             {"ian", "", logLine, true},
		"log_enabled":     {"i", "i", logEnabled, true},

		"get_header_names":  {"kBL", "V", getHeaderNames, false},
		"get_header_values": {"kanBL", "V", getHeaderValues, false},
		"set_header_value":  {"kanan", "", setHeaderValue, false},
		"add_header_value":  {"kanan", "", addHeaderValue, false},
		"remove_header":     {"kan", "", removeHeader, false},

		"read_body":  {"bBL", "E", readBody, false},
		"write_body": {"ban", "", writeBody, false},

		"get_method":           {"BL", "n", getMethod, false},
		"set_method":           {"an", "", setMethod, false},
		"get_uri":              {"BL", "n", getURI, false},
		"set_uri":              {"an", "", setURI, false},
		"get_protocol_version": {"BL", "n", getProtocolVersion, false},
		"get_source_addr":      {"BL", "n", getSourceAddr, false},
		"get_status_code":      {"", "i", getStatusCode, false},
		"set_status_code":      {"i", "", setStatusCode, false},
	}
}

// Link gives rt the host functions that compiled imports. It must be called once in a runtime, before NewInstance.
// foreign names modules of imports that somebody else provides. The error names every import that nobody provides.
func Link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, foreign ...string) error {
	var unknown []string
	handler := rt.NewHostModuleBuilder(hostModule)
	wasiNames := map[string]bool{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		switch {
		case module == hostModule:
			c, found := hostCalls[name]
			if !found {
				unknown = append(unknown, module+"."+name)
				continue
			}
			params, results := link.ValueTypes(c.params), link.ValueTypes(c.results)
			if !slices.Equal(f.ParamTypes(), params) || !slices.Equal(f.ResultTypes(), results) {
				return fmt.Errorf("the module imports %s.%s as %s; it is %s", module, name,
					link.Signature(f.ParamTypes(), f.ResultTypes()), link.Signature(params, results))
			}
			handler.NewFunctionBuilder().WithGoModuleFunction(goFunction(name, c), params, results).Export(name)
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
		return fmt.Errorf("the module imports what http-wasm does not have: %s", strings.Join(slices.Compact(unknown), ", "))
	}
	if _, err := handler.Instantiate(ctx); err != nil {
		return err
	}
	for module := range wasiNames {
		if err := wasi.Link(ctx, rt, module, randomness); err != nil {
			return err
		}
	}
	return nil
}

// goFunction is a host call as wazero wants it. The instance is the context the guest was called with.
func goFunction(name string, c hostCall) api.GoModuleFunc {
	return func(ctx context.Context, guest api.Module, stack []uint64) {
		i := instanceOf(ctx)
		if i.Memory == nil {
			i.Memory = guest.Memory() // the module's start function runs before NewInstance has the guest
		}
		if i.hostCalls++; i.hostCalls > MaxHostCalls {
			panic(ErrHostCalls)
		}
		if i.stream == nil && !c.start {
			panic(fmt.Errorf("%s was called outside of a request", name))
		}
		if i.plugin.Trace {
			i.trace(name, c, stack)
			return
		}
		c.call(i, stack)
	}
}

// randomness is what random_get gives.
var randomness = wasi.Randomness{Source: func(ctx context.Context) io.Reader { return instanceOf(ctx).plugin.Random }, Most: MaxRandom}
