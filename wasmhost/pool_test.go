package wasmhost

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
)

// starts keeps what a Host wants to have run later, until the test runs it.
type starts struct {
	mu     sync.Mutex
	after  []func()
	delays []time.Duration
}

func (s *starts) options() Options {
	return Options{After: func(d time.Duration, f func()) {
		s.mu.Lock()
		s.after, s.delays = append(s.after, f), append(s.delays, d)
		s.mu.Unlock()
	}}
}

// run runs what there is and says how much that was.
func (s *starts) run() int {
	s.mu.Lock()
	list := s.after
	s.after = nil
	s.mu.Unlock()
	for _, f := range list {
		f()
	}
	return len(list)
}

func TestPoolMakesStreamsWaitForAnInstance(t *testing.T) {
	var later starts
	f := scriptOn(t, later.options(), Spec{Instances: 2})
	sites := make([]*site, 4)
	for k := range sites {
		sites[k] = newSite(t, "", "")
		sites[k].request(f, 0)
	}
	asked := func() (out string) {
		for _, s := range sites {
			out += map[bool]string{false: "-", true: "a"}[s.asked]
		}
		return out
	}
	if got := asked(); got != "a---" || !sites[1].chain.Busy() {
		t.Fatalf("asked %s", got)
	}
	if later.run(); sites[1].woken != 1 || sites[2].woken != 0 {
		t.Fatal("the started instance is not the first one's in line")
	}
	if n := later.run(); n != 0 || f.Stats().Instances != 2 {
		t.Errorf("%d instances, %d more to come; 2 are allowed", f.Stats().Instances, n)
	}
	sites[1].chain.Run()
	sites[2].chain.Run()
	if got := asked(); got != "aa--" {
		t.Errorf("asked %s", got)
	}
	// An instance is free at the end of handle_response, not only at the exchange's.
	sites[0].respond(200, 6, "piece")
	sites[2].chain.Run()
	if got := asked(); got != "aaa-" {
		t.Errorf("asked %s", got)
	}
	// One that leaves the line, or its instance, lets the next one in.
	sites[3].end()
	last := newSite(t, "", "")
	last.request(f, 0)
	sites[1].end()
	last.chain.Run()
	if !last.asked || f.Stats().Waits != 4 {
		t.Errorf("asked %v, %d waits", last.asked, f.Stats().Waits)
	}
	for _, s := range []*site{sites[0], sites[2], last} {
		s.end()
	}
	if s := f.Stats(); s.Streams != 0 || s.Instances != 2 || s.Faults != ([causes]uint64{}) {
		t.Errorf("afterwards: %+v", s)
	}
}

func TestPoolPassesOnWhatAStreamNeverFetched(t *testing.T) {
	var later starts
	f := scriptOn(t, later.options(), Spec{Instances: 1})
	a, b, c := newSite(t, "", ""), newSite(t, "", ""), newSite(t, "", "")
	for _, s := range []*site{a, b, c} {
		s.request(f, 0)
	}
	a.end() // the instance is b's now, who goes without
	b.end()
	if c.chain.Run(); !c.asked {
		t.Error("the instance is lost")
	}
	c.end()
}

func TestPoolPassesOnWhatAStreamHasNoUseForAnyMore(t *testing.T) {
	var later starts
	f := scriptOn(t, later.options(), Spec{Instances: 1})
	sites := make([]*site, 4)
	for k := range sites {
		sites[k] = newSite(t, "", "")
		sites[k].request(f, 0)
	}
	for _, k := range []int{1, 2} { // the answer is another one's before it is their turn
		if err := sites[k].chain.Answer(&filters.Reply{Status: 502}, "gone"); err != nil {
			t.Fatal(err)
		}
		if k == 1 {
			sites[0].end() // the instance is 2's
		}
	}
	if sites[3].chain.Run(); !sites[3].asked {
		t.Error("an exchange that is still being answered keeps the instance from the next")
	}
	for _, s := range sites[1:] {
		s.end()
	}
}

