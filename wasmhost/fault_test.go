package wasmhost

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/fake"
)

// world is a clock and a timer queue that a test moves.
type world struct {
	now       time.Time
	unmetered bool
	timers    []func()
	delays    []time.Duration
	lines     []string
}

func (w *world) options() Options {
	w.now = time.Unix(1700000000, 0)
	return Options{
		Unmetered: w.unmetered,
		Now:       func() time.Time { return w.now },
		After:     func(d time.Duration, f func()) { w.delays, w.timers = append(w.delays, d), append(w.timers, f) },
		Log:       func(f string, l filters.Level, s string) { w.lines = append(w.lines, fmt.Sprintf("%s %d %s", f, l, s)) },
	}
}

// fire runs the timers that are set.
func (w *world) fire() {
	timers := w.timers
	w.timers = nil
	for _, f := range timers {
		f()
	}
}

func trapSpec(t testing.TB, in, how string) Spec {
	return Spec{
		Name: "trap", Wasm: guest(t, "testdata/trap.wasm"), Lanes: 1, Config: fmt.Appendf(nil, `{"in":%q,"how":%q}`, in, how),
	}
}

// run takes a stream through an exchange and returns what its callbacks said, up to the first that is not Continue.
func run(t testing.TB, s filters.Stream) string {
	t.Helper()
	var held message.Body
	out := "closed"
	for _, step := range []struct {
		name string
		call func() filters.Action
	}{
		{"request_headers", func() filters.Action { return s.Head(filters.Request, false) }},
		{"request_body", func() filters.Action { return s.Body(filters.Request, &held, []byte("a"), true) }},
		{"request_trailers", func() filters.Action { return s.Trailers(filters.Request) }},
		{"response_headers", func() filters.Action { return s.Head(filters.Response, false) }},
		{"response_body", func() filters.Action { return s.Body(filters.Response, &held, []byte("b"), true) }},
		{"response_trailers", func() filters.Action { return s.Trailers(filters.Response) }},
	} {
		if a := step.call(); a != filters.Continue {
			out = fmt.Sprint(step.name, " ", map[filters.Action]string{filters.Pause: "pause", filters.Wait: "wait",
				filters.Skip: "skip", filters.Fail: "fail"}[a])
			break
		}
	}
	if !s.Close() {
		t.Error("not closed")
	}
	return out
}

var lifeOfAStream = []string{
	"context_create", "request_headers", "request_body", "request_trailers", "response_headers", "response_body",
	"response_trailers", "done", "log", "delete",
}

// renewals are the ways in which a guest comes back after a fault.
var renewals = map[string]struct {
	isolation Isolation
	unmetered bool // then there is no snapshot
}{
	"restored in its lane":  {},
	"started anew":          {unmetered: true},
	"restored for a stream": {isolation: PerStream},
}

func TestW97TrapInEveryCallback(t *testing.T) {
	for how, r := range renewals {
		for _, open := range []bool{false, true} {
			for _, in := range lifeOfAStream {
				t.Run(fmt.Sprintf("%s, %s open=%v", how, in, open), func(t *testing.T) {
					w := &world{unmetered: r.unmetered}
					spec := trapSpec(t, in, "unreachable")
					spec.FailOpen, spec.Isolation, spec.Instances = open, r.isolation, 1
					f := testFilter(t, testHost(t, w.options()), spec)
					defer w.fire()
					w.now = w.now.Add(time.Minute)

					verdict := map[bool]string{true: " skip", false: " fail"}[open]
					want := in + verdict
					switch in {
					case "context_create":
						want = "request_headers" + verdict
					case "done", "log", "delete":
						want = "closed"
					}
					if got := run(t, begin(t, f, fake.New())); got != want {
						t.Errorf("%s, want %s", got, want)
					}
					alive := map[bool]int{true: 0, false: 1}[r.unmetered]
					if s := f.Stats(); s.Faults[CauseUnreachable] != 1 || s.Instances != alive || s.Streams != 0 {
						t.Errorf("stats %+v", s)
					}
					if r.unmetered {
						if s, failClosed := f.NewStream(fake.New()); s != nil || failClosed == open {
							t.Errorf("without an instance: stream %v, closed %v", s, failClosed)
						}
					}
					w.fire()
					x := fake.New()
					x.Req.Header.Add("x-do", "pass")
					if got := run(t, begin(t, f, x)); got != "closed" {
						t.Errorf("the next request: %s", got)
					}
					if s := f.Stats(); s.Instances != 1 || s.Started+s.Restored != 2 || (s.Started == 2) != r.unmetered {
						t.Errorf("stats %+v", s)
					}
				})
			}
		}
	}
}

func TestW97KindsOfTrap(t *testing.T) {
	for how, cause := range map[string]Cause{
		"unreachable": CauseUnreachable, "memory": CauseMemory, "arithmetic": CauseArithmetic, "call": CauseMemory,
		"recursion": CauseMemory, // W96: this guest's own stack ends first, below address 0
	} {
		t.Run(how, func(t *testing.T) {
			w := &world{}
			f := testFilter(t, testHost(t, w.options()), trapSpec(t, "request_headers", how))
			defer w.fire()
			if got := run(t, begin(t, f, fake.New())); got != "request_headers fail" {
				t.Errorf("%s", got)
			}
			if s := f.Stats(); s.Faults[cause] != 1 {
				t.Errorf("causes %v; %q", s.Faults, w.lines)
			}
		})
	}
}

