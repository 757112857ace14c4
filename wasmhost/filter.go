package wasmhost

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"edge/filters"
	"edge/wasmhost/httpwasm"
	"edge/wasmhost/internal/commons"
	"edge/wasmhost/proxywasm"
)

// Filter is one configured guest: a module, its configuration, and lanes. Made by Host.NewFilter, ended by Retire.
type Filter struct {
	host   *Host
	module *module
	plugin *proxywasm.Plugin
	spec   Spec
	lanes  []*lane
	pool   *pool           // in place of lanes: an http-wasm guest, or one isolated per stream
	shared *commons.Member // nil for an http-wasm guest
	shot   shot            // to restore lanes and the pool's instances from; the zero value where that cannot be
	start  startLog
	queues queueHook

	turn    atomic.Uint32 // where the search for a lane begins
	refs    atomic.Int32  // lanes not closed and restarts under way; the last one releases the module
	retired atomic.Bool
	closed  chan struct{}
	open    atomic.Int32  // lanes that are not closed
	ended   chan struct{} // closed with the last of them

	faults [causes]atomic.Uint64
	last   atomic.Pointer[Fault]
}

var _ filters.Filter = (*Filter)(nil)

// startFilter starts an instance for each lane.
func startFilter(h *Host, m *module, spec Spec) (*Filter, error) {
	f := &Filter{host: h, module: m, plugin: spec.plugin(h), spec: spec, closed: make(chan struct{}), ended: make(chan struct{})}
	f.spec.Wasm = nil
	f.plugin.Log = f.start.log(h, spec.Name)
	switch {
	case m.handler != nil && spec.Background:
		return nil, errors.New("an http-wasm guest cannot be a background filter: it works for requests only")
	case m.handler != nil:
		return f.startPool()
	}
	f.shared = h.commons.Join(spec.VMID, spec.Name)
	f.plugin.Shared = f.shared
	if spec.Isolation == PerStream {
		f.plugin.Rootless, f.plugin.QueueReady = true, func(uint32) {}
		return f.startPool()
	}
	f.plugin.QueueReady = f.queues.ready
	f.refs.Store(int32(spec.Lanes))
	f.open.Store(int32(spec.Lanes))
	for k := range spec.Lanes {
		in, err := m.proxy.NewInstance(m.runtime, f.plugin)
		if err != nil {
			for _, l := range f.lanes {
				l.instance.Close()
			}
			f.shared.Leave()
			return nil, f.start.explain(err, m.numbers)
		}
		if k == 0 {
			_ = f.save(&member{proxy: in}) // no error without isolation
		}
		l := &lane{filter: f, instance: in, life: 1, recovery: recovery{began: h.options.Now()}}
		l.root.lane = l
		l.up.Store(true)
		l.counters.instances.Store(1)
		l.counters.started.Store(1)
		l.counters.memory.Store(int64(in.MemoryBytes()))
		f.lanes = append(f.lanes, l)
		h.options.Log(spec.Name, filters.Debug, fmt.Sprintf("lane %d of %d has started", k+1, spec.Lanes))
	}
	f.start.end()
	f.wakeRoots()
	return f, nil
}

// wakeRoots lets the root contexts begin with what they asked for at their start. Nobody else knows the lanes yet.
func (f *Filter) wakeRoots() {
	for _, l := range f.lanes {
		if l.instance.RootNews() {
			l.root.wake()
		}
	}
	f.queues.open(&f.lanes[0].root)
}

// startPool starts a guest of which each instance serves one stream at a time.
func (f *Filter) startPool() (*Filter, error) {
	var p *httpwasm.Plugin
	if f.module.handler != nil {
		p = f.spec.handlerPlugin(f.host)
		p.Log = f.plugin.Log
	}
	f.refs.Store(1)
	var err error
	if f.pool, err = startPool(f, p); err != nil {
		if f.shared != nil {
			f.shared.Leave()
		}
		return nil, f.start.explain(err, f.module.numbers)
	}
	f.start.end()
	return f, nil
}

// ErrIsolation says that streams cannot be isolated, since the guest cannot be put back to what it was after its start.
var ErrIsolation = errors.New("streams cannot be isolated: the guest cannot be put back to what it was after its start")

