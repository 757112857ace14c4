package wasm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// Bounds of what a bad guest may do to others. Machines that run tests are busy with other things, too: what is to be short has to be
// it in one of tries stretches, and every stretch is told in the log.
const (
	late       = 20 * time.Millisecond // an offender's request, beyond the filter's limit
	neighbour  = 25 * time.Millisecond // 99 of 100 requests of the good guests
	pauseLimit = 25 * time.Millisecond // the collector's
	memoryMost = 256 << 20             // of the process, more than with good guests alone
	tries      = 3
	offences   = 4 // in one stretch
	shortest   = 300 * time.Millisecond
)

// offence is one way to misbehave.
type offence struct {
	exchange
	cpu    time.Duration // the filter's limit; default 10ms
	pause  time.Duration // likewise; default 200ms
	more   string        // more keys of limits
	policy string        // on_failure; default closed
	cause  string        // reason in edge_filter_traps_total; "" where the instance survives
	status []int         // default 503; 0 is a connection cut off
	within time.Duration // limit of the request, where it is not cpu
}

// misbehave runs an offence against a running edge, beside good guests.
func misbehave(t *testing.T, o offence) {
	t.Helper()
	if o.cpu == 0 {
		o.cpu = 10 * time.Millisecond
	}
	if o.pause == 0 {
		o.pause = 200 * time.Millisecond
	}
	if o.policy == "" {
		o.policy = "closed"
	}
	if o.within == 0 {
		o.within = o.cpu
	}
	if o.status == nil {
		o.status = []int{503}
	}
	traceCollections(t)
	origin := rig.NewOrigin(t, talk)
	limits := fmt.Sprintf("on_failure = %q\nlimits = { cpu = %q, pause = %q%s }\nallow = { upstreams = [\"app\"] }\n", o.policy, o.cpu, o.pause, o.more)
	b := &offender{t: t, bed: &bed{origin: origin, Edge: rig.Start(t, rig.Config{
		Log:  "level = \"info\"\n",
		Rest: app(origin) + probeFilter(t, "bad", "0.2.1", "", limits) + route("/probe/*", "bad") + goodGuests(t),
	})}}
	b.restored()
	good := newCrowd(t, b.Addr)
	defer good.finish()
	<-time.After(shortest)
	n, p50, p99 := good.lap()
	t.Logf("good guests alone: %d requests, p50 %v, p99 %v", n, p50, p99)
	before, err := proc.PeakRSS(b.PID())
	rig.Must(t, err)

	traps := 0
	ok := false
	for try := 0; try < tries && !ok; try++ {
		var times []time.Duration
		from := len(b.Log.String())
		stretch := time.NewTimer(shortest)
		for range offences {
			status, took := b.offend(o.exchange)
			times = append(times, took)
			if !slices.Contains(o.status, status) {
				t.Errorf("the offender's request ended with status %d, want %v", status, o.status)
			}
			if o.cause != "" {
				traps++
			}
			b.restored()
		}
		<-stretch.C
		slices.Sort(times)
		n, p50, p99 = good.lap()
		stops := pauses(b.Log.String()[from:])
		t.Logf("offences took %s; good guests beside: %d requests, p50 %v, p99 %v; %d collections, pauses %v and at most %v",
			listed(times), n, p50, p99, len(stops), usual(stops), slices.Max(append(stops, 0)))
		ok = times[0] <= o.within+late && p99 <= neighbour && usual(stops) <= pauseLimit || rig.Race
		if try == tries-1 && !ok {
			t.Errorf("the offender has %v (+%v), good guests %v, a collection %v, and there have to be some", o.within, late, neighbour, pauseLimit)
		}
	}
	if o.cause != "" {
		b.WaitMetric("the traps", func(m rig.Metrics) bool {
			return int(m.Sum("edge_filter_traps_total", `filter="bad"`, fmt.Sprintf("reason=%q", o.cause))) >= traps
		})
	}
	peak, err := proc.PeakRSS(b.PID())
	rig.Must(t, err)
	t.Logf("RSS at most %d MiB, before %d MiB", peak>>20, before>>20)
	if peak-before > memoryMost && !rig.Race {
		t.Errorf("RSS grew by %d MiB", (peak-before)>>20)
	}
}

