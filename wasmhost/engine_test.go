package wasmhost

import (
	"context"
	"runtime"
	"testing"

	"github.com/tetratelabs/wazero"
)

// The module that the compiler is tried with is valid: where it does not compile, that is not the module's fault.
func TestEngine(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, smallest); err != nil {
		t.Fatal(err)
	}
	if (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") && Engine() != EngineCompiler {
		t.Errorf("on %s the engine is the %s", runtime.GOARCH, Engine())
	}
}
