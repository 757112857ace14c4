package wasmhost

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

// endless is a loop without an end, and nothing else.
var endless = []byte{asm.Loop, asm.Void, asm.Br, 0, asm.End}

// misbehaving is a module whose function of that name runs code; a result, where there is one, is 0.
func misbehaving(in string, code func(m *asm.Module) []byte) []byte {
	m := &asm.Module{Pages: 16}
	body := code(m)
	params, result := "", ""
	switch in {
	case "malloc", "proxy_on_done":
		params, result = "i", "i"
	case "proxy_on_vm_start", "proxy_on_configure", "proxy_on_request_body", "proxy_on_response_body",
		"proxy_on_request_headers", "proxy_on_response_headers":
		params, result = "iii"[:2+min(1, strings.Count(in, "_re"))], "i"
	case "proxy_on_request_trailers", "proxy_on_response_trailers":
		params, result = "ii", "i"
	case "proxy_on_context_create":
		params = "ii"
	case "proxy_on_log", "proxy_on_delete":
		params = "i"
	case "proxy_on_http_call_response":
		params = "iiiii"
	}
	if result != "" {
		body = asm.Join(body, asm.Const(0))
	}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	index := m.Func(in, params, result, 0, body...)
	if in == "start" {
		m.Start(index)
	}
	return m.Encode()
}

func always(code []byte) func(*asm.Module) []byte { return func(*asm.Module) []byte { return code } }

// soon runs f until it takes no longer than limit + late, since the machine may be busy with others, at most 10 times.
func soon(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	best := time.Hour
	for range 10 {
		began := time.Now()
		f()
		if best = min(best, time.Since(began)); best <= limit+late {
			return
		}
	}
	t.Errorf("it took %v, with a limit of %v", best, limit)
}

