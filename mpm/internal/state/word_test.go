package state

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestInterleavings has real goroutines raise, wake, resume, run and close one word, at random, under the race detector
// if it is on: plain is touched by owners only, and every event that was raised has been seen when all is quiet (E6, E7).
func TestInterleavings(t *testing.T) {
	const raisers, workers = 4, 3
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	events := []Events{In, Out, Timer, Wake}
	var (
		word   Word
		queue  = make(chan struct{}, 1) // more than one push of a QUEUED word would block or overtake: see push
		raised [8]atomic.Int64
		seen   [8]int64 // plain: owners only
		turns  int
		again  int
		wg     sync.WaitGroup
		owners sync.WaitGroup
	)
	push := func() {
		select {
		case queue <- struct{}{}:
		default:
			t.Error("pushed twice")
		}
	}
	word.Open(0xff, 0)
	run := func(rng *rand.Rand) {
		ev := word.Claim()
		for {
			turns++
			if rng.IntN(2) == 0 {
				runtime.Gosched() // an event may come now
			}
			for i := range seen {
				if ev&(1<<i) != 0 {
					seen[i] = raised[i].Load()
				}
			}
			var round bool
			switch rng.IntN(4) {
			case 0:
				word.Requeue(0)
				push()
				return
			case 1:
				ev, round = word.Park(Timer|Wake|Kill, 1)
			case 2:
				ev, round = word.Release(In|Wake|Kill, 2)
			case 3:
				ev, round = word.Release(0xff, 3)
			}
			if !round {
				return
			}
			again++
		}
	}
	for i := range workers {
		owners.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for range queue {
				run(rng)
			}
		})
	}
	for i := range raisers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for range rounds {
				ev := events[rng.IntN(len(events))]
				if i == 0 {
					raised[5].Add(1)
					if p, ok := word.Resume(); p {
						push()
					} else if !ok {
						raised[5].Add(-1)
					}
				}
				for b := range raised {
					if ev&(1<<b) != 0 {
						raised[b].Add(1)
					}
				}
				if word.Raise(ev) {
					push()
				}
				if rng.IntN(2) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	// The last event is of everybody's interest; whoever sees it sees all that stuck.
	for word.State() != Armed && word.State() != Parked {
		runtime.Gosched()
	}
	if word.Raise(Kill | Wake) {
		push()
	}
	for word.State() != Armed && word.State() != Parked {
		runtime.Gosched()
	}
	close(queue)
	owners.Wait()
	for i := range seen {
		if got, want := seen[i], raised[i].Load(); got != want {
			t.Errorf("event %d: raised %d, seen %d", i, want, got)
		}
	}
	t.Logf("%d turns, %d of them went round", turns, again)
}

// TestWrongOwner: a step that only the owner may take panics in every state that is not its own.
func TestWrongOwner(t *testing.T) {
	in := map[State]func(*Word){
		Closed:  func(*Word) {},
		Armed:   func(w *Word) { w.Open(In, 0) },
		Queued:  func(w *Word) { w.Open(In, 0); w.Raise(In) },
		Running: func(w *Word) { w.Open(In, 0); w.Raise(In); w.Claim() },
		Parked:  func(w *Word) { w.Open(In, 0); w.Raise(In); w.Claim(); w.Park(In, 0) },
	}
	steps := []struct {
		name string
		from State
		do   func(*Word)
	}{
		{"E6 claim", Queued, func(w *Word) { w.Claim() }},
		{"E7 release", Running, func(w *Word) { w.Release(In, 0) }},
		{"C4 park", Running, func(w *Word) { w.Park(In, 0) }},
		{"requeue", Running, func(w *Word) { w.Requeue(0) }},
		{"E10 close", Running, func(w *Word) { w.Close() }},
		{"C8 discard", Armed, func(w *Word) { w.Discard() }},
		{"open", Closed, func(w *Word) { w.Open(In, 0) }},
	}
	for _, s := range steps {
		for state, enter := range in {
			t.Run(s.name+" of "+state.String(), func(t *testing.T) {
				var w Word
				enter(&w)
				defer func() {
					if p := recover(); (p == nil) != (state == s.from) {
						t.Errorf("panic = %v", p)
					}
				}()
				s.do(&w)
			})
		}
	}
}

// TestResumeC4: resuming what is not suspended is an error that changes nothing; what another event has queued meanwhile is
// still suspended, and its owner sees the Wake.
func TestResumeC4(t *testing.T) {
	run := func(w *Word) { w.Open(In, 0); w.Raise(In); w.Claim() }
	park := func(w *Word) { run(w); w.Park(Wake|Timer, 9) }
	cases := []struct {
		name     string
		enter    func(*Word)
		push, ok bool
	}{
		{"closed", func(*Word) {}, false, false},
		{"armed", func(w *Word) { w.Open(Wake, 0) }, false, false},
		{"queued by an event", func(w *Word) { w.Open(In, 0); w.Raise(In) }, false, false},
		{"queued by its worker", func(w *Word) { run(w); w.Requeue(0) }, false, false},
		{"running", run, false, true},
		{"parked", park, true, true},
		{"parked, then queued by its deadline", func(w *Word) { park(w); w.Raise(Timer) }, false, true},
		{"parked, then running", func(w *Word) { park(w); w.Raise(Timer); w.Claim() }, false, true},
		{"parked, then armed", func(w *Word) { park(w); w.Raise(Timer); w.Claim(); w.Release(In, 0) }, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var w Word
			c.enter(&w)
			before := w.load()
			push, ok := w.Resume()
			if push != c.push || ok != c.ok {
				t.Fatalf("push, ok = %v, %v; want %v, %v", push, ok, c.push, c.ok)
			}
			if !ok && w.load() != before {
				t.Errorf("the word changed from %#x to %#x", before, w.load())
			}
			if ok && Events(w.load()>>eventShift)&Wake == 0 {
				t.Error("the wake is lost")
			}
		})
	}
}

// TestPhase: the phase is what the owner published last, through queue and claim.
func TestPhase(t *testing.T) {
	var w Word
	w.Open(In, 7)
	w.Raise(In)
	if s, p := w.Look(); s != Queued || p != 7 {
		t.Errorf("queued: %v, %d", s, p)
	}
	w.Claim()
	if s, p := w.Look(); s != Running || p != 7 {
		t.Errorf("running: %v, %d", s, p)
	}
	w.Release(In, 200)
	if s, p := w.Look(); s != Armed || p != 200 {
		t.Errorf("armed: %v, %d", s, p)
	}
}
