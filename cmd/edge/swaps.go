package main

import (
	"context"
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
	done chan struct{} // closed when takeChanges's goroutine has ended; nil where there is none

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

// watchModules begins to watch the files of modules, before they are read: what changes from now on is taken up.
func (p *process) watchModules() {
	if !p.cfg.Server.Watch {
		return
	}
	var paths []string
	p.swaps.count, p.swaps.last = map[string]map[string]uint64{}, map[string]*swapState{}
	for _, f := range watched(p.cfg, "") {
		paths = append(paths, f.Module)
		p.swaps.count[f.Name] = map[string]uint64{swapDone: 0, swapRefused: 0}
	}
	if len(paths) > 0 {
		p.modules = watch.New(paths, watch.Options{Log: func(text string) { p.log.Warn(text) }})
	}
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

// takeChanges takes up changed modules, one filter after the other, on a goroutine of its own, until stopChanges.
func (p *process) takeChanges() {
	if p.modules == nil {
		return
	}
	p.swaps.done = make(chan struct{})
	go func() {
		defer close(p.swaps.done)
		for {
			select {
			case <-p.modules.Done():
				return
			case path := <-p.modules.Changes():
				for _, f := range watched(p.cfg, path) {
					p.takeChange(f)
				}
			}
		}
	}()
}

// stopChanges ends that, at the latest when the context does.
func (p *process) stopChanges(ctx context.Context) {
	if p.modules == nil {
		return
	}
	p.modules.Close()
	if p.swaps.done != nil {
		select {
		case <-p.swaps.done:
		case <-ctx.Done():
		}
	}
}

// takeChange builds a generation with the filter's new module and swaps it in. A version that cannot be used leaves the old one
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
