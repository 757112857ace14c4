package link

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/internal/wasi"
)

// Host is the host functions of an ABI, and what else its guests may import.
type Host struct {
	ABI    string // what errors call it
	Module string // that guests import the functions from
	Random wasi.Randomness

	// Function is the host function of a name, for a guest that declares it so; nil where there is none.
	Function func(name string, declared api.FunctionDefinition) *Function
}

// Function is one host function.
type Function struct {
	Params, Results []api.ValueType
	Call            api.GoModuleFunc
}

// Link gives rt the host functions that compiled imports, and WASI. It must be called once in a runtime, before the module is instantiated.
// foreign names modules of imports that somebody else provides. The error names every import that nobody provides, or one that is declared
// otherwise than the function is.
func (h *Host) Link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, foreign ...string) error {
	var unknown []string
	host := rt.NewHostModuleBuilder(h.Module)
	system := map[string]bool{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		switch {
		case module == h.Module:
			own := h.Function(name, f)
			if own == nil {
				unknown = append(unknown, module+"."+name)
				continue
			}
			if !slices.Equal(f.ParamTypes(), own.Params) || !slices.Equal(f.ResultTypes(), own.Results) {
				return fmt.Errorf("the module imports %s.%s as %s; it is %s", module, name,
					Signature(f.ParamTypes(), f.ResultTypes()), Signature(own.Params, own.Results))
			}
			host.NewFunctionBuilder().WithGoModuleFunction(own.Call, own.Params, own.Results).Export(name)
		case slices.Contains(wasi.Modules, module):
			system[module] = true
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
		return fmt.Errorf("the module imports what %s does not have: %s", h.ABI, strings.Join(slices.Compact(unknown), ", "))
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return err
	}
	for module := range system {
		if err := wasi.Link(ctx, rt, module, h.Random); err != nil {
			return err
		}
	}
	return nil
}
