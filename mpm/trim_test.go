package mpm

import (
	"testing"
	"time"
)

// TestTrim: P10, MaxMemFree. Memory is given back where there is much to spare and little is allocated, and not too often.
func TestTrim(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name        string
		live, spare uint64
		fresh       uint64 // allocated since the look before
		since       time.Duration
		took        time.Duration // the collection before
		want        bool
	}{
		{"at rest", 40 * mib, 30 * mib, 0, time.Minute, 0, true},
		{"little is allocated", 40 * mib, 30 * mib, mib, time.Minute, 0, true},
		{"much is allocated", 40 * mib, 30 * mib, 2 * mib, time.Minute, 0, false},
		{"little to spare", 40 * mib, 9 * mib, 0, time.Minute, 0, false},
		{"little to spare in a small process", 2 * mib, 3 * mib, 0, time.Minute, 0, false},
		{"much in a small process", 2 * mib, 5 * mib, 0, time.Minute, 0, true},
		{"just done", 40 * mib, 30 * mib, 0, 9 * time.Second, 0, false},
		{"done a while ago", 40 * mib, 30 * mib, 0, 11 * time.Second, 0, true},
		{"it takes long", 4000 * mib, 3000 * mib, 0, time.Minute, time.Second, false},
		{"it takes long, and was long ago", 4000 * mib, 3000 * mib, 0, 2 * time.Minute, time.Second, true},
		{"less is held than was in use", 40 * mib, 0, 0, time.Minute, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, freed := int64(1), 0
			state := memory{live: 1000 * mib, held: 2000 * mib, allocated: 5000 * mib}
			m := trimmer{before: state.allocated, clock: func() int64 { return now }, read: func() memory { return state },
				free: func() { freed++; now += int64(c.took) }}
			if !m.look() || freed != 1 {
				t.Fatal("the first time it is not given back")
			}
			now += int64(c.since)
			state = memory{live: c.live, held: c.live + c.spare, allocated: state.allocated + c.fresh}
			if got := m.look(); got != c.want || (freed == 2) != c.want {
				t.Errorf("given back %v, want %v", got, c.want)
			}
		})
	}
}

// TestTrimReads: what the runtime says makes sense, and asking costs no memory.
func TestTrimReads(t *testing.T) {
	read := memoryReader()
	if m := read(); m.held == 0 || m.allocated < m.live {
		t.Errorf("%+v", m)
	}
	if n := testing.AllocsPerRun(100, func() { read() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
