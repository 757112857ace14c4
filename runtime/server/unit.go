package server

import (
	"sync"
	"sync/atomic"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/upstream"
)

// Units run what filters do without a request, each task on a unit of the engine, and the HTTP/2 connections to upstreams, which
// are units too. It is the filters.Units that filters are made with, before there is a server, and the mpm.Handler of
// mpm.Options.Units. Tasks that begin before Attach wait for it.
type Units struct {
	mu      sync.Mutex // guards what follows
	engine  *mpm.Engine
	waiting []*unit
	next    int // the poller of the next unit
	closed  bool

	server atomic.Pointer[Server] // of whose site the upstreams are
}

// NewUnits makes one for filters to begin with.
func NewUnits() *Units { return &Units{} }

// unit is one task and its calls. It belongs to the worker that runs its connection, but for conn and ending.
type unit struct {
	units  *Units
	task   filters.Task
	calls  calls
	conn   atomic.Pointer[mpm.Conn] // nil before the engine runs it
	ending atomic.Bool
}

// Begin is part of filters.Units.
func (us *Units) Begin(t filters.Task) filters.Unit {
	u := &unit{units: us, task: t}
	us.mu.Lock()
	defer us.mu.Unlock()
	switch {
	case us.closed:
		return nil
	case us.engine == nil:
		us.waiting = append(us.waiting, u)
	case !us.start(u):
		return nil
	}
	return u
}

// start gives a unit to the engine. The caller holds us.mu.
func (us *Units) start(u *unit) bool {
	us.next++
	c, err := us.engine.Unit(u, us.next)
	if err != nil {
		us.server.Load().warn("a filter cannot work without requests", err)
		return false
	}
	u.conn.Store(c)
	c.Wake() // whoever found no conn to wake
	return true
}

func (s *Server) warn(what string, err error) {
	if log := s.logger; log.Enabled(accesslog.Warn) {
		log.Log(accesslog.Warn, what, accesslog.Str("error", err.Error()))
	}
}

// Attach has the tasks run on an engine that has been started with Units as its Options.Units. Their calls go to the upstreams of
// the server's site.
func (us *Units) Attach(e *mpm.Engine, s *Server) {
	us.server.Store(s)
	us.mu.Lock()
	us.engine = e
	waiting := us.waiting
	us.waiting = nil
	var failed []*unit
	for _, u := range waiting {
		if !us.start(u) {
			failed = append(failed, u)
		}
	}
	us.mu.Unlock()
	for _, u := range failed {
		u.task.Close()
	}
}

// Stop ends the tasks that have never run, and lets no more begin. The engine has been stopped, or never ran.
func (us *Units) Stop() {
	us.mu.Lock()
	us.closed = true
	waiting := us.waiting
	us.waiting = nil
	us.mu.Unlock()
	for _, u := range waiting {
		u.task.Close()
	}
}

// NewWorker is part of mpm.Handler.
func (us *Units) NewWorker(int) any { return upstream.NewLocal() }

// Serve is part of mpm.Handler.
func (us *Units) Serve(c *mpm.Conn, t *mpm.Turn, _ mpm.Events) mpm.Verdict {
	if s, ok := c.State.(*upstream.Session); ok {
		return s.Serve(c, t, t.Local.(*upstream.Local))
	}
	u := c.State.(*unit)
	if u.ending.Load() {
		return mpm.Close()
	}
	u.calls.step(c, t, &us.server.Load().current().ResponseLimits, u)
	next := u.task.Run(t.Now)
	if next != 0 && next <= t.Now || u.calls.ready() {
		return mpm.Again()
	}
	return mpm.Wait(mpm.Borrow, sooner(next, u.calls.deadline()), mpm.PhaseUpstream)
}

// Flush is part of mpm.Handler: a unit has no output.
func (us *Units) Flush(*mpm.Conn, *mpm.Turn) (done bool, err error) { return true, nil }

// Close is part of mpm.Handler.
func (us *Units) Close(c *mpm.Conn, t *mpm.Turn, _ mpm.Cause) (done bool) {
	if s, ok := c.State.(*upstream.Session); ok {
		s.Close(t, t.Local.(*upstream.Local))
		return true
	}
	u := c.State.(*unit)
	u.calls.cancel()
	return u.task.Close()
}

func (u *unit) callDone(co *callout, answer *filters.CallAnswer) bool {
	return u.task.CallDone(co.id, answer)
}

// Wake is part of filters.Unit.
func (u *unit) Wake() {
	if c := u.conn.Load(); c != nil {
		c.Wake()
	}
}

// Call is part of filters.Unit.
func (u *unit) Call(id uint32, c *filters.Call) {
	co := newCallout(u.units.server.Load().site.Load().pools[c.Upstream], c, u.Wake)
	co.id = id
	u.calls.active = append(u.calls.active, co)
}

// CancelCalls is part of filters.Unit.
func (u *unit) CancelCalls() { u.calls.cancel() }

// End is part of filters.Unit.
func (u *unit) End() {
	u.ending.Store(true)
	us := u.units
	us.mu.Lock()
	for i, w := range us.waiting {
		if w == u {
			us.waiting = append(us.waiting[:i], us.waiting[i+1:]...)
			break
		}
	}
	us.mu.Unlock()
	u.Wake()
}
