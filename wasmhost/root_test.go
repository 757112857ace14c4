package wasmhost

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/fake"
)

// duty is a unit whose turns the test plays.
type duty struct {
	task    filters.Task
	asked   []filters.Call
	ids     []uint32
	cancels int
	wakes   int
	ended   bool
}

func (d *duty) Wake() { d.wakes++ }
func (d *duty) End()  { d.ended = true }
func (d *duty) Call(id uint32, c *filters.Call) {
	d.ids, d.asked = append(d.ids, id), append(d.asked, *c)
}

// CancelCalls gives up those that have not been answered.
func (d *duty) CancelCalls() {
	if len(d.ids) > 0 {
		d.cancels++
	}
	d.ids = nil
}

// answer brings the answer to the oldest call.
func (d *duty) answer(a *filters.CallAnswer) bool {
	id := d.ids[0]
	if !d.task.CallDone(id, a) {
		return false
	}
	d.ids = d.ids[1:]
	return true
}

// duties is a server that gives out units, or none.
type duties struct {
	list []*duty
	none bool
}

func (u *duties) Begin(t filters.Task) filters.Unit {
	if u.none {
		return nil
	}
	d := &duty{task: t}
	u.list = append(u.list, d)
	return d
}

// stop is the server's end: it closes the tasks, and begins no more.
func (u *duties) stop(t testing.TB) {
	u.none = true
	for k, d := range u.list {
		if !d.task.Close() {
			t.Errorf("task %d does not close", k)
		}
	}
	u.list = nil
}

const ms = int64(time.Millisecond)

// rooted is a filter with one lane on units of the test, and the unit that its start has begun, or nil.
func rooted(t *testing.T, w *world, spec Spec) (*Filter, *duty, *duties) {
	t.Helper()
	units := &duties{}
	o := w.options()
	o.Units = units
	spec.Lanes = 1
	f := testFilter(t, testHost(t, o), spec)
	t.Cleanup(func() { units.stop(t); w.fire() })
	if len(units.list) == 0 {
		return f, nil, units
	}
	return f, units.list[0], units
}

func refreshSpec(t *testing.T) Spec {
	return Spec{Name: "refresh", Wasm: example(t, "refresh"), Upstreams: []string{"keys"},
		Config: []byte(`{"upstream": "keys", "path": "/keys", "period": "100"}`)}
}

// probing is the probe guest of the conformance suites with a root context that does what the script says.
func probing(t *testing.T, name, script string) Spec {
	return Spec{Name: name, Wasm: guest(t, "../conformance/wasm/guests/probe-0_2_1.wasm"), Config: []byte(script), Upstreams: []string{"app"}}
}

func value(body string) *filters.CallAnswer {
	return &filters.CallAnswer{Status: 200, Header: &message.Fields{}, Body: []byte(body)}
}

// TestRootKeepsAValueFresh: calls from the start and from ticks, whose answers continue streams of others and serve those to come.
func TestRootKeepsAValueFresh(t *testing.T) {
	w := &world{}
	f, u, units := rooted(t, w, refreshSpec(t))
	if u == nil || len(units.list) != 1 || len(u.asked) != 0 {
		t.Fatalf("%d units have begun, %d calls before the first turn", len(units.list), len(u.asked))
	}
	early, x := begin(t, f, fake.New()), fake.New()
	early.Close()
	early = begin(t, f, x)
	if a := early.Head(filters.Request, true); a != filters.Pause {
		t.Fatalf("before the first answer: %v", a)
	}
	if next := u.task.Run(1000); next != 1000+100*ms || len(u.asked) != 1 || u.asked[0].Target != "/keys" {
		t.Fatalf("next %d, calls %+v", next, u.asked)
	}
	if !u.answer(value("one")) || x.Continued[0] != 1 || x.Wakes.Load() == 0 || x.Req.Header.Value("x-value") != "one" {
		t.Errorf("continued %d, woken %d, header %q", x.Continued[0], x.Wakes.Load(), x.Req.Header.Value("x-value"))
	}
	early.Close()
	for k, want := range []string{"two", "three"} {
		at := 1000 + int64(k+1)*100*ms
		if next := u.task.Run(at - 1); next != at || len(u.ids) != 0 {
			t.Errorf("before tick %d: next %d, %d calls", k+1, next, len(u.ids))
		}
		if next := u.task.Run(at); next != at+100*ms || len(u.ids) != 1 {
			t.Errorf("tick %d: next %d, %d calls", k+1, next, len(u.ids))
		}
		u.answer(value(want))
		s, x := begin(t, f, fake.New()), fake.New()
		s.Close()
		s = begin(t, f, x)
		if a := s.Head(filters.Request, true); a != filters.Continue || x.Req.Header.Value("x-value") != want {
			t.Errorf("after tick %d: %v, %q", k+1, a, x.Req.Header.Value("x-value"))
		}
		s.Close()
	}
	if next := u.task.Run(10_000 * ms); next != 10_100*ms || len(u.ids) != 1 {
		t.Errorf("ticks that were missed: next %d, %d calls", next, len(u.ids))
	}
	if n := f.Stats().ByPhase[Tick][Continued]; n != 3 {
		t.Errorf("%d ticks", n)
	}
}

