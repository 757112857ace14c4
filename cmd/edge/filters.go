package main

import (
	"cmp"
	"fmt"
	"strings"

	"edge/examples/wasm/greeter"
	"edge/filters"
	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/server"
	"edge/wasmhost"
)

// modules are the guests that "builtin:name" names.
var modules = map[string][]byte{"welcome": greeter.Wasm}

// filterSet is every filter of a configuration, started.
type filterSet struct {
	chains [][]filters.Filter // by route, in request order
	guests []*wasmhost.Filter // each once
}

// startFilters compiles and starts the filters of a configuration. A filter serves every route that does not give it
// settings of its own; a route that does gets one for itself. Filters that no route uses are started too, to be found out.
// Where there are problems nothing is left running.
func startFilters(cfg *config.Config, host *wasmhost.Host) (*filterSet, config.Problems) {
	set := &filterSet{chains: make([][]filters.Filter, len(cfg.Routes))}
	var problems config.Problems
	shared := map[string]filters.Filter{}
	for i := range cfg.Filters {
		f := &cfg.Filters[i]
		made, wrong := set.start(cfg, host, f, f.Config, f.Settings, []any{"filters", f.Name})
		shared[f.Name] = made
		problems = append(problems, wrong...)
	}
	for i := range cfg.Routes {
		for k, use := range cfg.Routes[i].Filters {
			made := shared[use.Name]
			if f := cfg.Filter(use.Name); made != nil && (use.Config != nil || use.Settings != nil) {
				var wrong config.Problems
				made, wrong = set.start(cfg, host, f, use.Config, use.Settings, []any{"routes", i, "filters", k})
				problems = append(problems, wrong...)
			}
			set.chains[i] = append(set.chains[i], made)
		}
	}
	if len(problems) > 0 {
		set.retire()
		problems.Sort()
		return nil, problems
	}
	return set, nil
}

// start makes one filter. path is where its settings stand.
func (s *filterSet) start(
	cfg *config.Config, host *wasmhost.Host, f *config.Filter, text []byte, settings map[string]any, path []any,
) (filters.Filter, config.Problems) {
	if f.Native != "" {
		made, err := natives[f.Native](f.Name, settings)
		if err != nil {
			return nil, nativeProblems(cfg, append(path[:len(path):len(path)], "config"), err)
		}
		return made, nil
	}
	wasm, err := moduleBytes(f.Module)
	if err != nil {
		return nil, config.Problems{cfg.Problem(append(path, "module"), "", "%v", err)}
	}
	guest, err := host.NewFilter(wasmhost.Spec{
		Name: f.Name, Wasm: wasm, SHA256: f.SHA256, Config: text, FailOpen: f.FailOpen, Upstreams: f.AllowUpstreams,
		RootID: f.RootID, VMID: f.VMID, VMConfig: []byte(f.VMConfig),
		Background: f.Background, Lanes: f.Lanes, Instances: f.Instances, LogLevel: guestLevel(cfg, f), Trace: guestLevel(cfg, f) == filters.Trace,
		Limits: wasmhost.Limits{
			CPU: f.Limits.CPU, Memory: int(f.Limits.Memory), CallDepth: f.Limits.CallDepth,
			Pause: f.Limits.Pause, Body: int(f.Limits.Body),
		},
	})
	if err != nil {
		return nil, config.Problems{cfg.Problem(path, "", "%s", guestProblem(f.Name, err))}
	}
	s.guests = append(s.guests, guest)
	return guest, nil
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

// retire ends the guests; each closes when its last stream has ended.
func (s *filterSet) retire() {
	for _, g := range s.guests {
		g.Retire()
	}
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
