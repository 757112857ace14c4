package control

import (
	"context"
	"errors"
	"time"
)

// keep is a slot of the generation: it has a child that accepts, and replaces it one for one when it ends unasked or has had its share of
// connections (P1, P3), until the generation ends.
func (g *generation) keep(ch *child) {
	c := g.control
	log := c.options.Log
	young := 0
	for {
		select {
		case <-g.ended:
			return
		case <-ch.full:
			if next := g.instead(ch); next != nil {
				ch = next
			} else {
				time.AfterFunc(MaxBackoff, ch.fill)
			}
			continue
		case <-ch.gone:
		}
		if g.over() {
			return
		}
		lived := time.Since(ch.ready)
		if young++; lived >= YoungTime {
			young = 0
		}
		log.Error("a child has died and is replaced", "child", ch.number, "pid", ch.process.PID(), "how", ch.how,
			"lived", lived.Round(time.Millisecond).String(), "workers", c.doing(ch))
		for ch = nil; ch == nil; {
			if !g.pause(Backoff(young)) {
				return
			}
			c.count(Died)
			next, err := g.begin()
			if g.over() {
				return // a child that is ready all the same is ended like the others
			}
			if err != nil {
				young++
				log.Error("a child could not be replaced", "error", err.Error(), "again_in", Backoff(young).String())
				continue
			}
			ch = next
		}
	}
}

// fill says that the child is full.
func (ch *child) fill() {
	select {
	case ch.full <- struct{}{}:
	default:
	}
}

// doing is what the workers of a child that has gone were at.
func (c *Control) doing(ch *child) string {
	if c.options.Doing == nil {
		return ""
	}
	return c.options.Doing(ch.number, ch.last.Cells)
}

// instead puts another child in the place of one that is full, which then retires. It returns nil where it goes on.
func (g *generation) instead(ch *child) *child {
	c := g.control
	c.mu.Lock()
	retiring := len(c.withState(nil, Retiring))
	c.mu.Unlock()
	if retiring >= MaxRetiring {
		c.options.Log.Warn("a child has had its share of connections, and goes on: too many retire already", "child", ch.number, "retiring", retiring)
		return nil
	}
	next, err := g.begin()
	switch {
	case errors.Is(err, ErrStopping):
		return nil
	case err != nil:
		c.options.Log.Error("a child has had its share of connections, and goes on: no other starts", "child", ch.number, "error", err.Error())
		return nil
	}
	c.count(Full)
	c.options.Log.Info("a child is replaced", "child", ch.number, "by", next.number)
	within := g.config().Server.ShutdownTimeout
	c.mu.Lock()
	ch.state = Retiring
	c.mu.Unlock()
	go ch.end(context.Background(), RetireKind, within)
	return next
}

// Backoff is the pause before a child of a slot is started whose predecessors have died young that many times in a row.
func Backoff(young int) time.Duration {
	if young <= 1 {
		return 0
	}
	return min(MaxBackoff, MinBackoff<<min(young-2, 20))
}

// pause waits; false: the generation has ended meanwhile.
func (g *generation) pause(d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-g.ended:
		case <-g.control.stopping:
		}
	}
	return !g.over()
}

// over says that no child of the generation is to be replaced any more.
func (g *generation) over() bool {
	select {
	case <-g.ended:
		return true
	default:
		return g.control.isStopping()
	}
}

func (c *Control) count(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restarts[reason]++
}