// W94: an endless loop in each callback is ended, the instance replaced, and the lane free for others.
func TestW94EndlessLoopInEachCallback(t *testing.T) {
	const limit = 10 * time.Millisecond
	for _, in := range []string{
		"proxy_on_request_headers", "proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_response_headers",
		"proxy_on_response_body", "proxy_on_response_trailers", "proxy_on_done", "proxy_on_log", "proxy_on_delete",
	} {
		t.Run(in, func(t *testing.T) {
			restarts := make(chan func(), 16)
			o := Options{After: func(_ time.Duration, f func()) { restarts <- f }}
			f := testFilter(t, testHost(t, o), Spec{
				Name: "bad", Wasm: misbehaving(in, always(endless)), Lanes: 1, Limits: Limits{CPU: limit},
			})
			times := uint64(0)
			soon(t, limit, func() {
				s := begin(t, f, fake.New())
				got := run(t, s)
				want := strings.TrimPrefix(in, "proxy_on_") + " fail"
				if in == "proxy_on_done" || in == "proxy_on_log" || in == "proxy_on_delete" {
					want = "closed"
				}
				if got != want {
					t.Errorf("%s, want %s", got, want)
				}
				times++
				(<-restarts)()
			})
			if s := f.Stats(); s.Faults[CauseCPU] != times || s.Instances != 1 || s.Slices == 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// W94: a guest whose start never ends is refused, with the reason.
func TestW94EndlessStart(t *testing.T) {
	if testing.Short() {
		t.Skip("each takes StartCPU")
	}
	for _, in := range []string{"start", "_initialize", "proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure"} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			_, err := testHost(t, Options{}).NewFilter(Spec{Name: "bad", Wasm: misbehaving(in, always(endless)), Lanes: 1})
			if err == nil || !strings.Contains(err.Error(), "limit of CPU time") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The same, and W96: whatever keeps a guest busy is ended in time, for the reason that it is.
func TestW94W96WhatNeverEnds(t *testing.T) {
	const limit = 10 * time.Millisecond
	for name, c := range map[string]struct {
		code  func(m *asm.Module) []byte
		cause Cause
	}{
		"an endless loop": {always(endless), CauseCPU},
		"a hundred nested loops": {func(*asm.Module) []byte {
			var b []byte
			for range 100 {
				b = append(b, asm.Loop, asm.Void)
			}
			for range 100 {
				b = append(b, asm.Const(1)...)
				b = append(b, 0x0d, 0, asm.End)
			}
			return b
		}, CauseCPU},
		"calls that double, without a loop": {func(m *asm.Module) []byte {
			last := m.Func("", "", "", 0)
			for range 60 {
				last = m.Func("", "", "", 0, asm.Join(asm.Call(last), asm.Call(last))...)
			}
			return asm.Call(last)
		}, CauseCPU},
		"W96 recursion": {func(m *asm.Module) []byte {
			return asm.Call(m.Func("", "", "", 0, asm.Call(0)...))
		}, CauseDepth},
		"W96 recursion with large frames": {func(m *asm.Module) []byte {
			var b []byte
			for range 4000 {
				b = append(b, asm.Call(1)...)
			}
			self := m.Func("", "", "i", 0, asm.Join(asm.Call(1), b, slices.Repeat([]byte{asm.Drop}, 4000))...)
			if again := m.Func("", "", "i", 0, asm.Call(self)...); again != 1 {
				panic("the wrong index")
			}
			return asm.Join(asm.Call(self), []byte{asm.Drop})
		}, CauseDepth},
		"recursion through a loop": {func(m *asm.Module) []byte {
			f := m.Func("", "", "", 0, asm.Join([]byte{asm.Loop, asm.Void}, asm.Call(0), []byte{asm.Br, 0, asm.End})...)
			return asm.Call(f)
		}, CauseDepth},
		"fills of the whole memory": {func(m *asm.Module) []byte {
			fill := asm.Join(asm.Const(0), asm.Const(1), asm.Const(512<<16), []byte{0xfc, 11, 0})
			return asm.Join(asm.Const(496), []byte{0x40, 0, asm.Drop}, slices.Repeat(fill, 2000))
		}, CauseCPU},
		"copies of the whole memory": {func(m *asm.Module) []byte {
			cp := asm.Join(asm.Const(1), asm.Const(0), asm.Const(512<<16-1), []byte{0xfc, 10, 0, 0})
			return asm.Join(asm.Const(496), []byte{0x40, 0, asm.Drop}, slices.Repeat(cp, 2000))
		}, CauseCPU},
	} {
		t.Run(name, func(t *testing.T) {
			f := testFilter(t, testHost(t, Options{After: func(_ time.Duration, f func()) { f() }}), Spec{
				Name: "bad", Wasm: misbehaving("proxy_on_request_headers", c.code), Lanes: 1, Limits: Limits{CPU: limit},
			})
			times := uint64(0)
			soon(t, limit, func() {
				if got := run(t, begin(t, f, fake.New())); got != "request_headers fail" {
					t.Errorf("%s", got)
				}
				times++
			})
			if s := f.Stats(); s.Faults[c.cause] != times || s.Instances != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A guest that spins does not hold up the garbage collector: a collection ends long before the guest does. (How long it takes is
// the machine's affair too; on an idle one it is a few milliseconds, and the log says.)
func TestW94CollectionWhileAGuestSpins(t *testing.T) {
	const limit = 500 * time.Millisecond
	f := testFilter(t, testHost(t, Options{After: func(_ time.Duration, f func()) { f() }}), Spec{
		Name: "bad", Wasm: misbehaving("proxy_on_request_headers", always(endless)), Lanes: 1, Limits: Limits{CPU: limit},
	})
	var pauses []time.Duration
	for len(pauses) < 10 {
		done := make(chan filters.Action, 1)
		s := begin(t, f, fake.New())
		go func() { done <- s.Head(filters.Request, true) }()
		for f.Stats().Slices == 0 {
			runtime.Gosched()
		}
		began := time.Now()
		runtime.GC()
		pauses = append(pauses, time.Since(began))
		<-done
		s.Close()
	}
	slices.Sort(pauses)
	t.Logf("forced collections took %v", pauses)
	if median := pauses[len(pauses)/2]; median > limit/2 {
		t.Errorf("half of the collections took longer than %v, beside a guest that runs for %v", median, limit)
	}
}

// The limit is one on each call: a guest that is ended leaves others alone, and many short calls are not one long one.
func TestCPULimitIsPerCall(t *testing.T) {
	now := time.Unix(1700000000, 0)
	o := Options{Now: func() time.Time { now = now.Add(time.Millisecond); return now }}
	m := &asm.Module{Pages: 16}
	// Four hundred thousand turns: a few slices, and so a few milliseconds on this clock.
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	m.Func("proxy_on_request_headers", "iii", "i", 1, asm.Join([]byte{asm.Loop, asm.Void, asm.LocalGet, 3}, asm.Const(1),
		[]byte{asm.I32Add, 0x22, 3}, asm.Const(400_000), []byte{0x49, 0x0d, 0, asm.End}, asm.Const(0))...)
	for _, c := range []struct {
		limit time.Duration
		want  filters.Action
	}{{10 * time.Millisecond, filters.Continue}, {time.Millisecond, filters.Fail}} {
		f := testFilter(t, testHost(t, o), Spec{Name: "busy", Wasm: m.Encode(), Lanes: 1, Limits: Limits{CPU: c.limit}})
		for k := range 20 {
			s := begin(t, f, fake.New())
			if got := s.Head(filters.Request, true); got != c.want {
				t.Fatalf("limit %v, call %d: action %v", c.limit, k, got)
			}
			s.Close()
			if c.want == filters.Fail {
				break
			}
		}
	}
}

// W96: the depth that a guest may nest is the configured one, and what it has used is its own again in the next call and in
// calls of its allocator.
func TestW96DepthIsWhatIsConfigured(t *testing.T) {
	nest := func(depth int32) []byte {
		m := &asm.Module{Globals: []int32{depth}}
		m.Func("proxy_abi_version_0_2_1", "", "", 0)
		self := uint32(1)
		m.Func("", "i", "", 0, asm.Join([]byte{asm.LocalGet, 0, asm.If, asm.Void, asm.LocalGet, 0}, asm.Const(-1),
			[]byte{asm.I32Add}, asm.Call(self), []byte{asm.End})...)
		m.Func("proxy_on_request_headers", "iii", "i", 0, asm.Join([]byte{asm.GlobalGet, 0}, asm.Call(self), asm.Const(0))...)
		return m.Encode()
	}
	const depth = 100
	for _, c := range []struct {
		nested int32
		want   string
	}{{depth - 2, "closed"}, {depth - 1, "request_headers fail"}} {
		f := testFilter(t, testHost(t, Options{After: func(_ time.Duration, f func()) { f() }}), Spec{
			Name: "deep", Wasm: nest(c.nested), Lanes: 1, Limits: Limits{CallDepth: depth},
		})
		for range 3 {
			if got := run(t, begin(t, f, fake.New())); got != c.want {
				t.Errorf("%d calls within %d: %s, want %s", c.nested, depth, got, c.want)
			}
		}
	}
}
