// Package wasmhost runs WebAssembly guests as filters. A [Host] compiles modules, once for each content and memory limit,
// and makes a [Filter] of each configured one; a filter keeps lanes, an instance each, on which streams wait without
// holding a worker. What the guest and the host say to each other is the business of the ABI packages below it.
//
// Limits of time and depth inside a guest are metering's: every module is rewritten as it is loaded, so that a guest that
// loops or recurses for ever is ended and its worker free again. wazero's own interruption stays off, as it is slow and
// does not hold (research: 20 times on loops, and recursion escapes it).
package wasmhost

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/commons"
)

// Options are what a Host needs from outside. The zero value works.
type Options struct {
	// CacheDir keeps compiled code between runs. The code in it is executed: the directory must belong to this user and be
	// closed to everybody else (0700), and it is made so where it does not exist. It stays within MaxCacheBytes and
	// MaxCacheEntries. Where it fails later, modules are compiled without it. "" is none.
	CacheDir string

	// Version is the program's: code that another version has compiled is not used.
	Version string

	// Unmetered runs guests as they came, without limits of time and depth: for measurements.
	Unmetered bool

	// Log takes what happens to filters as such: compilation, faults, restarts, and the lines of a guest that belong to
	// no stream. It may be called from any goroutine. nil discards.
	Log func(filter string, level filters.Level, text string)

	// Fault takes a guest's failures. It may be called from any goroutine. nil has Log take their lines.
	Fault func(*Fault)

	// Units run what guests do without a request: ticks, queues, calls of the root context. nil: none of it happens.
	Units filters.Units

	Now    func() time.Time // the wall clock; nil is time.Now
	Random io.Reader        // for guests; must be safe for use from several goroutines; nil is crypto/rand

	// After runs f once d has passed, on a goroutine of its own; nil is time.AfterFunc. Restarts come through it.
	After func(d time.Duration, f func())
}

// Host owns compiled modules. Its methods may be called from several goroutines, but belong off the request path:
// compiling takes milliseconds to seconds.
type Host struct {
	options Options
	cache   *cache        // nil: none
	starts  chan struct{} // holds a token for each filter being compiled and started: as many as there are processors
	commons *commons.Commons

	mu      sync.Mutex // guards modules and what is in them
	modules map[moduleKey]*module
}

// New makes a Host. The error is about CacheDir.
func New(o Options) (*Host, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = func(string, filters.Level, string) {}
	}
	if o.After == nil {
		o.After = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	}
	h := &Host{options: o, commons: commons.New(), modules: map[moduleKey]*module{}, starts: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if o.CacheDir != "" {
		var err error
		if h.cache, err = openCache(o.CacheDir, o.Version, o.Now); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// NewFilter compiles the filter's module, if no other filter has, starts an instance for each of its lanes, and returns
// the filter, ready. Errors name the filter and what is wrong with it: a module that is none or speaks an unknown ABI, an
// import that nobody provides, a guest that traps at its start or refuses its configuration, together with what it
// logged. The filter must be retired in the end. Called from several goroutines it makes as many filters at once as there
// are processors.
func (h *Host) NewFilter(spec Spec) (*Filter, error) {
	h.starts <- struct{}{}
	defer func() { <-h.starts }()
	f, err := h.newFilter(spec)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", spec.Name, err)
	}
	return f, nil
}

func (h *Host) newFilter(spec Spec) (*Filter, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spec.Wasm)
	if pin := strings.ToLower(spec.SHA256); pin != "" && pin != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("the module's sha256 is %x, not the pinned %s", sum, pin)
	}
	m, err := h.acquire(moduleKey{sum, spec.Limits.Memory / pageBytes}, &spec)
	if err != nil {
		return nil, err
	}
	f, err := startFilter(h, m, spec)
	if err != nil {
		h.release(m)
		return nil, err
	}
	return f, nil
}

// acquire returns the compiled module with one more user. Two filters that want the same one wait for one compilation.
func (h *Host) acquire(key moduleKey, spec *Spec) (*module, error) {
	h.mu.Lock()
	m := h.modules[key]
	if m == nil {
		m = &module{key: key}
		h.modules[key] = m
	}
	m.users++
	h.mu.Unlock()

	m.compileOnce.Do(func() {
		done := h.progress(spec.Name, len(spec.Wasm))
		var cached bool
		cached, m.err = m.compile(h, spec.Name, spec.Wasm)
		took := done()
		if m.err == nil {
			how := "compiled"
			if cached {
				how = "loaded the compiled code of"
			}
			h.options.Log(spec.Name, filters.Info, fmt.Sprintf("%s %x (%d bytes, %s) in %s",
				how, key.sum[:6], len(spec.Wasm), m.abi(), took.Round(time.Millisecond)))
		}
	})
	if m.err != nil {
		err := m.err
		h.release(m)
		return nil, err
	}
	return m, nil
}

// release ends one use of a module. The last one closes its runtime.
func (h *Host) release(m *module) {
	h.mu.Lock()
	m.users--
	last := m.users == 0
	if last {
		delete(h.modules, m.key)
	}
	h.mu.Unlock()
	if last {
		m.close()
	}
}

// Modules is the number of compiled modules in use.
func (h *Host) Modules() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.modules)
}

// A compilation of a module of slowBytes and more can take seconds: what happens is said at its beginning and every progressTime.
const (
	slowBytes    = 512 << 10
	progressTime = 2 * time.Second
)

// progress tells of a compilation until done is called, which returns how long it took.
func (h *Host) progress(name string, bytes int) (done func() time.Duration) {
	began := h.options.Now()
	if bytes < slowBytes {
		return func() time.Duration { return h.options.Now().Sub(began) }
	}
	size := float64(bytes) / (1 << 20)
	h.options.Log(name, filters.Info, fmt.Sprintf("compiling %.1f MiB", size))
	var mu sync.Mutex // orders the last line before done
	over := false
	var tell func()
	tell = func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		took := h.options.Now().Sub(began).Round(time.Second)
		h.options.Log(name, filters.Info, fmt.Sprintf("compiling %.1f MiB, %s so far", size, took))
		h.options.After(progressTime, tell)
	}
	h.options.After(progressTime, tell)
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		over = true
		return h.options.Now().Sub(began)
	}
}
