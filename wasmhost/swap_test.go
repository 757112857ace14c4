package wasmhost

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// W109: filters are swapped under traffic. Every exchange is served by one version from its beginning to its end, and
// each version is closed once its last stream has ended.
func TestW109SwapUnderTraffic(t *testing.T) {
	h := testHost(t, Options{})
	wasm := example(t, "greeter")
	version := func(n int) *Filter {
		f, err := h.NewFilter(Spec{Name: "g", Wasm: wasm, Lanes: 2, Config: fmt.Appendf(nil, `{"greeting":"%d"}`, n)})
		if err != nil {
			t.Error(err)
		}
		return f
	}
	var current atomic.Pointer[Filter]
	current.Store(version(0))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := &connection{wake: make(chan struct{}, 1)}
			for !stop.Load() && !t.Failed() {
				s, _ := current.Load().NewStream(c)
				if s == nil { // retired between the two; a server counts the users of a configuration
					continue
				}
				seen := ""
				for range 3 {
					c.Fill()
					c.until(t, func() bool { return s.Head(filters.Response, true) == filters.Continue })
					if got := c.Resp.Header.Value("x-greeting"); got == "" || seen != "" && got != seen {
						t.Errorf("version %q after %q", got, seen)
					} else {
						seen = string([]byte(got))
					}
				}
				c.until(t, s.Close)
			}
		}()
	}
	for n := 1; n <= 100; n++ {
		old := current.Swap(version(n))
		old.Retire()
		<-old.Closed()
		if got := old.Stats(); got.Instances != 0 || got.Streams != 0 || got.Memory != 0 {
			t.Errorf("version %d is closed with %+v", n-1, got)
		}
	}
	stop.Store(true)
	wg.Wait()
	last := current.Load()
	last.Retire()
	<-last.Closed()
	if h.Modules() != 0 {
		t.Errorf("%d modules are left", h.Modules())
	}
}

func TestFiltersLeaveNothingBehind(t *testing.T) {
	h := testHost(t, Options{})
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	wasm := example(t, "two-headers")
	var before uint64
	goroutines := runtime.NumGoroutine()
	for k := range 300 {
		if k == 50 {
			before = used()
		}
		f, err := h.NewFilter(Spec{Name: "x", Wasm: wasm, Lanes: 2})
		if err != nil {
			t.Fatal(err)
		}
		x := fake.New()
		s := begin(t, f, x)
		s.Head(filters.Request, true)
		f.Retire()
		s.Close()
		<-f.Closed()
	}
	if after := used(); after > before+8<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}
