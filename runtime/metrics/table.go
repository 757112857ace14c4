package metrics

import (
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// table is a set of metrics that can be added to.
type table struct {
	families map[string]*tableFamily
	n        int // series of all families
}

// tableFamily is the series of one name.
type tableFamily struct {
	name, help string
	kind       dto.MetricType
	series     map[string]*series // by their labels
}

// series is one series, taken apart.
type series struct {
	labels []*dto.LabelPair
	value  float64 // of a counter or a gauge; the sum of a histogram or a summary

	count uint64    // of a histogram or a summary
	marks []float64 // a histogram's bounds but the infinite one, a summary's quantiles
	upTo  []uint64  // how many observations are at most each bound
	at    []float64 // the value at each quantile
}

func newTable() *table { return &table{families: map[string]*tableFamily{}} }

// counts says whether series of a kind only grow: those are kept of children that have gone.
func counts(kind dto.MetricType) bool {
	return kind == dto.MetricType_COUNTER || kind == dto.MetricType_HISTOGRAM || kind == dto.MetricType_SUMMARY
}

// merge is how gauges of several processes become one.
type merge uint8

const (
	added merge = iota
	least
	greatest
)

// merges are those that are not added.
var merges = map[string]merge{
	"edge_admission_open":                       greatest, // somebody lets clients in
	"edge_certificate_expiry_timestamp_seconds": least,    // while not all have the new one, the old one counts
	"edge_config_last_reload_successful":        least,
	"process_max_fds":                           least,
	"process_start_time_seconds":                least, // that of the control process, the first of all
	"process_virtual_memory_max_bytes":          least,
	"go_gc_gogc_percent":                        greatest,
	"go_gc_gomemlimit_bytes":                    greatest,
	"go_sched_gomaxprocs_threads":               greatest,
	"go_memstats_last_gc_time_seconds":          greatest,
}

// mergeOf says how gauges of a name become one: they are added, but of moments (_timestamp_seconds) and of what is always 1 (_info) there
// is the greatest, and some have a rule of their own. Counters, histograms and what a summary has counted are added; of its quantiles there
// is the greatest.
func mergeOf(name string) merge {
	if m, ok := merges[name]; ok {
		return m
	}
	if strings.HasSuffix(name, "_info") || strings.HasSuffix(name, "_timestamp_seconds") {
		return greatest
	}
	return added
}

// of makes one value of two.
func (m merge) of(a, b float64) float64 {
	switch m {
	case least:
		return min(a, b)
	case greatest:
		return max(a, b)
	}
	return a + b
}

func (t *table) series(name, key string) *series {
	if f := t.families[name]; f != nil {
		return f.series[key]
	}
	return nil
}

// add adds a series of a family, which stays the caller's. Errors: there are MaxSeries others, or what there is of the name is of another
// kind, or has other bounds.
func (t *table) add(of *tableFamily, key string, s *series) error {
	f := t.families[of.name]
	if f == nil {
		f = &tableFamily{of.name, of.help, of.kind, map[string]*series{}}
	}
	if f.kind != of.kind {
		return fmt.Errorf("%s is a %v in one process and a %v in another", of.name, f.kind, of.kind)
	}
	have := f.series[key]
	switch {
	case have != nil:
		return have.add(of, s)
	case t.n >= MaxSeries:
		return fmt.Errorf("more than %d series", MaxSeries)
	}
	t.n++
	t.families[of.name] = f
	mine := *s
	mine.upTo, mine.at = slices.Clone(s.upTo), slices.Clone(s.at)
	f.series[key] = &mine
	return nil
}

// drop takes a series away.
func (t *table) drop(name, key string) {
	f := t.families[name]
	delete(f.series, key)
	t.n--
	if len(f.series) == 0 {
		delete(t.families, name)
	}
}

func (s *series) add(f *tableFamily, other *series) error {
	if !slices.Equal(s.marks, other.marks) {
		return fmt.Errorf("%s has other bounds in one process than in another", f.name)
	}
	how := added
	if f.kind == dto.MetricType_GAUGE || f.kind == dto.MetricType_UNTYPED {
		how = mergeOf(f.name)
	}
	s.value = how.of(s.value, other.value)
	s.count += other.count
	for i, n := range other.upTo {
		s.upTo[i] += n
	}
	for i, v := range other.at {
		s.at[i] = max(s.at[i], v)
	}
	return nil
}

// below says that a series counts less than another, or otherwise: it cannot be what the other has become.
func (s *series) below(other *series) bool {
	if s.value < other.value || s.count < other.count || !slices.Equal(s.marks, other.marks) {
		return true
	}
	for i, n := range other.upTo {
		if s.upTo[i] < n {
			return true
		}
	}
	return false
}

// take adds a family as Prometheus has it. It stops at the first error.
func (t *table) take(m *dto.MetricFamily) error {
	f := &tableFamily{name: m.GetName(), help: m.GetHelp(), kind: m.GetType()}
	for _, one := range m.GetMetric() {
		s := &series{labels: one.GetLabel()}
		switch f.kind {
		case dto.MetricType_COUNTER:
			s.value = one.GetCounter().GetValue()
		case dto.MetricType_GAUGE:
			s.value = one.GetGauge().GetValue()
		case dto.MetricType_UNTYPED:
			s.value = one.GetUntyped().GetValue()
		case dto.MetricType_HISTOGRAM:
			h := one.GetHistogram()
			s.value, s.count = h.GetSampleSum(), h.GetSampleCount()
			for _, b := range h.GetBucket() {
				s.marks, s.upTo = append(s.marks, b.GetUpperBound()), append(s.upTo, b.GetCumulativeCount())
			}
		case dto.MetricType_SUMMARY:
			u := one.GetSummary()
			s.value, s.count = u.GetSampleSum(), u.GetSampleCount()
			for _, q := range u.GetQuantile() {
				s.marks, s.at = append(s.marks, q.GetQuantile()), append(s.at, q.GetValue())
			}
		default:
			return fmt.Errorf("%s is a %v, which cannot be added", f.name, f.kind)
		}
		if err := t.add(f, keyOf(s.labels), s); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is a text that two series of a family have in common only where all labels are the same. They come in order.
func keyOf(labels []*dto.LabelPair) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(l.GetName())
		b.WriteByte(0xff) // in no UTF-8
		b.WriteString(l.GetValue())
		b.WriteByte(0xff)
	}
	return b.String()
}

// encode makes of the series what Prometheus has.
func (s *series) encode(kind dto.MetricType) *dto.Metric {
	m := &dto.Metric{Label: s.labels}
	switch kind {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: &s.value}
	case dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleCount: &s.count, SampleSum: &s.value}
		for i := range s.marks {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{UpperBound: &s.marks[i], CumulativeCount: &s.upTo[i]})
		}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleCount: &s.count, SampleSum: &s.value}
		for i := range s.marks {
			m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: &s.marks[i], Value: &s.at[i]})
		}
	case dto.MetricType_UNTYPED:
		m.Untyped = &dto.Untyped{Value: &s.value}
	default:
		m.Gauge = &dto.Gauge{Value: &s.value}
	}
	return m
}
