package main

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/runtime/watch"
)

// The results of a swap.
const (
	swapDone    = "swapped"
	swapRefused = "refused" // the new version is not the pinned one, is no module, or its guest does not start
)

// swaps are what has become of changed modules.
type swaps struct {
	mu    sync.Mutex
	count map[string]map[string]uint64 // by filter, by result
	last  map[string]*swapState
}

// swapState is a filter's last swap as the status page shows it.
type swapState struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"`
	SHA256 string    `json:"sha256,omitempty"` // of the new version, where it could be read
	Error  string    `json:"error,omitempty"`
}

// watchModules begins to watch the files of modules, before they are read: what changes from now on is taken up. It returns nil where
// there is nothing to watch.
func (p *process) watchModules(cfg *config.Config) *watch.Watcher {
	if paths := watchedPaths(cfg); len(paths) > 0 {
		return watch.New(paths, watch.Options{Log: func(text string) { p.log.Warn(text) }})
	}
	return nil
}

// watchedPaths are the files that are to be watched.
func watchedPaths(cfg *config.Config) (paths []string) {
	if cfg.Server.Watch {
		for _, f := range watched(cfg, "") {
			paths = append(paths, f.Module)
		}
	}
	return paths
}

// follow has the counts be those of the filters that are watched.
func (s *swaps) follow(cfg *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, last := map[string]map[string]uint64{}, map[string]*swapState{}
	if cfg.Server.Watch {
		for _, f := range watched(cfg, "") {
			count[f.Name], last[f.Name] = s.count[f.Name], s.last[f.Name]
			if count[f.Name] == nil {
				count[f.Name] = map[string]uint64{swapDone: 0, swapRefused: 0}
			}
		}
	}
	s.count, s.last = count, last
}

// watched are the filters whose module is a file: that of path, or any where it is "".
func watched(cfg *config.Config, path string) (list []*config.Filter) {
	for i := range cfg.Filters {
		f := &cfg.Filters[i]
		if f.Module != "" && !strings.HasPrefix(f.Module, "builtin:") && (path == "" || f.Module == path) {
			list = append(list, f)
		}
	}
	return list
}

// takeChange builds an edition with the filter's new module and swaps it in. A version that cannot be used leaves the old one
// running.
func (p *process) takeChange(f *config.Filter) {
	began, old := time.Now(), p.live.Load()
	next, problems := p.build(old.cfg, old, func(name string) bool { return name == f.Name })
	fields := []accesslog.Field{accesslog.Str("filter", f.Name), accesslog.Str("module", f.Module)}
	runs := old.filters.versions[f.Name]
	switch {
	case len(problems) > 0:
		var text []string
		for _, problem := range problems {
			text = append(text, problem.Message)
		}
		err := errors.New(strings.Join(text, "; "))
		p.swaps.add(f.Name, swapState{time.Now().UTC(), swapRefused, "", err.Error()})
		p.log.Error("the module's new version is not used, the old one goes on",
			append(fields, accesslog.Str("runs", short(runs)), accesslog.Err(err))...)
	case next.filters.versions[f.Name] == runs:
		next.discard(old)
		p.log.Debug("the module's file has changed, the module in it has not", fields...)
	case p.draining.Load():
		next.discard(old)
	default:
		p.swap(next)
		now := next.filters.versions[f.Name]
		p.swaps.add(f.Name, swapState{time.Now().UTC(), swapDone, long(now), ""})
		p.log.Info("the module has been swapped", append(fields,
			accesslog.Str("from", short(runs)), accesslog.Str("to", short(now)), accesslog.Dur("took", time.Since(began)))...)
	}
}

func (s *swaps) add(filter string, state swapState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[filter][state.Result]++
	s.last[filter] = &state
}

// lastOf is a filter's last swap, or nil.
func (s *swaps) lastOf(filter string) *swapState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[filter]
}

// numbers are the swaps of each filter whose module is watched.
func (s *swaps) numbers() (list []metrics.Swaps) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for filter, results := range s.count {
		n := metrics.Swaps{Filter: filter}
		for result, count := range results {
			n.Results = append(n.Results, metrics.Count{Label: result, N: count})
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b metrics.Swaps) int { return strings.Compare(a.Filter, b.Filter) })
	return list
}
