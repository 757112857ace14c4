package wasmhost

import (
	"sync"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/wasmhost/httpwasm"
)

// pool keeps the instances of an http-wasm filter. A stream pins one from its request's head to the end of
// handle_response, the wait for the upstream included; so there are as many as there are requests under way, up to most.
// They are started off the request path, on demand. A stream that finds none waits in line, while its connection goes on
// or parks; whoever gives an instance back hands it to the first in line.
//
// mu guards what is below it and is never held while a guest runs. Wake is called under it, so that the stream cannot
// have come, ended and been used again meanwhile; Wake must not call back into the pool. The instances in idle are closed
// by whoever shuts the pool: the last stream of a retired filter, or Retire where there is none.
type pool struct {
	filter *Filter
	plugin *httpwasm.Plugin
	most   int

	mu       sync.Mutex
	idle     []*member // the one used last is used first
	alive    int
	starting int        // starts under way or put off
	failing  bool       // the last start failed, or waits for its back-off
	line     []*handler // who waits, first come first
	streams  int        // bound
	spare    []*handler
	retired  bool
	shut     bool
	recovery recovery
	counts   []*callCounts // of all members that are or have been
	unused   []*callCounts // of members that have ended

	counters laneCounters
	waits    callCounts // those without a member
	bound    atomic.Int32
}

// member is an instance of a pool.
type member struct {
	*httpwasm.Instance
	bytes int64 // of its memory, as counted
	calls *callCounts
}

// DefaultInstances is how many instances an http-wasm filter has at most where Spec.Instances is 0; MaxInstances bounds
// that; MaxWaiting is how many streams wait for one, beyond which the fault policy answers.
const (
	DefaultInstances = 128
	MaxInstances     = 1024
	MaxWaiting       = 1024
)

// startPool starts the first instance.
func startPool(f *Filter, p *httpwasm.Plugin) (*pool, error) {
	l := &pool{filter: f, plugin: p, most: f.spec.Instances, alive: 1}
	in, err := l.newMember()
	if err != nil {
		return nil, err
	}
	l.idle = append(l.idle, in)
	l.recovery.began = f.host.options.Now()
	return l, nil
}

func (l *pool) newMember() (*member, error) {
	in, err := l.filter.module.handler.NewInstance(l.filter.module.runtime, l.plugin)
	if err != nil {
		return nil, err
	}
	l.counters.instances.Add(1)
	l.counters.started.Add(1)
	m := &member{Instance: in, calls: l.takeCounts()}
	l.measure(m)
	return m, nil
}

// measure keeps the count of the instances' memory up to date.
func (l *pool) measure(in *member) {
	if now := int64(in.MemoryBytes()); now != in.bytes {
		l.counters.memory.Add(now - in.bytes)
		in.bytes = now
	}
}

// end closes an instance.
func (l *pool) end(in *member) {
	l.counters.memory.Add(-in.bytes)
	l.counters.instances.Add(-1)
	in.Discard()
}

// takeCounts gives a member counts of its own.
func (l *pool) takeCounts() *callCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.unused); n > 0 {
		c := l.unused[n-1]
		l.unused = l.unused[:n-1]
		return c
	}
	c := new(callCounts)
	l.counts = append(l.counts, c)
	return c
}

// addCounts adds up all members' counts.
func (l *pool) addCounts(s *Stats) {
	l.mu.Lock()
	counts := l.counts[:len(l.counts):len(l.counts)]
	l.mu.Unlock()
	for _, c := range counts {
		c.addTo(s)
	}
	l.waits.addTo(s)
}

// bind gives out a handler for an exchange, or nil where the pool takes none.
func (l *pool) bind(x filters.Exchange) *handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired || l.alive == 0 && l.failing {
		return nil
	}
	var h *handler
	if n := len(l.spare); n > 0 {
		h, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		h = &handler{pool: l}
	}
	h.x = x
	l.streams++
	l.bound.Store(int32(l.streams))
	return h
}

