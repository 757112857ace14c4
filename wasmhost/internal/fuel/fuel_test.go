package fuel

import (
	"context"
	"errors"
	"testing"
	"time"

	"edge/wasmhost/meter"
)

// clock is a wall clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// look says how a look ended.
func look(g *Gauge) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(error)
		}
	}()
	g.Look()
	return nil
}

func gauge(c *clock) *Gauge {
	g := &Gauge{}
	g.Starting(&Limits{CPU: 10 * time.Millisecond, Start: time.Second, Now: c.Now})
	return g
}

// TestLimit: time between looks adds up to the limit of a call, each call has its own, and a start has another.
func TestLimit(t *testing.T) {
	c := &clock{now: time.Unix(1, 0)}
	g := gauge(c)
	step := func(times int, by time.Duration) error {
		for range times {
			if err := look(g); err != nil {
				return err
			}
			c.now = c.now.Add(by)
		}
		return look(g)
	}
	if err := step(900, time.Millisecond); err != nil {
		t.Errorf("900 ms of a start of at most 1 s: %v", err)
	}
	if err := step(200, time.Millisecond); !errors.Is(err, ErrCPU) {
		t.Errorf("1.1 s of a start of at most 1 s: %v", err)
	}
	g.Started()
	for call := range 3 {
		g.Begin()
		if err := step(9, time.Millisecond); err != nil {
			t.Errorf("call %d, 9 ms of at most 10: %v", call, err)
		}
	}
	if err := step(2, time.Millisecond); !errors.Is(err, ErrCPU) {
		t.Errorf("the same call goes on for 2 ms: %v", err)
	}
}

// TestStepsThatAreNotTheGuests: what passes while the thread waits for the system counts as maxStep, what passes in a Rest and
// before the first look not at all.
func TestStepsThatAreNotTheGuests(t *testing.T) {
	c := &clock{now: time.Unix(1, 0)}
	g := gauge(c)
	g.Started()
	g.Begin()
	c.now = c.now.Add(time.Hour)
	if err := look(g); err != nil {
		t.Errorf("before the first look: %v", err)
	}
	c.now = c.now.Add(time.Hour)
	if err := look(g); err != nil || g.used != maxStep {
		t.Errorf("an hour between two looks counts %v, %v", g.used, err)
	}
	g.Rest()
	c.now = c.now.Add(time.Hour)
	if err := look(g); err != nil || g.used != maxStep {
		t.Errorf("a rest counts: %v, %v", g.used, err)
	}
	for range 2 {
		c.now = c.now.Add(time.Hour)
	}
	if err := look(g); err != nil {
		t.Errorf("10 ms of at most 10: %v", err)
	}
	c.now = c.now.Add(time.Microsecond)
	if err := look(g); !errors.Is(err, ErrCPU) {
		t.Errorf("a microsecond more: %v", err)
	}
}

// holder is a context as an instance is one.
type holder struct {
	context.Context
	gauge *Gauge
}

func (h *holder) Gauge() *Gauge { return h.gauge }

// TestYield: the guest's import gives a slice and counts it, whatever stands in the upper half of its argument; a negative
// argument is a depth that is used up. The gauge is found in the context itself and in one derived from it.
func TestYield(t *testing.T) {
	c := &clock{now: time.Unix(1, 0)}
	g := gauge(c)
	h := &holder{context.Background(), g}
	for i, ctx := range []context.Context{h, context.WithValue(context.Background(), Key{}, g)} {
		stack := []uint64{0xdead<<32 | 7}
		yield(ctx, nil, stack)
		if n := g.limits.Slices.Load(); stack[0] != meter.Slice || n != uint64(i+1) {
			t.Errorf("given %d, %d slices counted", stack[0], n)
		}
	}
	defer func() {
		if p := recover(); p != any(ErrDepth) {
			t.Errorf("depth: %v", p)
		}
	}()
	yield(h, nil, []uint64{uint64(uint32(1 << 31))})
}
