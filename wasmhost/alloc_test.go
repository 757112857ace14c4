package wasmhost

import (
	"testing"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/fake"
)

// exchange is one exchange with the two-headers guest: 2 callbacks with 4 host calls and 2 allocations in the guest.
func exchange(tb testing.TB, f *Filter, x *fake.Exchange) {
	s, _ := f.NewStream(x)
	if s.Head(filters.Request, true) != filters.Continue || s.Head(filters.Response, true) != filters.Continue || !s.Close() {
		tb.Fatal("an exchange that does not pass")
	}
}

func measured(tb testing.TB, o Options) (*Filter, *fake.Exchange) {
	f := testFilter(tb, testHost(tb, o), Spec{Name: "two-headers", Wasm: example(tb, "two-headers"), Lanes: 1})
	x := fake.New()
	x.Quiet = true
	return f, x
}

func TestNoAllocationPerExchange(t *testing.T) {
	f, x := measured(t, Options{})
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

// A pause, a call and its answer, and a local response allocate nothing either.
func TestNoAllocationPerPause(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth"}`), Upstreams: []string{"auth"}, Lanes: 1,
	})
	x := fake.New()
	x.Quiet = true
	var header message.Fields
	for _, status := range []int{200, 401} {
		answer := &filters.CallAnswer{Status: status, Header: &header}
		ask := func() {
			x.Fill()
			s, _ := f.NewStream(x)
			if s.Head(filters.Request, true) != filters.Pause || s.CallDone(1, answer) != filters.Continue || !s.Close() {
				t.Fatal("an exchange that does not pause")
			}
		}
		for range 100 {
			ask()
		}
		if n := testing.AllocsPerRun(1000, ask); n != 0 {
			t.Errorf("answer %d: %v allocations per exchange", status, n)
		}
	}
}

// BenchmarkExchangeParallel is BenchmarkExchange from as many workers as there are processors, on a lane each.
func BenchmarkExchangeParallel(b *testing.B) {
	f := testFilter(b, testHost(b, Options{}), Spec{Name: "two-headers", Wasm: example(b, "two-headers")})
	b.RunParallel(func(pb *testing.PB) {
		c := &connection{wake: make(chan struct{}, 1)}
		c.Quiet = true
		again := func(call func() bool) {
			for !call() {
				<-c.wake
			}
		}
		for pb.Next() {
			c.Fill()
			s, _ := f.NewStream(c)
			again(func() bool { return s.Head(filters.Request, true) == filters.Continue })
			again(func() bool { return s.Head(filters.Response, true) == filters.Continue })
			again(s.Close)
		}
	})
	b.ReportMetric(float64(f.Stats().Waits)/float64(b.N), "waits/op")
}

// BenchmarkExchange is what a filter costs an exchange: NewStream, two heads, Close.
func BenchmarkExchange(b *testing.B) {
	for name, o := range map[string]Options{"metered": {}, "unmetered": {Unmetered: true}} {
		b.Run(name, func(b *testing.B) {
			f, x := measured(b, o)
			b.ReportAllocs()
			for b.Loop() {
				x.Fill()
				exchange(b, f, x)
			}
		})
	}
}

// BenchmarkFill is the part of BenchmarkExchange that is the test's own.
func BenchmarkFill(b *testing.B) {
	x := fake.New()
	for b.Loop() {
		x.Fill()
	}
}

var halves = [2][]byte{[]byte("ab"), []byte("cd")}

// handled is one exchange with an http-wasm guest; the body, if there is one, comes in two pieces.
func handled(tb testing.TB, f *Filter, x *fake.Exchange, held *message.Body) {
	s, _ := f.NewStream(x)
	if s.Head(filters.Request, held == nil) != filters.Continue {
		tb.Fatal("the request's head does not pass")
	}
	if held != nil {
		held.Reset(1 << 20)
		if s.Body(filters.Request, held, halves[0], false) != filters.Pause ||
			s.Body(filters.Request, held, halves[1], true) != filters.Continue {
			tb.Fatal("the request's body does not pass")
		}
	}
	if s.Head(filters.Response, true) != filters.Continue || !s.Close() {
		tb.Fatal("the response does not pass")
	}
}

func measuredHandler(tb testing.TB, do string) (*Filter, *fake.Exchange) {
	f := testFilter(tb, testHost(tb, Options{}), Spec{
		Name: "script", Wasm: guest(tb, "testdata/script.wasm"), Config: []byte("f3"), Instances: 1,
	})
	x := fake.New()
	x.Quiet = true
	x.Req.Header.Add("x-do", do)
	x.Req.Header.Add("x-then", "h1x-served-by=edge")
	return f, x
}

// Neither do a request's way through an http-wasm guest, a wait for its body, and the guest's own answer.
func TestNoAllocationPerHandledExchange(t *testing.T) {
	for do, held := range map[string]*message.Body{"g0accept;h0x-client=c": nil, "r04": {}} {
		f, x := measuredHandler(t, do)
		x.Req.Header.Add("content-length", "4")
		again := func() {
			x.Resp.Reset()
			x.Resp.Status = 200
			handled(t, f, x, held)
		}
		for range 100 {
			again()
		}
		if n := testing.AllocsPerRun(1000, again); n != 0 {
			t.Errorf("%s: %v allocations per exchange", do, n)
		}
		if got := x.Resp.Header.Value("x-served-by"); got != "edge" {
			t.Errorf("x-served-by is %q", got)
		}
	}
}

// BenchmarkHandled is what an http-wasm filter costs an exchange, without and with a wait for the body.
func BenchmarkHandled(b *testing.B) {
	for name, held := range map[string]*message.Body{"heads": nil, "body": {}} {
		b.Run(name, func(b *testing.B) {
			do := "g0accept"
			if held != nil {
				do = "r04"
			}
			f, x := measuredHandler(b, do)
			b.ReportAllocs()
			for b.Loop() {
				x.Resp.Reset()
				x.Resp.Status = 200
				handled(b, f, x, held)
			}
		})
	}
}