func TestPoolRefusesBeyondItsLine(t *testing.T) {
	var later starts
	f := scriptOn(t, later.options(), Spec{Instances: 1})
	sites := make([]*site, MaxWaiting+2)
	for k := range sites {
		sites[k] = newSite(t, "", "")
		sites[k].request(f, 0)
	}
	if got := sites[len(sites)-1].end(); got != unavailable {
		t.Errorf("one too many got %q", got)
	}
	for _, s := range sites[:len(sites)-1] {
		s.end()
	}
	if n := f.Stats().Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// A guest that fails is replaced; without any instance the policy answers at once, also for those in line.
func TestPoolReplacesFailedInstances(t *testing.T) {
	for _, open := range []bool{false, true} {
		var later starts
		f := scriptOn(t, later.options(), Spec{Instances: 1, FailOpen: open})
		bad, waiting := newSite(t, "t", ""), newSite(t, "h0x=y", "")
		bad.chain.Begin([]filters.Filter{f}, &bad.req, &bad.resp, bad, bad)
		pinned := newSite(t, "", "t")
		pinned.request(f, 0)
		bad.chain.RequestHead(true)
		waiting.request(f, 0)
		pinned.respond(200, 0) // fails
		if !open && pinned.end() != unavailable {
			t.Error("the failed guest's response went on")
		}
		if bad.chain.Run(); bad.asked != open {
			t.Errorf("open %v: asked %v", open, bad.asked)
		}
		if waiting.chain.Run(); waiting.asked != open {
			t.Errorf("open %v: asked %v", open, waiting.asked)
		}
		late := newSite(t, "", "")
		if late.request(f, 0); late.asked != open {
			t.Errorf("open %v: asked %v", open, late.asked)
		}
		if later.delays[len(later.delays)-1] != firstBackoff {
			t.Errorf("restarts put off by %v", later.delays)
		}
		later.run()
		fresh := newSite(t, "h0x=y", "")
		if fresh.request(f, 0); !strings.Contains(fresh.head, "x=y") {
			t.Errorf("after the restart: %q", fresh.head)
		}
		for _, s := range []*site{bad, waiting, late, fresh} {
			s.end()
		}
		if s := f.Stats(); s.Instances != 1 || s.Streams != 0 || s.Faults[CauseUnreachable] != 1 {
			t.Errorf("afterwards: %+v", s)
		}
	}
}

// A guest whose body never comes is unwound with its exchange. That is no fault: it is restored, or started anew, at once.
func TestPoolUnwindsWaitingGuests(t *testing.T) {
	for how, r := range renewals {
		t.Run(how, func(t *testing.T) { unwindWaitingGuests(t, r.unmetered, Spec{Isolation: r.isolation}) })
	}
}

func unwindWaitingGuests(t *testing.T, unmetered bool, spec Spec) {
	var later starts
	options := later.options()
	options.Unmetered = unmetered
	spec.Config, spec.Instances = []byte("f3"), 1
	f := scriptOn(t, options, spec)
	begin := func(s *site, length int64) {
		s.req.Length = length
		s.chain.Begin([]filters.Filter{f}, &s.req, &s.resp, s, s)
		s.chain.RequestHead(false)
		s.chain.RequestBody([]byte("a"), false)
	}
	for _, c := range []struct {
		name, do, then string
		run            func(s *site)
		want           string
	}{
		{"the client is gone", "r09", "", func(s *site) { begin(s, 5) }, "nothing"},
		{"the response's body is cut", "", "r19", func(s *site) {
			s.request(f, 0)
			s.resp.Status, s.resp.Length = 200, 5
			s.chain.ResponseHead(false)
			s.chain.ResponseBody([]byte("a"), false)
		}, "nothing"},
		{"the upstream answers before the guest has decided", "r09", "", func(s *site) {
			begin(s, message.UnknownLength)
			s.respond(200, 0)
		}, unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.do, c.then)
			c.run(s)
			if parked := f.Stats().Parked; !s.answered && parked != 1 {
				t.Errorf("%d parked", parked)
			}
			if got := s.end(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n := len(later.delays); unmetered && later.delays[n-1] != 0 || !unmetered && n > 0 {
				t.Errorf("starts are put off by %v", later.delays)
			}
			later.run()
			if s := f.Stats(); s.Parked != 0 || s.Instances != 1 || s.Faults != ([causes]uint64{}) {
				t.Errorf("afterwards: %+v", s)
			}
		})
	}
}

// handle_response is called whatever becomes of the exchange, where next was 1: the guest may keep something for it.
func TestHandlerIsToldOfAResponseThatNeverCame(t *testing.T) {
	f := script(t, Spec{Config: []byte("f7")})
	s := newSite(t, "", "i;S404;h1a=b;w1c;s;g3x")
	s.request(f, 0)
	if got := s.end(); got != "nothing" || len(s.lines) != 1 || s.lines[0] != "ctx=042 err=1" || s.resp.Status != 0 {
		t.Errorf("got %q, logged %q, status %d", got, s.lines, s.resp.Status)
	}
	if s := f.Stats(); s.Instances != 1 || s.Faults != ([causes]uint64{}) {
		t.Errorf("afterwards: %+v", s)
	}
}

// A guest that has not seen a request is not shown the response that another filter made of it.
func TestHandlerBehindAnAnswer(t *testing.T) {
	first, second := script(t, Spec{}), script(t, Spec{})
	s := newSite(t, "0;S403;w1no", "t")
	s.chain.Begin([]filters.Filter{first, second}, &s.req, &s.resp, s, s)
	s.chain.RequestHead(true)
	if got := s.end(); got != "403  no" || s.asked {
		t.Errorf("got %q", got)
	}
}

