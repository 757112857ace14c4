package main

import (
	"edge/runtime/metrics"
	"edge/wasmhost"
)

// guestMetrics are those that guests have defined.
func (p *process) guestMetrics() (list []metrics.GuestMetric) {
	for _, m := range p.host.GuestMetrics() {
		g := metrics.GuestMetric{Filter: m.Filter, Name: m.Name, Kind: m.Type.String(), Order: m.Order, Value: float64(m.Value)}
		switch m.Type {
		case wasmhost.GuestGauge:
			g.Value = float64(int64(m.Value))
		case wasmhost.GuestHistogram:
			g.Counts = map[float64]uint64{}
			for k, n := range m.Counts {
				if g.Count += n; k < len(m.Counts)-1 {
					g.Counts[wasmhost.GuestBuckets()[k]] = g.Count
				}
			}
		}
		list = append(list, g)
	}
	return list
}

// sharedNumbers are what guests share.
func (p *process) sharedNumbers() (list []metrics.Shared) {
	for _, u := range p.host.SharedUse() {
		list = append(list, metrics.Shared{
			VMID: u.VMID, Filter: u.Filter,
			Items: []metrics.Count{{Label: "data", N: uint64(u.Entries)}, {Label: "queue", N: uint64(u.Items)}},
			Bytes: []metrics.Count{{Label: "data", N: uint64(u.Bytes)}, {Label: "queue", N: uint64(u.QueueBytes)}},
		})
	}
	return list
}

// overQuota adds what one filter was refused to the counts of its name; of metrics all filters of a name have one count.
func overQuota(counts []metrics.Count, q wasmhost.Quotas) []metrics.Count {
	if counts == nil {
		counts = []metrics.Count{{Label: "data"}, {Label: "queue"}, {Label: "metric"}, {Label: "grpc_message"}}
	}
	counts[0].N += q.Data
	counts[1].N += q.Queues
	counts[2].N = q.Metrics
	counts[3].N += q.Outbox
	return counts
}
