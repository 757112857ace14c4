package main

import (
	"time"

	"edge/runtime/metrics"
	"edge/wasmhost"
	"edge/wasmhost/meter"
)

// filterNumbers adds up the guests of one name: a filter that routes set up differently runs once for each, and versions before may
// have streams yet, or have counted what is not to be forgotten.
func (p *process) filterNumbers() (list []metrics.Filter) {
	p.retired.mu.Lock()
	defer p.retired.mu.Unlock()
	at := map[string]int{}
	numbers := func(name string) *metrics.Filter {
		i, ok := at[name]
		if !ok {
			i = len(list)
			at[name] = i
			list = append(list, newFilterNumbers(name))
		}
		return &list[i]
	}
	for _, f := range p.live.Load().filters.guests {
		n := numbers(f.Name())
		n.SHA256 = f.SHA256()
		addFilterNumbers(n, f.Stats())
	}
	for f := range p.retired.guests {
		addFilterNumbers(numbers(f.Name()), f.Stats())
	}
	for name, past := range p.retired.past {
		addPast(numbers(name), past)
	}
	for i := range list {
		calls := list[i].Calls[:0]
		for _, c := range list[i].Calls {
			if c.N > 0 { // most of the pairs never come up
				calls = append(calls, c)
			}
		}
		list[i].Calls = calls
	}
	return list
}

func newFilterNumbers(name string) metrics.Filter {
	var none wasmhost.Stats
	n := metrics.Filter{Name: name, Durations: metrics.Histogram{Bounds: wasmhost.Buckets[:], Counts: make([]uint64, len(none.Timed))}}
	for cause := range none.Faults {
		n.Traps = append(n.Traps, metrics.Count{Label: wasmhost.Cause(cause).String()})
	}
	for ph := range none.ByPhase {
		for r := range none.ByPhase[ph] {
			n.Calls = append(n.Calls, metrics.Call{Phase: wasmhost.Phase(ph).String(), Result: wasmhost.Result(r).String()})
		}
	}
	return n
}

func addFilterNumbers(n *metrics.Filter, st wasmhost.Stats) {
	n.Instances += st.Instances
	n.Memory += st.Memory
	n.Streams += st.Streams
	n.Parked += st.Parked
	n.OverQuota = overQuota(n.OverQuota, st.OverQuota)
	n.Starts += st.Started
	n.Restores += st.Restored
	n.Snapshot += st.Snapshot
	n.Refused += st.Refused
	n.LogDropped += st.DroppedLog
	n.Fuel += st.Slices * meter.Slice
	n.Durations.Sum += time.Duration(st.TimedNanos)
	for k, count := range st.Timed {
		n.Durations.Counts[k] += count
	}
	for cause, count := range st.Faults {
		n.Traps[cause].N += count
	}
	k := 0
	for ph := range st.ByPhase {
		for _, count := range st.ByPhase[ph] {
			n.Calls[k].N += count
			k++
		}
	}
}

// addPast adds what is counted, and leaves out what was there only then.
func addPast(n, past *metrics.Filter) {
	n.Starts += past.Starts
	n.Refused += past.Refused
	n.LogDropped += past.LogDropped
	n.Fuel += past.Fuel
	if n.OverQuota == nil {
		n.OverQuota = overQuota(nil, wasmhost.Quotas{})
	}
	for k, c := range past.OverQuota {
		if c.Label == "metric" { // of all versions together already
			n.OverQuota[k].N = max(n.OverQuota[k].N, c.N)
			continue
		}
		n.OverQuota[k].N += c.N
	}
	n.Durations.Sum += past.Durations.Sum
	for k, count := range past.Durations.Counts {
		n.Durations.Counts[k] += count
	}
	for k := range past.Traps {
		n.Traps[k].N += past.Traps[k].N
	}
	for k := range past.Calls {
		n.Calls[k].N += past.Calls[k].N
	}
}
