package wasm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// rootCases are root contexts at work without a request: what their configuration has them do, and what their journal says of it.
var rootCases = []struct {
	name, script string
	do           string   // what a request does before
	journal      []string // what the journal has to say at last
}{
	{"tick", "configure: proxy_set_tick_period_milliseconds 20 | tick: pthread_equal 1 1", "", []string{"configure set_tick_period_milliseconds=0", "tick pthread_equal=1"}},
	{"tick that ends itself", "configure: proxy_set_tick_period_milliseconds 20 | tick: proxy_set_tick_period_milliseconds 0", "", []string{"tick set_tick_period_milliseconds=0"}},
	{"a call of a tick", "configure: proxy_set_tick_period_milliseconds 20 | tick: proxy_set_tick_period_milliseconds 0; " +
		"proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ? | http_call_response: proxy_get_header_map_value 6 ':status' ??",
		"", []string{"http_call=0:", "http_call_response get_header_map_value=0:200"}},
	{"a call of the start", "configure: proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ? | http_call_response: " +
		"proxy_get_header_map_value 6 'x-origin' ??", "", []string{"http_call=0:", "http_call_response get_header_map_value=0:GET /call"}},
	{"a call of a call's answer", "configure: proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ?i | http_call_response: pthread_equal $i 1; " +
		"proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ?i", "", []string{"pthread_equal=1 http_call=0:2", "http_call_response pthread_equal=0"}},
	{"a call to nobody", "configure: proxy_http_call 'secret' [:method=GET,:path=/,:authority=a] '' '' 1000 ? | http_call_response: pthread_equal $n 0",
		"", []string{"http_call_response pthread_equal=1"}},
	{"queue_ready", "configure: proxy_register_shared_queue 'queue' ?q | queue_ready: pthread_equal $q 0; proxy_dequeue_shared_queue $q ??",
		"proxy_resolve_shared_queue '' 'queue' ?r; proxy_enqueue_shared_queue $r 'item'; say", []string{"queue_ready pthread_equal=0 dequeue_shared_queue=0:item"}},
}

// TestRootContext: ticks, queues and calls of the root context, with each version.
func TestRootContext(t *testing.T) {
	for _, version := range []string{"0.1.0", "0.2.0", "0.2.1"} {
		for _, c := range rootCases {
			t.Run(version+" "+c.name, func(t *testing.T) {
				b := newBed(t, version, c.script, "lanes = 1\nallow = { upstreams = [\"app\", \"secret\"] }\n")
				if c.do != "" {
					b.run(t, exchange{do: "request_headers: " + c.do, want: []string{"200\n"}})
				}
				b.journal(t, c.journal...)
			})
		}
	}
}

// journal waits until the instance's journal has each of these.
func (b *bed) journal(t *testing.T, want ...string) {
	t.Helper()
	var text string
	ok := rig.Eventually(logLimit, func() bool {
		text = string(rig.Dial(t, b.Addr).Get("/probe/a", "X-Do: request_headers: journal; say\r\n").Body)
		for _, w := range want {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
	if !ok {
		t.Errorf("the journal never has all of %q:\n%s", want, text)
	}
}

// TestTickEndsAPause: a tick continues, answers or cuts off a stream that is paused, in any direction.
func TestTickEndsAPause(t *testing.T) {
	const ticks = "configure: proxy_set_tick_period_milliseconds 20 | tick: proxy_set_effective_context $c; "
	for _, c := range []struct{ name, tick, do, want string }{
		{"continue", "proxy_add_header_map_value 0 'x-report' 'of a tick'; proxy_continue_stream 0", "request_headers: remember; pause", "x-seen: of a tick\n"},
		{"continue the response", "proxy_add_header_map_value 2 'x-late' 'of a tick'; proxy_continue_stream 1", "response_headers: remember; pause", "x-late: of a tick\n"},
		{"answer", "proxy_send_local_response 403 '' 'of a tick' '' -1", "request_headers: remember; pause", "403\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, "0.2.1", ticks+c.tick, "lanes = 1\n")
			for range 3 {
				b.run(t, exchange{do: c.do, want: []string{c.want, "of a tick"}})
			}
		})
	}
}

// TestBackground: a filter that no route names works by itself.
func TestBackground(t *testing.T) {
	origin := rig.NewOrigin(t, talk)
	e := rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: app(origin) +
		probeFilter(t, "alone", "0.2.1", "configure: proxy_set_tick_period_milliseconds 20 | tick: "+
			"proxy_http_call 'app' [:method=GET,:path=/beat,:authority=a] '' '' 1000 ? | http_call_response: proxy_log 2 'answered'",
			"background = true\nallow = { upstreams = [\"app\"] }\n") + "[[routes]]\nrespond = { status = 200 }\n"})
	if !e.Log.WaitFor(func(log string) bool { return strings.Count(log, "answered") >= 3 }, logLimit) {
		t.Errorf("the filter does not work:\n%s", e.Log.Tail(1000))
	}
	if q := origin.Requests(); len(q) < 3 || q[0].Target != "/beat" {
		t.Errorf("the origin saw %d requests", len(q))
	}
}

