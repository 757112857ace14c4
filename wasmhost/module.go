package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/wasmhost/httpwasm"
	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/internal/snapshot"
	"edge/wasmhost/meter"
	"edge/wasmhost/proxywasm"
)

// moduleKey says when two filters can share a compiled module: same content, same memory limit.
type moduleKey struct {
	sum   [32]byte
	pages int
}

// module is one compiled module in a wazero Runtime of its own. The memory limit is a Runtime's, host functions are
// linked with the types that this module declares, a module must be compiled where it is instantiated (wazero 1.12), and
// closing the Runtime gives everything back: four reasons for one each, at 0.4 ms and 80 KiB.
type module struct {
	key         moduleKey
	users       int // guarded by Host.mu
	compileOnce sync.Once
	err         error

	numbers numbers
	plan    snapshot.Plan // how its instances are saved
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	proxy   *proxywasm.Module // or
	handler *httpwasm.Module
}

// abi is the ABI that the module speaks, with its version where it has several.
func (m *module) abi() string {
	if m.handler != nil {
		return "http-wasm"
	}
	return "proxy-wasm " + m.proxy.Version.String()
}

// compile checks, prepares and compiles a module, and links it. cached says that the code was there already.
func (m *module) compile(h *Host, name string, wasm []byte) (cached bool, err error) {
	if err := recognize(wasm); err != nil {
		return false, err
	}
	m.plan = snapshot.Unmetered
	if !h.options.Unmetered {
		var info meter.Info
		if wasm, info, err = meter.Rewrite(wasm); err != nil {
			return false, err
		}
		m.numbers.own = info.Functions
		m.plan = snapshot.PlanOf(info, MaxSnapshot)
	}
	if h.cache == nil {
		return false, m.build(&h.options, wasm, nil)
	}
	cached, trouble, err := h.cache.compile(wasm, m.key.pages, func(disk wazero.CompilationCache) error {
		return m.build(&h.options, wasm, disk)
	})
	if trouble != nil {
		h.options.Log(name, filters.Warn, fmt.Sprintf("the cache of compiled modules, %s, is of no use now: %v", h.cache.dir, trouble))
	}
	return cached, err
}

// build compiles and links. disk is wazero's cache, the module's own from now on, or nil.
func (m *module) build(o *Options, wasm []byte, disk wazero.CompilationCache) (err error) {
	ctx := context.Background()
	config := engineConfig()
	if disk != nil {
		config = config.WithCompilationCache(disk)
	}
	m.cache = disk
	m.runtime = wazero.NewRuntimeWithConfig(ctx, limited(config, uint32(m.key.pages)))
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	compiled, err := compileModule(ctx, m.runtime, wasm)
	if err != nil {
		return err
	}
	if err := detect(compiled); err != nil {
		return err
	}
	if !o.Unmetered {
		m.numbers.imports = len(compiled.ImportedFunctions())
		if err := fuel.Link(ctx, m.runtime); err != nil {
			return err
		}
	}
	if !proxywasm.Detect(compiled) {
		if m.handler, err = httpwasm.Inspect(compiled); err != nil {
			return err
		}
		m.handler.Plan = m.plan
		return httpwasm.Link(ctx, m.runtime, compiled, o.foreign()...)
	}
	if m.proxy, err = proxywasm.Inspect(compiled); err != nil {
		return err
	}
	m.proxy.Plan = m.plan
	return proxywasm.Link(ctx, m.runtime, compiled, o.foreign()...)
}

func limited(c wazero.RuntimeConfig, pages uint32) wazero.RuntimeConfig {
	return c.WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(max(pages, 1)).WithDebugInfoEnabled(true)
}

// foreign are the import modules that no ABI provides.
func (o *Options) foreign() []string {
	if o.Unmetered {
		return nil
	}
	return []string{meter.Module}
}

// compileModule turns a panic of the compiler into an error: wazero 1.12 panics on some malformed modules.
func compileModule(ctx context.Context, rt wazero.Runtime, wasm []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the module is malformed: %v", p)
		}
	}()
	if c, err = rt.CompileModule(ctx, wasm); err != nil {
		err = fmt.Errorf("the module is not valid: %w", err)
	}
	return c, err
}

func (m *module) close() {
	ctx := context.Background()
	if m.runtime != nil {
		_ = m.runtime.Close(ctx)
	}
	if m.cache != nil {
		_ = m.cache.Close(ctx)
	}
	m.runtime, m.cache = nil, nil
}

// recognize refuses what is no core module, by its first bytes.
func recognize(wasm []byte) error {
	switch {
	case len(wasm) > MaxModuleBytes:
		return fmt.Errorf("the module has %d bytes, more than %d", len(wasm), MaxModuleBytes)
	case len(wasm) < 8 || !bytes.Equal(wasm[:4], []byte("\x00asm")):
		return errors.New("the file is not a WebAssembly module")
	case bytes.Equal(wasm[4:8], []byte{0x0d, 0, 1, 0}):
		return errors.New("the file is a WebAssembly component; filters are core modules (Proxy-Wasm, http-wasm)")
	case !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		return fmt.Errorf("the module has the binary version % x, not 1", wasm[4:8])
	}
	return nil
}

// detect refuses an ABI that there is no host for.
func detect(compiled wazero.CompiledModule) error {
	if proxywasm.Detect(compiled) || httpwasm.Detect(compiled) {
		return nil
	}
	exports := compiled.ExportedFunctions()
	if _, found := exports["_start"]; found {
		return errors.New("the module is a WASI command (it exports _start, and neither proxy_abi_version_* nor handle_request), not a filter")
	}
	return errors.New("the module's ABI is unknown: it exports neither proxy_abi_version_* nor handle_request")
}
