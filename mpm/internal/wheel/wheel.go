// Package wheel keeps timers in a hierarchical timing wheel: setting, moving and removing one is O(1), and timers that
// are due come out one by one, in the order of their ticks and, within a tick, in the order they were set (E8).
package wheel

import (
	"math"
	"math/bits"
)

// Tick is the wheel's resolution in nanoseconds, as a shift: about one millisecond. A timer never fires early.
const (
	tickShift = 20
	Tick      = 1 << tickShift
)

const (
	levels    = 8 // 64^8 ticks: more than the nanoseconds of an int64 can say, so no level wraps and no time is too far
	slotBits  = 6
	slotCount = 1 << slotBits
	lastTick  = math.MaxInt64 >> tickShift
)

// Timer is an entry, embedded in what it times. Its owner is the wheel's owner. The zero value is a timer that is not set.
type Timer[T any] struct {
	next, prev *Timer[T]
	tick       int64
	level      uint8
	slot       uint8
	Value      T // what the timer is for; set by the caller
}

// Set says whether the timer is in a wheel.
func (t *Timer[T]) Set() bool { return t.next != nil }

// Wheel holds timers. It has one owner at a time: in the engine, whoever holds the poller's lock.
type Wheel[T any] struct {
	now   int64 // the tick up to which everything has fired
	count int
	slots [levels][slotCount]Timer[T] // list heads
	used  [levels]uint64              // bit s: slots[level][s] is not empty
}

// New returns a wheel whose time begins at now, in nanoseconds.
func New[T any](now int64) *Wheel[T] {
	w := &Wheel[T]{now: now >> tickShift}
	for l := range w.slots {
		for s := range w.slots[l] {
			head := &w.slots[l][s]
			head.next, head.prev = head, head
		}
	}
	return w
}

// Len is the number of timers set.
func (w *Wheel[T]) Len() int { return w.count }

// Add sets t to fire at the given time in nanoseconds, which is not negative, moving it if it is set already. A time that has
// passed fires at the next tick; the last tick of an int64 is the last time there is.
func (w *Wheel[T]) Add(t *Timer[T], at int64) {
	if t.Set() {
		w.Remove(t)
	}
	t.tick = at >> tickShift
	if at&(Tick-1) != 0 && t.tick < lastTick {
		t.tick++ // never early
	}
	t.tick = max(t.tick, w.now+1)
	w.place(t)
	w.count++
}

// place puts t on the level of the highest digit, in base 64, in which its tick differs from now. Two timers of one tick
// are therefore always in one list, in the order they were set.
func (w *Wheel[T]) place(t *Timer[T]) {
	level := 0
	if diff := uint64(t.tick ^ w.now); diff != 0 {
		level = (63 - bits.LeadingZeros64(diff)) / slotBits
	}
	slot := (t.tick >> (level * slotBits)) & (slotCount - 1)
	t.level, t.slot = uint8(level), uint8(slot)
	head := &w.slots[level][slot]
	t.next, t.prev = head, head.prev
	head.prev.next = t
	head.prev = t
	w.used[level] |= 1 << slot
}

// Remove takes t out; it may be not set.
func (w *Wheel[T]) Remove(t *Timer[T]) {
	if !t.Set() {
		return
	}
	w.unlink(t)
	w.count--
}

func (w *Wheel[T]) unlink(t *Timer[T]) {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
	if head := &w.slots[t.level][t.slot]; head.next == head {
		w.used[t.level] &^= 1 << t.slot
	}
}

// Next is the time, in nanoseconds, at which Pop should be called next; ok is false if no timer is set. It is never later
// than the earliest timer, and may be earlier.
func (w *Wheel[T]) Next() (at int64, ok bool) {
	tick, ok := w.nextTick()
	return tick << tickShift, ok
}

// nextTick is the first tick at which a list fires or must be spread over a lower level.
func (w *Wheel[T]) nextTick() (int64, bool) {
	for level := range w.used {
		if w.used[level] == 0 {
			continue
		}
		shift := level * slotBits
		digit := (w.now >> shift) & (slotCount - 1)
		if ahead := w.used[level] &^ (1<<digit - 1); ahead != 0 {
			slot := int64(bits.TrailingZeros64(ahead))
			return (w.now>>(shift+slotBits)<<slotBits | slot) << shift, true
		}
	}
	return 0, false
}

// Pop takes the earliest timer that is due at now (in nanoseconds) and returns it, or nil. Each call looks afresh, so the
// caller may add and remove timers between two calls.
func (w *Wheel[T]) Pop(now int64) *Timer[T] {
	limit := now >> tickShift
	for {
		tick, ok := w.nextTick()
		if !ok || tick > limit {
			w.now = max(w.now, limit)
			return nil
		}
		w.now = max(w.now, tick)
		level := w.dueLevel()
		if level == 0 {
			head := &w.slots[0][w.now&(slotCount-1)]
			t := head.next
			w.unlink(t)
			w.count--
			return t
		}
		w.spread(level)
	}
}

// dueLevel is the lowest level whose list for the present tick is not empty.
func (w *Wheel[T]) dueLevel() int {
	for level := range w.used {
		if w.used[level]&(1<<((w.now>>(level*slotBits))&(slotCount-1))) != 0 {
			return level
		}
	}
	panic("mpm: wheel has no due list")
}

// spread moves the list that has come due on a level to the levels below, in order.
func (w *Wheel[T]) spread(level int) {
	head := &w.slots[level][(w.now>>(level*slotBits))&(slotCount-1)]
	for head.next != head {
		t := head.next
		w.unlink(t)
		w.place(t)
	}
}
