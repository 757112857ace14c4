package commons

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Type is a metric's type, numbered as Proxy-Wasm numbers them.
type Type uint8

// The types.
const (
	Counter Type = iota
	Gauge
	Histogram
	types
)

// String is the type in words.
func (t Type) String() string { return [...]string{"counter", "gauge", "histogram"}[t] }

// Bounds of the metrics of one filter. A metric beyond them is made all the same, since SDKs end the guest that may not
// define one and names may come from requests: all such metrics of a type are one, which is not shown, and the refusal is
// counted.
const (
	// MaxMetrics is the number of metrics a filter may define.
	MaxMetrics = 1024

	// MaxMetricName is the bytes of a metric's name.
	MaxMetricName = 512
)

// Buckets are the upper bounds of a histogram's buckets, Envoy's own: guests name no others, and measure in any unit.
var Buckets = [...]float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000,
	1800000, 3600000}

// Metrics are those that the guests of one filter have defined. They outlive an instance and a version of the module:
// the same name and type is the same metric for as long as a filter of that name is there.
type Metrics struct {
	// Refused counts the definitions that exceeded a bound.
	Refused atomic.Uint64

	commons *Commons
	filter  string
	users   int // guarded by Commons.mu

	mu    sync.Mutex // guards ids, and the growing of list
	ids   map[metricKey]uint32
	list  atomic.Pointer[[]*metric] // by id less one; entries never change
	spill [types]*metric
}

type metricKey struct {
	name string
	kind Type
}

type metric struct {
	metricKey
	order uint64
	value atomic.Uint64  // a counter's or gauge's value, a histogram's sum
	marks *[marks]uint64 // a histogram's observations by bucket, changed atomically
}

const marks = len(Buckets) + 1

func newMetrics(c *Commons, filter string) *Metrics {
	m := &Metrics{commons: c, filter: filter, ids: map[metricKey]uint32{}}
	m.list.Store(&[]*metric{})
	for t := range m.spill {
		m.spill[t] = newMetric(metricKey{kind: Type(t)})
	}
	return m
}

func newMetric(key metricKey) *metric {
	m := &metric{metricKey: key}
	if key.kind == Histogram {
		m.marks = new([marks]uint64)
	}
	return m
}

// Define returns the id of the metric of that name and type, which is never 0. The name may be a view.
func (m *Metrics) Define(kind Type, name string) (id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := metricKey{name, kind}
	if id, known := m.ids[key]; known {
		return id
	}
	list := *m.list.Load()
	if len(list) >= MaxMetrics || len(name) > MaxMetricName {
		m.Refused.Add(1)
		return MaxMetrics + 1 + uint32(kind)
	}
	key.name = strings.Clone(name)
	made := newMetric(key)
	made.order = m.commons.defined.Add(1)
	list = append(list, made)
	m.list.Store(&list)
	id = uint32(len(list))
	m.ids[key] = id
	return id
}

// find is the metric of an id, or nil.
func (m *Metrics) find(id uint32) *metric {
	if id > MaxMetrics && id-MaxMetrics-1 < uint32(types) {
		return m.spill[id-MaxMetrics-1]
	}
	if list := *m.list.Load(); id-1 < uint32(len(list)) {
		return list[id-1]
	}
	return nil
}

// Increment changes a counter by a delta above 0, or a gauge by any. Errors: ErrNotFound, ErrRefused.
func (m *Metrics) Increment(id uint32, delta int64) error {
	switch f := m.find(id); {
	case f == nil:
		return ErrNotFound
	case f.kind == Gauge, f.kind == Counter && delta > 0:
		f.value.Add(uint64(delta))
		return nil
	}
	return ErrRefused
}

// Record adds to a counter, sets a gauge, and notes an observation of a histogram. Error: ErrNotFound.
func (m *Metrics) Record(id uint32, value uint64) error {
	f := m.find(id)
	if f == nil {
		return ErrNotFound
	}
	switch f.kind {
	case Counter:
		f.value.Add(value)
	case Gauge:
		f.value.Store(value)
	case Histogram:
		k := 0
		for k < len(Buckets) && float64(value) > Buckets[k] {
			k++
		}
		atomic.AddUint64(&f.marks[k], 1)
		f.value.Add(value)
	}
	return nil
}

// Value reads a counter or a gauge. Errors: ErrNotFound, ErrRefused for a histogram.
func (m *Metrics) Value(id uint32) (uint64, error) {
	switch f := m.find(id); {
	case f == nil:
		return 0, ErrNotFound
	case f.kind == Histogram:
		return 0, ErrRefused
	default:
		return f.value.Load(), nil
	}
}

// Sample is a metric's value now.
type Sample struct {
	Filter string
	Name   string // as the guest has given it: any bytes
	Type   Type
	Order  uint64 // of its definition among all
	Value  uint64 // a counter's; a gauge's, as an int64; the sum of what a histogram has observed
	Counts []uint64
}

// Samples reads the metrics of all filters, in no order. Counts are a histogram's observations by bucket, each alone,
// with those above the last bound at the end.
func (c *Commons) Samples() (list []Sample) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for filter, m := range c.metrics {
		for _, f := range *m.list.Load() {
			s := Sample{Filter: filter, Name: f.name, Type: f.kind, Order: f.order}
			if f.marks != nil {
				s.Counts = make([]uint64, marks)
				for k := range s.Counts {
					s.Counts[k] = atomic.LoadUint64(&f.marks[k])
				}
			}
			s.Value = f.value.Load()
			list = append(list, s)
		}
	}
	return list
}
