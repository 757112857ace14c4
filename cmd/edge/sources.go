package main

import (
	"context"
	"log/slog"
	"strconv"

	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/metrics"
	"edge/runtime/upstream"
)

// sources tells a scrape where the numbers are.
func (p *process) sources() metrics.Sources {
	s := metrics.Sources{
		Engine: p.engineNumbers, Listeners: p.listenerNumbers, Parser: p.server.Rejects, HTTP2: p.server.HTTP2Faults, TLS: p.tlsNumbers,
		Upstreams: p.upstreamNumbers, Filters: p.filterNumbers, Swaps: p.swaps.numbers,
		Shared: p.sharedNumbers, GuestMetrics: p.guestMetrics, Cache: p.cacheNumbers,
		LogDropped: p.access.Dropped, LogFailures: p.access.Failed,
	}
	if p.around.alone { // else they are the control process's
		s.Reloads = p.reloads.numbers
	}
	return s
}

func (p *process) listenerNumbers() (list []metrics.Listener) {
	for _, l := range p.engine.ListenerLoads() {
		list = append(list, metrics.Listener{Name: l.Name, Open: l.Open, Accepted: l.Accepted})
	}
	return list
}

func (p *process) engineNumbers() metrics.Engine { return p.engineNumbersAt(p.engine.Load()) }

func (p *process) engineNumbersAt(load mpm.Load) metrics.Engine {
	stats := p.engine.Stats()
	e := metrics.Engine{
		AdmissionOpen: !load.NotAccepting, AdmissionClosed: stats.DoorClosed.Load(), QueueLength: load.Pending, Trims: stats.Trims.Load(),
		WorkersBusy: load.Workers - load.Idle, WorkersIdle: load.Idle,
		AcceptErrors: []metrics.Count{
			{Label: "transient", N: stats.AcceptTransient.Load()}, {Label: "exhausted", N: stats.AcceptExhausted.Load()},
		},
		Refused: []metrics.Count{
			{Label: "setup", N: stats.SetupFailed.Load()}, {Label: "queue_full", N: stats.QueueFull.Load()},
		},
		Timeouts: []metrics.Count{
			{Label: "write", N: stats.Timeouts.Load()}, {Label: "idle", N: stats.Closed[mpm.CauseIdle].Load()},
		},
	}
	for ph, n := range load.Phases {
		e.Connections = append(e.Connections, metrics.Count{Label: mpm.Phase(ph).String(), N: uint64(n)})
	}
	return e
}

func (p *process) upstreamNumbers() (list []metrics.Upstream) {
	for _, pool := range p.live.Load().site.pools {
		st := pool.Stats()
		u := metrics.Upstream{Pool: pool.Name(), Retries: st.Retries.Load(), Idle: pool.Idle(),
			ConnectErrors: st.Failures[upstream.ConnectFailed].Load() + st.Failures[upstream.ConnectTimeout].Load() +
				st.Failures[upstream.TLSFailed].Load()}
		u.Sessions, u.Streams = pool.Shared()
		for class := range st.Requests {
			label := "none"
			if class > 0 {
				label = strconv.Itoa(class) + "xx"
			}
			u.Requests = append(u.Requests, metrics.Count{Label: label, N: st.Requests[class].Load()})
		}
		for cause := upstream.NoServer; cause < upstream.Causes; cause++ {
			u.Failures = append(u.Failures, metrics.Count{Label: cause.Label(), N: st.Failures[cause].Load()})
		}
		st.HTTP2.Each(func(scope, reason string, n uint64) {
			u.HTTP2 = append(u.HTTP2, metrics.Fault{Scope: scope, Reason: reason, N: n})
		})
		list = append(list, u)
	}
	return list
}

// cacheNumbers are what the cache of compiled modules has done.
func (p *process) cacheNumbers() []metrics.Count {
	c := p.host.CacheStats()
	return []metrics.Count{
		{Label: "hit", N: c.Hits}, {Label: "miss", N: c.Misses}, {Label: "damaged", N: c.Damaged},
		{Label: "failed", N: c.Failed}, {Label: "evicted", N: c.Evicted},
	}
}

// engineLog has the engine's messages go the way of all others.
type engineLog struct{ to *accesslog.Logger }

func (h engineLog) level(l slog.Level) accesslog.Level {
	switch {
	case l < slog.LevelDebug:
		return accesslog.Trace
	case l < slog.LevelInfo:
		return accesslog.Debug
	case l < slog.LevelWarn:
		return accesslog.Info
	case l < slog.LevelError:
		return accesslog.Warn
	}
	return accesslog.Error
}

// Enabled is part of slog.Handler.
func (h engineLog) Enabled(_ context.Context, l slog.Level) bool { return h.to.Enabled(h.level(l)) }

// Handle is part of slog.Handler.
func (h engineLog) Handle(_ context.Context, r slog.Record) error {
	fields := make([]accesslog.Field, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, accesslog.Str(a.Key, a.Value.String()))
		return true
	})
	h.to.Log(h.level(r.Level), r.Message, fields...)
	return nil
}

// WithAttrs is part of slog.Handler.
func (h engineLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	var fields []accesslog.Field
	for _, a := range attrs {
		fields = append(fields, accesslog.Str(a.Key, a.Value.String()))
	}
	return engineLog{h.to.With(fields...)}
}

// WithGroup is part of slog.Handler; the engine uses no groups.
func (h engineLog) WithGroup(string) slog.Handler { return h }
