package server

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/filters"
	"edge/mpm"
)

// chore is a task made of functions; those that are nil do nothing.
type chore struct {
	run    func(now int64) int64
	called func(id uint32, a *filters.CallAnswer) bool
	close  func() bool

	running atomic.Int32
	closes  atomic.Int32
}

func (c *chore) alone(do func()) {
	if c.running.Add(1) != 1 {
		panic("two callers of one task")
	}
	do()
	c.running.Add(-1)
}

func (c *chore) Run(now int64) (next int64) {
	c.alone(func() {
		if c.run != nil {
			next = c.run(now)
		}
	})
	return next
}

func (c *chore) CallDone(id uint32, a *filters.CallAnswer) (taken bool) {
	c.alone(func() { taken = c.called == nil || c.called(id, a) })
	return taken
}

func (c *chore) Close() (done bool) {
	c.alone(func() {
		if done = c.close == nil || c.close(); done {
			c.closes.Add(1)
		}
	})
	return done
}

// withUnits is a bed whose filters' tasks run.
func withUnits(t *testing.T, p plot, us *Units) *bed {
	p.engine = func(o *mpm.Options) { o.Units = us }
	if p.routes == nil && p.servers == nil {
		p.routes = []Route{fixed("x")}
	}
	b := grow(t, p)
	us.Attach(b.engine, b.server)
	return b
}

var callApp = filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"}

// TestUnitCalls: how a call without a request may end; more than one may be under way, and each is answered under its own id.
func TestUnitCalls(t *testing.T) {
	silent := func(c *peer, _ int) { io.Copy(io.Discard, c.in) }
	for _, c := range []struct {
		name   string
		script func(*peer, int)
		call   filters.Call
		want   string
	}{
		{"answered", echo, callApp, "200 GET /call "},
		{"timed out", silent, filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call", Timeout: 30 * time.Millisecond}, "failed"},
		{"closed", func(c *peer, _ int) { c.head() }, callApp, "failed"},
		{"no such upstream", echo, filters.Call{Upstream: "other", Method: "GET", Authority: "a", Target: "/"}, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			us := NewUnits()
			var unit filters.Unit
			got := make(chan string, 8)
			begun := false
			task := &chore{called: func(id uint32, a *filters.CallAnswer) bool {
				text := "failed"
				if a != nil {
					text = itoa(a.Status) + " " + string(a.Body)
				}
				got <- fmt.Sprint(id, " ", text)
				return true
			}}
			ready := make(chan struct{})
			task.run = func(int64) int64 {
				<-ready
				if !begun {
					begun = true
					for id := range uint32(3) {
						unit.Call(10+id, &c.call)
					}
				}
				return 0
			}
			unit = us.Begin(task)
			close(ready)
			withUnits(t, plot{servers: []string{origin(t, c.script)}}, us)
			var all []string
			for range 3 {
				select {
				case a := <-got:
					all = append(all, a)
				case <-time.After(patience):
					t.Fatalf("answers %q", all)
				}
			}
			slices.Sort(all)
			if want := []string{"10 " + c.want, "11 " + c.want, "12 " + c.want}; !slices.Equal(all, want) {
				t.Errorf("answers %q, want %q", all, want)
			}
		})
	}
}

// TestUnitAnswerWaits: an answer that the task cannot take is kept, without spinning, and brought again after a Wake.
func TestUnitAnswerWaits(t *testing.T) {
	us := NewUnits()
	refusals, runs := atomic.Int32{}, atomic.Int32{}
	taken := make(chan string, 1)
	var busy atomic.Bool
	busy.Store(true)
	var unit filters.Unit
	task := &chore{
		run: func(int64) int64 {
			if runs.Add(1) == 1 {
				unit.Call(1, &callApp)
			}
			return 0
		},
		called: func(_ uint32, a *filters.CallAnswer) bool {
			if busy.Load() {
				refusals.Add(1)
				return false
			}
			taken <- string(a.Body)
			return true
		},
	}
	unit = us.Begin(task)
	b := withUnits(t, plot{servers: []string{origin(t, echo)}}, us)
	if !within(patience, func() bool { return refusals.Load() > 0 }) {
		t.Fatal("no answer")
	}
	if !within(patience, func() bool { return b.engine.Load().Idle == b.engine.Load().Workers }) {
		t.Error("a worker spins")
	}
	if n := refusals.Load(); n > 4 {
		t.Errorf("brought %d times before any Wake", n)
	}
	busy.Store(false)
	unit.Wake()
	select {
	case body := <-taken:
		if body != "GET /call " {
			t.Errorf("it has become %q", body)
		}
	case <-time.After(patience):
		t.Error("not brought again")
	}
}

