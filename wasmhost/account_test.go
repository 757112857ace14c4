package wasmhost

import (
	"maps"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// counted are the calls of a filter that are not 0.
func counted(f *Filter) map[string]uint64 {
	m := map[string]uint64{}
	s := f.Stats()
	for p := range s.ByPhase {
		for r, n := range s.ByPhase[p] {
			if n > 0 {
				m[Phase(p).String()+" "+Result(r).String()] = n
			}
		}
	}
	return m
}

// Each call into a guest is counted under its phase and its end.
func TestCallsAreCounted(t *testing.T) {
	w := &world{}
	for name, test := range map[string]struct {
		f    *Filter
		run  func(f *Filter)
		want map[string]uint64
	}{
		"all phases": {
			testFilter(t, testHost(t, w.options()), trapSpec(t, "", "")),
			func(f *Filter) {
				x := fake.New()
				x.Req.Header.Add("x-do", "pass")
				run(t, begin(t, f, x))
			},
			map[string]uint64{"request_head continue": 1, "request_body continue": 1, "request_trailers continue": 1,
				"response_head continue": 1, "response_body continue": 1, "response_trailers continue": 1, "close continue": 1},
		},
		"W97 a trap, and nobody there": {
			testFilter(t, testHost(t, w.options()), trapSpec(t, "request_body", "unreachable")),
			func(f *Filter) { run(t, begin(t, f, fake.New())) },
			map[string]uint64{"request_head continue": 1, "request_body fault": 1, "close absent": 1},
		},
		"pause, answer, reply": {
			testFilter(t, testHost(t, w.options()), Spec{
				Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth"}`), Upstreams: []string{"auth"}, Lanes: 1,
			}),
			func(f *Filter) {
				s := begin(t, f, fake.New())
				s.Head(filters.Request, true)
				s.CallDone(1, &filters.CallAnswer{Status: 401})
				s.Close()
			},
			map[string]uint64{"request_head pause": 1, "call_done respond": 1, "close continue": 1},
		},
		"a busy lane": {
			testFilter(t, testHost(t, w.options()), trapSpec(t, "", "")),
			func(f *Filter) {
				s, other := begin(t, f, fake.New()), begin(t, f, fake.New())
				l := f.lanes[0]
				l.enter(&other.(*stream).seat)
				s.Head(filters.Request, true)
				s.Close()
				l.leave()
				s.Close()
				other.Close()
			},
			map[string]uint64{"request_head wait": 1, "close wait": 1, "close continue": 2},
		},
		"http-wasm": {
			testFilter(t, testHost(t, w.options()), Spec{
				Name: "script", Wasm: guest(t, "testdata/script.wasm"), Config: []byte("f3"), Instances: 1,
			}),
			func(f *Filter) {
				s := begin(t, f, fake.New())
				other := begin(t, f, fake.New())
				s.Head(filters.Request, true)
				other.Head(filters.Request, true)
				s.Head(filters.Response, true)
				s.Close()
				other.Close()
			},
			map[string]uint64{"request_head continue": 1, "request_head wait": 1, "response_head continue": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.run(test.f)
			if got := counted(test.f); !maps.Equal(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
			w.fire()
		})
	}
}

// One call in TimedOneIn is timed, by the injected clock.
func TestSomeCallsAreTimed(t *testing.T) {
	c, now := &callCounts{}, time.Unix(1700000000, 0)
	step := time.Duration(0)
	clock := func() time.Time { now = now.Add(step); return now }
	for k, d := range []time.Duration{0, time.Microsecond, 1500 * time.Nanosecond, time.Second, -time.Second} {
		step = d
		for range TimedOneIn {
			c.begin(clock)
			c.end(RequestHead, Continued, clock)
		}
		var s Stats
		c.addTo(&s)
		total := uint64(0)
		for _, n := range s.Timed {
			total += n
		}
		if total != uint64(k+1) {
			t.Errorf("after %d calls %d are timed", (k+1)*TimedOneIn, total)
		}
	}
	var s Stats
	c.addTo(&s)
	want := time.Second + 2500*time.Nanosecond
	if s.Timed[0] != 3 || s.Timed[1] != 1 || s.Timed[len(Buckets)] != 1 || time.Duration(s.TimedNanos) != want {
		t.Errorf("timed %v, %d ns", s.Timed, s.TimedNanos)
	}
}