// TestRootWaitsForItsLane: a tick and an answer that find the lane held wait in line without running anything, are called when it
// is free, and are one tick however long it took.
func TestRootWaitsForItsLane(t *testing.T) {
	w := &world{}
	f, u, _ := rooted(t, w, refreshSpec(t))
	u.task.Run(0)
	s := begin(t, f, fake.New()).(*stream)
	l := s.lane
	if !l.enter(&s.seat) {
		t.Fatal("the lane is held")
	}
	u.wakes = 0
	if u.answer(value("x")) {
		t.Error("an answer is taken by a lane that is held")
	}
	for at := range int64(5) {
		if next := u.task.Run(at * 100 * ms); next != 0 {
			t.Errorf("in line: next %d", next)
		}
	}
	if u.wakes != 0 || f.Stats().ByPhase[Tick][Continued] != 0 {
		t.Error("woken, or run, while the lane is held")
	}
	l.leave()
	if u.wakes != 1 {
		t.Fatalf("woken %d times when the lane is free", u.wakes)
	}
	if !u.answer(value("x")) {
		t.Error("the answer is not taken")
	}
	u.task.Run(500 * ms)
	if n := f.Stats().ByPhase[Tick][Continued]; n != 1 {
		t.Errorf("%d ticks", n)
	}
	if !s.Close() {
		t.Error("the lane is not free")
	}
}

