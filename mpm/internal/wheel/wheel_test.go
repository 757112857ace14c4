package wheel

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is the wheel as a list: what it says is right.
type model struct {
	t     testing.TB
	wheel *Wheel[int]
	now   int64 // nanoseconds
	set   []entry
	seq   int
	pool  []Timer[int]
}

type entry struct {
	at  int64 // as given to add
	due int64 // the tick it fires at
	seq int   // order of setting
	id  int
}

func newModel(t testing.TB, timers int, start int64) *model {
	m := &model{t: t, wheel: New[int](start), now: start, pool: make([]Timer[int], timers)}
	for i := range m.pool {
		m.pool[i].Value = i
	}
	return m
}

func (m *model) drop(id int) {
	m.set = slices.DeleteFunc(m.set, func(e entry) bool { return e.id == id })
}

func (m *model) add(id int, at int64) {
	m.drop(id)
	m.seq++
	due := at >> tickShift
	if at&(Tick-1) != 0 && due < lastTick {
		due++
	}
	m.set = append(m.set, entry{at: at, due: max(due, m.now>>tickShift+1), seq: m.seq, id: id})
	m.wheel.Add(&m.pool[id], at)
	m.check()
}

func (m *model) remove(id int) {
	m.drop(id)
	m.wheel.Remove(&m.pool[id])
	m.check()
}

// next is the entry that fires first: by tick, then in the order of setting (E8).
func (m *model) next() (entry, bool) {
	if len(m.set) == 0 {
		return entry{}, false
	}
	return slices.MinFunc(m.set, func(a, b entry) int {
		if a.due != b.due {
			return int(max(-1, min(1, a.due-b.due)))
		}
		return a.seq - b.seq
	}), true
}

// move lets time pass and takes up to most of what is due.
func (m *model) move(to int64, most int) {
	for range most {
		want, ok := m.next()
		ok = ok && want.due <= to>>tickShift
		got := m.wheel.Pop(to)
		switch {
		case got == nil && !ok:
			m.now = max(m.now, to)
			m.check()
			return
		case got == nil:
			m.t.Fatalf("at %d: nothing, expected timer %d, due at tick %d", to, want.id, want.due)
		case !ok:
			m.t.Fatalf("at %d: timer %d, expected nothing", to, got.Value)
		case got.Value != want.id:
			m.t.Fatalf("at %d: timer %d, expected %d", to, got.Value, want.id)
		case to < want.at:
			m.t.Fatalf("timer %d is %d ns early", got.Value, want.at-to)
		case got.Set():
			m.t.Fatalf("timer %d is out, and set", got.Value)
		}
		m.now = max(m.now, want.due<<tickShift)
		m.drop(want.id)
		m.check()
	}
}

func (m *model) check() {
	if got := m.wheel.Len(); got != len(m.set) {
		m.t.Fatalf("Len is %d, expected %d", got, len(m.set))
	}
	want, ok := m.next()
	at, gotOK := m.wheel.Next()
	if ok != gotOK {
		m.t.Fatalf("Next says %v with %d set", gotOK, len(m.set))
	}
	if ok && at > want.due<<tickShift {
		m.t.Fatalf("Next is %d, later than the earliest timer at %d", at, want.due<<tickShift)
	}
}

// spans are distances in time around which the wheel changes level, and those that the engine uses.
var spans = []int64{
	1, Tick - 1, Tick, Tick + 1, 63 * Tick, 64 * Tick, 65 * Tick, 64*64*Tick - 1, 64 * 64 * Tick, 5e9, 60e9, 3600e9,
	64 * 64 * 64 * Tick, 64 * 64 * 64 * 64 * Tick, 1 << 56, 1<<56 + 1, 1 << 60,
}

func span(rng *rand.Rand) int64 {
	s := spans[rng.IntN(len(spans))]
	switch rng.IntN(3) {
	case 0:
		return s
	case 1:
		return s - min(s, rng.Int64N(4*Tick))
	default:
		return rng.Int64N(s) + 1
	}
}

