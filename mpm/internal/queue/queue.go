// Package queue is the run queue between pollers and workers: bounded, new connections first (E5).
package queue

import "sync"

// Queue hands items from pollers to a fixed set of workers. Any goroutine pushes; each worker pops with its own number.
//
// Workers never block on sockets, so as many as there are processors are enough to keep the machine busy: that many are
// kept awake, and the others are woken where an awake one is stuck (on a disk, in a long guest call) and work waits.
type Queue[T any] struct {
	mu     sync.Mutex
	fresh  ring[T] // new connections
	ready  ring[T]
	idle   []int // workers asleep, last to sleep on top
	wake   []chan struct{}
	awake  int
	busy   int // workers that hold an item
	spread int // workers to keep awake
	pops   uint64
	closed bool

	// Relieved, if set before the first Pop, is called without the lock, by a worker that has just taken an item or is
	// about to sleep: the moments at which the load falls.
	Relieved func()
}

// New makes a queue for a number of workers, of which spread are woken for ordinary load, that holds at most limit items.
func New[T any](workers, spread, limit int) *Queue[T] {
	q := &Queue[T]{wake: make([]chan struct{}, workers), idle: make([]int, 0, workers), spread: min(spread, workers), awake: workers}
	for i := range q.wake {
		q.wake[i] = make(chan struct{}, 1)
	}
	q.fresh.limit, q.ready.limit = limit, limit
	return q
}

// Push appends an ordinary item. It returns false if the queue is full or closed: the item is then still the caller's. stranger
// says that the caller is neither a worker nor a poller, one of which looks at the queue again soon: where all workers that
// are awake are busy, it wakes one more.
func (q *Queue[T]) Push(item T, stranger bool) bool {
	q.mu.Lock()
	ok := q.put(item, false)
	wake := q.callUp(stranger && q.busy >= q.awake)
	q.mu.Unlock()
	q.rouse(wake)
	return ok
}

// PushAll appends items in order under one lock, ahead of ordinary work if they are fresh, and returns how many were taken.
func (q *Queue[T]) PushAll(items []T, fresh bool) int {
	q.mu.Lock()
	n := 0
	for n < len(items) && q.put(items[n], fresh) {
		n++
	}
	wake := q.callUp(false)
	q.mu.Unlock()
	q.rouse(wake)
	return n
}

func (q *Queue[T]) put(item T, fresh bool) bool {
	if q.closed {
		return false
	}
	if fresh {
		return q.fresh.push(item)
	}
	return q.ready.push(item)
}

// callUp picks a sleeping worker to wake, or -1; force goes past the number that ordinary load keeps awake.
func (q *Queue[T]) callUp(force bool) int {
	if q.fresh.len()+q.ready.len() == 0 || len(q.idle) == 0 || (q.awake >= q.spread && !force) {
		return -1
	}
	w := q.idle[len(q.idle)-1]
	q.idle = q.idle[:len(q.idle)-1]
	q.awake++
	return w
}

func (q *Queue[T]) rouse(worker int) {
	if worker >= 0 {
		q.wake[worker] <- struct{}{}
	}
}

// Pop takes the next item for a worker, sleeping until there is one. had says that the worker has finished an item it
// popped before. It returns false when the queue is closed and empty.
func (q *Queue[T]) Pop(worker int, had bool) (item T, ok bool) {
	q.mu.Lock()
	if had {
		q.busy--
	}
	for {
		if item, ok = q.fresh.pop(); !ok {
			item, ok = q.ready.pop()
		}
		if ok {
			q.busy++
			q.pops++
			wake := q.callUp(false)
			q.mu.Unlock()
			q.rouse(wake)
			q.relieved()
			return item, true
		}
		if q.closed {
			q.mu.Unlock()
			return item, false
		}
		q.idle = append(q.idle, worker)
		q.awake--
		q.mu.Unlock()
		q.relieved()
		<-q.wake[worker]
		q.mu.Lock()
	}
}

func (q *Queue[T]) relieved() {
	if q.Relieved != nil {
		q.Relieved()
	}
}

// Load is what admission control looks at: items waiting and workers without one.
func (q *Queue[T]) Load() (pending, idle int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fresh.len() + q.ready.len(), len(q.wake) - q.busy
}

// Stalled wakes one more worker if items wait and none has been taken since the call that returned pops. Pollers call it
// now and then, passing what the last call returned.
func (q *Queue[T]) Stalled(pops uint64) uint64 {
	q.mu.Lock()
	wake := -1
	if q.pops == pops {
		wake = q.callUp(true)
	}
	now := q.pops
	q.mu.Unlock()
	q.rouse(wake)
	return now
}

// Close wakes every worker; Pop returns false once the queue is empty.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	idle := q.idle
	q.idle = nil
	q.awake += len(idle)
	q.mu.Unlock()
	for _, w := range idle {
		q.wake[w] <- struct{}{}
	}
}

// ring is a first-in-first-out buffer that doubles up to its limit.
type ring[T any] struct {
	items      []T // len is a power of two
	head, tail uint
	limit      int
}

func (r *ring[T]) len() int { return int(r.tail - r.head) }

func (r *ring[T]) push(item T) bool {
	n := r.len()
	if n >= r.limit {
		return false
	}
	if n == len(r.items) {
		grown := make([]T, max(64, 2*n))
		for i := range n {
			grown[i] = r.items[(r.head+uint(i))&uint(n-1)]
		}
		r.items, r.head, r.tail = grown, 0, uint(n)
	}
	r.items[r.tail&uint(len(r.items)-1)] = item
	r.tail++
	return true
}

func (r *ring[T]) pop() (item T, ok bool) {
	if r.head == r.tail {
		return item, false
	}
	at := r.head & uint(len(r.items)-1)
	item = r.items[at]
	var zero T
	r.items[at] = zero
	r.head++
	return item, true
}