func TestRetiredPoolServesItsStreamsAndCloses(t *testing.T) {
	var later starts
	h := testHost(t, later.options())
	f, err := h.NewFilter(Spec{Name: "script", Wasm: guest(t, "testdata/script.wasm"), Instances: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, b := newSite(t, "", ""), newSite(t, "", "")
	a.request(f, 0)
	b.request(f, 0)
	f.Retire()
	late := newSite(t, "", "")
	late.request(f, 0)
	if got := late.end(); got != unavailable {
		t.Errorf("after Retire: %q", got)
	}
	a.respond(200, 0)
	a.end()
	if b.chain.Run(); !b.asked {
		t.Error("one that waited is not served")
	}
	select {
	case <-f.Closed():
		t.Error("closed with a stream under way")
	default:
	}
	b.respond(200, 0)
	b.end()
	<-f.Closed()
	if s := f.Stats(); s.Instances != 0 || s.Memory != 0 || h.Modules() != 0 {
		t.Errorf("afterwards: %+v, %d modules", s, h.Modules())
	}
}

// A thousand requests, in every way one can end, leave nothing behind.
func TestPoolLeaksNothing(t *testing.T) {
	var under sync.WaitGroup
	f := scriptOn(t, Options{After: func(_ time.Duration, f func()) { under.Go(f) }}, Spec{Config: []byte("f7"), Instances: 4})
	one := f.Stats().Memory
	var before int
	for k := range 1000 {
		do, then := "r02;h1a=b", "r13;w1new"
		switch k % 5 {
		case 1:
			do = "0;w1no"
		case 2:
			then = "i"
		}
		s := newSite(t, do, then)
		switch k % 5 {
		case 3: // the body never comes
			s.req.Length = 5
			s.chain.Begin([]filters.Filter{f}, &s.req, &s.resp, s, s)
			s.chain.RequestHead(false)
		default:
			s.request(f, 4, "ab", "cd")
		}
		if s.asked && k%5 != 2 {
			s.respond(200, 4, "ab", "cd")
		}
		for s.chain.Busy() && !s.answered && k%5 != 3 {
			runtime.Gosched()
			s.chain.Run()
			if s.asked && s.resp.Status == 0 {
				s.respond(200, 4, "ab", "cd")
			}
		}
		s.end()
		if k == 100 {
			before = runtime.NumGoroutine()
		}
	}
	under.Wait()
	s := f.Stats()
	if s.Instances < 1 || s.Instances > 4 || s.Streams != 0 || s.Parked != 0 || s.Memory != s.Instances*one {
		t.Errorf("afterwards: %+v", s)
	}
	if now := runtime.NumGoroutine(); now > before+8 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// Streams of many connections on few instances: each gets its own request's answer.
func TestPoolUnderConcurrentStreams(t *testing.T) {
	f := script(t, Spec{Config: []byte("f3"), Instances: 3})
	var all sync.WaitGroup
	for w := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for k := range 100 {
				id := fmt.Sprintf("%d.%d", w, k)
				s := &turns{wake: make(chan struct{}, 1)}
				s.site = newSite(t, "h0id="+id+";r03", "g0id;R12")
				s.req.Length = 6
				s.chain.Begin([]filters.Filter{f}, &s.req, &s.resp, s, s.site)
				s.chain.RequestHead(false)
				for body := "abcdef"; body != "" && !s.answered; s.turn() {
					if n := 1 + rng.IntN(len(body)); s.chain.Accepts(filters.Request) {
						s.chain.RequestBody([]byte(body[:n]), n == len(body))
						body = body[n:]
					}
				}
				for !s.asked && !s.answered {
					s.turn()
				}
				if rng.IntN(4) == 0 {
					s.chain.End()
					continue
				}
				s.respond(200, 2, "ok")
				for !s.gotEnd {
					s.turn()
				}
				if got, want := s.end(), "200 server=origin&x-r=ok&x-g=1:"+id+", ok"; got != want {
					t.Errorf("%s got %q", id, got)
				}
			}
		}()
	}
	all.Wait()
	if s := f.Stats(); s.Streams != 0 || s.Instances > 3 || s.Faults != ([causes]uint64{}) {
		t.Errorf("afterwards: %+v", s)
	}
}

// turns is a site whose Wake may come from anywhere.
type turns struct {
	*site
	wake chan struct{}
}

func (s *turns) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// turn waits for a Wake where the chain does nothing without.
func (s *turns) turn() {
	if !s.chain.Accepts(filters.Request) && s.chain.Busy() {
		<-s.wake
	}
	s.chain.Run()
}
