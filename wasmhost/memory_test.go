package wasmhost

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// footprint is what a process holds after a collection.
type footprint struct {
	heap, rss  int // bytes
	mappings   int // of memory, code among it
	goroutines int
}

func measure(t *testing.T) (f footprint) {
	t.Helper()
	for range 3 { // wazero unmaps code in finalizers
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return footprint{int(m.HeapAlloc), pages * os.Getpagesize(), bytes.Count(maps, []byte("\n")), runtime.NumGoroutine()}
}

// TestW109MemoryReturns: a thousand versions, each another module, compiled or from the cache, each with a stream that outlives its
// retirement, leave the process as large as it was after the first hundred.
func TestW109MemoryReturns(t *testing.T) {
	swaps, warm := 1000, 200
	if raced || testing.Short() {
		swaps, warm = 150, 50
	}
	for _, cached := range []bool{false, true} {
		name := "compiled"
		o := Options{}
		if cached {
			name = "from the cache"
			o.CacheDir = filepath.Join(t.TempDir(), "cache")
		}
		t.Run(name, func(t *testing.T) {
			h := testHost(t, o)
			version := func(n int) (*Filter, filters.Stream) {
				f, err := h.NewFilter(Spec{Name: "g", Wasm: greeterVersion(t, n), Lanes: 2})
				if err != nil {
					t.Fatal(err)
				}
				return f, begin(t, f, fake.New())
			}
			f, s := version(0)
			var before footprint
			for n := 1; n <= swaps; n++ {
				next, stream := version(n % 500) // with a cache the second half is in it
				f.Retire()
				if got := h.Modules(); got != 2 {
					t.Fatalf("%d modules at the swap, want the old and the new", got)
				}
				s.Head(filters.Response, true) // the old version works until its last stream has ended
				s.Close()
				<-f.Closed()
				f, s = next, stream
				if n == warm {
					before = measure(t)
				}
			}
			after := measure(t)
			f.Retire()
			s.Close()
			<-f.Closed()
			if h.Modules() != 0 {
				t.Errorf("%d modules are left", h.Modules())
			}
			t.Logf("%d swaps: heap %d → %d KiB, resident %d → %d KiB, mappings %d → %d, goroutines %d → %d", swaps-warm,
				before.heap>>10, after.heap>>10, before.rss>>10, after.rss>>10, before.mappings, after.mappings,
				before.goroutines, after.goroutines)
			// A version that stayed would hold 256 KiB of memories and 100 KiB besides: 800 of them 280 MiB.
			if after.heap > before.heap+4<<20 || after.rss > before.rss+16<<20 || after.mappings > before.mappings+64 ||
				after.goroutines > before.goroutines+2 {
				t.Errorf("the process has grown from %+v to %+v", before, after)
			}
		})
	}
}
