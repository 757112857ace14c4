package wasmhost

import (
	"sync"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/wasmhost/httpwasm"
)

// pool keeps the instances of a filter of which each serves one stream at a time: of an http-wasm filter, and of one whose streams
// are isolated. A stream pins an instance, the wait for the upstream included: with http-wasm from its request's head to the end
// of handle_response, with Proxy-Wasm from its first callback to its end. So there are as many as there are requests under way,
// up to most. They are started off the request path, on demand. A stream that finds none waits in line, while its connection goes
// on or parks; whoever gives an instance back hands it to the first in line.
//
// Isolated streams have an instance restored behind them before it is given back, so that nothing of them waits in it for the next.
//
// mu guards what is below it and is never held while a guest runs. Wake is called under it, so that the stream cannot
// have come, ended and been used again meanwhile; Wake must not call back into the pool. The instances in idle are closed
// by whoever shuts the pool: the last stream of a retired filter, or Retire where there is none.
type pool struct {
	filter *Filter
	plugin *httpwasm.Plugin // nil for Proxy-Wasm
	most   int

	mu       sync.Mutex
	idle     []*member // the one used last is used first
	alive    int
	starting int      // starts under way or put off
	failing  bool     // the last start failed, or waits for its back-off
	line     []*place // who waits, first come first
	streams  int      // bound
	spare    []*place
	retired  bool
	shut     bool
	recovery recovery
	counts   []*callCounts // of all members that are or have been
	unused   []*callCounts // of members that have ended

	counters laneCounters
	waits    callCounts // those without a member
	bound    atomic.Int32
}

// DefaultInstances is how many instances a filter's pool has at most where Spec.Instances is 0; MaxInstances bounds
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
	if err == nil {
		if err = f.save(in); err != nil {
			in.discard()
		}
	}
	if err != nil {
		return nil, err
	}
	if in.proxy != nil && in.proxy.TickPeriod() > 0 {
		f.host.options.Log(f.spec.Name, filters.Warn, `the guest asks for ticks, and there are none with isolation = "stream"`)
	}
	l.idle = append(l.idle, in)
	l.recovery.began = f.host.options.Now()
	return l, nil
}

// newMember starts an instance, or, where all of them are to be the same, copies the first.
func (l *pool) newMember() (in *member, err error) {
	f, m := l.filter, l.filter.module
	in = &member{}
	same := l.isolates()
	switch {
	case l.plugin != nil && same && f.shot.handler != nil:
		in.handler, err = m.handler.Copy(m.runtime, l.plugin, f.shot.handler)
	case l.plugin != nil:
		in.handler, err = m.handler.NewInstance(m.runtime, l.plugin)
	case f.shot.proxy != nil:
		in.proxy, err = m.proxy.Copy(m.runtime, f.plugin, f.shot.proxy)
	default:
		in.proxy, err = m.proxy.NewInstance(m.runtime, f.plugin)
	}
	if err != nil {
		return nil, err
	}
	l.counters.instances.Add(1)
	l.counters.started.Add(1)
	in.calls = l.takeCounts()
	l.measure(in)
	return in, nil
}

// isolates says whether instances are restored between streams.
func (l *pool) isolates() bool { return l.filter.spec.Isolation == PerStream }

// restore puts an instance back to the snapshot, or returns false.
func (l *pool) restore(in *member) bool {
	if !in.restore(l.filter.shot) {
		return false
	}
	l.counters.restored.Add(1)
	l.measure(in)
	return true
}

// measure keeps the count of the instances' memory up to date.
func (l *pool) measure(in *member) {
	if now := int64(in.memoryBytes()); now != in.bytes {
		l.counters.memory.Add(now - in.bytes)
		in.bytes = now
	}
}

// end closes an instance. The caller does not hold mu.
func (l *pool) end(in *member) {
	l.counters.memory.Add(-in.bytes)
	l.counters.instances.Add(-1)
	in.discard()
	l.mu.Lock()
	l.unused = append(l.unused, in.calls)
	l.mu.Unlock()
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

// bind gives out a stream for an exchange, or nil where the pool takes none.
func (l *pool) bind(x filters.Exchange) *place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired || l.alive == 0 && l.failing {
		return nil
	}
	var s *place
	if n := len(l.spare); n > 0 {
		s, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		s = newPlace(l)
	}
	s.x = x
	l.streams++
	l.bound.Store(int32(l.streams))
	return s
}

