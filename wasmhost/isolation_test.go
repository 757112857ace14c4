package wasmhost

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

// keepers are the guests that keep secrets, by ABI: what a request finds of others it writes into x-kept.
var keepers = map[string]string{"Proxy-Wasm": "testdata/keep.wasm", "http-wasm": "testdata/keep-handler.wasm"}

// secrets shows a guest a request with a secret of its own. do is what the guest is to do then.
func secrets(x *fake.Exchange, k int, do string) {
	x.Fill()
	x.Req.Header.Add("x-secret", fmt.Sprintf("canary-%04d-%04d", k, 7*k))
	if do != "" {
		x.Req.Header.Add("x-do", do)
	}
}

// W103: nothing that a stream leaves in a guest reaches another, in memory that was there or that has grown, whether the stream
// ends well, fails, or is cut off in a pause; and the guest is each time as it was at first. Shared, it all is there.
func TestW103CanariesOfStreams(t *testing.T) {
	for abi, file := range keepers {
		for isolation, first := range []string{Shared: "shared", PerStream: "stream"} {
			t.Run(abi+" "+first, func(t *testing.T) {
				w := &world{}
				f := testFilter(t, testHost(t, w.options()), Spec{
					Name: "keep", Wasm: guest(t, file), Lanes: 1, Instances: 1, Isolation: Isolation(isolation),
					Limits: Limits{CPU: time.Second},
				})
				var before, last string
				for k, do := range []string{"", "", "trap", "", "pause", "pause", "trap", "trap", ""} {
					w.now = w.now.Add(time.Minute)
					x := fake.New()
					secrets(x, k, do)
					s := begin(t, f, x)
					want := map[string]filters.Action{"trap": filters.Fail, "pause": filters.Pause}[do]
					if abi == "http-wasm" && do == "pause" {
						want = filters.Continue
					}
					if got := s.Head(filters.Request, true); got != want {
						t.Fatalf("request %d: action %v, want %v", k, got, want)
					}
					if want == filters.Continue {
						s.Head(filters.Response, true)
					}
					if !s.Close() {
						t.Fatal("not closed")
					}
					got := x.Req.Header.Value("x-kept")
					if k == 0 {
						before = got
						if !strings.HasPrefix(got, "0 1 ") {
							t.Fatalf("the first request finds %q", got)
						}
					} else if asAtFirst := isolation == int(PerStream) || last == "trap"; (got == before) != asAtFirst {
						t.Errorf("request %d finds %q, the first one %q", k, got, before)
					}
					last = do
				}
			})
		}
	}
}

