package main

import (
	"cmp"
	"os"
	"runtime"
	rt "runtime/metrics"
	"slices"
	"time"

	"edge/runtime/admin"
	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/wasmhost"
)

// status is what /status.json shows. It reads what a scrape of the metrics reads, once.
func (p *process) status() *admin.Status {
	s, load, requests := p.sources(), p.engine.Load(), p.metrics.Requests()
	e, filters, cfg, reloads := p.engineNumbersAt(load), s.Filters(), p.live.Load().cfg, p.reloads.numbers()
	st := &admin.Status{
		Version: version(), Go: runtime.Version(), PID: os.Getpid(), Started: p.began.UTC(), Now: time.Now().UTC(),
		Config: cfg.File, ConfigSHA256: reloads.SHA256, ConfigSince: reloads.Since.UTC(),
		LastReload: (*admin.ReloadStatus)(p.reloads.lastOne()), Engine: wasmhost.Engine(), Draining: p.draining.Load(),
		NotAccepting: load.NotAccepting, AdmissionClosed: e.AdmissionClosed, Connections: load.Connections,
		ConnectionLimit: p.cfg.Limits.Connections, ByPhase: map[string]uint64{},
		Queue: load.Pending, Workers: load.Workers, WorkersIdle: load.Idle, Pollers: p.engine.Pollers(),
		InFlight: requests.InFlight, RequestBounds: seconds(metrics.RequestBounds()), CallBounds: seconds(wasmhost.Buckets[:]),
		Children: []admin.ChildStatus{}, Routes: []admin.RouteStatus{}, Upstreams: []admin.UpstreamStatus{}, Filters: p.filterStatus(filters),
		Listeners: listenerStatus(cfg, s.Listeners()), TLS: tlsStatus(s.TLS()), Problems: problemCounts(&s, &e, filters),
	}
	if err := p.ready(); err != nil {
		st.NotReady = err.Error()
	}
	st.Goroutines, st.MemoryBytes = ofGo()
	for _, c := range e.Connections {
		st.ByPhase[c.Label] = c.N
	}
	for _, r := range requests.Routes {
		st.Routes = append(st.Routes, admin.RouteStatus{
			Name: r.Route, Codes: byLabel(r.Codes), Protocols: byLabel(r.Protocols), Durations: durations(&r.Durations),
			RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		})
	}
	for _, u := range s.Upstreams() {
		st.Upstreams = append(st.Upstreams, admin.UpstreamStatus{
			Name: u.Pool, Codes: byLabel(u.Requests), Retries: u.Retries, ConnectErrors: u.ConnectErrors, Idle: u.Idle,
		})
	}
	return st
}

// ofGo are figures of Go's own that cost no stop of the world.
func ofGo() (goroutines int, memory uint64) {
	samples := []rt.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	rt.Read(samples)
	return runtime.NumGoroutine(), samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func listenerStatus(cfg *config.Config, numbers []metrics.Listener) []admin.ListenerStatus {
	list := []admin.ListenerStatus{}
	for _, n := range numbers {
		l := admin.ListenerStatus{Address: n.Name, Open: n.Open, Accepted: n.Accepted}
		if c := listenOf(cfg, n.Name); c != nil {
			l.Protocols, l.TLS = c.Protocols, len(c.Certificates) > 0
		}
		list = append(list, l)
	}
	return list
}

func tlsStatus(n metrics.TLS) admin.TLSStatus {
	t := admin.TLSStatus{
		Handshakes: byLabel(n.Handshakes), InProgress: n.InProgress, Waiting: n.Waiting, Certificates: []admin.CertificateStatus{},
	}
	for _, c := range n.Certificates {
		t.Certificates = append(t.Certificates, admin.CertificateStatus{Name: c.Name, Expires: c.Expires.UTC()})
	}
	return t
}

// filterStatus is what the metrics say of each filter, and what only its guests know: what they are and how they last failed.
func (p *process) filterStatus(numbers []metrics.Filter) []admin.FilterStatus {
	list := []admin.FilterStatus{}
	for _, n := range numbers {
		f := admin.FilterStatus{
			Name: n.Name, SHA256: n.SHA256, Instances: n.Instances, Memory: n.Memory, Streams: n.Streams, Parked: n.Parked,
			Results: map[string]uint64{}, Durations: durations(&n.Durations), Fuel: n.Fuel, Starts: n.Starts, Restores: n.Restores,
			Refused: n.Refused, Faults: byLabel(n.Traps),
		}
		for _, c := range n.Calls {
			f.Results[c.Result] += c.N
			if c.Result == wasmhost.Waited.String() {
				f.Waits += c.N
			} else {
				f.Calls += c.N
			}
		}
		f.LastSwap = (*admin.SwapStatus)(p.swaps.lastOf(n.Name))
		list = append(list, f)
	}
	for _, g := range p.live.Load().filters.guests {
		i := slices.IndexFunc(list, func(f admin.FilterStatus) bool { return f.Name == g.Name() })
		if i < 0 {
			continue // of an edition that is younger than the numbers
		}
		f := &list[i]
		f.ABI = g.ABI()
		f.Guests++
		f.Lanes += g.Lanes()
		if last := g.LastFault(); last != nil && (f.LastFault == nil || last.Time.After(f.LastFault.Time)) {
			f.LastFault = &admin.FaultStatus{
				Time: last.Time.UTC(), RequestID: last.RequestID, Phase: last.Phase.String(), Cause: last.Cause.String(), Error: last.Error,
			}
		}
	}
	return list
}

// problemCounts are what was counted of all that should not be, the most frequent first.
func problemCounts(s *metrics.Sources, e *metrics.Engine, filters []metrics.Filter) []admin.Problem {
	list := []admin.Problem{}
	add := func(kind, reason string, n uint64) {
		if n > 0 {
			list = append(list, admin.Problem{Kind: kind, Reason: reason, N: n})
		}
	}
	each := func(kind string, counts []metrics.Count) {
		for _, c := range counts {
			add(kind, c.Label, c.N)
		}
	}
	each("accept_errors", e.AcceptErrors)
	each("connections_refused", e.Refused)
	each("timeouts", e.Timeouts)
	each("parser_rejects", s.Parser())
	add("tls_violations", "", s.TLS().Violations)
	for _, f := range s.HTTP2() {
		add("h2_faults", f.Scope+" "+f.Reason, f.N)
	}
	if s.LogDropped != nil {
		add("accesslog_dropped", "", s.LogDropped())
		add("accesslog_write_errors", "", s.LogFailures())
	}
	for _, f := range filters {
		for _, c := range f.OverQuota {
			add("filter_over_quota", f.Name+" "+c.Label, c.N)
		}
		add("filter_log_dropped", f.Name, f.LogDropped)
	}
	slices.SortStableFunc(list, func(a, b admin.Problem) int { return cmp.Compare(b.N, a.N) })
	return list
}

// byLabel leaves out what has not come up.
func byLabel(counts []metrics.Count) map[string]uint64 {
	m := map[string]uint64{}
	for _, c := range counts {
		if c.N > 0 {
			m[c.Label] += c.N
		}
	}
	return m
}

func durations(h *metrics.Histogram) admin.Durations {
	return admin.Durations{Counts: h.Counts, SumSeconds: h.Sum.Seconds()}
}

func seconds(bounds []time.Duration) (list []float64) {
	for _, b := range bounds {
		list = append(list, b.Seconds())
	}
	return list
}