// unbind takes back a handler that has ended and holds no instance.
func (l *pool) unbind(h *handler) {
	l.mu.Lock()
	h.x, h.lost, h.refused = nil, false, false
	if h.waits {
		l.leave(h)
	}
	in := h.granted
	h.granted = nil
	if in != nil {
		l.offer(in)
	}
	l.streams--
	l.bound.Store(int32(l.streams))
	if len(l.spare) < maxSpares {
		l.spare = append(l.spare, h)
	}
	last := l.retired && l.streams == 0
	l.mu.Unlock()
	if last {
		l.close()
	}
}

// take gets the handler an instance. Without one it says whether to wait (the handler is woken) or to give up.
func (l *pool) take(h *handler) (in *member, wait bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in = h.granted; in != nil {
		h.granted = nil
		return in, false
	}
	if h.refused || h.waits {
		return nil, !h.refused
	}
	if n := len(l.idle); n > 0 {
		in, l.idle = l.idle[n-1], l.idle[:n-1]
		return in, false
	}
	if len(l.line) >= MaxWaiting || l.alive == 0 && l.failing {
		return nil, false
	}
	h.waits = true
	l.line = append(l.line, h)
	if l.alive+l.starting < l.most && l.starting < len(l.line) {
		l.start(0)
	}
	return nil, true
}

// leave takes a handler out of the line.
func (l *pool) leave(h *handler) {
	for k, other := range l.line {
		if other == h {
			l.line = append(l.line[:k], l.line[k+1:]...)
			break
		}
	}
	h.waits = false
}

// give takes back an instance that can serve another stream.
func (l *pool) give(in *member) {
	l.measure(in)
	l.mu.Lock()
	l.offer(in)
	l.mu.Unlock()
}

// offer hands an instance to the first in line. The caller holds mu.
func (l *pool) offer(in *member) {
	if len(l.line) == 0 {
		l.idle = append(l.idle, in)
		return
	}
	h := l.line[0]
	l.leave(h)
	h.granted = in
	h.x.Wake()
}

// discard closes an instance that cannot be used any more. Another is started in its place: at once, or, where the guest
// failed, as the recovery says.
func (l *pool) discard(in *member, failed bool) {
	l.end(in)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unused = append(l.unused, in.calls)
	l.alive--
	var delay time.Duration
	if failed {
		delay = l.recovery.next(l.filter.host.options.Now())
	}
	if l.starting == 0 || !l.failing {
		l.start(delay)
	}
}

// start has an instance made off the request path. The caller holds mu.
func (l *pool) start(delay time.Duration) {
	f := l.filter
	f.hold()
	l.starting++
	l.failing = l.failing || delay > 0
	if l.alive == 0 && l.failing {
		l.refuse()
	}
	f.host.options.After(delay, func() {
		defer f.drop()
		in, err := l.newMember()
		if err != nil {
			f.report(nil, Start, err, "")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.starting--
		switch {
		case err != nil && !l.shut:
			l.failing = true
			if l.starting == 0 {
				l.start(l.recovery.next(f.host.options.Now()))
			}
		case err == nil && l.shut:
			l.end(in)
		case err == nil:
			l.alive++
			l.failing = false
			l.recovery.began = f.host.options.Now()
			l.offer(in)
		}
	})
}

// refuse has the policy answer for everybody in line, where no instance is left and none will be for a while.
func (l *pool) refuse() {
	for _, h := range l.line {
		h.waits, h.refused = false, true
		h.x.Wake()
	}
	l.line = l.line[:0]
}

// retire takes no more streams, and closes the instances where none is left.
func (l *pool) retire() {
	l.mu.Lock()
	idle := !l.retired && l.streams == 0
	l.retired = true
	l.mu.Unlock()
	if idle {
		l.close()
	}
}

// close comes once, when the last stream is gone.
func (l *pool) close() {
	l.mu.Lock()
	l.shut = true
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, in := range idle {
		l.end(in)
	}
	l.filter.drop()
}
