package wasmhost

import (
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// exchange is one exchange with the two-headers guest: 2 callbacks with 4 host calls and 2 allocations in the guest.
func exchange(tb testing.TB, f *Filter, x *fake.Exchange) {
	s, _ := f.NewStream(x)
	if s.Head(filters.Request, true) != filters.Continue || s.Head(filters.Response, true) != filters.Continue || !s.Close() {
		tb.Fatal("an exchange that does not pass")
	}
}

func measured(tb testing.TB) (*Filter, *fake.Exchange) {
	f := testFilter(tb, testHost(tb, Options{}), Spec{Name: "two-headers", Wasm: example(tb, "two-headers"), Lanes: 1})
	x := fake.New()
	x.Quiet = true
	return f, x
}

func TestNoAllocationPerExchange(t *testing.T) {
	f, x := measured(t)
	for range 100 {
		x.Fill()
		exchange(t, f, x)
	}
	if n := testing.AllocsPerRun(1000, func() {
		x.Fill()
		exchange(t, f, x)
	}); n != 0 {
		t.Errorf("%v allocations per exchange", n)
	}
	if got := x.Resp.Header.Value("x-served-by"); got != "edge" {
		t.Errorf("x-served-by is %q", got)
	}
}

// BenchmarkExchange is what a filter costs an exchange: NewStream, two heads, Close.
func BenchmarkExchange(b *testing.B) {
	f, x := measured(b)
	b.ReportAllocs()
	for b.Loop() {
		x.Fill()
		exchange(b, f, x)
	}
}

// BenchmarkFill is the part of BenchmarkExchange that is the test's own.
func BenchmarkFill(b *testing.B) {
	x := fake.New()
	for b.Loop() {
		x.Fill()
	}
}
