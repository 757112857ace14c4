package proxywasm

import (
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/wasmhost/internal/link"
	"edge/wasmhost/internal/snapshot"
)

// Module is what a compiled guest offers, found and checked once for all its instances.
type Module struct {
	Version   Version
	Callbacks filters.Callbacks
	Plan      snapshot.Plan // how instances are saved; set before the first one is made

	compiled  wazero.CompiledModule
	headArity int    // parameters of the header callbacks: 3, or 2 in 0.1.0
	allocator string // the export that gives memory, or ""
}

// callbacks are the exports of Proxy-Wasm with their parameters; true where they return a value. Gone are those for TCP.
var callbacks = map[string]struct {
	params int
	result bool
}{
	"proxy_on_context_create":                 {2, false},
	"proxy_on_vm_start":                       {2, true},
	"proxy_on_configure":                      {2, true},
	"proxy_on_done":                           {1, true},
	"proxy_on_log":                            {1, false},
	"proxy_on_delete":                         {1, false},
	"proxy_on_request_headers":                {3, true},
	"proxy_on_request_body":                   {3, true},
	"proxy_on_request_trailers":               {2, true},
	"proxy_on_response_headers":               {3, true},
	"proxy_on_response_body":                  {3, true},
	"proxy_on_response_trailers":              {2, true},
	"proxy_on_http_call_response":             {5, false},
	"proxy_on_grpc_receive_initial_metadata":  {3, false},
	"proxy_on_grpc_receive":                   {3, false},
	"proxy_on_grpc_receive_trailing_metadata": {3, false},
	grpcTrailingAS:                            {3, false},
	"proxy_on_grpc_close":                     {3, false},
	"proxy_on_tick":                           {1, false},
	"proxy_on_queue_ready":                    {2, false},
	"proxy_on_memory_allocate":                {1, true},
	"malloc":                                  {1, true},
	"_initialize":                             {0, false},
	"_start":                                  {0, false},
	"main":                                    {2, true},
	"__main_void":                             {0, true},
}

// optionalResult are the callbacks whose result some toolchains leave out.
var optionalResult = map[string]bool{"proxy_on_done": true, "main": true, "__main_void": true}

// Detect says whether a module's exports mark it as Proxy-Wasm.
func Detect(compiled wazero.CompiledModule) bool {
	for _, marker := range versionMarkers {
		if _, found := compiled.ExportedFunctions()[marker]; found {
			return true
		}
	}
	return false
}

// Inspect reads a module's exports. It returns an error that names the export where one is missing or has another type
// than the ABI gives it.
func Inspect(compiled wazero.CompiledModule) (*Module, error) {
	m := &Module{compiled: compiled, headArity: 3}
	exports := compiled.ExportedFunctions()
	found := false
	for v, marker := range versionMarkers {
		if _, marked := exports[marker]; marked {
			m.Version, found = Version(v), true
		}
	}
	if !found {
		return nil, errors.New("the module exports no proxy_abi_version_*: it is not a Proxy-Wasm filter")
	}
	if _, exported := compiled.ExportedMemories()["memory"]; !exported {
		return nil, errors.New(`the module exports no "memory"`)
	}
	for name, want := range callbacks {
		f, exported := exports[name]
		if !exported {
			continue
		}
		if err := m.check(name, f, want.params, want.result); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"proxy_on_memory_allocate", "malloc"} {
		if _, exported := exports[name]; exported && m.allocator == "" {
			m.allocator = name
		}
	}
	if m.allocator == "" && reads(compiled) {
		return nil, errors.New("the module exports neither proxy_on_memory_allocate nor malloc, " +
			"and imports host calls whose answers need memory")
	}
	for name, bit := range map[string]filters.Callbacks{
		"proxy_on_request_headers":   filters.OnRequestHead,
		"proxy_on_request_body":      filters.OnRequestBody,
		"proxy_on_request_trailers":  filters.OnRequestTrailers,
		"proxy_on_response_headers":  filters.OnResponseHead,
		"proxy_on_response_body":     filters.OnResponseBody,
		"proxy_on_response_trailers": filters.OnResponseTrailers,
	} {
		if _, exported := exports[name]; exported {
			m.Callbacks |= bit
		}
	}
	return m, nil
}

func (m *Module) check(name string, f api.FunctionDefinition, params int, result bool) error {
	results := 0
	if result {
		results = 1
	}
	if name == "proxy_on_request_headers" || name == "proxy_on_response_headers" {
		if n := len(f.ParamTypes()); n == 2 || n == 3 {
			params, m.headArity = n, n
		}
	}
	if optionalResult[name] && len(f.ResultTypes()) == 0 {
		results = 0
	}
	right := len(f.ParamTypes()) == params && len(f.ResultTypes()) == results
	for _, t := range append(append([]api.ValueType{}, f.ParamTypes()...), f.ResultTypes()...) {
		right = right && t == api.ValueTypeI32
	}
	if !right {
		return fmt.Errorf("the module's export %s has type %s, which is not the ABI's", name, link.Signature(f.ParamTypes(), f.ResultTypes()))
	}
	return nil
}

// reads says whether the guest imports a host call that hands it memory.
func reads(compiled wazero.CompiledModule) bool {
	for _, f := range compiled.ImportedFunctions() {
		switch _, name, _ := f.Import(); name {
		case "proxy_get_buffer_bytes", "proxy_get_header_map_pairs", "proxy_get_header_map_value", "proxy_get_property",
			"proxy_get_shared_data", "proxy_dequeue_shared_queue", "proxy_get_configuration", "proxy_call_foreign_function":
			return true
		}
	}
	return false
}
