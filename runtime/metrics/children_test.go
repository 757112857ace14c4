package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// said is what a child would say that has these metrics.
func said(t testing.TB, text string) []byte {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := expfmt.NewEncoder(&out, encoding)
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if err := to.Encode(families[name]); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// nothing is a set that brings nothing of its own.
func nothing() *Set { return &Set{registry: prometheus.NewRegistry()} }

// written are the totals without what explains them.
func written(t testing.TB, totals *Totals) string {
	t.Helper()
	var out bytes.Buffer
	if err := totals.Write(&out, nothing()); err != nil {
		t.Error(err)
	}
	var b strings.Builder
	for line := range strings.Lines(out.String()) {
		if line[0] != '#' {
			b.WriteString(line)
		}
	}
	return b.String()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

// TestTotals: each kind of metric becomes one of several as the rules have it (P8).
func TestTotals(t *testing.T) {
	totals := NewTotals()
	for child, text := range []string{`
# TYPE edge_a_total counter
edge_a_total{x="1"} 5
edge_a_total{x="2"} 7
# TYPE edge_open gauge
edge_open 3
# TYPE edge_admission_open gauge
edge_admission_open 0
# TYPE edge_config_last_reload_successful gauge
edge_config_last_reload_successful 1
# TYPE edge_config_last_reload_success_timestamp_seconds gauge
edge_config_last_reload_success_timestamp_seconds 1000.5
# TYPE edge_certificate_expiry_timestamp_seconds gauge
edge_certificate_expiry_timestamp_seconds{certificate="a"} 100
# TYPE edge_config_info gauge
edge_config_info{sha256="aa"} 1
# TYPE process_start_time_seconds gauge
process_start_time_seconds 90
# TYPE edge_d_seconds histogram
edge_d_seconds_bucket{le="1"} 2
edge_d_seconds_bucket{le="5"} 3
edge_d_seconds_bucket{le="+Inf"} 4
edge_d_seconds_sum 20
edge_d_seconds_count 4
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 1
go_gc_duration_seconds{quantile="1"} 9
go_gc_duration_seconds_sum 10
go_gc_duration_seconds_count 2
`, `
# TYPE edge_a_total counter
edge_a_total{x="2"} 10
edge_a_total{x="3"} 1
# TYPE edge_open gauge
edge_open 4
# TYPE edge_admission_open gauge
edge_admission_open 1
# TYPE edge_config_last_reload_successful gauge
edge_config_last_reload_successful 0
# TYPE edge_config_last_reload_success_timestamp_seconds gauge
edge_config_last_reload_success_timestamp_seconds 2000
# TYPE edge_certificate_expiry_timestamp_seconds gauge
edge_certificate_expiry_timestamp_seconds{certificate="a"} 300
# TYPE edge_config_info gauge
edge_config_info{sha256="aa"} 1
# TYPE process_start_time_seconds gauge
process_start_time_seconds 95
# TYPE edge_d_seconds histogram
edge_d_seconds_bucket{le="1"} 10
edge_d_seconds_bucket{le="5"} 10
edge_d_seconds_bucket{le="+Inf"} 11
edge_d_seconds_sum 8
edge_d_seconds_count 11
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 2
go_gc_duration_seconds{quantile="1"} 5
go_gc_duration_seconds_sum 7
go_gc_duration_seconds_count 3
`} {
		if err := totals.Take(child+1, said(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	const counted = `edge_a_total{x="1"} 5
edge_a_total{x="2"} 17
edge_a_total{x="3"} 1
`
	const timed = `edge_d_seconds_bucket{le="1"} 12
edge_d_seconds_bucket{le="5"} 13
edge_d_seconds_bucket{le="+Inf"} 15
edge_d_seconds_sum 28
edge_d_seconds_count 15
`
	const collected = `go_gc_duration_seconds{quantile="0"} 2
go_gc_duration_seconds{quantile="1"} 9
go_gc_duration_seconds_sum 17
go_gc_duration_seconds_count 5
`
	same(t, "two children", written(t, totals), counted+`edge_admission_open 1
edge_certificate_expiry_timestamp_seconds{certificate="a"} 100
edge_config_info{sha256="aa"} 1
edge_config_last_reload_success_timestamp_seconds 2000
edge_config_last_reload_successful 0
`+timed+`edge_open 7
`+collected+`process_start_time_seconds 90
`)
	totals.Silent(1)
	if unanswered, lost := totals.Trouble(); unanswered != 1 || lost != 0 {
		t.Errorf("%d not answered, %d lost", unanswered, lost)
	}
	same(t, "one is silent", written(t, totals), counted+`edge_admission_open 1
edge_certificate_expiry_timestamp_seconds{certificate="a"} 300
edge_config_info{sha256="aa"} 1
edge_config_last_reload_success_timestamp_seconds 2000
edge_config_last_reload_successful 0
`+timed+`edge_open 4
`+collected+`process_start_time_seconds 95
`)
	if err := totals.Gone(1, nil); err != nil {
		t.Error(err)
	}
	if err := totals.Gone(2, nil); err != nil {
		t.Error(err)
	}
	same(t, "none is left", written(t, totals), counted+timed+collected)
}

// TestTotalsNeverFall: what a child has counted stays when it goes, with its last words or without, and when it begins anew.
func TestTotalsNeverFall(t *testing.T) {
	totals := NewTotals()
	take := func(child, n int, more string) {
		t.Helper()
		if err := totals.Take(child, said(t, fmt.Sprintf("# TYPE edge_a_total counter\nedge_a_total %d\n%s", n, more))); err != nil {
			t.Error(err)
		}
	}
	const other = "# TYPE edge_b_total counter\nedge_b_total{pool=\"x\"} 3\n"
	take(1, 5, "")
	take(2, 10, other)
	same(t, "both", written(t, totals), "edge_a_total 15\nedge_b_total{pool=\"x\"} 3\n")
	if err := totals.Gone(1, said(t, "# TYPE edge_a_total counter\nedge_a_total 6\n")); err != nil {
		t.Error(err)
	}
	same(t, "one went with a word", written(t, totals), "edge_a_total 16\nedge_b_total{pool=\"x\"} 3\n")
	take(2, 11, "")
	same(t, "a pool went", written(t, totals), "edge_a_total 17\nedge_b_total{pool=\"x\"} 3\n")
	take(2, 12, strings.Replace(other, "3", "1", 1))
	same(t, "it came back", written(t, totals), "edge_a_total 18\nedge_b_total{pool=\"x\"} 4\n")
	take(2, 1, "")
	same(t, "another child of the same number", written(t, totals), "edge_a_total 19\nedge_b_total{pool=\"x\"} 4\n")
	if err := totals.Gone(7, nil); err != nil { // one that has never said anything
		t.Error(err)
	}
	if err := totals.Gone(2, []byte("\xff\xff\xff")); err == nil {
		t.Error("last words that are none were understood")
	}
	same(t, "the other went with words that are none", written(t, totals), "edge_a_total 19\nedge_b_total{pool=\"x\"} 4\n")
}

// TestTotalsOfSets: the totals of real sets are the sums, and this process's own metrics are among them, each family once.
func TestTotalsOfSets(t *testing.T) {
	totals, own := NewTotals(), New("1.2.3")
	own.SetSources(Sources{Reloads: func() Reloads { return Reloads{Results: []Count{{"done", 2}}, Last: true, SHA256: "cafe"} }})
	for child := range 3 {
		s := New("1.2.3")
		s.SetSources(Sources{Engine: func() Engine { return Engine{WorkersIdle: 16, Timeouts: []Count{{"idle", uint64(child)}}} }})
		shard := s.NewShard()
		for range child + 1 {
			shard.Begin()
			shard.Request(s.Route("api"), MethodOf("GET"), 200, HTTP2, 3*time.Millisecond, 1, 2)
		}
		encoded, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := totals.Take(child+1, encoded); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := totals.Write(&out, own); err != nil {
		t.Error(err)
	}
	text := out.String()
	for series, want := range map[string]string{
		`edge_http_requests_total{code="200",method="GET",protocol="h2",route="api"}`: "6", "edge_workers_idle": "48",
		`edge_timeouts_total{kind="idle"}`: "3", `edge_reloads_total{result="done"}`: "2", `edge_config_info{sha256="cafe"}`: "1",
		`edge_http_request_duration_seconds_bucket{route="api",le="0.0025"}`: "0",
		`edge_http_request_duration_seconds_bucket{route="api",le="0.005"}`:  "6",
		`edge_http_request_duration_seconds_sum{route="api"}`:                "0.018000000000000002",
	} {
		if got := value(text, series); got != want {
			t.Errorf("%s: %q, want %q", series, got, want)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || families["edge_build_info"] == nil || len(families["edge_build_info"].Metric) != 1 || families["process_open_fds"] == nil {
		t.Errorf("%v: %v", err, families["edge_build_info"])
	}
	if open := families["process_open_fds"].Metric[0].GetGauge().GetValue(); open < 8 { // of four processes, as it were
		t.Errorf("%v descriptors", open)
	}
}

// TestTotalsContradiction: children that contradict each other cost the metric in question, and past counts make way.
func TestTotalsContradiction(t *testing.T) {
	totals := NewTotals()
	for child, text := range []string{
		"# TYPE edge_x counter\nedge_x 1\n# TYPE edge_y counter\nedge_y 2\n",
		"# TYPE edge_x gauge\nedge_x 5\n# TYPE edge_y counter\nedge_y 2\n",
	} {
		if err := totals.Take(child+1, said(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := totals.Write(&out, nothing())
	if err == nil || !strings.Contains(err.Error(), "edge_x is a COUNTER in one process and a GAUGE in another") || value(out.String(), "edge_y") != "4" ||
		value(out.String(), "edge_x") != "1" {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := totals.Gone(1, nil); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := totals.Write(&out, nothing()); err != nil || value(out.String(), "edge_x") != "5" || totals.lost != 1 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestTotalsBound: what is kept of children that have gone has a bound, and what none has any more goes first.
func TestTotalsBound(t *testing.T) {
	totals := NewTotals()
	many := func(from, n int) []byte {
		var b strings.Builder
		b.WriteString("# TYPE edge_m_total counter\n")
		for i := range n {
			fmt.Fprintf(&b, "edge_m_total{i=\"%d\"} 1\n", from+i)
		}
		return said(t, b.String())
	}
	if err := totals.Take(1, many(0, MaxSeries+1)); err == nil {
		t.Error("more series than there may be were taken")
	}
	totals.Gone(1, nil)
	if totals.past.n != MaxSeries {
		t.Errorf("%d series kept", totals.past.n)
	}
	totals.Gone(2, many(MaxSeries, 10)) // the others are of no child that is there
	if totals.past.n != 10 || totals.lost != MaxSeries {
		t.Errorf("%d series kept, %d lost", totals.past.n, totals.lost)
	}
}

// FuzzTotals: whatever children count, whenever they are asked and go, the totals are what adding by hand makes of it, and never fall.
func FuzzTotals(f *testing.F) {
	f.Add([]byte{0x00, 0x01, 0x12, 0x33, 0x40, 0x51, 0x62, 0x73})
	f.Add([]byte("count and go, come and count"))
	f.Fuzz(func(t *testing.T, program []byte) {
		const slots, names = 3, 4
		type life struct{ now, told [names]int }
		totals := NewTotals()
		var past [names]int // of children that have gone, by hand
		lives, number := map[int]*life{}, 0
		text := func(l *life) []byte {
			var b strings.Builder
			b.WriteString("# TYPE edge_n_total counter\n")
			for i, n := range l.now {
				if n > 0 {
					fmt.Fprintf(&b, "edge_n_total{i=\"%d\"} %d\n", i, n)
				}
			}
			return said(t, b.String())
		}
		at := [slots]int{} // the child in each slot
		before := [names]int{}
		for _, op := range program {
			slot, name := int(op)%slots, int(op>>2)%names
			l := lives[at[slot]]
			if l == nil {
				number++
				at[slot], l = number, &life{}
				lives[number] = l
			}
			switch op >> 5 {
			case 0, 1, 2:
				l.now[name] += 1 + int(op>>4)
			case 3, 4:
				totals.Take(at[slot], text(l))
				l.told = l.now
			case 5:
				totals.Gone(at[slot], text(l))
				for i, n := range l.now {
					past[i] += n
				}
				delete(lives, at[slot])
			case 6:
				totals.Gone(at[slot], nil)
				for i, n := range l.told {
					past[i] += n
				}
				delete(lives, at[slot])
			default:
				totals.Silent(at[slot])
			}
			out := written(t, totals)
			for i := range names {
				want := past[i]
				for _, l := range lives {
					want += l.told[i]
				}
				got, _ := strconv.Atoi(value(out, fmt.Sprintf("edge_n_total{i=\"%d\"}", i)))
				if got != want || got < before[i] {
					t.Fatalf("series %d: %d, want %d, was %d", i, got, want, before[i])
				}
				before[i] = got
			}
		}
	})
}

// FuzzTake: a child can say what it likes.
func FuzzTake(f *testing.F) {
	whole, err := New("1").Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(said(f, "# TYPE edge_d histogram\nedge_d_bucket{le=\"1\"} 2\nedge_d_bucket{le=\"+Inf\"} 2\nedge_d_sum 3\nedge_d_count 2\n"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		totals := NewTotals()
		totals.Take(1, encoded)
		totals.Take(2, encoded)
		totals.Take(1, whole)
		totals.Gone(2, nil)
		var out bytes.Buffer
		totals.Write(&out, nothing())
	})
}
