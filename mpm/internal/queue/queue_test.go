package queue

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// take pops n items on worker 0, which must find them without sleeping.
func take(t *testing.T, q *Queue[int], n int) []int {
	t.Helper()
	var got []int
	for range n {
		if pending, _ := q.Load(); pending == 0 {
			t.Fatalf("only %v", got)
		}
		item, ok := q.Pop(0, len(got) > 0)
		if !ok {
			t.Fatal("closed")
		}
		got = append(got, item)
	}
	return got
}

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
	}
}

// TestOrderE5: new connections go ahead of ordinary work, and within each kind first in is first out, also across growth.
func TestOrderE5(t *testing.T) {
	q := New[int](1, 1, 1000)
	q.PushAll([]int{1}, false)
	q.PushAll([]int{100}, true)
	q.PushAll([]int{2}, false)
	q.PushAll([]int{101}, true)
	if got := take(t, q, 4); !slices.Equal(got, []int{100, 101, 1, 2}) {
		t.Errorf("got %v", got)
	}
	next, want := 0, 0
	for round := range 20 {
		for range 7*round + 1 {
			q.Push(next, false)
			next++
		}
		for range 5*round + 1 {
			if got, _ := q.Pop(0, true); got != want {
				t.Fatalf("round %d: got %d, expected %d", round, got, want)
			}
			want++
		}
	}
}

// TestBoundE5: what does not fit is still the caller's, for either kind.
func TestBoundE5(t *testing.T) {
	for _, limit := range []int{1, 3, 64, 100} {
		for _, fresh := range []bool{false, true} {
			q := New[int](2, 2, limit)
			items := make([]int, limit+5)
			for i := range items {
				items[i] = i
			}
			if n := q.PushAll(items, fresh); n != limit {
				t.Errorf("limit %d: %d taken", limit, n)
			}
			if n := q.PushAll([]int{99}, fresh); n != 0 {
				t.Errorf("limit %d: one more taken", limit)
			}
			if pending, idle := q.Load(); pending != limit || idle != 2 {
				t.Errorf("limit %d: pending %d, idle %d", limit, pending, idle)
			}
			take(t, q, 1)
			if n := q.PushAll([]int{99}, fresh); n != 1 {
				t.Errorf("limit %d: no room after a pop", limit)
			}
		}
	}
}

// crew runs workers that take items and hold them until told.
type crew struct {
	q     *Queue[int]
	took  chan int // worker numbers
	leave chan struct{}
	wg    sync.WaitGroup
}

func newCrew(t *testing.T, workers, spread int) *crew {
	c := &crew{q: New[int](workers, spread, 1000), took: make(chan int, 1000), leave: make(chan struct{})}
	for w := range workers {
		c.wg.Go(func() {
			for had := false; ; had = true {
				if _, ok := c.q.Pop(w, had); !ok {
					return
				}
				c.took <- w
				<-c.leave
			}
		})
	}
	c.asleep(t, workers)
	t.Cleanup(func() {
		c.q.Close()
		close(c.leave)
		c.wg.Wait()
	})
	return c
}

// asleep waits until n workers sleep.
func (c *crew) asleep(t *testing.T, n int) {
	t.Helper()
	until(t, "workers asleep", func() bool {
		c.q.mu.Lock()
		defer c.q.mu.Unlock()
		return len(c.q.idle) == n
	})
}

func (c *crew) one(t *testing.T) int {
	t.Helper()
	select {
	case w := <-c.took:
		return w
	case <-time.After(20 * time.Second):
		t.Fatal("nobody took the item")
		return 0
	}
}

// TestLastToSleepWakesFirst: few items keep few workers warm.
func TestLastToSleepWakesFirst(t *testing.T) {
	c := newCrew(t, 4, 4)
	c.q.Push(1, false)
	first := c.one(t)
	c.leave <- struct{}{}
	c.asleep(t, 4)
	for range 10 {
		c.q.Push(1, false)
		if w := c.one(t); w != first {
			t.Fatalf("worker %d woke, %d slept last", w, first)
		}
		c.leave <- struct{}{}
		c.asleep(t, 4)
	}
}

// TestStalled: as many workers as processors are woken for ordinary load; while those are stuck, each look that finds nothing
// taken wakes one more, so that no item waits for ever.
func TestStalled(t *testing.T) {
	c := newCrew(t, 4, 2)
	for i := range 4 {
		c.q.Push(i, false)
		if i < 2 {
			c.one(t)
		}
	}
	if pending, idle := c.q.Load(); pending != 2 || idle != 2 {
		t.Fatalf("pending %d, idle %d", pending, idle)
	}
	pops := c.q.Stalled(0)
	if pending, _ := c.q.Load(); pending != 2 {
		t.Fatal("woken although items had been taken since")
	}
	pops = c.q.Stalled(pops)
	c.one(t)
	c.q.Stalled(c.q.Stalled(pops))
	c.one(t)
	if pending, idle := c.q.Load(); pending != 0 || idle != 0 {
		t.Errorf("pending %d, idle %d", pending, idle)
	}
}

