package main

import (
	"sync"

	"edge/runtime/metrics"
	"edge/runtime/server"
	"edge/wasmhost"
)

// retired are the guests of generations before, as long as streams use them, and what those that are gone have counted: a counter
// does not fall because a module is swapped.
type retired struct {
	mu     sync.Mutex
	guests map[*wasmhost.Filter]struct{}
	past   map[string]*metrics.Filter // by the filter's name

	sites []*server.Site // replaced, and not ended when last looked at; of the goroutine that swaps
}

// instead has guests counted here from the moment they are not in the generation that runs: do replaces that.
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
