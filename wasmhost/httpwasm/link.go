package httpwasm

import (
	"context"
	"fmt"
	"io"

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

// host is what guests are linked to.
var host = link.Host{
	ABI: "http-wasm", Module: hostModule,
	Random: wasi.Randomness{Source: func(ctx context.Context) io.Reader { return instanceOf(ctx).plugin.Random }, Most: MaxRandom},
	Function: func(name string, _ api.FunctionDefinition) *link.Function {
		c, found := hostCalls[name]
		if !found {
			return nil
		}
		return &link.Function{Params: link.ValueTypes(c.params), Results: link.ValueTypes(c.results), Call: goFunction(name, c)}
	},
}

// Link gives rt what compiled imports, as link.Host.Link says.
func Link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, foreign ...string) error {
	return host.Link(ctx, rt, compiled, foreign...)
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
