package mpm

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of what a process keeps of memory it has no use for (P10: MaxMemFree).
const (
	TrimPeriod = time.Second      // between two looks
	TrimLeast  = 4 << 20          // bytes: less is not worth a collection
	trimPause  = 10 * time.Second // between two collections at the least …
	trimShare  = 100              // … and so many times as long as the last one took: 1 % of a processor
)

// trimmer gives memory back to the system once the process has come to rest. The collector's own target is twice what is in use, and is
// met by what is allocated next: a server that allocates next to nothing for a request would keep the garbage of a burst, of as many
// handshakes as it has connections for instance, for minutes, and the pages for good. While much is allocated the collector's target is the
// right one, and the trimmer lets it be. It belongs to the goroutine that runs it.
type trimmer struct {
	read  func() memory
	free  func() // collects garbage, and gives free pages back
	clock func() int64

	before uint64 // bytes allocated since the start, at the last look
	next   int64  // not before
}

// memory is that of a process, in bytes.
type memory struct {
	live      uint64 // in use when garbage was collected last
	held      uint64 // of the heap: in use or garbage, and free but not given back
	allocated uint64 // since the start
}

// look gives memory back if that is worth it, and says whether it has.
func (m *trimmer) look() bool {
	now := m.read()
	fresh := now.allocated - m.before
	m.before = now.allocated
	if now.held < now.live+max(TrimLeast, now.live/4) {
		return false
	}
	if spare := now.held - now.live; fresh > spare/16 { // it would be taken again at once
		return false
	}
	began := m.clock()
	if began < m.next {
		return false
	}
	m.free()
	ended := m.clock()
	m.next = ended + max(int64(trimPause), trimShare*(ended-began))
	return true
}

// trim runs the trimmer until stop is closed.
func (e *Engine) trim(stop <-chan struct{}) {
	m := trimmer{read: memoryReader(), free: debug.FreeOSMemory, clock: e.clock}
	tick := time.NewTicker(TrimPeriod)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if m.look() {
				e.stats.Trims.Add(1)
			}
		}
	}
}

// memoryReader makes a function that reads the runtime's counters, without stopping anything and without allocating.
func memoryReader() func() memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	return func() memory {
		metrics.Read(samples)
		n := [4]uint64{}
		for i := range samples {
			n[i] = samples[i].Value.Uint64()
		}
		return memory{live: n[0], allocated: n[1], held: n[2] + n[3]}
	}
}
