package wasmhost

import "edge/wasmhost/internal/commons"

// Quotas count the times that a filter would have gone over a bound of what guests share (see SharedUse), or of its own messages.
type Quotas struct {
	Data    uint64 // values that were not stored
	Queues  uint64 // items that were not queued, and queues not made
	Metrics uint64 // metrics that are not shown; of all filters of this name together
	Outbox  uint64 // messages of gRPC that found no room: see filters.Outbox
}

// GuestMetric is a metric that a guest has defined, with its value now.
type GuestMetric = commons.Sample

// The types of a GuestMetric that are not counters.
const (
	GuestGauge     = commons.Gauge
	GuestHistogram = commons.Histogram
)

// GuestMetrics reads the metrics that guests have defined, those of filters of one name together, in no order. They are
// there from their definition until the last filter of that name is gone.
func (h *Host) GuestMetrics() []GuestMetric { return h.commons.Samples() }

// GuestBuckets are the upper bounds of the buckets of a guest's histograms.
func GuestBuckets() []float64 { return commons.Buckets[:] }

// SharedUse is what the filters of one vm_id, or one filter by itself, keep in shared data and queues.
type SharedUse = commons.Use

// SharedUse tells of every vm_id in use, in no order.
func (h *Host) SharedUse() []SharedUse { return h.commons.Use() }
