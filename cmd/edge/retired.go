package main

import (
	"maps"
	"slices"
	"sync"

	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/wasmhost"
)

// retired are the guests of editions before, as long as streams use them, and what those that are gone have counted: a counter
// does not fall because a module is swapped.
type retired struct {
	mu     sync.Mutex
	guests map[*wasmhost.Filter]struct{}
	past   map[string]*metrics.Filter // by the filter's name

	sites []*site // replaced, and not ended: whoever looks for what can be closed holds mu, too
}

// keep has the site hold what it stands on, from before it is replaced until closable.
func (r *retired) keep(s *site) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites = append(r.sites, s)
}

// closable ends that, and returns what closes what neither the site that is live nor another that is kept stands on.
func (r *retired) closable(ended *site, live func() *site) (list []func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites = slices.DeleteFunc(r.sites, func(s *site) bool { return s == ended })
	stand := append([]*site{live()}, r.sites...)
	for key, root := range ended.roots {
		if !slices.ContainsFunc(stand, func(s *site) bool { return s.roots[key].Action == root.Action }) {
			list = append(list, func() { root.Close() })
		}
	}
	for key, pool := range ended.pools {
		if !slices.ContainsFunc(stand, func(s *site) bool { return s.pools[key] == pool }) {
			list = append(list, pool.Close)
		}
	}
	return list
}

// forget drops the figures of filters that are gone from the configuration: their number would have no bound.
func (r *retired) forget(cfg *config.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.past, func(name string, _ *metrics.Filter) bool { return cfg.Filter(name) == nil })
}

// instead has guests counted here from the moment they are not in the edition that runs: do replaces that.
func (r *retired) instead(guests []*wasmhost.Filter, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.guests == nil {
		r.guests, r.past = map[*wasmhost.Filter]struct{}{}, map[string]*metrics.Filter{}
	}
	for _, g := range guests {
		r.guests[g] = struct{}{}
	}
	do()
}

// gone keeps a guest's figures when its last stream has ended.
func (r *retired) gone(g *wasmhost.Filter) {
	<-g.Closed()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.guests, g)
	n := r.past[g.Name()]
	if n == nil {
		made := newFilterNumbers(g.Name())
		n = &made
		r.past[g.Name()] = n
	}
	addFilterNumbers(n, g.Stats())
}