// save takes the filter's snapshot, from its first instance. Without one an instance that failed is replaced by a new one; only
// for isolation per stream is that an error.
func (f *Filter) save(first *member) (err error) {
	if f.shot, err = first.take(); err == nil {
		return nil
	}
	if f.spec.Isolation == PerStream {
		return fmt.Errorf("%w: %w", ErrIsolation, err)
	}
	f.host.options.Log(f.spec.Name, filters.Debug, "the guest is started again after a fault, not restored: "+err.Error())
	return nil
}

// Name implements filters.Filter.
func (f *Filter) Name() string { return f.spec.Name }

// Callbacks implements filters.Filter: those the guest exports.
func (f *Filter) Callbacks() filters.Callbacks {
	if f.spec.Background {
		return 0
	}
	if f.module.handler != nil {
		return f.module.handler.Callbacks
	}
	return f.module.proxy.Callbacks
}

// Limits implements filters.Filter.
func (f *Filter) Limits() filters.Limits {
	return filters.Limits{Pause: f.spec.Limits.Pause, Body: f.spec.Limits.Body}
}

// NewStream implements filters.Filter. It binds the exchange to a lane: the first that is free, each tried once, or else
// the one with the fewest streams. nil means that no lane has an instance now, that the
// filter is retired, or that it is a background filter.
func (f *Filter) NewStream(x filters.Exchange) (s filters.Stream, failClosed bool) {
	if f.pool != nil {
		if p := f.pool.bind(x); p != nil {
			return p.stream, !f.spec.FailOpen
		}
		return nil, !f.spec.FailOpen
	}
	if f.spec.Background {
		return nil, !f.spec.FailOpen
	}
	n := len(f.lanes)
	first := 0
	if n > 1 {
		first = int(f.turn.Add(1) % uint32(n))
	}
	var best *lane
	for k := range n {
		l := f.lanes[(first+k)%n]
		if !l.up.Load() {
			continue
		}
		if !l.busy.Load() {
			best = l
			break
		}
		if best == nil || l.bound.Load() < best.bound.Load() {
			best = l
		}
	}
	if best != nil {
		if s := best.bind(x); s != nil {
			return s, !f.spec.FailOpen
		}
	}
	return nil, !f.spec.FailOpen
}

// Retire ends the filter: it takes no more streams, and each lane's instance is closed by whoever ends the lane's last
// stream. It returns at once; Closed says when all is done.
func (f *Filter) Retire() {
	if f.retired.Swap(true) {
		return
	}
	if f.pool != nil {
		f.pool.retire()
		close(f.ended)
	}
	for _, l := range f.lanes {
		l.retire()
	}
}

// Ended is closed when the filter is retired and its last stream has ended, and its guests have had their time (DoneTime): what may
// still be under way is the start of an instance that will be closed.
func (f *Filter) Ended() <-chan struct{} { return f.ended }

// Closed is closed when the filter is retired and its last instance is.
func (f *Filter) Closed() <-chan struct{} { return f.closed }

func (f *Filter) hold() { f.refs.Add(1) }

func (f *Filter) drop() {
	if f.refs.Add(-1) == 0 {
		if f.shared != nil {
			f.shared.Leave()
		}
		f.host.release(f.module)
		close(f.closed)
	}
}

// startLog keeps what the guest logs at its start, for the error if it fails.
type startLog struct {
	mu    sync.Mutex
	lines []string
	ended bool
}

// maxStartLines is how many of those lines an error shows.
const maxStartLines = 16

func (s *startLog) log(h *Host, name string) func(filters.Level, string) {
	return func(level filters.Level, text string) {
		s.mu.Lock()
		if !s.ended && len(s.lines) < maxStartLines {
			s.lines = append(s.lines, text)
		}
		s.mu.Unlock()
		h.options.Log(name, level, text)
	}
}

func (s *startLog) end() {
	s.mu.Lock()
	s.ended, s.lines = true, nil
	s.mu.Unlock()
}

func (s *startLog) explain(err error, n numbers) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, stack := explain(err, n)
	if len(s.lines) > 0 {
		text += "; it logged: " + strings.Join(s.lines, "; ")
	}
	if stack != "" {
		text += "; stack: " + stack
	}
	return explained{err, text}
}
