package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// scrape is the text without the process's and Go's own metrics.
func scrape(t testing.TB, s *Set) string {
	t.Helper()
	var all, ours bytes.Buffer
	if err := s.Write(&all); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(all.String()) {
		if strings.Contains(line, "edge_") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

// value is a sample's value in a scrape, or "" where there is none.
func value(text, series string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestRequestsOfAllWorkersAreSummed(t *testing.T) {
	s := New("1.2.3")
	api, static := s.Route("api"), s.Route("static")
	one, two := s.NewShard(), s.NewShard()
	for range 3 {
		one.Begin()
	}
	two.Begin()
	two.Begin()
	one.Request(api, MethodOf("GET"), 200, HTTP11, 4*time.Millisecond, 0, 100)
	two.Request(api, MethodOf("GET"), 200, HTTP11, 30*time.Millisecond, 10, 50)
	two.Request(api, MethodOf("BREW"), 418, HTTP2, 20*time.Second, 0, 0)
	one.Request(static, MethodOf("HEAD"), 304, HTTP10, 5*time.Millisecond, 0, 0)
	got := scrape(t, s)
	for series, want := range map[string]string{
		`edge_http_requests_total{code="200",method="GET",protocol="http/1.1",route="api"}`:     "2",
		`edge_http_requests_total{code="418",method="_OTHER",protocol="h2",route="api"}`:        "1",
		`edge_http_requests_total{code="304",method="HEAD",protocol="http/1.0",route="static"}`: "1",
		`edge_http_requests_in_flight`:                                      "1",
		`edge_http_request_duration_seconds_bucket{route="api",le="0.005"}`: "1",
		`edge_http_request_duration_seconds_bucket{route="api",le="0.025"}`: "1",
		`edge_http_request_duration_seconds_bucket{route="api",le="0.05"}`:  "2",
		`edge_http_request_duration_seconds_bucket{route="api",le="10"}`:    "2",
		`edge_http_request_duration_seconds_bucket{route="api",le="+Inf"}`:  "3",
		`edge_http_request_duration_seconds_count{route="api"}`:             "3",
		`edge_http_request_duration_seconds_sum{route="api"}`:               "20.034",
		`edge_http_request_bytes_total{route="api"}`:                        "10",
		`edge_http_response_bytes_total{route="api"}`:                       "150",
		`edge_http_response_bytes_total{route="static"}`:                    "0",
	} {
		if v := value(got, series); v != want {
			t.Errorf("%s: %q, want %q", series, v, want)
		}
	}
	if !strings.Contains(got, `edge_build_info{goversion="go1.`) || !strings.Contains(got, `version="1.2.3"} 1`) {
		t.Error("no build info")
	}
	if strings.Contains(got, `route="_OTHER"`) {
		t.Error("a route that nobody asked for is shown")
	}
}

func TestGoAndProcessMetrics(t *testing.T) {
	var b bytes.Buffer
	if err := New("x").Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_open_fds ", "\nprocess_resident_memory_bytes "} {
		if !strings.Contains(b.String(), name) {
			t.Errorf("no %q", name)
		}
	}
}

func TestBucketBounds(t *testing.T) {
	for i, bound := range buckets {
		if bucketOf(bound) != i || bucketOf(bound+1) != i+1 || bucketOf(bound-1) != i {
			t.Errorf("%v: %d, one more %d, one less %d", bound, bucketOf(bound), bucketOf(bound+1), bucketOf(bound-1))
		}
	}
	if bucketOf(0) != 0 || bucketOf(time.Hour) != len(buckets) {
		t.Error("the ends")
	}
}

func TestCodes(t *testing.T) {
	for status, want := range map[int]string{
		-1: "none", 0: "none", 99: "none", 1000: "none", 1 << 40: "none",
		100: "100", 103: "103", 104: "1xx", 200: "200", 208: "208", 209: "2xx", 226: "226", 308: "308", 309: "3xx", 400: "400", 418: "418",
		419: "4xx", 421: "421", 431: "431", 432: "4xx", 451: "451", 499: "499", 500: "500", 511: "511", 512: "5xx", 600: "6xx", 999: "9xx",
	} {
		if got := labelOfSlot[codeSlot(status)]; got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
	seen := map[string]bool{}
	for slot, label := range labelOfSlot {
		if label == "" || seen[label] {
			t.Errorf("slot %d: label %q", slot, label)
		}
		seen[label] = true
	}
}

func TestMethods(t *testing.T) {
	for i, name := range methodNames {
		if got := MethodOf(name); got != Method(i) {
			t.Errorf("%s: %d, want %d", name, got, i)
		}
	}
	for _, name := range []string{"", "get", "BREW", strings.Repeat("X", 1000)} {
		if MethodOf(name) != 0 {
			t.Errorf("%.10q has a label", name)
		}
	}
}

// What clients and origins send cannot make series, and what callers get wrong cannot crash.
func TestSeriesAreBounded(t *testing.T) {
	s := New("x")
	shard := s.NewShard()
	route := s.Route("r")
	for status := -10; status < 1100; status++ {
		for _, method := range []string{"GET", "X" + strconv.Itoa(status)} {
			shard.Request(route, MethodOf(method), status, HTTP11, 0, 0, 0)
		}
	}
	shard.Request(Route(60000), Method(200), 200, Protocol(9), -time.Second, -5, -5)
	got := scrape(t, s)
	if n := strings.Count(got, "edge_http_requests_total{"); n > 2*codeSlots+1 {
		t.Errorf("%d series", n)
	}
	if v := value(got, `edge_http_requests_total{code="200",method="_OTHER",protocol="http/1.1",route="_OTHER"}`); v != "1" {
		t.Errorf("a request with nothing right: %q", v)
	}
	if v := value(got, `edge_http_request_duration_seconds_sum{route="_OTHER"}`); v != "0" {
		t.Errorf("its duration: %q", v)
	}
}

func TestRoutes(t *testing.T) {
	s := New("x")
	if a, b := s.Route("a"), s.Route("b"); a == b || a == otherRoute || s.Route("a") != a {
		t.Errorf("%d, %d", a, b)
	}
	for i := range MaxRoutes {
		s.Route(fmt.Sprint("route ", i))
	}
	if got := s.Route("one too many"); got != otherRoute {
		t.Errorf("%d", got)
	}
	shard := s.NewShard()
	shard.Request(s.Route("bad \xff"), 1, 200, HTTP11, 0, 0, 0)
	shard.Request(s.Route(""), 1, 200, HTTP11, 0, 0, 0)
	if got := scrape(t, s); value(got, `edge_http_requests_total{code="200",method="GET",protocol="http/1.1",route="_OTHER"}`) != "2" {
		t.Errorf("%s", got)
	}
}

func TestRouteNameThatIsNotUTF8(t *testing.T) {
	s := New("\xff")
	s.NewShard().Request(s.Route("bad\xff"), 1, 200, HTTP11, 0, 0, 0)
	if got := scrape(t, s); !strings.Contains(got, `route="bad?"`) {
		t.Errorf("%s", got)
	}
}

func TestSources(t *testing.T) {
	s := New("x")
	if got := scrape(t, s); strings.Contains(got, "edge_admission") {
		t.Errorf("metrics without a source: %s", got)
	}
	s.SetSources(Sources{
		Engine: func() Engine {
			return Engine{
				AdmissionOpen: true, AdmissionClosed: 2, AcceptErrors: []Count{{"emfile", 3}}, QueueLength: 4, WorkersBusy: 5, WorkersIdle: 6,
				Connections: []Count{{"keep_alive", 7}, {"lingering", 8}}, Refused: []Count{{"queue_full", 9}}, Timeouts: []Count{{"header", 10}},
			}
		},
		Listeners: func() []Listener { return []Listener{{"127.0.0.1:80", 11, 12}, {"bad\xff", 1, 1}} },
		TLS: func() TLS {
			return TLS{Handshakes: []Count{{"full", 30}, {"timeout", 31}}, InProgress: 32, Waiting: 33, Waited: 34, Violations: 44,
				Certificates: []Certificate{{"main", time.Unix(35, 0), []Count{{"renewed", 36}}}}}
		},
		Parser: func() []Count { return []Count{{"bare_lf", 13}} },
		HTTP2:  func() []Fault { return []Fault{{"budget", "ping", 14}} },
		Upstreams: func() []Upstream {
			return []Upstream{{Pool: "app", Requests: []Count{{"200", 14}, {"502", 15}}, Retries: 16, ConnectErrors: 17,
				Failures: []Count{{"crowded", 42}}, HTTP2: []Fault{{"stream", "status", 43}}, Idle: 18, Sessions: 39, Streams: 40},
				{Pool: "auth"}}
		},
		Filters: func() []Filter {
			return []Filter{{Name: "greeter", SHA256: "ab", Calls: []Call{{"request_head", "continue", 19}, {"request_head", "pause", 20}},
				Traps: []Count{{"fuel", 21}}, Instances: 22, Parked: 23, Fuel: 26, Starts: 27, Refused: 28, LogDropped: 29, Memory: 30,
				Streams: 31, Restores: 37, Snapshot: 38, Durations: Histogram{
					Bounds: []time.Duration{time.Microsecond, time.Millisecond}, Counts: []uint64{32, 1, 1}, Sum: 35 * time.Second,
				}, OverQuota: []Count{{"data", 37}}}}
		},
		Shared: func() []Shared {
			return []Shared{{VMID: "vm", Items: []Count{{"data", 38}}, Bytes: []Count{{"queue", 39}}}}
		},
		Swaps: func() []Swaps { return []Swaps{{"greeter", []Count{{"swapped", 34}}}} },
		Reloads: func() Reloads {
			return Reloads{Results: []Count{{"done", 40}}, Last: true, Since: time.Unix(41, 0), SHA256: "cd"}
		},
		Control: func() Control {
			return Control{Children: []Count{{"ready", 44}}, Restarts: []Count{{"died", 45}}, Generation: 46, Upgrades: []Count{{"done", 49}}, Unanswered: 47, Lost: 48}
		},
		Cache:       func() []Count { return []Count{{"hit", 36}} },
		LogDropped:  func() uint64 { return 24 },
		LogFailures: func() uint64 { return 25 },
	})
	got := scrape(t, s)
	for series, want := range map[string]int{
		`edge_admission_open`:                                                              1,
		`edge_admission_closed_total`:                                                      2,
		`edge_accept_errors_total{kind="emfile"}`:                                          3,
		`edge_queue_length`:                                                                4,
		`edge_workers_busy`:                                                                5,
		`edge_workers_idle`:                                                                6,
		`edge_connections{state="keep_alive"}`:                                             7,
		`edge_connections{state="lingering"}`:                                              8,
		`edge_connections_refused_total{reason="queue_full"}`:                              9,
		`edge_timeouts_total{kind="header"}`:                                               10,
		`edge_listener_connections{listener="127.0.0.1:80"}`:                               11,
		`edge_listener_connections_total{listener="127.0.0.1:80"}`:                         12,
		`edge_listener_connections{listener="bad?"}`:                                       1,
		`edge_parser_rejects_total{reason="bare_lf"}`:                                      13,
		`edge_h2_faults_total{reason="ping",scope="budget"}`:                               14,
		`edge_tls_violations_total`:                                                        44,
		`edge_tls_handshakes_total{result="full"}`:                                         30,
		`edge_tls_handshakes_total{result="timeout"}`:                                      31,
		`edge_tls_handshakes_in_progress`:                                                  32,
		`edge_tls_handshakes_waiting`:                                                      33,
		`edge_tls_handshakes_waited_total`:                                                 34,
		`edge_certificate_expiry_timestamp_seconds{certificate="main"}`:                    35,
		`edge_certificate_reloads_total{certificate="main",result="renewed"}`:              36,
		`edge_upstream_requests_total{code="200",pool="app"}`:                              14,
		`edge_upstream_requests_total{code="502",pool="app"}`:                              15,
		`edge_upstream_retries_total{pool="app"}`:                                          16,
		`edge_upstream_failures_total{cause="crowded",pool="app"}`:                         42,
		`edge_upstream_h2_faults_total{pool="app",reason="status",scope="stream"}`:         43,
		`edge_upstream_connect_errors_total{pool="app"}`:                                   17,
		`edge_upstream_idle{pool="app"}`:                                                   18,
		`edge_upstream_idle{pool="auth"}`:                                                  0,
		`edge_upstream_h2_connections{pool="app"}`:                                         39,
		`edge_upstream_h2_streams{pool="app"}`:                                             40,
		`edge_filter_calls_total{filter="greeter",phase="request_head",result="continue"}`: 19,
		`edge_filter_calls_total{filter="greeter",phase="request_head",result="pause"}`:    20,
		`edge_filter_traps_total{filter="greeter",reason="fuel"}`:                          21,
		`edge_filter_instances{filter="greeter"}`:                                          22,
		`edge_filter_parked{filter="greeter"}`:                                             23,
		`edge_filter_info{filter="greeter",sha256="ab"}`:                                   1,
		`edge_filter_swaps_total{filter="greeter",result="swapped"}`:                       34,
		`edge_module_cache_total{result="hit"}`:                                            36,
		`edge_filter_fuel_total{filter="greeter"}`:                                         26,
		`edge_filter_starts_total{filter="greeter"}`:                                       27,
		`edge_filter_restores_total{filter="greeter"}`:                                     37,
		`edge_filter_snapshot_bytes{filter="greeter"}`:                                     38,
		`edge_filter_host_calls_refused_total{filter="greeter"}`:                           28,
		`edge_filter_log_dropped_total{filter="greeter"}`:                                  29,
		`edge_filter_memory_bytes{filter="greeter"}`:                                       30,
		`edge_filter_streams{filter="greeter"}`:                                            31,
		`edge_filter_call_duration_seconds_bucket{filter="greeter",le="1e-06"}`:            32,
		`edge_filter_call_duration_seconds_bucket{filter="greeter",le="0.001"}`:            33,
		`edge_filter_call_duration_seconds_count{filter="greeter"}`:                        34,
		`edge_filter_call_duration_seconds_sum{filter="greeter"}`:                          35,
		`edge_filter_over_quota_total{filter="greeter",kind="data"}`:                       37,
		`edge_shared_items{filter="",kind="data",vm_id="vm"}`:                              38,
		`edge_shared_bytes{filter="",kind="queue",vm_id="vm"}`:                             39,
		`edge_reloads_total{result="done"}`:                                                40,
		`edge_config_last_reload_successful`:                                               1,
		`edge_config_last_reload_success_timestamp_seconds`:                                41,
		`edge_config_info{sha256="cd"}`:                                                    1,
		`edge_children{state="ready"}`:                                                     44,
		`edge_child_restarts_total{reason="died"}`:                                         45,
		`edge_generation`:                    46,
		`edge_children_unanswered_total`:     47,
		`edge_metrics_lost_total`:            48,
		`edge_upgrades_total{result="done"}`: 49,
		`edge_accesslog_dropped_total`:       24,
		`edge_accesslog_write_errors_total`:  25,
	} {
		if v := value(got, series); v != strconv.Itoa(want) {
			t.Errorf("%s: %q, want %d", series, v, want)
		}
	}
	for _, f := range families {
		name := strings.Split(f.desc.String(), `"`)[1]
		if !strings.Contains(got, "\n"+name) && !strings.HasPrefix(got, "# HELP "+name) {
			t.Errorf("%s is not shown", name)
		}
	}
}

// A source that contradicts itself costs its own sample and an error, not the scrape.
func TestSourceThatContradictsItself(t *testing.T) {
	s := New("x")
	s.SetSources(Sources{
		Parser:     func() []Count { return []Count{{"same", 1}, {"same", 2}} },
		LogDropped: func() uint64 { return 7 },
	})
	var b bytes.Buffer
	if err := s.Write(&b); err == nil {
		t.Error("no error")
	}
	if value(b.String(), "edge_accesslog_dropped_total") != "7" || value(b.String(), `edge_parser_rejects_total{reason="same"}`) != "1" {
		t.Errorf("%s", b.String())
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestWriteError(t *testing.T) {
	if err := New("x").Write(closed{}); err == nil || err.Error() != "closed" {
		t.Error(err)
	}
}

// Workers count while routes are added and scrapes run; afterwards every request is there.
func TestScrapeDuringTraffic(t *testing.T) {
	const workers, each = 4, 3000
	s := New("x")
	var all sync.WaitGroup
	for w := range workers {
		shard := s.NewShard()
		all.Go(func() {
			for i := range each {
				shard.Begin()
				shard.Request(s.Route(strconv.Itoa(i%5)), Method(i%methods), 200+i%5, Protocol(i%3), time.Duration(i)*time.Millisecond, 1, int64(w))
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			scrape(t, s)
		}
	}
	total := 0
	for line := range strings.Lines(scrape(t, s)) {
		if strings.HasPrefix(line, "edge_http_requests_total{") {
			n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]))
			if err != nil {
				t.Fatal(line)
			}
			total += n
		}
	}
	if total != workers*each {
		t.Errorf("%d requests, want %d", total, workers*each)
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	s := New("x")
	shard, route := s.NewShard(), s.Route("r")
	if n := testing.AllocsPerRun(1000, func() {
		shard.Begin()
		shard.Request(route, MethodOf("GET"), 200, HTTP11, 3*time.Millisecond, 10, 100)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	s := New("x")
	shard, route := s.NewShard(), s.Route("r")
	b.ReportAllocs()
	for b.Loop() {
		shard.Request(route, MethodOf("GET"), 200, HTTP11, 3*time.Millisecond, 10, 100)
	}
}

func BenchmarkRequestAllWorkers(b *testing.B) {
	s := New("x")
	route := s.Route("r")
	b.RunParallel(func(p *testing.PB) {
		shard := s.NewShard()
		for p.Next() {
			shard.Request(route, MethodOf("GET"), 200, HTTP11, 3*time.Millisecond, 10, 100)
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	s := New("x")
	for range 16 {
		shard := s.NewShard()
		for r := range 50 {
			shard.Request(s.Route(strconv.Itoa(r)), MethodOf("GET"), 200, HTTP11, 3*time.Millisecond, 10, 100)
		}
	}
	for b.Loop() {
		scrape(b, s)
	}
}