func TestW97ThousandTrapsInARow(t *testing.T) {
	for how, r := range renewals {
		t.Run(how, func(t *testing.T) {
			w := &world{unmetered: r.unmetered}
			spec := trapSpec(t, "request_headers", "unreachable")
			spec.Isolation, spec.Instances = r.isolation, 1
			thousandTraps(t, w, testFilter(t, testHost(t, w.options()), spec))
		})
	}
}

// Neither memory nor goroutines nor instances grow, whether the guest is restored at once or after its back-off.
func thousandTraps(t *testing.T, w *world, f *Filter) {
	x := fake.New()
	goroutines := runtime.NumGoroutine()
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for k := range 1000 {
		if k == 100 {
			before = used()
		}
		if got := run(t, begin(t, f, x)); got != "request_headers fail" {
			t.Fatalf("request %d: %s", k, got)
		}
		w.lines = nil
		if k%2 == 0 {
			w.now = w.now.Add(time.Minute)
		}
		w.fire()
	}
	if after := used(); after > before+8<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("from %d goroutines to %d", goroutines, n)
	}
	if s := f.Stats(); s.Instances != 1 || s.Started+s.Restored != 1001 || (s.Started == 1) == w.unmetered || s.Streams != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPausedStreamsOfAFailedGuestAreAnswered(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := &world{}
		spec := trapSpec(t, "request_headers", "unreachable")
		spec.FailOpen = open
		f := testFilter(t, testHost(t, w.options()), spec)
		var paused [3]filters.Stream
		var exchanges [3]*fake.Exchange
		for k := range paused {
			exchanges[k] = fake.New()
			exchanges[k].Req.Header.Add("x-do", "hold")
			exchanges[k].Headed = k == 2
			paused[k] = begin(t, f, exchanges[k])
			if got := paused[k].Head(filters.Request, true); got != filters.Pause {
				t.Fatalf("action %v", got)
			}
		}
		if got := f.Stats().Parked; got != 3 {
			t.Errorf("%d parked", got)
		}
		bystander := begin(t, f, fake.New()) // bound, but not open in the guest that fails
		if got := run(t, begin(t, f, fake.New())); !strings.HasPrefix(got, "request_headers") {
			t.Fatalf("%s", got)
		}
		for k, x := range exchanges {
			if x.Wakes.Load() != 1 {
				t.Errorf("open=%v: stream %d woken %d times", open, k, x.Wakes.Load())
			}
			want := fmt.Sprint(map[bool]string{true: "1 0 0", false: "0 1 0"}[open])
			if k == 2 && !open {
				want = "0 0 1"
			}
			if got := fmt.Sprint(x.Continued[0], len(x.Replies), x.Aborts); got != want {
				t.Errorf("open=%v: stream %d: continued, replies, aborts %s, want %s", open, k, got, want)
			}
			if !open && k < 2 && (x.Replies[0].Status != 503 || x.Replies[0].Details != "the filter failed: unreachable in request_head") {
				t.Errorf("reply %+v", x.Replies[0])
			}
		}
		if got := f.Stats().Parked; got != 0 {
			t.Errorf("%d parked afterwards", got)
		}
		w.now = w.now.Add(time.Minute)
		w.fire()
		wantLater := map[bool]filters.Action{true: filters.Skip, false: filters.Fail}[open]
		if got := paused[0].Head(filters.Response, true); got != wantLater {
			t.Errorf("open=%v: a later callback: %v", open, got)
		}
		for _, s := range paused {
			if !s.Close() {
				t.Error("not closed")
			}
		}
		if got := bystander.Head(filters.Response, true); got != filters.Continue {
			t.Errorf("a stream that had not begun: %v", got)
		}
		bystander.Close()
	}
}

func TestRestartsBackOff(t *testing.T) {
	for how, r := range renewals {
		w := &world{unmetered: r.unmetered}
		spec := trapSpec(t, "request_headers", "unreachable")
		spec.Isolation, spec.Instances = r.isolation, 1
		f := testFilter(t, testHost(t, w.options()), spec)
		w.now = w.now.Add(time.Hour)
		for k := range 10 {
			run(t, begin(t, f, fake.New()))
			if s, _ := f.NewStream(fake.New()); s != nil && (k > 0 || r.unmetered) {
				t.Errorf("%s: failure %d: there is no wait", how, k)
				s.Close()
			} else if s != nil {
				s.Close()
			}
			w.fire()
		}
		w.now = w.now.Add(time.Hour)
		run(t, begin(t, f, fake.New()))
		w.fire()
		ms := time.Millisecond
		want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms}
		if r.unmetered { // without a timer an instance is restored, not started
			want = append(append([]time.Duration{0}, want...), 0)
		}
		if fmt.Sprint(w.delays) != fmt.Sprint(want) {
			t.Errorf("%s: delays %v, want %v", how, w.delays, want)
		}
	}
}

