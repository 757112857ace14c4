package server

import (
	"sync"
	"sync/atomic"
)

// useShards is how many counters of its exchanges a site keeps, so that workers do not fight for one; a worker has the one
// of its number's remainder.
const useShards = 32

// use counts who uses a site, so that whoever replaces it knows when what was made for it can go. An exchange serves from its head
// to its end, and binds while it asks the filters of its route for their streams. It may end on another worker than it began on:
// single shards mean nothing, and may be below 0; the sum counts.
//
// Entering counts first and looks then whether the site is still the server's; replacing it does the two the other way round. So
// once the site is replaced and the sum is 0, nobody who has counted will go on to use it: those that come late look again, and
// leave. That a sum is not read at one moment does no harm: without new ones it can only fall.
type use struct {
	shards [useShards]useShard

	replaced  atomic.Bool
	onceBound sync.Once
	onceEnded sync.Once
	bound     chan struct{}
	ended     chan struct{}
}

type useShard struct {
	binding, serving atomic.Int64
	_                [112]byte // no two in a pair of cache lines
}

// enter is the site that an exchange of this worker uses until leave; its filters are asked for streams until settle.
func (s *Server) enter(l *local) *Site {
	for {
		site := s.site.Load()
		u := &site.use.shards[l.number%useShards]
		u.serving.Add(1)
		u.binding.Add(1)
		if s.site.Load() == site {
			return site
		}
		site.settle(l)
		site.leave(l)
	}
}

// settle ends what enter began: the exchange has its streams.
func (site *Site) settle(l *local) {
	site.use.shards[l.number%useShards].binding.Add(-1)
	if site.use.replaced.Load() {
		site.use.look()
	}
}

// leave ends what enter began: the exchange is over.
func (site *Site) leave(l *local) {
	site.use.shards[l.number%useShards].serving.Add(-1)
	if site.use.replaced.Load() {
		site.use.look()
	}
}

// look closes the channels that are due. The site is replaced.
func (u *use) look() {
	var binding, serving int64
	for i := range u.shards {
		binding += u.shards[i].binding.Load()
		serving += u.shards[i].serving.Load()
	}
	if binding == 0 {
		u.onceBound.Do(func() { close(u.bound) })
	}
	if serving == 0 {
		u.onceEnded.Do(func() { close(u.ended) })
	}
}

// SetSite replaces the site for requests that begin from now on, and returns the one before, which must not be set again. One
// goroutine at a time may call it.
func (s *Server) SetSite(site *Site) (old *Site) {
	if site.settings == nil {
		site.settings = s.current()
	}
	old = s.site.Swap(site)
	old.use.replaced.Store(true)
	old.use.look()
	return old
}

// Bound is closed when the site has been replaced and every exchange that began with it has asked its filters for their streams:
// microseconds after. Filters that are not in the new site may be retired then.
func (site *Site) Bound() <-chan struct{} { return site.use.bound }

// Ended is closed when the site has been replaced and the last exchange that began with it, a tunnel perhaps, is over. Whatever
// else its routes named may be closed then.
func (site *Site) Ended() <-chan struct{} { return site.use.ended }
