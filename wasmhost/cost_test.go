package wasmhost

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
)

// quiet is both ends of a chain, which does nothing, for one exchange after the other.
type quiet struct {
	server
	heads int
}

func (q *quiet) RequestHead(bool)                  { q.heads++ }
func (q *quiet) ResponseHead(bool)                 { q.heads++ }
func (q *quiet) Log(string, filters.Level, string) {}
func (q *quiet) CancelCalls(int)                   {}
func (q *quiet) exchange(tb testing.TB, list []filters.Filter) {
	q.req.Header.Reset()
	q.req.Method, q.req.Scheme, q.req.Authority, q.req.Target, q.req.Version = "GET", "http", "a", "/", message.HTTP11
	q.req.Header.Add("user-agent", "curl/8.5.0")
	q.req.Header.Add("accept", "*/*")
	q.resp.Reset()
	q.heads = 0
	q.chain.Begin(list, &q.req, &q.resp, q, q)
	q.chain.RequestHead(true)
	q.resp.Status = 200
	q.resp.Header.Add("content-type", "text/plain")
	q.resp.Header.Add("content-length", "5")
	q.chain.ResponseHead(true)
	if q.heads != 2 || !q.chain.End() {
		tb.Fatal("an exchange that does not pass")
	}
}

// costs are chains to compare: of no filter, and of a C guest of one page of memory with 2 callbacks and 4 host calls.
func costs(tb testing.TB) (names []string, lists [][]filters.Filter) {
	wasm := guest(tb, "testdata/cost.wasm")
	for _, c := range []struct {
		name string
		spec Spec
		o    Options
	}{
		{"shared", Spec{}, Options{}},
		{"stream", Spec{Isolation: PerStream}, Options{}},
		{"unmetered", Spec{}, Options{Unmetered: true}},
	} {
		c.spec.Name, c.spec.Wasm, c.spec.Lanes = c.name, wasm, 1
		names = append(names, c.name)
		lists = append(lists, []filters.Filter{testFilter(tb, testHost(tb, c.o), c.spec)})
	}
	return append([]string{"none"}, names...), append([][]filters.Filter{nil}, lists...)
}

func TestNoAllocationPerFilteredRequest(t *testing.T) {
	names, lists := costs(t)
	for k, list := range lists {
		q := &quiet{}
		for range 100 {
			q.exchange(t, list)
		}
		if n := testing.AllocsPerRun(1000, func() { q.exchange(t, list) }); n != 0 {
			t.Errorf("%s: %v allocations per request", names[k], n)
		}
		if got := q.resp.Header.Value("x-served-by"); (got == "edge") != (list != nil) {
			t.Errorf("%s: x-served-by is %q", names[k], got)
		}
	}
}

// BenchmarkHostCost is what a guest costs a request beside one without filters. All run by turns, in short slices, since the machine is
// faster at one time than at another; what is reported are the medians over the slices, and of the differences between neighbours.
func BenchmarkHostCost(b *testing.B) {
	const slice = 500
	names, lists := costs(b)
	q := make([]quiet, len(lists))
	took := make([][]float64, len(lists))
	more := make([][]float64, len(lists))
	for n := 0; b.Loop(); n++ {
		for k, list := range lists {
			began := time.Now()
			for range slice {
				q[k].exchange(b, list)
			}
			took[k] = append(took[k], float64(time.Since(began))/slice)
			more[k] = append(more[k], took[k][n]-took[0][n])
		}
	}
	b.ReportMetric(0, "ns/op")
	for k, name := range names {
		b.ReportMetric(median(took[k]), fmt.Sprintf("ns-%s", name))
		if k > 0 {
			b.ReportMetric(median(more[k]), fmt.Sprintf("ns-more-%s", name))
		}
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
