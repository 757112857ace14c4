package main

import (
	"maps"
	"strings"
	"testing"
)

// TestWorkersText (P8): what the cells of a child say, in words, whatever the cells hold.
func TestWorkersText(t *testing.T) {
	reading := uint64(3)<<48 | 1<<44 | 77 // the third turn, of connection 77
	if got, want := workersText(2, []uint64{5 << 48, reading}), "1 of 2 busy, reading on connection 35184372088909"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := workersByPhase(2, []uint64{5 << 48, reading, reading}), map[string]int{"idle": 1, "reading": 2}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := workersText(1, make([]uint64, 3)); got != "0 of 3 busy" {
		t.Errorf("%q", got)
	}
	odd := make([]uint64, 20)
	for i := range odd {
		odd[i] = ^uint64(0)
	}
	if got := workersText(1, odd); !strings.HasPrefix(got, "20 of 20 busy, ") || !strings.HasSuffix(got, ", …") || strings.Count(got, "connection") != toldWorkers {
		t.Errorf("%q", got)
	}
}
