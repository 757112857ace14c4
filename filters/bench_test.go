package filters

import (
	"testing"

	"edge/filters/message"
)

// still is a filter and its stream that does nothing, to measure the chain alone.
type still struct{ wants Callbacks }

func (still) Name() string                        { return "still" }
func (f still) Callbacks() Callbacks              { return f.wants }
func (still) Limits() Limits                      { return Limits{} }
func (f still) NewStream(Exchange) (Stream, bool) { return quiet, false }
func (still) Head(Direction, bool) Action         { return Continue }
func (still) Trailers(Direction) Action           { return Continue }
func (still) CallDone(uint32, *CallAnswer) Action { return Continue }
func (still) Close() bool                         { return true }
func (still) Body(_ Direction, h *message.Body, p []byte, _ bool) Action {
	h.Append(p)
	return Continue
}

var quiet Stream = still{}

// idle is a Host and Sink that does nothing.
type idle struct{}

func (*idle) Wake()                           {}
func (*idle) Now() int64                      { return 0 }
func (*idle) Call(int, *Call) (uint32, error) { return 0, nil }
func (*idle) CancelCalls(int)                 {}
func (*idle) Property(string) (Value, bool)   { return Value{}, false }
func (*idle) Log(string, Level, string)       {}
func (*idle) RequestHead(bool)                {}
func (*idle) RequestBody([]byte, bool)        {}
func (*idle) RequestTrailers()                {}
func (*idle) Cancel()                         {}
func (*idle) ResponseHead(bool)               {}
func (*idle) ResponseBody([]byte, bool)       {}
func (*idle) ResponseTrailers()               {}
func (*idle) Abort(string)                    {}

// exchange returns a whole exchange to be run again and again: ten fields each way, an answer of one piece.
func exchange(wants ...Callbacks) func() {
	var c Chain
	var request message.Request
	var response message.Response
	list := make([]Filter, len(wants))
	for i, w := range wants {
		list[i] = still{w}
	}
	for _, name := range []string{"accept", "accept-encoding", "accept-language", "user-agent", "cookie", "referer",
		"x-a", "x-b", "x-c", "x-d"} {
		request.Header.Add(name, "some value of usual length")
		response.Header.Add(name, "some value of usual length")
	}
	request.Method, request.Target, request.Authority = "GET", "/", "a.example"
	host, body := &idle{}, []byte("hello")
	return func() {
		response.Status, response.Length = 200, 5
		c.Begin(list, &request, &response, host, host)
		c.RequestHead(true)
		c.ResponseHead(false)
		c.ResponseBody(body, true)
		if c.Busy() || !c.End() {
			panic("not done")
		}
	}
}

func TestNoAllocation(t *testing.T) {
	heads := OnRequestHead | OnResponseHead
	for name, wants := range map[string][]Callbacks{
		"none": {}, "two head-only": {heads, heads}, "a body": {everything}, "a chain": {heads, everything, OnResponseBody, 0},
	} {
		if n := testing.AllocsPerRun(1000, exchange(wants...)); n != 0 {
			t.Errorf("%s: %v allocations an exchange", name, n)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	heads := OnRequestHead | OnResponseHead
	for _, bench := range []struct {
		name  string
		wants []Callbacks
	}{{"none", nil}, {"2heads", []Callbacks{heads, heads}}, {"1body", []Callbacks{everything}}} {
		b.Run(bench.name, func(b *testing.B) {
			run := exchange(bench.wants...)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
