package httpwasm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/wasmhost/internal/link"
	"edge/wasmhost/internal/snapshot"
)

// Module is what a compiled guest offers, checked once for all its instances.
type Module struct {
	Callbacks filters.Callbacks
	Plan      snapshot.Plan // how instances are saved; set before the first one is made

	compiled wazero.CompiledModule
}

// Detect says whether a module's imports or exports mark it as an http-wasm handler.
func Detect(compiled wazero.CompiledModule) bool {
	if _, found := compiled.ExportedFunctions()["handle_request"]; found {
		return true
	}
	return slices.ContainsFunc(compiled.ImportedFunctions(), func(f api.FunctionDefinition) bool {
		module, _, _ := f.Import()
		return module == hostModule
	})
}

// Inspect reads a module's exports. The error names the one that is missing or has another type than the ABI gives it.
func Inspect(compiled wazero.CompiledModule) (*Module, error) {
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	for _, want := range []struct {
		name            string
		params, results []api.ValueType
	}{
		{"handle_request", nil, []api.ValueType{i64}},
		{"handle_response", []api.ValueType{i32, i32}, nil},
	} {
		f, found := compiled.ExportedFunctions()[want.name]
		if !found {
			return nil, fmt.Errorf("the module is an http-wasm handler but does not export %s", want.name)
		}
		if !slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results) {
			return nil, fmt.Errorf("the http-wasm handler's export %s has type %s; the ABI's is %s", want.name,
				link.Signature(f.ParamTypes(), f.ResultTypes()), link.Signature(want.params, want.results))
		}
	}
	if _, found := compiled.ExportedMemories()["memory"]; !found {
		return nil, errors.New(`the http-wasm handler exports no "memory"`)
	}
	m := &Module{compiled: compiled, Callbacks: filters.OnRequestHead | filters.OnResponseHead}
	for _, f := range compiled.ImportedFunctions() {
		// Whoever never touches a body, nor trailers (which take a feature), need not be shown any.
		switch _, name, _ := f.Import(); name {
		case "read_body", "write_body", "enable_features":
			m.Callbacks |= filters.OnRequestBody | filters.OnRequestTrailers | filters.OnResponseBody | filters.OnResponseTrailers
		}
	}
	return m, nil
}
