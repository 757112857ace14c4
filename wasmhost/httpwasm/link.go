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

// hostCall is one function of module http_handler. Types are written one letter each: i for i32, I for i64. Operands of 32
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
		"enable_features": {"i", "i", enableFeatures, true},
		"get_config":      {"ii", "i", getConfig, true},
		"log":             {"iii", "", logLine, true},
		"log_enabled":     {"i", "i", logEnabled, true},

		"get_header_names":  {"iii", "I", getHeaderNames, false},
		"get_header_values": {"iiiii", "I", getHeaderValues, false},
		"set_header_value":  {"iiiii", "", setHeaderValue, false},
		"add_header_value":  {"iiiii", "", addHeaderValue, false},
		"remove_header":     {"iii", "", removeHeader, false},

		"read_body":  {"iii", "I", readBody, false},
		"write_body": {"iii", "", writeBody, false},

		"get_method":           {"ii", "i", getMethod, false},
		"set_method":           {"ii", "", setMethod, false},
		"get_uri":              {"ii", "i", getURI, false},
		"set_uri":              {"ii", "", setURI, false},
		"get_protocol_version": {"ii", "i", getProtocolVersion, false},
		"get_source_addr":      {"ii", "i", getSourceAddr, false},
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
		if i.memory == nil {
			i.memory = guest.Memory() // the module's start function runs before NewInstance has the guest
		}
		if i.hostCalls++; i.hostCalls > MaxHostCalls {
			panic(ErrHostCalls)
		}
		if i.stream == nil && !c.start {
			panic(fmt.Errorf("%s was called outside of a request", name))
		}
		c.call(i, stack)
	}
}

// randomness is what random_get gives.
var randomness = wasi.Randomness{Source: func(ctx context.Context) io.Reader { return instanceOf(ctx).plugin.Random }, Most: MaxRandom}