// TestStranger: nobody looks at the queue after a stranger's push, so it wakes a worker beyond the ordinary number, but only
// where those that are awake are all busy.
func TestStranger(t *testing.T) {
	c := newCrew(t, 4, 1)
	c.q.Push(1, true)
	c.one(t)
	for range 3 {
		c.q.Push(2, true)
		c.one(t)
	}
	c.q.Push(3, true)
	if pending, idle := c.q.Load(); pending != 1 || idle != 0 {
		t.Errorf("pending %d, idle %d", pending, idle)
	}
}

// TestOneWakesTheNext: items pushed under one lock reach as many workers as there are processors.
func TestOneWakesTheNext(t *testing.T) {
	c := newCrew(t, 4, 3)
	c.q.PushAll([]int{1, 2, 3}, true)
	seen := map[int]bool{c.one(t): true, c.one(t): true, c.one(t): true}
	if len(seen) != 3 {
		t.Errorf("taken by %v", seen)
	}
}

// TestClose: what is queued is still given out; then every worker, asleep or not, is told.
func TestClose(t *testing.T) {
	q := New[int](3, 3, 10)
	q.Push(1, false)
	q.PushAll([]int{2}, true)
	q.Close()
	if q.Push(3, false) {
		t.Error("taken after Close")
	}
	if n := q.PushAll([]int{4}, true); n != 0 {
		t.Error("taken after Close")
	}
	if got := take(t, q, 2); !slices.Equal(got, []int{2, 1}) {
		t.Errorf("got %v", got)
	}
	if _, ok := q.Pop(0, true); ok {
		t.Error("an item from nowhere")
	}
	c := newCrew(t, 4, 2)
	c.q.Close()
	c.wg.Wait()
}

// TestRelieved: at every moment at which the load has fallen somebody is told, without the lock, after it has.
func TestRelieved(t *testing.T) {
	q := New[int](1, 1, 10)
	type load struct{ pending, idle int }
	seen := make(chan load, 10)
	q.Relieved = func() {
		pending, idle := q.Load()
		seen <- load{pending, idle}
	}
	q.PushAll([]int{1, 2}, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for had := false; ; had = true {
			if _, ok := q.Pop(0, had); !ok {
				return
			}
		}
	}()
	for i, want := range []load{{1, 0}, {0, 0}, {0, 1}} {
		if got := <-seen; got.pending > want.pending || i == 2 && got != want {
			t.Errorf("call %d sees %+v, expected %+v", i, got, want)
		}
	}
	q.Close()
	<-done
}

// TestRace: every item pushed by many is taken exactly once by some worker, while loads and stalls are looked at.
func TestRace(t *testing.T) {
	const workers, pushers, each = 4, 3, 5000
	q := New[int](workers, 2, pushers*each)
	var taken [pushers * each]atomic.Int32
	var wg, push sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for had := false; ; had = true {
				item, ok := q.Pop(w, had)
				if !ok {
					return
				}
				taken[item].Add(1)
			}
		})
	}
	for p := range pushers {
		push.Go(func() {
			for i := 0; i < each; i += 5 {
				at := p*each + i
				if !q.Push(at, p == 0) {
					t.Error("full")
				}
				if n := q.PushAll([]int{at + 1, at + 2, at + 3, at + 4}, i%2 == 0); n != 4 {
					t.Error("full")
				}
			}
		})
	}
	push.Go(func() {
		pops := uint64(0)
		for range 1000 {
			pops = q.Stalled(pops)
			if pending, idle := q.Load(); pending < 0 || idle < 0 || idle > workers {
				t.Errorf("pending %d, idle %d", pending, idle)
			}
		}
	})
	push.Wait()
	q.Close()
	wg.Wait()
	for i := range taken {
		if n := taken[i].Load(); n != 1 {
			t.Fatalf("item %d taken %d times", i, n)
		}
	}
}

// TestNoAllocation: once the ring has grown, pushing and popping allocates nothing.
func TestNoAllocation(t *testing.T) {
	q := New[int](1, 1, 100)
	had := false
	if n := testing.AllocsPerRun(1000, func() {
		q.Push(1, false)
		q.Push(2, true)
		q.Pop(0, had)
		q.Pop(0, true)
		had = true
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPushPop(b *testing.B) {
	q := New[int](1, 1, 100)
	b.ReportAllocs()
	had := false
	for b.Loop() {
		q.Push(1, false)
		q.Pop(0, had)
		had = true
	}
}
