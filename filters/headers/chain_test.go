package headers

import (
	"testing"

	"edge/filters"
	"edge/filters/message"
)

// far is the least Host and Sink there can be.
type far struct{ n int }

func (*far) Wake()                                   {}
func (*far) Now() int64                              { return 0 }
func (*far) Call(int, *filters.Call) (uint32, error) { return 0, filters.ErrNoUpstream }
func (*far) CancelCalls(int)                         {}
func (*far) Property(string) (filters.Value, bool)   { return filters.Value{}, false }
func (*far) Log(string, filters.Level, string)       {}
func (f *far) RequestHead(bool)                      { f.n++ }
func (f *far) RequestBody([]byte, bool)              { f.n++ }
func (f *far) RequestTrailers()                      { f.n++ }
func (f *far) Cancel()                               { f.n++ }
func (f *far) ResponseHead(bool)                     { f.n++ }
func (f *far) ResponseBody([]byte, bool)             { f.n++ }
func (f *far) ResponseTrailers()                     { f.n++ }
func (f *far) Abort(string)                          { f.n++ }

// pair is two filters that set one field each way.
func pair(t testing.TB) []filters.Filter {
	list := make([]filters.Filter, 2)
	for i, name := range []string{"one", "two"} {
		f, err := New(name, table{"request": table{"set": table{"x-" + name: "1"}}, "response": table{"set": table{"x-" + name: "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		list[i] = f
	}
	return list
}

// exchanges returns one whole exchange with ten fields each way to be run again and again.
func exchanges(list []filters.Filter) func() {
	var c filters.Chain
	var request message.Request
	var response message.Response
	f, body := &far{}, []byte("hello")
	names := []string{"accept", "accept-encoding", "accept-language", "user-agent", "cookie", "referer", "x-a", "x-b", "x-c", "x-d"}
	fill := func(h *message.Fields) {
		for _, name := range names {
			h.Add(name, "some value of usual length")
		}
	}
	return func() {
		request.Reset()
		response.Reset()
		request.Method, request.Target, request.Authority = "GET", "/", "a.example"
		fill(&request.Header)
		fill(&response.Header)
		response.Status, response.Length = 200, 5
		c.Begin(list, &request, &response, f, f)
		c.RequestHead(true)
		c.ResponseHead(false)
		c.ResponseBody(body, true)
		if !c.End() {
			panic("not closed")
		}
	}
}

func TestChainNoAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(2000, exchanges(pair(t))); n >= 1 { // the collector may empty the pool now and then
		t.Errorf("%v allocations an exchange", n)
	}
}

// BenchmarkExchange measures whole exchanges; the difference to none is what two head-only filters cost.
func BenchmarkExchange(b *testing.B) {
	for _, bench := range []struct {
		name string
		list []filters.Filter
	}{{"none", nil}, {"two", pair(b)}} {
		b.Run(bench.name, func(b *testing.B) {
			run := exchanges(bench.list)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
