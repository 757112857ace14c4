package state

import (
	"fmt"
	"testing"
)

// The model check below walks every order in which a poller, timers, wakers, resumers and two workers can take their steps
// on one word, and looks at the invariants after each step. A step is one method of Word, or one move of the run queue:
// every method takes effect at a single load or compare-and-swap, so finer steps would show nothing new. World is a value; the
// walk keeps those it has seen, so that it ends although workers may requeue for ever.
//
// With settle() ignoring events (the `ev&interest != 0` branch removed) the walk fails after a few steps: "settled with in
// outstanding".

const modelWorkers = 2

type world struct {
	word    uint32
	unseen  Events   // raised, and not yet given to a worker
	raises  [4]uint8 // how often each event of modelEvents may still be raised
	resumes uint8    // how often Resume may still be called
	opens   uint8    // how often the memory may still be recycled

	pushers uint8 // told to push, have not yet
	queued  uint8 // in the run queue
	popped  uint8 // popped, not claimed yet
	owners  uint8 // claimed: running
	wait    Events
}

var modelEvents = [4]Events{In, Timer, Wake, Kill}

// modelWaits are the interests that a worker settles with.
var modelWaits = []Events{In | Timer | Kill, Wake | Timer, Kill, In | Wake | Timer | Kill, 0}

type walk struct {
	t     *testing.T
	seen  map[world]struct{}
	trace []string
	ends  int
}

// modelOpens are the interests of what begins: a connection, and a unit, which has no socket.
var modelOpens = []Events{In | Timer | Kill, Wake | Timer | Kill}

// on runs a step on a real Word that holds the world's value.
func on(w *world, step func(*Word)) {
	var word Word
	word.w.Store(w.word)
	step(&word)
	w.word = word.w.Load()
}

func (k *walk) fail(w world, format string, args ...any) {
	k.t.Helper()
	k.t.Fatalf("%s\nworld %+v\nsteps %v", fmt.Sprintf(format, args...), w, k.trace)
}

// check is the invariants of E6, E7 and E10.
func (k *walk) check(w world) {
	state := State(w.word & stateMask)
	inQueue := w.pushers + w.queued + w.popped
	switch {
	case w.owners > 1:
		k.fail(w, "two workers run one connection")
	case (state == Running) != (w.owners == 1):
		k.fail(w, "%v with %d owners", state, w.owners)
	case (state == Queued) && inQueue != 1:
		k.fail(w, "queued %d times", inQueue)
	case (state != Queued) && inQueue != 0:
		k.fail(w, "%v, and in the queue", state)
	case (state == Armed || state == Parked) && w.unseen&w.wait != 0:
		k.fail(w, "settled with %b outstanding", w.unseen&w.wait)
	case state == Closed && w.word != 0:
		k.fail(w, "closed, and something has stuck")
	case state != Closed && Events(w.word>>eventShift) != w.unseen:
		k.fail(w, "events %b, expected %b", Events(w.word>>eventShift), w.unseen)
	}
}

func (k *walk) step(name string, w world) {
	k.trace = append(k.trace, name)
	k.check(w)
	if _, ok := k.seen[w]; !ok {
		k.seen[w] = struct{}{}
		k.from(w)
	}
	k.trace = k.trace[:len(k.trace)-1]
}

// from takes every step that is possible.
func (k *walk) from(w world) {
	moved := false
	next := func(name string, do func(w *world)) {
		moved = true
		n := w
		do(&n)
		k.step(name, n)
	}
	closed := State(w.word&stateMask) == Closed
	for i, left := range w.raises {
		if left > 0 {
			next(fmt.Sprint("raise ", modelEvents[i]), func(n *world) {
				n.raises[i]--
				var push bool
				on(n, func(word *Word) { push = word.Raise(modelEvents[i]) })
				if push {
					n.pushers++
				}
				if !closed {
					n.unseen |= modelEvents[i]
				}
			})
		}
	}
	if w.resumes > 0 {
		next("resume", func(n *world) { k.resume(n) })
	}
	if w.pushers > 0 {
		next("push", func(n *world) { n.pushers--; n.queued++ })
	}
	if w.queued > 0 && w.popped+w.owners < modelWorkers {
		next("pop", func(n *world) { n.queued--; n.popped++ })
	}
	if w.popped > 0 {
		next("claim", func(n *world) { k.claim(n) })
	}
	if w.owners > 0 {
		k.run(w, next)
	}
	if closed && w.opens > 0 {
		for _, wait := range modelOpens {
			next(fmt.Sprint("open ", wait), func(n *world) {
				n.opens--
				n.wait, n.unseen = wait, 0
				on(n, func(word *Word) { word.Open(n.wait, 0) })
			})
		}
	}
	if !moved {
		k.end(w)
	}
}

func (k *walk) resume(n *world) {
	n.resumes--
	before := *n
	var push, ok bool
	on(n, func(word *Word) { push, ok = word.Resume() })
	state := State(before.word & stateMask)
	suspended := state == Running || state == Parked || state == Queued && before.word&suspendedBit != 0
	switch {
	case ok != suspended:
		k.fail(before, "resume says %v", ok)
	case !ok && n.word != before.word:
		k.fail(before, "a refused resume changed the word to %#x", n.word)
	case push:
		n.pushers++
	}
	if ok {
		n.unseen |= Wake
	}
}

func (k *walk) claim(n *world) {
	n.popped--
	n.owners++
	var got Events
	on(n, func(word *Word) { got = word.Claim() })
	if got != n.unseen {
		k.fail(*n, "claim gives %b, expected %b", got, n.unseen)
	}
	n.unseen = 0
}

// run is what the owner may do.
func (k *walk) run(w world, next func(string, func(*world))) {
	for _, wait := range modelWaits {
		for _, park := range []bool{false, true} {
			next(fmt.Sprint("settle ", wait, park), func(n *world) {
				n.wait = wait
				var ev Events
				var again bool
				on(n, func(word *Word) {
					if park {
						ev, again = word.Park(wait, 3)
					} else {
						ev, again = word.Release(wait, 4)
					}
				})
				if !again {
					n.owners--
					return
				}
				if ev != n.unseen || ev&wait == 0 {
					k.fail(*n, "goes round with %b, expected %b", ev, n.unseen)
				}
				n.unseen = 0
			})
		}
	}
	next("requeue", func(n *world) {
		n.owners--
		n.pushers++
		on(n, func(word *Word) { word.Requeue(0) })
	})
	next("close", func(n *world) {
		n.owners--
		n.unseen = 0
		on(n, func(word *Word) { word.Close() })
	})
}

// end looks at a world in which nothing can move any more.
func (k *walk) end(w world) {
	k.ends++
	if s := State(w.word & stateMask); s == Queued || s == Running {
		k.fail(w, "stuck in %v", s)
	}
}

// TestModelE6E7E10 walks all interleavings: at most one owner, exactly one push for each QUEUED, no event of interest lost,
// nothing after close.
func TestModelE6E7E10(t *testing.T) {
	k := &walk{t: t, seen: map[world]struct{}{}}
	start := world{raises: [4]uint8{2, 1, 2, 1}, resumes: 2, opens: 2}
	k.step("start", start)
	t.Logf("%d worlds, %d ends", len(k.seen), k.ends)
	if len(k.seen) < 10_000 || k.ends == 0 {
		t.Fatalf("the walk saw %d worlds and %d ends: it did not reach what it is to check", len(k.seen), k.ends)
	}
}