// long skips a test that takes many seconds.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
}

// inEach are the callbacks of a stream with a request that makes them, and how the request ends when the guest fails there: where the
// response's head has been sent it can only be cut off, and where all has been sent nothing happens to it.
var inEach = []struct {
	callback string
	request  exchange
	status   []int
}{
	{"context_create", exchange{}, nil},
	{"request_headers", exchange{}, nil},
	{"request_body", exchange{method: "POST", body: "x"}, nil},
	{"request_trailers", exchange{method: "POST", pieces: []string{"x"}}, nil},
	{"http_call_response", exchange{do: "request_headers: proxy_http_call 'app' [:method=GET,:path=/call,:authority=app] '' '' 1000 ?; pause | "}, nil},
	{"response_headers", exchange{}, nil},
	{"response_body", exchange{method: "POST", body: "x"}, []int{503, -200, 0}},
	{"response_trailers", exchange{path: "trailers"}, []int{503, -200, 0}},
	{"done", exchange{}, []int{200}},
	{"log", exchange{}, []int{200}},
	{"delete", exchange{}, []int{200}},
}

// TestW94Loops: an endless loop in each callback.
func TestW94Loops(t *testing.T) {
	for _, in := range inEach {
		t.Run(in.callback, func(t *testing.T) {
			x := in.request
			x.do += in.callback + ": loop"
			misbehave(t, offence{exchange: x, status: in.status, cause: "cpu"})
		})
	}
}

// TestOpen: the same, and more, where the filter is left out when it fails: the request goes on as if there were none.
func TestOpen(t *testing.T) {
	long(t)
	for name, o := range map[string]offence{
		"W94 loop":               {exchange: exchange{do: "request_headers: loop"}, cause: "cpu"},
		"W94 loop on the answer": {exchange: exchange{do: "response_headers: loop"}, cause: "cpu"},
		"W97 trap":               {exchange: exchange{do: "request_headers: trap"}, cause: "unreachable"},
		"W96 recursion":          {exchange: exchange{do: "request_headers: recurse"}, cause: "depth"},
		"W98 flood":              {exchange: exchange{do: "request_headers: flood 1000000000"}, cpu: 100 * time.Millisecond, cause: "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			o.policy, o.status = "open", []int{200}
			misbehave(t, o)
		})
	}
}

// TestW94W95W96W98WhatCosts: what costs time, depth or memory without an end.
func TestW94W95W96W98WhatCosts(t *testing.T) {
	for _, o := range []offence{
		{exchange: exchange{name: "W94 loop with a long limit", do: "request_headers: loop"}, cpu: 200 * time.Millisecond, cause: "cpu"},
		{exchange: exchange{name: "W94 allocator that loops", do: "request_headers: allocator loop; proxy_get_property 'plugin_name' ??"}, cause: "cpu"},
		{exchange: exchange{name: "W96 recursion", do: "request_headers: recurse"}, cause: "depth"},
		{exchange: exchange{name: "W96 allocator that recurses", do: "request_headers: allocator recurse; proxy_get_property 'plugin_name' ??"}, cause: "depth"},
		{exchange: exchange{name: "W96 calls that double", do: "request_headers: double"}, cause: "cpu"},
		{exchange: exchange{name: "W95 memory filled and copied", do: "request_headers: bomb 1000000000"}, cause: "cpu"},
		{exchange: exchange{name: "W95 memory taken and kept", do: "request_headers: bomb 0; trap"}, cause: "unreachable"},
		{exchange: exchange{name: "W98 host calls", do: "request_headers: flood 1000000000"}, cpu: 100 * time.Millisecond, cause: "limit"},
		{exchange: exchange{name: "W98 lines of log", do: "request_headers: lines 1000000000"}, cpu: 100 * time.Millisecond, cause: "limit"},
		{exchange: exchange{name: "W99 a giant header", do: "request_headers: headers 0 2000 1000"}},
		{exchange: exchange{name: "W99 many small fields", do: "request_headers: headers 0 50000 1; say 503"}},
	} {
		t.Run(o.name, func(t *testing.T) { misbehave(t, o) })
	}
}