// TestRootFaults: a root call that traps is a fault of the lane: its calls are given up, paused streams are answered, no tick comes
// until the guest has been restored, at once or after its back-off, and then it ticks and calls as it has asked at its start.
func TestRootFaults(t *testing.T) {
	ask := "proxy_http_call 'app' [:method=GET,:path=/,:authority=a] '' '' 0 ?"
	for name, c := range map[string]struct {
		script string
		phase  Phase
		cause  Cause
		calm   bool
		fail   func(u *duty)
	}{
		"tick":            {"tick: trap unreachable", Tick, CauseUnreachable, false, func(u *duty) { u.task.Run(200 * ms) }},
		"tick, at once":   {"tick: trap unreachable", Tick, CauseUnreachable, true, func(u *duty) { u.task.Run(200 * ms) }},
		"spin":            {"tick: loop", Tick, CauseCPU, true, func(u *duty) { u.task.Run(200 * ms) }},
		"answer":          {"http_call_response: trap unreachable", CallDone, CauseUnreachable, false, func(u *duty) { u.answer(value("")) }},
		"answer, at once": {"http_call_response: trap unreachable", CallDone, CauseUnreachable, true, func(u *duty) { u.answer(value("")) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			spec := probing(t, "probe", "configure: proxy_set_tick_period_milliseconds 100; "+ask+"; "+ask+" | "+c.script)
			f, u, _ := rooted(t, w, spec)
			if c.cause == CauseCPU {
				f.host.options.Now, f.plugin.Fuel.Now = time.Now, time.Now
			}
			if c.calm {
				w.now = w.now.Add(time.Minute)
			}
			x := fake.New()
			x.Req.Header.Add("x-do", "request_headers: pause")
			s := begin(t, f, x)
			if a := s.Head(filters.Request, true); a != filters.Pause {
				t.Fatalf("%v", a)
			}
			u.task.Run(100*ms - 1)
			if len(u.ids) != 2 {
				t.Fatalf("%d calls", len(u.ids))
			}
			c.fail(u)
			if st := f.Stats(); st.Faults[c.cause] != 1 || st.ByPhase[c.phase][Faulted] != 1 || st.Instances != 1 || st.Parked != 0 {
				t.Fatalf("stats %+v", st)
			}
			if len(x.Replies) != 1 || x.Replies[0].Status != 503 {
				t.Errorf("the paused stream: %+v", x.Replies)
			}
			next := u.task.Run(250 * ms)
			if u.cancels != 1 || c.calm != (next != 0) {
				t.Errorf("after the fault: next %d, calls given up %d times", next, u.cancels)
			}
			if f := f.LastFault(); f.Phase != c.phase || f.RequestID != "" {
				t.Errorf("fault %+v", f)
			}
			s.Close()
			if !c.calm {
				u.wakes = 0
				w.fire()
				if u.wakes == 0 {
					t.Error("the unit is not told of the guest's return")
				}
				next = u.task.Run(250 * ms)
			}
			if next < 300*ms || next > 350*ms || len(u.ids) != 2 {
				t.Errorf("after its return: next %d, %d calls", next, len(u.ids))
			}
			if st := f.Stats(); st.Started != 1 || st.Restored != 1 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// TestRootTimeAtTheEnd: a guest whose proxy_on_done returns false goes on, without streams, until proxy_done, or DoneTime; at once
// where there is no server.
func TestRootTimeAtTheEnd(t *testing.T) {
	ended := func(f *Filter) bool {
		select {
		case <-f.Ended():
			return true
		default:
			return false
		}
	}
	t.Run("proxy_done", func(t *testing.T) {
		f, u, _ := rooted(t, &world{}, refreshSpec(t))
		u.task.Run(0)
		u.answer(value("x"))
		f.Retire()
		if s, _ := f.NewStream(fake.New()); s != nil || ended(f) {
			t.Error("it takes streams, or is gone")
		}
		u.task.Run(1)
		if u.asked[len(u.asked)-1].Target != "/bye" || len(u.ids) != 1 {
			t.Fatalf("calls %+v", u.asked)
		}
		u.answer(value(""))
		u.task.Run(2)
		if !ended(f) || !u.ended || !u.task.Close() {
			t.Error("it goes on after proxy_done")
		}
	})
	t.Run("time is up", func(t *testing.T) {
		f, u, _ := rooted(t, &world{}, refreshSpec(t))
		u.task.Run(0)
		f.Retire()
		next := u.task.Run(1)
		for at := int64(1); !ended(f); at = next {
			if at > 1+int64(DoneTime) || next == 0 {
				t.Fatalf("at %d it goes on, next %d", at, next)
			}
			next = u.task.Run(next)
		}
	})
	t.Run("the last stream ends later", func(t *testing.T) {
		f, u, _ := rooted(t, &world{}, refreshSpec(t))
		u.task.Run(0)
		u.answer(value("x"))
		s := begin(t, f, fake.New())
		s.Head(filters.Request, true)
		f.Retire()
		if u.task.Run(200 * ms); f.Stats().ByPhase[Tick][Continued] != 1 {
			t.Error("a retired filter with a stream does not tick")
		}
		u.answer(value("y"))
		s.Close()
		if ended(f) {
			t.Error("gone without its time")
		}
		u.task.Run(201 * ms)
		u.answer(value(""))
		if u.task.Run(202 * ms); !ended(f) {
			t.Error("it goes on")
		}
	})
	t.Run("fault", func(t *testing.T) {
		f, u, _ := rooted(t, &world{}, probing(t, "probe", "configure: proxy_set_tick_period_milliseconds 100 | done: pause | tick: trap unreachable"))
		u.task.Run(0)
		f.Retire()
		u.task.Run(1)
		if u.task.Run(100 * ms); !ended(f) {
			t.Error("a guest that failed at its end goes on")
		}
	})
	t.Run("no server", func(t *testing.T) {
		f, _, units := rooted(t, &world{}, refreshSpec(t))
		units.stop(t)
		if f.Retire(); !ended(f) {
			t.Error("it waits for nobody")
		}
		h := testHost(t, Options{})
		f, err := h.NewFilter(refreshSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		f.Retire()
		<-f.Closed()
	})
	t.Run("the server stops meanwhile", func(t *testing.T) {
		f, u, units := rooted(t, &world{}, refreshSpec(t))
		u.task.Run(0)
		f.Retire()
		if units.stop(t); !ended(f) {
			t.Error("it waits for a unit that is no more")
		}
	})
}

// TestRootHearsOfQueues: once for each item, whichever filter put it in, also what came while there was no instance.
func TestRootHearsOfQueues(t *testing.T) {
	w := &world{}
	units := &duties{}
	o := w.options()
	o.Units = units
	h := testHost(t, o)
	reader := probing(t, "reader", "configure: proxy_register_shared_queue 'q' ? | queue_ready: proxy_dequeue_shared_queue $q ??; print | tick: trap unreachable")
	writer := probing(t, "writer", "configure: proxy_register_shared_queue 'other' ?")
	reader.VMID, writer.VMID, reader.Lanes, writer.Lanes = "vm", "vm", 2, 1
	f, g := testFilter(t, h, reader), testFilter(t, h, writer)
	t.Cleanup(func() { units.stop(t) })
	put := func(n int) {
		for range n {
			x := fake.New()
			x.Req.Header.Add("x-do", "request_headers: proxy_resolve_shared_queue 'vm' 'q' ?k; proxy_enqueue_shared_queue $k 'item'")
			s := begin(t, g, x)
			s.Head(filters.Request, true)
			s.Close()
		}
	}
	if len(units.list) != 0 {
		t.Fatalf("%d units before there is anything to do", len(units.list))
	}
	put(3)
	if len(units.list) != 1 {
		t.Fatalf("%d units: one lane of the reader's is to hear", len(units.list))
	}
	u := units.list[0]
	u.task.Run(0)
	if n := f.Stats().ByPhase[QueueReady][Continued]; n != 3 {
		t.Errorf("heard %d times of 3 items", n)
	}
	put(rootSteps + 5)
	if next := u.task.Run(7); next != 7 {
		t.Errorf("more than a turn's work: next %d", next)
	}
	u.task.Run(7)
	if n := f.Stats().ByPhase[QueueReady][Continued]; n != 3+rootSteps+5 {
		t.Errorf("heard %d times of %d items", n, 3+rootSteps+5)
	}
	if got := strings.Count(fmt.Sprint(w.lines), "dequeue_shared_queue=0:item"); got != 3+rootSteps+5 {
		t.Errorf("%d items were taken; %q", got, w.lines)
	}
}

// TestBackgroundFilter: one lane, no streams, and its root context at work.
func TestBackgroundFilter(t *testing.T) {
	spec := refreshSpec(t)
	spec.Background = true
	units := &duties{}
	o := (&world{}).options()
	o.Units = units
	h := testHost(t, o)
	f := testFilter(t, h, spec) // as many lanes as processors otherwise
	t.Cleanup(func() { units.stop(t) })
	if s, _ := f.NewStream(fake.New()); s != nil || f.Callbacks() != 0 || f.Lanes() != 1 || len(units.list) != 1 {
		t.Errorf("stream %v, callbacks %b, %d lanes, %d units", s, f.Callbacks(), f.Lanes(), len(units.list))
	}
	units.list[0].task.Run(0)
	if len(units.list[0].asked) != 1 {
		t.Error("it does not call")
	}
	if units.list[0].task.Run(100 * ms); f.Stats().ByPhase[Tick][Continued] != 1 {
		t.Error("it does not tick")
	}
	handler := Spec{Name: "h", Wasm: example(t, "redact"), Background: true}
	if _, err := h.NewFilter(handler); err == nil || !strings.Contains(err.Error(), "background") {
		t.Errorf("http-wasm: %v", err)
	}
}