func TestStartThatTraps(t *testing.T) {
	w := &world{}
	h := testHost(t, w.options())
	_, err := h.NewFilter(trapSpec(t, "configure", "unreachable"))
	if err == nil || !strings.Contains(err.Error(), "unreachable") || !strings.Contains(err.Error(), "it logged: about to fail") {
		t.Errorf("error %v", err)
	}
	if h.Modules() != 0 {
		t.Errorf("%d modules are left", h.Modules())
	}
}

func TestRetireWaitsForStreams(t *testing.T) {
	h := testHost(t, Options{})
	f, err := h.NewFilter(Spec{Name: "greeter", Wasm: example(t, "greeter"), Lanes: 2})
	if err != nil {
		t.Fatal(err)
	}
	a, b := begin(t, f, fake.New()), begin(t, f, fake.New())
	f.Retire()
	f.Retire()
	if s, _ := f.NewStream(fake.New()); s != nil {
		t.Error("a retired filter takes streams")
	}
	if got := a.Head(filters.Response, true); got != filters.Continue {
		t.Errorf("a stream that had begun: %v", got)
	}
	a.Close()
	select {
	case <-f.Closed():
		t.Error("closed with a stream left")
	default:
	}
	if got := b.Head(filters.Response, true); got != filters.Continue {
		t.Errorf("the last stream: %v", got)
	}
	b.Close()
	<-f.Closed()
	if s := f.Stats(); s.Instances != 0 || h.Modules() != 0 {
		t.Errorf("stats %+v, %d modules", s, h.Modules())
	}
}

func TestRetireWhileARestartWaits(t *testing.T) {
	w := &world{}
	h := testHost(t, w.options())
	f, err := h.NewFilter(trapSpec(t, "request_headers", "unreachable"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, begin(t, f, fake.New()))
	f.Retire()
	w.fire()
	<-f.Closed()
	if s := f.Stats(); h.Modules() != 0 || len(w.timers) != 0 || s.Instances != 0 {
		t.Errorf("%d modules, %d timers, %+v", h.Modules(), len(w.timers), s)
	}
}

func TestModulesAreShared(t *testing.T) {
	h := testHost(t, Options{})
	wasm := example(t, "greeter")
	a := testFilter(t, h, Spec{Name: "a", Wasm: wasm, Config: []byte(`{"greeting":"a"}`)})
	b := testFilter(t, h, Spec{Name: "b", Wasm: wasm, Config: []byte(`{"greeting":"b"}`)})
	testFilter(t, h, Spec{Name: "c", Wasm: wasm, Limits: Limits{Memory: 1 << 20}})
	if h.Modules() != 2 {
		t.Errorf("%d modules for two memory limits", h.Modules())
	}
	for f, want := range map[*Filter]string{a: "a", b: "b"} {
		x := fake.New()
		s := begin(t, f, x)
		s.Head(filters.Response, true)
		if got := x.Resp.Header.Value("x-greeting"); got != want {
			t.Errorf("x-greeting is %q, want %q", got, want)
		}
		s.Close()
	}
}

func TestNoLeakOverManyStreams(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), trapSpec(t, "nowhere", ""))
	for range 2000 {
		x := fake.New()
		x.Req.Header.Add("x-do", "hold")
		s := begin(t, f, x)
		if s.Head(filters.Request, true) != filters.Pause || !s.Close() {
			t.Fatal("it does not pause and close")
		}
	}
	if s := f.Stats(); s.Streams != 0 || s.Parked != 0 || s.Instances != 1 {
		t.Errorf("stats %+v", s)
	}
	l := f.lanes[0]
	if l.spares != 1 || l.head != nil || l.first != nil {
		t.Errorf("%d spares, line %v", l.spares, l.head)
	}
}

// A request in calmStreams that makes the guest fail takes nothing from the others.
func TestFewFailuresKeepNobodyWaiting(t *testing.T) {
	for how, r := range renewals {
		w := &world{unmetered: r.unmetered}
		spec := trapSpec(t, "request_headers", "unreachable")
		spec.Isolation, spec.Instances = r.isolation, 1
		f := testFilter(t, testHost(t, w.options()), spec)
		for k := range 10 * (calmStreams + 1) {
			x, want := fake.New(), "closed"
			if k%(calmStreams+1) != calmStreams {
				x.Req.Header.Add("x-do", "pass")
			} else {
				want = "request_headers fail"
			}
			if got := run(t, begin(t, f, x)); got != want {
				t.Fatalf("%s: request %d: %s, want %s", how, k, got, want)
			}
			w.fire()
		}
		for _, d := range w.delays {
			if d != 0 {
				t.Errorf("%s: delays %v", how, w.delays)
			}
		}
		if s := f.Stats(); s.Faults[CauseUnreachable] != 10 {
			t.Errorf("%s: stats %+v", how, s)
		}
	}
}