// The same with as many streams at once as there are instances, and more.
func TestW103CanariesUnderConcurrency(t *testing.T) {
	for abi, file := range keepers {
		t.Run(abi, func(t *testing.T) {
			f := testFilter(t, testHost(t, Options{After: func(_ time.Duration, run func()) { go run() }}), Spec{
				Name: "keep", Wasm: guest(t, file), Instances: 3, Isolation: PerStream, Limits: Limits{CPU: time.Second},
			})
			var all sync.WaitGroup
			for w := range 8 {
				all.Go(func() {
					c := &connection{wake: make(chan struct{}, 1)}
					for k := range 40 {
						secrets(&c.Exchange, 100*w+k, map[int]string{1: "pause", 2: "trap"}[k%16])
						s, _ := f.NewStream(c)
						if s == nil {
							continue // all have failed, and wait
						}
						action := filters.Wait
						c.until(t, func() bool {
							action = s.Head(filters.Request, true)
							return action != filters.Wait
						})
						if got := c.Req.Header.Value("x-kept"); got != "" && !strings.HasPrefix(got, "0 1 ") {
							t.Errorf("a stream finds %q", got)
						}
						if action == filters.Continue {
							c.until(t, func() bool { return s.Head(filters.Response, true) != filters.Wait })
						}
						c.until(t, s.Close)
					}
				})
			}
			all.Wait()
			if s := f.Stats(); s.Streams != 0 || s.Parked != 0 || s.Instances > 3 || s.Faults[CauseUnreachable] == 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A stream holds its instance while it pauses; others get one of their own, or wait for it.
func TestIsolatedStreamsPinInstances(t *testing.T) {
	var later starts
	f := testFilter(t, testHost(t, later.options()), Spec{
		Name: "hold", Wasm: guest(t, "testdata/hold.wasm"), Instances: 2, Isolation: PerStream,
	})
	head := func(do string) (filters.Stream, *fake.Exchange, filters.Action) {
		x := fake.New()
		x.Req.Header.Add("x-do", do)
		s := begin(t, f, x)
		return s, x, s.Head(filters.Request, true)
	}
	held, _, action := head("hold")
	if action != filters.Pause {
		t.Fatalf("action %v", action)
	}
	other, x, action := head("release")
	if action != filters.Wait {
		t.Fatalf("the second stream: %v, without an instance", action)
	}
	if later.run(); x.Wakes.Load() != 1 || other.Head(filters.Request, true) != filters.Continue {
		t.Errorf("the second stream has no instance of its own; woken %d times", x.Wakes.Load())
	}
	if x.Req.Header.Value("x-released") != "" || f.Stats().Parked != 1 {
		t.Error("a stream has reached another")
	}
	third, y, action := head("pass")
	if action != filters.Wait || later.run() != 0 {
		t.Errorf("a third stream: %v", action)
	}
	if !other.Close() || y.Wakes.Load() != 1 || third.Head(filters.Request, true) != filters.Continue {
		t.Error("an instance that comes free is not handed on")
	}
	unseen, z, action := head("pass") // is closed before it has been shown anything
	if action != filters.Wait || unseen.Close() {
		t.Errorf("a fourth stream: %v, and closed without an instance", action)
	}
	third.Close()
	if z.Wakes.Load() != 1 || !unseen.Close() || !held.Close() {
		t.Error("not closed")
	}
	if s := f.Stats(); s.Streams != 0 || s.Parked != 0 || s.Instances != 2 || s.Started != 2 || s.Snapshot == 0 {
		t.Errorf("stats %+v", s)
	}
}

// A guest that cannot be saved is refused, with the reason.
func TestIsolationNeedsASnapshot(t *testing.T) {
	m := &asm.Module{}
	m.PassiveData("x")
	m.Func("proxy_abi_version_0_2_1", "", "", 0, 0xfc, 9, 0)
	h := testHost(t, Options{})
	_, err := h.NewFilter(Spec{Name: "x", Wasm: m.Encode(), Isolation: PerStream})
	if !errors.Is(err, ErrIsolation) || !strings.Contains(err.Error(), "drop a data segment") || h.Modules() != 0 {
		t.Errorf("a guest that drops data: %v; %d modules", err, h.Modules())
	}
	if f := testFilter(t, h, Spec{Name: "x", Wasm: m.Encode()}); f.Stats().Snapshot != 0 {
		t.Error("it has a snapshot")
	}
}

// A guest that has grown to the most memory it may have cannot be put back: a copy takes its place.
func TestIsolatedGuestAtItsMaximum(t *testing.T) {
	w := &world{}
	f := testFilter(t, testHost(t, w.options()), Spec{
		Name: "keep", Wasm: guest(t, keepers["Proxy-Wasm"]), Isolation: PerStream, Instances: 1,
		Limits: Limits{CPU: time.Second, Memory: 3 << 16},
	})
	for k := range 5 {
		x := fake.New()
		secrets(x, k, "")
		s := begin(t, f, x)
		if a := s.Head(filters.Request, true); a != filters.Continue {
			t.Fatalf("request %d: %v", k, a)
		}
		s.Close()
		if got := x.Req.Header.Value("x-kept"); got != "0 1 1" {
			t.Errorf("request %d finds %q", k, got)
		}
		w.fire()
	}
	if s := f.Stats(); s.Instances != 1 || s.Started != 6 || s.Faults != ([causes]uint64{}) {
		t.Errorf("stats %+v", s)
	}
}
