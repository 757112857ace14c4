package metrics

import "time"

// Requests are the requests of a process so far.
type Requests struct {
	InFlight uint64 // begun and not ended
	Routes   []RouteTotals
}

// RouteTotals are the requests of one route that are over.
type RouteTotals struct {
	Route         string  // "": none matched
	Codes         []Count // by the class of what was answered, "none" where nothing was
	Protocols     []Count
	Durations     Histogram // edge_http_request_duration_seconds
	RequestBytes  uint64
	ResponseBytes uint64
}

// Requests adds up what the shards have counted, of routes that have counted anything. It may be called by any goroutine.
func (s *Set) Requests() Requests {
	names, shards := s.snapshot()
	var q Requests
	over := uint64(0)
	for i, name := range names {
		if parts := partsOf(shards, i); len(parts) > 0 {
			r := totalsOf(name, parts)
			for _, n := range r.Durations.Counts {
				over += n
			}
			q.Routes = append(q.Routes, r)
		}
	}
	q.InFlight = inFlightOf(shards, over)
	return q
}

func partsOf(shards []*Shard, route int) (parts []*routeCounts) {
	for _, s := range shards {
		if r := s.routes[route].Load(); r != nil {
			parts = append(parts, r)
		}
	}
	return parts
}

// inFlightOf is to be called when over has been read: what has begun is read after that, so the difference is below zero only if
// Begin was left out.
func inFlightOf(shards []*Shard, over uint64) uint64 {
	begun := uint64(0)
	for _, s := range shards {
		begun += s.begun.Load()
	}
	return uint64(max(int64(begun-over), 0))
}

func totalsOf(name string, parts []*routeCounts) RouteTotals {
	t := bodyTotals(parts)
	t.Route = name
	var classOf [classes]uint64
	var protocolOf [protocols]uint64
	for _, p := range parts {
		for combination := range p.codes {
			codes := p.codes[combination].Load()
			if codes == nil {
				continue
			}
			for slot := range codes {
				if n := codes[slot].Load(); n > 0 {
					classOf[classOfSlot(slot)] += n
					protocolOf[combination%int(protocols)] += n
				}
			}
		}
	}
	for class, n := range classOf {
		if n > 0 {
			t.Codes = append(t.Codes, Count{labelOfSlot[class], n})
		}
	}
	for p, n := range protocolOf {
		if n > 0 {
			t.Protocols = append(t.Protocols, Count{protocolNames[p], n})
		}
	}
	return t
}

// bodyTotals are those of durations and bodies.
func bodyTotals(parts []*routeCounts) (t RouteTotals) {
	t.Durations = Histogram{Bounds: buckets[:], Counts: make([]uint64, len(buckets)+1)}
	nanos := uint64(0)
	for _, p := range parts {
		for i := range t.Durations.Counts {
			t.Durations.Counts[i] += p.durations[i].Load()
		}
		nanos += p.durationNanos.Load()
		t.RequestBytes += p.requestBytes.Load()
		t.ResponseBytes += p.responseBytes.Load()
	}
	t.Durations.Sum = time.Duration(nanos)
	return t
}

// RequestBounds are the upper bounds of the histogram of requests' durations, in ascending order.
func RequestBounds() []time.Duration { return buckets[:] }