// TestW97Traps: every way to trap, and a trap in each callback.
func TestW97Traps(t *testing.T) {
	long(t)
	for how, cause := range map[string]string{
		"unreachable": "unreachable", "memory": "memory", "arithmetic": "arithmetic", "call": "memory", "type": "call", "exit": "exit",
	} {
		t.Run(how, func(t *testing.T) {
			misbehave(t, offence{exchange: exchange{do: "request_headers: trap " + how}, cause: cause})
		})
	}
	for _, in := range inEach {
		t.Run(in.callback, func(t *testing.T) {
			x := in.request
			x.do += in.callback + ": trap"
			misbehave(t, offence{exchange: x, status: in.status, cause: "unreachable"})
		})
	}
	t.Run("allocator", func(t *testing.T) {
		misbehave(t, offence{exchange: exchange{do: "request_headers: allocator trap; proxy_get_property 'plugin_name' ??"}, cause: "unreachable"})
	})
}

// TestW101WhatNeverComes: pauses that nobody ends, calls without an end, and answers that come too late.
func TestW101WhatNeverComes(t *testing.T) {
	long(t)
	const call = "proxy_http_call 'app' [:method=GET,:path=/call,:authority=app] '' '' 1000 ?"
	const pause = 200 * time.Millisecond
	for _, o := range []offence{
		{exchange: exchange{name: "a request's head", do: "request_headers: pause"}, status: []int{504}, within: pause},
		{exchange: exchange{name: "a request's body", method: "POST", body: "x", do: "request_body: pause"}, status: []int{504}, within: pause},
		{exchange: exchange{name: "a response's head", do: "response_headers: pause"}, status: []int{504}, within: pause},
		{exchange: exchange{name: "a response's body", method: "POST", body: "x", do: "response_piece: pause | response_body: pause"},
			status: []int{504, -200, 0}, within: pause},
		{exchange: exchange{name: "calls that answers make", do: "request_headers: " + call + "; pause | http_call_response: " + call},
			status: []int{504}, within: pause},
		{exchange: exchange{name: "calls that answers make, more and more", do: "request_headers: " + call + "; pause | http_call_response: " + call + "; " + call},
			status: []int{504}, within: pause},
		{exchange: exchange{name: "an answer within the body", method: "POST", body: "x", do: "response_body: say"}, status: []int{200, -200, 0}},
		{exchange: exchange{name: "a stream that is closed", do: "request_headers: proxy_close_stream 0"}, status: []int{0}},
		{exchange: exchange{name: "after the end", do: "log: say; proxy_continue_stream 0; proxy_continue_stream 1; proxy_close_stream 1; " + call + "; proxy_done"},
			status: []int{200}},
	} {
		t.Run(o.name, func(t *testing.T) { misbehave(t, o) })
	}
}

// TestW97Abort: what AssemblyScript does when it gives up ends the call, whatever its pointers are.
func TestW97Abort(t *testing.T) {
	o := &offender{t: t, bed: newBed(t, "0.2.1", "", "")}
	for _, at := range []string{"0 0 1 2", "1024 2048 1 2", "0xffffffff 0xfffffff0 1 2"} {
		if status, _ := o.offend(exchange{do: "request_headers: abort " + at + "; say"}); status != 503 {
			t.Errorf("abort %s: status %d", at, status)
		}
		o.restored()
	}
}
