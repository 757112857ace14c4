package commons

import (
	"strconv"
	"testing"
)

func BenchmarkGet(b *testing.B) {
	m := New().Join("vm", "f")
	if err := m.Set("some key of usual length", make([]byte, 64), 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m.Get("some key of usual length")
		}
	})
}

func BenchmarkSet(b *testing.B) {
	m, value := New().Join("vm", "f"), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Set("some key of usual length", value, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	m, item := New().Join("vm", "f"), make([]byte, 64)
	id, err := m.Register("q", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Enqueue(id, item); err != nil {
			b.Fatal(err)
		}
		if _, err := m.Dequeue(id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIncrement(b *testing.B) {
	m := New().Join("vm", "f").Metrics
	for n := range 100 {
		m.Define(Counter, strconv.Itoa(n))
	}
	id := m.Define(Counter, "c")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := m.Increment(id, 1); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	m := New().Join("vm", "f").Metrics
	id := m.Define(Histogram, "h")
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		if err := m.Record(id, n%1000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDefineAgain(b *testing.B) {
	m := New().Join("vm", "f").Metrics
	m.Define(Counter, "some name of usual length")
	b.ReportAllocs()
	for b.Loop() {
		m.Define(Counter, "some name of usual length")
	}
}