// unbind takes back a stream that has ended and holds no instance.
func (l *pool) unbind(s *place) {
	l.mu.Lock()
	s.x, s.refused = nil, false
	l.leaveLine(s)
	l.streams--
	l.bound.Store(int32(l.streams))
	if len(l.spare) < maxSpares {
		l.spare = append(l.spare, s)
	}
	last := l.retired && l.streams == 0
	l.mu.Unlock()
	if last {
		l.close()
	}
}

// take gets the stream an instance. Without one it says whether to wait (the stream is woken) or to give up.
func (l *pool) take(s *place) (in *member, wait bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in = s.granted; in != nil {
		s.granted = nil
		return in, false
	}
	if s.refused || s.waits {
		return nil, !s.refused
	}
	if n := len(l.idle); n > 0 {
		in, l.idle = l.idle[n-1], l.idle[:n-1]
		return in, false
	}
	if len(l.line) >= MaxWaiting || l.alive == 0 && l.failing {
		return nil, false
	}
	s.waits = true
	l.line = append(l.line, s)
	if l.alive+l.starting < l.most && l.starting < len(l.line) {
		l.start(0, nil)
	}
	return nil, true
}

// leave takes a stream out of the line.
func (l *pool) leave(s *place) {
	for k, other := range l.line {
		if other == s {
			l.line = append(l.line[:k], l.line[k+1:]...)
			break
		}
	}
	s.waits = false
}

// leaveLine is the end of a stream's wait without its having taken an instance. One that it was handed goes to the next in line. The caller holds mu.
func (l *pool) leaveLine(s *place) {
	if s.waits {
		l.leave(s)
	}
	if in := s.granted; in != nil {
		s.granted = nil
		l.offer(in)
	}
}

// give takes back an instance whose stream has ended well.
func (l *pool) give(in *member) {
	if l.isolates() && !in.restore(l.filter.shot) {
		l.replace(in, 0)
		return
	}
	l.measure(in)
	l.mu.Lock()
	l.recovery.served++
	l.offer(in)
	l.mu.Unlock()
}

// offer hands an instance to the first in line. The caller holds mu.
func (l *pool) offer(in *member) {
	if len(l.line) == 0 {
		l.idle = append(l.idle, in)
		return
	}
	s := l.line[0]
	l.leave(s)
	s.granted = in
	s.x.Wake()
}

// discard takes back an instance that cannot be used as it is. It is restored, or another one takes its place: at once, or, where
// the guest failed, as the recovery says.
func (l *pool) discard(in *member, failed bool) {
	var delay time.Duration
	now := l.filter.host.options.Now()
	if failed {
		l.mu.Lock()
		delay = l.recovery.next(now)
		l.mu.Unlock()
	}
	if delay > 0 || !l.restore(in) {
		l.replace(in, delay)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed {
		l.recovery.began = now
	}
	l.offer(in)
}

// replace has an instance take the place of in, after a delay: in itself, which is restored then, or a new one.
func (l *pool) replace(in *member, delay time.Duration) {
	l.mu.Lock()
	l.alive--
	wanted := l.starting == 0 || !l.failing
	kept := wanted && delay > 0 && l.filter.shot.taken()
	switch {
	case kept:
		l.start(delay, in)
	case wanted:
		l.start(delay, nil)
	}
	l.mu.Unlock()
	if !kept {
		l.end(in)
	}
}

// start has an instance made off the request path, out of old where that is one. The caller holds mu.
func (l *pool) start(delay time.Duration, old *member) {
	f := l.filter
	f.hold()
	l.starting++
	l.failing = l.failing || delay > 0
	if l.alive == 0 && l.failing {
		l.refuse()
	}
	f.host.options.After(delay, func() {
		defer f.drop()
		in, err := old, error(nil)
		if in == nil || !l.restore(in) {
			if in != nil {
				l.end(in)
			}
			in, err = l.newMember()
		}
		if err != nil {
			f.report(nil, Start, err, nil)
		}
		l.mu.Lock()
		l.starting--
		late := err == nil && l.shut
		switch {
		case err != nil && !l.shut:
			l.failing = true
			if l.starting == 0 {
				l.start(l.recovery.next(f.host.options.Now()), nil)
			}
		case err == nil && !late:
			l.alive++
			l.failing = false
			l.recovery.began = f.host.options.Now()
			l.offer(in)
		}
		l.mu.Unlock()
		if late {
			l.end(in)
		}
	})
}

// refuse has the policy answer for everybody in line, where no instance is left and none will be for a while.
func (l *pool) refuse() {
	for _, s := range l.line {
		s.waits, s.refused = false, true
		s.x.Wake()
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