// TestModelE8 compares the wheel with the list through random steps of random length, from several ages of the engine.
func TestModelE8(t *testing.T) {
	starts := []int64{0, 1, 63 * Tick, 64*64*Tick - 1, 1<<56 - 5e9, 1<<56 - 1, 1 << 61}
	for _, start := range starts {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(start)))
			m := newModel(t, 40, start)
			for range 400 {
				id := rng.IntN(len(m.pool))
				switch rng.IntN(8) {
				case 0, 1, 2, 3:
					m.add(id, min(m.now, math.MaxInt64-1<<60)+span(rng))
				case 4:
					m.add(id, max(0, m.now-span(rng)))
				case 5:
					m.remove(id)
				case 6:
					if m.now < 1<<62 {
						m.move(m.now+span(rng), 1+rng.IntN(8))
					}
				case 7:
					if want, ok := m.next(); ok {
						m.move(want.due<<tickShift-rng.Int64N(2), 1000)
					}
				}
			}
			for len(m.set) > 0 {
				want, _ := m.next()
				m.move(want.due<<tickShift, 1000)
			}
		}
	}
}

// TestFarE8: times past every level, and next to the end of time, are kept and do not come early.
func TestFarE8(t *testing.T) {
	for _, start := range []int64{0, 1<<56 - 2*Tick, 1 << 62} {
		for _, at := range []int64{1 << 56, 1<<56 + 60e9, 1 << 57, 1<<62 + 1, math.MaxInt64 - 1, math.MaxInt64} {
			m := newModel(t, 2, start)
			m.add(0, at)
			m.add(1, start+60e9)
			if at > start+Tick {
				m.move(at-Tick, 10)
				if at-Tick >= start+61e9 && m.wheel.Len() != 1 {
					t.Errorf("start %d, at %d: %d timers left", start, at, m.wheel.Len())
				}
			}
		}
	}
}

// TestFreshLookE8: each Pop looks afresh, so what is due but removed or moved between two calls does not come.
func TestFreshLookE8(t *testing.T) {
	m := newModel(t, 4, 0)
	for i := range m.pool {
		m.add(i, 100*Tick)
	}
	m.move(100*Tick, 1)
	m.remove(1)
	m.add(2, 500*Tick)
	m.move(100*Tick, 10)
	if got := m.wheel.Len(); got != 1 {
		t.Errorf("%d timers left, expected the moved one", got)
	}
}

func FuzzWheel(f *testing.F) {
	f.Add(uint64(0), []byte{0, 1, 9, 7, 6, 3, 0, 5, 14, 7})
	f.Add(uint64(1<<56-1), []byte{0, 1, 16, 0, 2, 6, 6, 9, 7, 7})
	f.Fuzz(func(t *testing.T, start uint64, steps []byte) {
		m := newModel(t, 8, int64(start>>1))
		for len(steps) >= 4 && m.now < 1<<62 {
			id := int(steps[1]) % len(m.pool)
			by := spans[int(steps[2])%len(spans)] + int64(binary.LittleEndian.Uint16([]byte{steps[3], steps[2]}))
			switch steps[0] % 4 {
			case 0, 1:
				m.add(id, m.now+by)
			case 2:
				m.remove(id)
			case 3:
				m.move(m.now+by, 1+int(steps[1]))
			}
			steps = steps[4:]
		}
	})
}

// BenchmarkMove is what a deadline costs that comes forward, among 100,000 others.
func BenchmarkMove(b *testing.B) {
	w := New[int](0)
	timers := make([]Timer[int], 100_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range timers {
		w.Add(&timers[i], rng.Int64N(60e9))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Add(&timers[i%len(timers)], int64(i%60_000)*1e6)
	}
}

// BenchmarkExpire is what a timer costs from setting to firing, cascades included.
func BenchmarkExpire(b *testing.B) {
	w := New[int](0)
	timers := make([]Timer[int], 10_000)
	rng := rand.New(rand.NewPCG(1, 2))
	now := int64(0)
	for i := range timers {
		w.Add(&timers[i], rng.Int64N(60e9))
	}
	b.ReportAllocs()
	for b.Loop() {
		t := w.Pop(now)
		for t == nil {
			now, _ = w.Next()
			t = w.Pop(now)
		}
		w.Add(t, now+rng.Int64N(60e9))
	}
}
