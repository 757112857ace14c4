package metrics

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// GuestMetric is a metric that a filter's guest has defined.
type GuestMetric struct {
	Filter string
	Name   string // as the guest has given it: any bytes
	Kind   string // counter, gauge or histogram
	Order  uint64 // of its definition among all: who came first keeps its name

	Value  float64            // a counter's or gauge's value, a histogram's sum
	Count  uint64             // a histogram's observations
	Counts map[float64]uint64 // of them, how many are at most each bound
}

// guests collects the metrics of guests. It describes none, since it does not know them before.
type guests struct{ set *Set }

// Describe implements prometheus.Collector.
func (guests) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c guests) Collect(to chan<- prometheus.Metric) {
	s := c.set.sources.Load()
	if s.GuestMetrics == nil {
		return
	}
	list := s.GuestMetrics()
	slices.SortFunc(list, func(a, b GuestMetric) int {
		if a.Order < b.Order {
			return -1
		}
		return 1
	})
	names := guestNames{owners: map[string]string{}, series: map[string]bool{}}
	for _, g := range list {
		if m := names.metric(&g); m != nil {
			to <- m
		}
	}
}

// guestNames makes names for Prometheus of those that guests give. A guest may give any, and two of them what comes to
// one: then the one defined later gets its type behind its name, and after that a number.
type guestNames struct {
	owners map[string]string // by each name in the text: the family and type it is of
	series map[string]bool   // family and labels that are taken
}

// nameTries is how many names are tried for a metric; one that still has none of its own is not shown.
const nameTries = 10

// metric is a guest's metric as Prometheus has it, or nil.
func (n *guestNames) metric(g *GuestMetric) prometheus.Metric {
	stem, labels := splitGuestName(g.Name)
	keys, values := []string{"filter"}, []string{strings.ToValidUTF8(g.Filter, "?")}
	for _, l := range labels {
		keys, values = append(keys, l[0]), append(values, l[1])
	}
	for try := range nameTries {
		family := guestFamily(stem, g.Kind, try)
		if !n.claim(family, g.Kind, keys, values) {
			continue
		}
		desc := prometheus.NewDesc(family, "Defined by a filter's guest.", keys, nil)
		var m prometheus.Metric
		var err error
		switch g.Kind {
		case "counter":
			m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, g.Value, values...)
		case "gauge":
			m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, g.Value, values...)
		default:
			m, err = prometheus.NewConstHistogram(desc, g.Count, g.Value, g.Counts, values...)
		}
		if err != nil {
			return nil
		}
		return m
	}
	return nil
}

// guestFamily is the family's name at one of the tries. A counter's ends with _total, once.
func guestFamily(stem, kind string, try int) string {
	if kind == "counter" {
		stem = strings.TrimSuffix(stem, "_total")
	}
	switch {
	case try == 1:
		stem += "_" + kind
	case try > 1:
		stem += "_" + strconv.Itoa(try)
	}
	if kind == "counter" {
		stem += "_total"
	}
	return prometheus.BuildFQName("edge", "guest", stem)
}

// claim takes a family's names and one series of it, where nobody else has them.
func (n *guestNames) claim(family, kind string, keys, values []string) bool {
	names := []string{family}
	if kind == "histogram" {
		names = append(names, family+"_bucket", family+"_sum", family+"_count")
	}
	owner := family + " " + kind
	for _, name := range names {
		if o := n.owners[name]; o != "" && o != owner {
			return false
		}
	}
	pairs := make([]string, len(keys))
	for k := range keys {
		pairs[k] = keys[k] + "=" + strconv.Quote(values[k])
	}
	slices.Sort(pairs)
	series := family + "{" + strings.Join(pairs, ",")
	if n.series[series] {
		return false
	}
	n.series[series] = true
	for _, name := range names {
		n.owners[name] = owner
	}
	return true
}

// Guests write labels into a metric's name. This is the way that Istio's do, by "label=.=value;.;" before the name, which
// cannot be mistaken for anything else; other ways need to be told what is a label, and come out as parts of the name.
const (
	tagEnd   = ";.;"
	tagValue = "=.="
)

// splitGuestName returns what Prometheus may call the metric, and its labels.
func splitGuestName(raw string) (stem string, labels [][2]string) {
	if pieces := strings.Split(raw, tagEnd); len(pieces) > 1 {
		seen := map[string]bool{"filter": true, "le": true}
		for _, p := range pieces[:len(pieces)-1] {
			key, value, isTag := strings.Cut(p, tagValue)
			key = guestWord(key)
			if key != "" && (key[0] >= '0' && key[0] <= '9' || seen[key]) {
				key = "tag_" + key
			}
			if !isTag || key == "" || seen[key] {
				return guestStem(raw), nil
			}
			seen[key] = true
			labels = append(labels, [2]string{key, strings.ToValidUTF8(value, "?")})
		}
		raw = pieces[len(pieces)-1]
	}
	return guestStem(raw), labels
}

func guestStem(raw string) string {
	if word := guestWord(raw); word != "" {
		return word
	}
	return "unnamed"
}

// guestWord is a text with what no name may have replaced by "_", and none of these at either end.
func guestWord(raw string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, raw), "_")
}
