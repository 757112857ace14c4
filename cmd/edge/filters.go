package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"edge/examples/wasm/greeter"
	"edge/filters"
	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/server"
	"edge/wasmhost"
)

// modules are the guests that "builtin:name" names.
var modules = map[string][]byte{"welcome": greeter.Wasm}

// filterSet is every filter of a configuration, started. It does not change.
type filterSet struct {
	chains   [][]filters.Filter           // by route, in request order
	guests   []*wasmhost.Filter           // each once
	made     map[string]filters.Filter    // by what they are made of
	versions map[string][sha256.Size]byte // of the modules, by filter
}

// want is one filter that a configuration needs. key is what it is made of: two with the same key are one filter.
type want struct {
	key      string
	path     []any // where its settings stand
	filter   *config.Filter
	settings map[string]any // of a native filter
	spec     wasmhost.Spec  // of a guest; its Wasm is nil where the key is known to have been made before
}

// startFilters compiles and starts the filters of a configuration, several at once. A filter serves every route that does not
// give it settings of its own; a route that does gets one for itself. Filters that no route uses are started too, to be found
// out.
//
// What old has made of the same stuff is used again; old may be nil. The modules of filters that are not fresh are taken to
// be those of old, and not read. Where there are problems, nothing that was started here is left running.
func startFilters(
	cfg *config.Config, host *wasmhost.Host, old *filterSet, fresh func(filter string) bool,
) (*filterSet, config.Problems) {
	set := &filterSet{
		chains: make([][]filters.Filter, len(cfg.Routes)), made: map[string]filters.Filter{}, versions: map[string][sha256.Size]byte{},
	}
	if old == nil {
		old = &filterSet{}
	}
	wants, problems := set.plan(cfg, old, fresh)
	var order []string
	for _, w := range wants {
		if _, known := set.made[w.key]; !known {
			set.made[w.key] = old.made[w.key]
			order = append(order, w.key)
		}
	}
	problems = append(problems, set.start(cfg, host, wants)...)
	if len(problems) > 0 {
		retireAll(set.beyond(old))
		problems.Sort()
		return nil, problems
	}
	for _, key := range order {
		if g, ok := set.made[key].(*wasmhost.Filter); ok {
			set.guests = append(set.guests, g)
		}
	}
	at := len(cfg.Filters)
	shared := map[string]filters.Filter{}
	for i := range cfg.Filters {
		shared[cfg.Filters[i].Name] = set.made[wants[i].key]
	}
	for i := range cfg.Routes {
		for _, use := range cfg.Routes[i].Filters {
			f := shared[use.Name]
			if ownSettings(&use) {
				f = set.made[wants[at].key]
				at++
			}
			set.chains[i] = append(set.chains[i], f)
		}
	}
	return set, nil
}

func ownSettings(use *config.FilterUse) bool { return use.Config != nil || use.Settings != nil }

// plan lists the filters that a configuration needs: those of [filters], and those of routes with settings of their own, in file
// order. It reads the modules.
func (s *filterSet) plan(cfg *config.Config, old *filterSet, fresh func(string) bool) (wants []want, problems config.Problems) {
	wasm := map[string][]byte{}
	for i := range cfg.Filters {
		f := &cfg.Filters[i]
		path := []any{"filters", f.Name}
		if f.Native == "" {
			sum, known := old.versions[f.Name]
			if !known || fresh(f.Name) {
				data, err := moduleBytes(f.Module)
				if err != nil {
					problems = append(problems, cfg.Problem([]any{"filters", f.Name, "module"}, "", "%v", err))
				}
				sum, wasm[f.Name], known = sha256.Sum256(data), data, err == nil
			}
			if known {
				s.versions[f.Name] = sum
			}
		}
		wants = append(wants, s.want(cfg, f, wasm[f.Name], f.Config, f.Settings, path))
	}
	for i := range cfg.Routes {
		for k := range cfg.Routes[i].Filters {
			if use := &cfg.Routes[i].Filters[k]; ownSettings(use) {
				f := cfg.Filter(use.Name)
				wants = append(wants, s.want(cfg, f, wasm[f.Name], use.Config, use.Settings, []any{"routes", i, "filters", k}))
			}
		}
	}
	return wants, problems
}