// TestUnitTimes: a task runs when it said, and when woken.
func TestUnitTimes(t *testing.T) {
	us := NewUnits()
	times := make(chan int64, 100)
	n := 0
	var unit filters.Unit
	unit = us.Begin(&chore{run: func(now int64) int64 {
		times <- now
		if n++; n >= 5 {
			return 0
		}
		return now + int64(5*time.Millisecond)
	}})
	withUnits(t, plot{}, us)
	var last int64
	early := 0
	for k := range 5 {
		at := <-times
		if k > 0 && at < last+int64(5*time.Millisecond) {
			early++
		}
		last = at
	}
	if early > 1 { // the first two turns may come of the beginning itself
		t.Errorf("%d turns came early", early)
	}
	for range 3 {
		unit.Wake()
		<-times
	}
}

// TestUnitEnds: before it has run, by End, by a task that takes its time, and by the engine's stop; and none begins afterwards.
func TestUnitEnds(t *testing.T) {
	us := NewUnits()
	never, ended, slow, stopped := &chore{}, &chore{}, &chore{}, &chore{}
	us.Begin(never).End()
	unit := us.Begin(ended)
	var holds atomic.Bool
	holds.Store(true)
	slow.close = func() bool { return !holds.Load() }
	slowly := us.Begin(slow)
	us.Begin(stopped)
	b := withUnits(t, plot{}, us)
	unit.End()
	unit.End()
	slowly.End()
	if !within(patience, func() bool { return ended.closes.Load() == 1 && b.engine.Load().Units == 2 }) {
		t.Errorf("closed %d times, %d units", ended.closes.Load(), b.engine.Load().Units)
	}
	holds.Store(false)
	slowly.Wake()
	if !within(patience, func() bool { return slow.closes.Load() == 1 && b.engine.Load().Units == 1 }) {
		t.Errorf("closed %d times, %d units", slow.closes.Load(), b.engine.Load().Units)
	}
	t.Cleanup(func() { us.Stop() })
	if never.closes.Load() != 0 {
		t.Error("closed without ever having run")
	}

	idle := NewUnits() // a server that never runs
	waits := &chore{}
	idle.Begin(waits)
	idle.Stop()
	if waits.closes.Load() != 1 || idle.Begin(&chore{}) != nil {
		t.Errorf("closed %d times", waits.closes.Load())
	}
}

// TestUnitHammer: tasks that call, tick, are woken and ended from everywhere, while requests come: never two callers of one
// (chore checks), and all end (run under the race detector).
func TestUnitHammer(t *testing.T) {
	us := NewUnits()
	b := withUnits(t, plot{servers: []string{origin(t, echo)}}, us)
	var answers atomic.Int64
	var all sync.WaitGroup
	tasks := make([]*chore, 40)
	for k := range tasks {
		var unit filters.Unit
		set := make(chan struct{})
		last, underWay := uint32(0), 0
		c := &chore{}
		c.run = func(now int64) int64 {
			<-set
			if underWay < 3 {
				last++
				underWay++
				unit.Call(last, &callApp)
			}
			if last%7 == 0 {
				unit.CancelCalls()
				underWay = 0
			}
			return now + int64(time.Millisecond)
		}
		c.called = func(uint32, *filters.CallAnswer) bool {
			answers.Add(1)
			underWay--
			return true
		}
		tasks[k] = c
		unit = us.Begin(c)
		close(set)
		all.Go(func() {
			for range 200 {
				unit.Wake()
			}
			if k%2 == 0 {
				unit.End()
			}
		})
	}
	p := dial(t, b.addr)
	for range 50 {
		p.say(get)
		p.want("GET", 200, "*")
	}
	all.Wait()
	if !within(patience, func() bool { return answers.Load() > 100 && b.engine.Load().Units == len(tasks)/2 }) {
		t.Errorf("%d answers, %d units", answers.Load(), b.engine.Load().Units)
	}
}
