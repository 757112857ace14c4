package wasmhost

import (
	"errors"
	"strings"
	"time"

	"edge/filters"
	"edge/wasmhost/httpwasm"
	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/proxywasm"
)

// Restarts of a failed guest: at once, unless it failed before calmAfter had passed and calmStreams had ended well; then after
// firstBackoff, and each time twice as long, at most lastBackoff. So a guest that always fails comes to rest, and one that few
// requests make fail serves the others.
const (
	calmAfter    = time.Second
	calmStreams  = 64
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// recovery is what a lane knows of its failures.
type recovery struct {
	began  time.Time     // when the instance was started or restored
	served int           // streams that have ended well since
	delay  time.Duration // before the last restart
}

// next is how long to wait before another instance.
func (r *recovery) next(now time.Time) time.Duration {
	if now.Sub(r.began) >= calmAfter || r.served >= calmStreams {
		r.delay = 0
	} else {
		r.delay = min(max(2*r.delay, firstBackoff), lastBackoff)
	}
	r.served = 0
	return r.delay
}

// fault gives up the guest's life after a call that failed, and has another one begin: in the same instance, restored from the
// filter's snapshot, or in a new one. It begins at once where there is no reason to wait and nothing to start. Streams that the
// guest had paused are answered as the policy says, the others when they call. s is the stream whose call failed, whose caller
// answers for it, or nil where it was the root context's. The holder calls it.
func (l *lane) fault(s *stream, p Phase, err error) *Fault {
	f, in := l.filter, l.instance
	l.root.stale = true
	l.root.nudge()
	var x filters.Exchange
	var guest *proxywasm.Stream
	if s != nil {
		x, guest = s.x, &s.guest
	}
	report := f.report(x, p, err, in)
	reply := report.reply()
	in.Abandon(guest, f.spec.FailOpen, &reply, report.String())
	l.life++
	now := f.host.options.Now()
	delay := l.recovery.next(now)
	if delay == 0 && l.restore(in) {
		l.recovery.began = now
		return report
	}
	l.instance = nil
	l.up.Store(false)
	if delay == 0 || !f.shot.taken() {
		l.discard(in)
		in = nil
	}
	l.restart(delay, in)
	return report
}

// restore puts an instance back to the filter's snapshot, or returns false.
func (l *lane) restore(in *proxywasm.Instance) bool {
	if !(&member{proxy: in}).restore(l.filter.shot) {
		return false
	}
	l.counters.restored.Add(1)
	l.counters.memory.Store(int64(in.MemoryBytes()))
	return true
}

// discard closes an instance that is not to be used again.
func (l *lane) discard(in *proxywasm.Instance) {
	in.Discard()
	l.counters.instances.Add(-1)
	l.counters.memory.Store(0)
}

// restart has the lane given an instance again, off the request path: old, restored, or a new one where old is nil.
func (l *lane) restart(delay time.Duration, old *proxywasm.Instance) {
	f := l.filter
	f.hold()
	f.host.options.After(delay, func() {
		defer f.drop()
		if f.retired.Load() {
			if old != nil {
				l.discard(old)
			}
			return
		}
		l.recovery.began = f.host.options.Now()
		if old != nil {
			if l.restore(old) {
				l.adopt(old)
				return
			}
			l.discard(old)
		}
		in, err := f.module.proxy.NewInstance(f.module.runtime, f.plugin)
		if err != nil {
			f.report(nil, Start, err, nil)
			l.restart(l.recovery.next(f.host.options.Now()), nil)
			return
		}
		l.counters.instances.Add(1)
		l.counters.started.Add(1)
		l.counters.memory.Store(int64(in.MemoryBytes()))
		l.adopt(in)
	})
}

// Cause is why an instance was given up.
type Cause uint8

// The causes.
const (
	CauseOther       Cause = iota
	CauseUnreachable       // an unreachable instruction: a panic, abort or failed assertion in most languages
	CauseMemory            // an access outside memory or a table
	CauseArithmetic        // a division by zero, an overflow, an invalid conversion
	CauseCall              // an indirect call to nothing, or of another type
	CauseStack             // stack overflow
	CauseExit              // the guest ended itself
	CauseLimit             // one of the filter's limits
	CauseStart             // it could not be started again
	CauseCPU               // a call took longer than the filter's limit
	CauseDepth             // its calls were nested deeper than the filter's limit
	causes
)

// String is the cause as metrics name it.
func (c Cause) String() string {
	return [...]string{"other", "unreachable", "memory", "arithmetic", "call", "stack", "exit", "limit", "start", "cpu",
		"depth"}[c]
}

// causeOf reads the cause from wazero's text, since it does not export the errors themselves.
func causeOf(err error) Cause {
	if errors.Is(err, proxywasm.ErrHostCalls) || errors.Is(err, httpwasm.ErrHostCalls) {
		return CauseLimit
	}
	if errors.Is(err, proxywasm.ErrAbort) {
		return CauseExit
	}
	if errors.Is(err, fuel.ErrCPU) {
		return CauseCPU
	}
	if errors.Is(err, fuel.ErrDepth) {
		return CauseDepth
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	for _, c := range []struct {
		text  string
		cause Cause
	}{
		{"unreachable", CauseUnreachable}, {"out of bounds memory", CauseMemory}, {"invalid table access", CauseMemory},
		{"integer divide by zero", CauseArithmetic}, {"integer overflow", CauseArithmetic},
		{"invalid conversion", CauseArithmetic}, {"indirect call", CauseCall}, {"null reference", CauseCall},
		{"stack overflow", CauseStack}, {"exit code", CauseExit},
	} {
		if strings.Contains(first, c.text) {
			return c.cause
		}
	}
	return CauseOther
}