func (s *filterSet) want(cfg *config.Config, f *config.Filter, wasm, text []byte, settings map[string]any, path []any) want {
	w := want{path: path, filter: f, settings: settings}
	if f.Native != "" {
		w.key = fmt.Sprintf("native %s %s %v", f.Name, f.Native, settings)
		return w
	}
	w.spec = wasmhost.Spec{
		Name: f.Name, SHA256: f.SHA256, Config: text, FailOpen: f.FailOpen, Upstreams: f.AllowUpstreams,
		RootID: f.RootID, VMID: f.VMID, VMConfig: []byte(f.VMConfig), Isolation: isolation(f),
		Background: f.Background, Lanes: f.Lanes, Instances: f.Instances, LogLevel: guestLevel(cfg, f), Trace: guestLevel(cfg, f) == filters.Trace,
		Limits: wasmhost.Limits{
			CPU: f.Limits.CPU, Memory: int(f.Limits.Memory), CallDepth: f.Limits.CallDepth,
			Pause: f.Limits.Pause, Body: int(f.Limits.Body),
		},
	}
	w.key = fmt.Sprintf("module %x %+v", s.versions[f.Name], w.spec)
	w.spec.Wasm = wasm
	return w
}

// start makes what is not there yet. The host bounds how many are made at once.
func (s *filterSet) start(cfg *config.Config, host *wasmhost.Host, wants []want) (problems config.Problems) {
	made, wrong := make([]filters.Filter, len(wants)), make([]config.Problems, len(wants))
	begun := map[string]bool{}
	var all sync.WaitGroup
	for i := range wants {
		w := &wants[i]
		if _, read := s.versions[w.filter.Name]; begun[w.key] || s.made[w.key] != nil || !read && w.filter.Native == "" {
			continue
		}
		begun[w.key] = true
		all.Go(func() { made[i], wrong[i] = w.make(cfg, host) })
	}
	all.Wait()
	for i := range wants {
		if made[i] != nil {
			s.made[wants[i].key] = made[i]
		}
		problems = append(problems, wrong[i]...)
	}
	return problems
}

func (w *want) make(cfg *config.Config, host *wasmhost.Host) (filters.Filter, config.Problems) {
	if native := w.filter.Native; native != "" {
		made, err := natives[native](w.filter.Name, w.settings)
		if err != nil {
			return nil, nativeProblems(cfg, append(w.path[:len(w.path):len(w.path)], "config"), err)
		}
		return made, nil
	}
	guest, err := host.NewFilter(w.spec)
	if errors.Is(err, wasmhost.ErrIsolation) {
		name := w.filter.Name
		return nil, config.Problems{cfg.Problem([]any{"filters", name, "isolation"}, `use "shared"`, "%s", guestProblem(name, err))}
	}
	if err != nil {
		return nil, config.Problems{cfg.Problem(w.path, "", "%s", guestProblem(w.filter.Name, err))}
	}
	return guest, nil
}

// beyond are the guests that old does not have.
func (s *filterSet) beyond(old *filterSet) (guests []*wasmhost.Filter) {
	for key, f := range s.made {
		if g, ok := f.(*wasmhost.Filter); ok && old.made[key] != f {
			guests = append(guests, g)
		}
	}
	return guests
}

// retireAll ends guests; each closes when its last stream has ended.
func retireAll(guests []*wasmhost.Filter) {
	for _, g := range guests {
		g.Retire()
	}
}

func isolation(f *config.Filter) wasmhost.Isolation {
	if f.IsolateStreams {
		return wasmhost.PerStream
	}
	return wasmhost.Shared
}

// guestLevel is the least level of the guest's own lines.
func guestLevel(cfg *config.Config, f *config.Filter) filters.Level {
	name := cmp.Or(f.LogLevel, cfg.Log.Level)
	level, _ := accesslog.ParseLevel(name) // checked with the configuration
	for l := filters.Trace; l < filters.Error; l++ {
		if server.LogLevel(l) == level {
			return l
		}
	}
	return filters.Error
}

// filterLevels are the levels of the filters that have one of their own.
func filterLevels(cfg *config.Config) map[string]accesslog.Level {
	levels := map[string]accesslog.Level{}
	for i := range cfg.Filters {
		if f := &cfg.Filters[i]; f.LogLevel != "" {
			levels[f.Name], _ = accesslog.ParseLevel(f.LogLevel) // checked with the configuration
		}
	}
	return levels
}

// guestProblem is a guest's error on one line, without the filter's name, which the problem's path has.
func guestProblem(name string, err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), fmt.Sprintf("filter %q: ", name)), "\n", "; ")
}

func moduleBytes(module string) ([]byte, error) {
	if name, ok := strings.CutPrefix(module, "builtin:"); ok {
		return modules[name], nil
	}
	return config.ReadModule(module)
}

// long is a module's SHA-256 as metrics and the status have it, short as log lines do.
func long(sum [sha256.Size]byte) string  { return hex.EncodeToString(sum[:]) }
func short(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:6]) }