// TestDone: a root context whose proxy_on_done says that it is not done is kept until proxy_done, or for a while.
func TestDone(t *testing.T) {
	for name, c := range map[string]struct{ script, want, never string }{
		"done at once":       {"done: proxy_log 2 'I am done' | delete: proxy_log 2 'deleted'", "deleted", "\x00"},
		"done by a later":    {"configure: proxy_set_tick_period_milliseconds 20 | done: return 1 | tick: proxy_done | delete: proxy_log 2 'deleted'", "deleted", "\x00"},
		"done never, always": {"done: return 1", "stopping", "deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, "0.2.1", c.script, "lanes = 1\n")
			b.run(t, exchange{do: "request_headers: context; say", want: []string{"200\n"}})
			began := time.Now()
			b.Stop()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			if log := b.Log.String(); !strings.Contains(log, c.want) || strings.Contains(log, c.never) {
				t.Errorf("no %q, or %q, in the log:\n%s", c.want, c.never, b.Log.Tail(1000))
			}
		})
	}
}

// TestW94RootMisbehaves: root contexts that loop, trap, recurse or make calls for ever, beside good guests: each fault costs an instance
// and nobody else anything.
func TestW94RootMisbehaves(t *testing.T) {
	long(t)
	const call = "proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ?"
	for _, c := range []struct{ name, script, cause string }{
		{"tick that loops", "configure: proxy_set_tick_period_milliseconds 10 | tick: loop", "cpu"},
		{"W97 tick that traps", "configure: proxy_set_tick_period_milliseconds 10 | tick: trap", "unreachable"},
		{"W96 tick that recurses", "configure: proxy_set_tick_period_milliseconds 10 | tick: recurse", "depth"},
		{"W95 tick that takes memory", "configure: proxy_set_tick_period_milliseconds 10 | tick: bomb 1000000000", "cpu"},
		{"answer that loops", "configure: " + call + " | http_call_response: loop", "cpu"},
		{"W101 calls without an end", "configure: " + repeat(call+"; ", 8) + " | http_call_response: " + call + "; " + call, ""},
		{"queue_ready that loops", "configure: proxy_set_tick_period_milliseconds 10; proxy_register_shared_queue 'q' ?q | tick: proxy_enqueue_shared_queue $q 'x' | " +
			"queue_ready: loop", "cpu"},
		{"W101 queue that feeds itself", "configure: proxy_register_shared_queue 'q' ?q; proxy_enqueue_shared_queue $q 'x' | queue_ready: " +
			"proxy_enqueue_shared_queue $q 'x'; proxy_enqueue_shared_queue $q 'x'", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			traceCollections(t)
			origin := rig.NewOrigin(t, talk)
			b := &bed{origin: origin, Edge: rig.Start(t, rig.Config{Log: "level = \"info\"\n",
				Rest: app(origin) + probeFilter(t, "bad", "0.2.1", c.script, "allow = { upstreams = [\"app\"] }\n") + route("/probe/*", "bad") + goodGuests(t)})}
			good := newCrowd(t, b.Addr)
			defer good.finish()
			ok := false
			for try := 0; try < tries && !ok; try++ {
				from := len(b.Log.String())
				good.lap()
				<-time.After(2 * shortest)
				n, p50, p99 := good.lap()
				stops := pauses(b.Log.String()[from:])
				t.Logf("good guests beside: %d requests, p50 %v, p99 %v; %d collections, pauses %v and at most %v", n, p50, p99, len(stops), usual(stops), slices.Max(append(stops, 0)))
				ok = p99 <= neighbour && usual(stops) <= pauseLimit || rig.Race
			}
			if !ok {
				t.Errorf("good guests have %v, a collection %v", neighbour, pauseLimit)
			}
			if c.cause != "" {
				b.WaitMetric("the faults", func(m rig.Metrics) bool {
					return m.Sum("edge_filter_traps_total", `filter="bad"`, fmt.Sprintf("reason=%q", c.cause)) >= 3
				})
			}
			peak, err := proc.PeakRSS(b.PID())
			rig.Must(t, err)
			t.Logf("RSS at most %d MiB", peak>>20)
			if peak > memoryMost+64<<20 && !rig.Race {
				t.Errorf("RSS was %d MiB", peak>>20)
			}
		})
	}
}
