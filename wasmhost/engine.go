package wasmhost

import (
	"context"
	"sync"

	"github.com/tetratelabs/wazero"
)

// The engines that run guests, as status and logs name them.
const (
	EngineCompiler    = "compiler"
	EngineInterpreter = "interpreter" // some fifty times slower
)

// Engine says what guests run on: compiled, or interpreted where that cannot be: on a processor that wazero has no compiler for, or
// where the system lets no process make code (systemd's MemoryDenyWriteExecute).
func Engine() string {
	if compiles() {
		return EngineCompiler
	}
	return EngineInterpreter
}

func engineConfig() wazero.RuntimeConfig {
	if compiles() {
		return wazero.NewRuntimeConfigCompiler()
	}
	return wazero.NewRuntimeConfigInterpreter()
}

// smallest is a module with one function, without arguments, results or instructions.
var smallest = []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x0a\x04\x01\x02\x00\x0b")

// compiles tries it out, once. wazero does the same for itself and does not tell.
var compiles = sync.OnceValue(func() (works bool) {
	defer func() {
		if recover() != nil { // so the compiler says that it cannot work here
			works = false
		}
	}()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer r.Close(ctx)
	_, err := r.CompileModule(ctx, smallest)
	return err == nil
})
