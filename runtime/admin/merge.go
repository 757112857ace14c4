package admin

import (
	"maps"
	"slices"
)

// merge adds another process's status: counters and gauges are added, of descriptions those that are there stay. It takes nothing of other.
// NotAccepting is left to the caller.
func (s *Status) merge(other *Status) {
	if s.Engine != "interpreter" && other.Engine != "" {
		s.Engine = other.Engine // one that is slow is to be seen
	}
	s.AdmissionClosed += other.AdmissionClosed
	s.Connections += other.Connections
	s.ConnectionLimit += other.ConnectionLimit
	s.ByPhase = addCounts(s.ByPhase, other.ByPhase)
	s.Queue += other.Queue
	s.Workers += other.Workers
	s.WorkersIdle += other.WorkersIdle
	s.Pollers += other.Pollers
	s.Goroutines += other.Goroutines
	s.MemoryBytes += other.MemoryBytes
	s.InFlight += other.InFlight
	if s.RequestBounds == nil {
		s.RequestBounds = slices.Clone(other.RequestBounds)
	}
	if s.CallBounds == nil {
		s.CallBounds = slices.Clone(other.CallBounds)
	}
	requests, calls := slices.Equal(s.RequestBounds, other.RequestBounds), slices.Equal(s.CallBounds, other.CallBounds)
	for i := range other.Routes {
		o := &other.Routes[i]
		mergeInto(&s.Routes, func(r *RouteStatus) bool { return r.Name == o.Name }, RouteStatus{Name: o.Name}).merge(o, requests)
	}
	for i := range other.Upstreams {
		o := &other.Upstreams[i]
		mergeInto(&s.Upstreams, func(u *UpstreamStatus) bool { return u.Name == o.Name }, UpstreamStatus{Name: o.Name}).merge(o)
	}
	for i := range other.Filters {
		o := &other.Filters[i]
		mergeInto(&s.Filters, func(f *FilterStatus) bool { return f.Name == o.Name }, FilterStatus{Name: o.Name}).merge(o, calls)
	}
	for i := range other.Listeners {
		o := &other.Listeners[i]
		l := mergeInto(&s.Listeners, func(l *ListenerStatus) bool { return l.Address == o.Address },
			ListenerStatus{Address: o.Address, Protocols: o.Protocols, TLS: o.TLS})
		l.Open += o.Open
		l.Accepted += o.Accepted
	}
	s.TLS.merge(&other.TLS)
	for _, o := range other.Problems {
		mergeInto(&s.Problems, func(p *Problem) bool { return p.Kind == o.Kind && p.Reason == o.Reason },
			Problem{Kind: o.Kind, Reason: o.Reason}).N += o.N
	}
}

// mergeInto is the element of a list that is meant, which is made where there is none.
func mergeInto[E any](list *[]E, meant func(*E) bool, made E) *E {
	for i := range *list {
		if meant(&(*list)[i]) {
			return &(*list)[i]
		}
	}
	*list = append(*list, made)
	return &(*list)[len(*list)-1]
}

func (r *RouteStatus) merge(o *RouteStatus, timed bool) {
	r.Codes = addCounts(r.Codes, o.Codes)
	r.Protocols = addCounts(r.Protocols, o.Protocols)
	r.Durations.merge(&o.Durations, timed)
	r.RequestBytes += o.RequestBytes
	r.ResponseBytes += o.ResponseBytes
}

func (u *UpstreamStatus) merge(o *UpstreamStatus) {
	u.Codes = addCounts(u.Codes, o.Codes)
	u.Retries += o.Retries
	u.ConnectErrors += o.ConnectErrors
	u.Idle += o.Idle
}

func (f *FilterStatus) merge(o *FilterStatus, timed bool) {
	if f.SHA256 == "" {
		f.SHA256 = o.SHA256
	}
	if f.ABI == "" {
		f.ABI = o.ABI
	}
	f.Guests = max(f.Guests, o.Guests)
	f.Lanes += o.Lanes
	f.Instances += o.Instances
	f.Memory += o.Memory
	f.Streams += o.Streams
	f.Parked += o.Parked
	f.Calls += o.Calls
	f.Waits += o.Waits
	f.Results = addCounts(f.Results, o.Results)
	f.Durations.merge(&o.Durations, timed)
	f.Fuel += o.Fuel
	f.Starts += o.Starts
	f.Restores += o.Restores
	f.Refused += o.Refused
	f.Faults = addCounts(f.Faults, o.Faults)
	if o.LastFault != nil && (f.LastFault == nil || o.LastFault.Time.After(f.LastFault.Time)) {
		f.LastFault = o.LastFault
	}
	if o.LastSwap != nil && (f.LastSwap == nil || o.LastSwap.Time.After(f.LastSwap.Time)) {
		f.LastSwap = o.LastSwap
	}
}

func (t *TLSStatus) merge(o *TLSStatus) {
	t.Handshakes = addCounts(t.Handshakes, o.Handshakes)
	t.InProgress += o.InProgress
	t.Waiting += o.Waiting
	for _, c := range o.Certificates {
		have := mergeInto(&t.Certificates, func(h *CertificateStatus) bool { return h.Name == c.Name }, c)
		if c.Expires.Before(have.Expires) { // while not all have the new one
			have.Expires = c.Expires
		}
	}
}

// merge adds durations where both are of the same bounds.
func (d *Durations) merge(o *Durations, same bool) {
	if !same || d.Counts != nil && len(d.Counts) != len(o.Counts) {
		return
	}
	if d.Counts == nil {
		d.Counts = make([]uint64, len(o.Counts))
	}
	for i, n := range o.Counts {
		d.Counts[i] += n
	}
	d.SumSeconds += o.SumSeconds
}

func addCounts(to, from map[string]uint64) map[string]uint64 {
	if to == nil {
		to = make(map[string]uint64, len(from))
	}
	for label, n := range from {
		to[label] += n
	}
	return to
}

// counted is what is left of a process that has gone: what only grows, and how filters last failed. It shares nothing that merge changes.
func (s *Status) counted() *Status {
	c := &Status{AdmissionClosed: s.AdmissionClosed, RequestBounds: s.RequestBounds, CallBounds: s.CallBounds, Problems: slices.Clone(s.Problems)}
	c.TLS.Handshakes = maps.Clone(s.TLS.Handshakes)
	c.Routes = slices.Clone(s.Routes) // they have nothing else
	for _, u := range s.Upstreams {
		u.Idle = 0
		c.Upstreams = append(c.Upstreams, u)
	}
	for _, f := range s.Filters {
		f.SHA256, f.ABI, f.Guests, f.Lanes, f.Instances, f.Memory, f.Streams, f.Parked = "", "", 0, 0, 0, 0, 0, 0
		c.Filters = append(c.Filters, f)
	}
	for _, l := range s.Listeners {
		l.Open = 0
		c.Listeners = append(c.Listeners, l)
	}
	return c
}
