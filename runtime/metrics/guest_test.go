package metrics

import (
	"fmt"
	"strings"
	"testing"
)

// shown scrapes a set that has these metrics of guests, and returns the series.
func shown(t *testing.T, list ...GuestMetric) string {
	t.Helper()
	s := New("x")
	s.SetSources(Sources{GuestMetrics: func() []GuestMetric { return list }})
	return scrape(t, s)
}

func TestNamesOfGuestMetrics(t *testing.T) {
	for raw, want := range map[string]string{
		"requests":                     `edge_guest_requests{filter="f"}`,
		"my.metric-name/x":             `edge_guest_my_metric_name_x{filter="f"}`,
		"_under_":                      `edge_guest_under{filter="f"}`,
		"9lives":                       `edge_guest_9lives{filter="f"}`,
		"grün":                         `edge_guest_gr_n{filter="f"}`,
		"\xff\x00":                     `edge_guest_unnamed{filter="f"}`,
		"":                             `edge_guest_unnamed{filter="f"}`,
		"a=.=1;.;b.c=.=x y;.;requests": `edge_guest_requests{a="1",b_c="x y",filter="f"}`,
		"a=.=\"\\\n;.;requests":        `edge_guest_requests{a="\"\\\n",filter="f"}`,
		"a=.=\xff;.;requests":          `edge_guest_requests{a="?",filter="f"}`,
		"filter=.=g;.;le=.=1;.;x":      `edge_guest_x{filter="f",tag_filter="g",tag_le="1"}`,
		"__name__=.=g;.;1=.=2;.;x":     `edge_guest_x{filter="f",name="g",tag_1="2"}`,
		"a=.=1;.;a=.=2;.;x":            `edge_guest_x{a="1",filter="f",tag_a="2"}`,
		"a=.=1;.;a=.=2;.;a=.=3;.;x":    `edge_guest_a___1___a___2___a___3___x{filter="f"}`,
		"no tag;.;x":                   `edge_guest_no_tag___x{filter="f"}`,
		"=.=1;.;x":                     `edge_guest_1___x{filter="f"}`,
		"a=.=1;.;":                     `edge_guest_unnamed{a="1",filter="f"}`,
		"source=.=value_without_end":   `edge_guest_source___value_without_end{filter="f"}`,
	} {
		if got := shown(t, GuestMetric{Filter: "f", Name: raw, Kind: "gauge", Value: 3}); value(got, want) != "3" {
			t.Errorf("%q: no %s in %s", raw, want, got[strings.Index(got, "# HELP edge_guest"):][:200])
		}
	}
}

func TestKindsOfGuestMetrics(t *testing.T) {
	got := shown(t,
		GuestMetric{Filter: "f", Name: "hits", Kind: "counter", Order: 1, Value: 7},
		GuestMetric{Filter: "g", Name: "hits", Kind: "counter", Order: 2, Value: 8},
		GuestMetric{Filter: "f", Name: "seen_total", Kind: "counter", Order: 3, Value: 9},
		GuestMetric{Filter: "f", Name: "depth", Kind: "gauge", Order: 4, Value: -2},
		GuestMetric{Filter: "f\xff", Name: "time", Kind: "histogram", Order: 5, Value: 11, Count: 3, Counts: map[float64]uint64{0.5: 1, 10: 2}},
	)
	for series, want := range map[string]string{
		`edge_guest_hits_total{filter="f"}`:             "7",
		`edge_guest_hits_total{filter="g"}`:             "8",
		`edge_guest_seen_total{filter="f"}`:             "9",
		`edge_guest_depth{filter="f"}`:                  "-2",
		`edge_guest_time_bucket{filter="f?",le="0.5"}`:  "1",
		`edge_guest_time_bucket{filter="f?",le="10"}`:   "2",
		`edge_guest_time_bucket{filter="f?",le="+Inf"}`: "3",
		`edge_guest_time_sum{filter="f?"}`:              "11",
		`edge_guest_time_count{filter="f?"}`:            "3",
	} {
		if v := value(got, series); v != want {
			t.Errorf("%s: %q, want %q", series, v, want)
		}
	}
	for _, line := range []string{"# TYPE edge_guest_hits_total counter", "# TYPE edge_guest_depth gauge", "# TYPE edge_guest_time histogram"} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %q", line)
		}
	}
}

// Whatever guests call their metrics, the scrape is one that Prometheus takes, and nobody's values are taken for another's.
func TestGuestMetricsThatCollide(t *testing.T) {
	got := shown(t,
		GuestMetric{Filter: "f", Name: "a.b", Kind: "gauge", Order: 1, Value: 1},
		GuestMetric{Filter: "f", Name: "a_b", Kind: "gauge", Order: 2, Value: 2},
		GuestMetric{Filter: "g", Name: "a_b", Kind: "gauge", Order: 3, Value: 3},
		GuestMetric{Filter: "g", Name: "a b", Kind: "histogram", Order: 4, Value: 4},
		GuestMetric{Filter: "g", Name: "a-b", Kind: "gauge", Order: 5, Value: 5},
		GuestMetric{Filter: "g", Name: "a-b-histogram-sum", Kind: "gauge", Order: 6, Value: 6},
		GuestMetric{Filter: "g", Name: "x_total", Kind: "gauge", Order: 7, Value: 7},
		GuestMetric{Filter: "g", Name: "x", Kind: "counter", Order: 8, Value: 8},
		GuestMetric{Filter: "g", Name: "label=.=1;.;a_b", Kind: "gauge", Order: 9, Value: 9},
	)
	for series, want := range map[string]string{
		`edge_guest_a_b{filter="f"}`:                     "1",
		`edge_guest_a_b_gauge{filter="f"}`:               "2",
		`edge_guest_a_b{filter="g"}`:                     "3",
		`edge_guest_a_b_histogram_sum{filter="g"}`:       "4",
		`edge_guest_a_b_gauge{filter="g"}`:               "5",
		`edge_guest_a_b_histogram_sum_gauge{filter="g"}`: "6",
		`edge_guest_x_total{filter="g"}`:                 "7",
		`edge_guest_x_counter_total{filter="g"}`:         "8",
		`edge_guest_a_b{filter="g",label="1"}`:           "9",
	} {
		if v := value(got, series); v != want {
			t.Errorf("%s: %q, want %q", series, v, want)
		}
	}
}

func TestManyGuestMetricsOfOneName(t *testing.T) {
	var list []GuestMetric
	for n := range 3 * nameTries {
		list = append(list, GuestMetric{Filter: "f", Name: "a" + strings.Repeat(".", n) + "b" + strings.Repeat("/", n), Kind: "gauge", Order: uint64(n)})
		list = append(list, GuestMetric{Filter: "f", Name: fmt.Sprintf("same%c", rune(0x100+n)), Kind: "gauge", Order: uint64(100 + n)})
	}
	got := shown(t, list...)
	if n := strings.Count(got, "\nedge_guest_same"); n != nameTries {
		t.Errorf("%d of one name, want %d", n, nameTries)
	}
	if n := strings.Count(got, "\nedge_guest_a"); n != 3*nameTries {
		t.Errorf("%d of others, want %d", n, 3*nameTries)
	}
}
