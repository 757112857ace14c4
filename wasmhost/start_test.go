package wasmhost

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"edge/filters"
)

// A compilation that takes long is told of as it goes on, and not after it has ended.
func TestProgress(t *testing.T) {
	var lines []string
	var later func()
	now := time.Unix(0, 0)
	h := testHost(t, Options{
		Now:   func() time.Time { return now },
		After: func(d time.Duration, f func()) { now, later = now.Add(d), f },
		Log: func(filter string, level filters.Level, text string) {
			lines = append(lines, fmt.Sprint(filter, " ", text))
		},
	})
	if took := h.progress("small", slowBytes-1)(); took != 0 || lines != nil || later != nil {
		t.Errorf("a small module: %v, %q", took, lines)
	}
	done := h.progress("big", 3<<20)
	later()
	later()
	last := later
	if took := done(); took != 6*time.Second {
		t.Errorf("it took %s", took)
	}
	last()
	want := []string{"big compiling 3.0 MiB", "big compiling 3.0 MiB, 2s so far", "big compiling 3.0 MiB, 4s so far"}
	if !slices.Equal(lines, want) {
		t.Errorf("said %q, want %q", lines, want)
	}
}

// Filters made at once share what they can: a module is compiled once for each memory limit.
func TestFiltersMadeAtOnce(t *testing.T) {
	var mu sync.Mutex
	compiled := 0
	h := testHost(t, Options{Log: func(_ string, level filters.Level, _ string) {
		if level == filters.Info {
			mu.Lock()
			defer mu.Unlock()
			compiled++
		}
	}})
	list := make([]*Filter, 24)
	var all sync.WaitGroup
	for k := range list {
		wasm := greeterVersion(t, k%3)
		all.Go(func() {
			f, err := h.NewFilter(Spec{Name: fmt.Sprint("f", k), Wasm: wasm, Lanes: 1, Limits: Limits{Memory: (1 + k%2) << 20}})
			if err != nil {
				t.Error(err)
				return
			}
			list[k] = f
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	if h.Modules() != 6 || compiled != 6 {
		t.Errorf("%d modules, compiled %d times; want 6", h.Modules(), compiled)
	}
	for _, f := range list {
		f.Retire()
		<-f.Closed()
	}
	if h.Modules() != 0 || len(h.starts) != 0 {
		t.Errorf("left: %d modules, %d starts", h.Modules(), len(h.starts))
	}
}
