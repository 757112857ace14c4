package main

import (
	"strings"
	"testing"
	"time"
)

const goodReport = `Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   421.00us  200.00us   5.00ms   80.00%
    Req/Sec   150.00k     2.00k  160.00k    70.00%
  Latency Distribution
     50%  400.00us
     75%  500.00us
     90%  600.00us
     99%    1.10ms
  450000 requests in 3.00s, 70.00MB read
Requests/sec: 150000.50
Transfer/sec:     23.33MB
`

func TestParseWrk(t *testing.T) {
	r, count, err := parseWrk([]byte(goodReport))
	if err != nil {
		t.Fatal(err)
	}
	if r.perSecond != 150000.5 || count != 450000 || r.p50 != 400*time.Microsecond || r.p99 != 1100*time.Microsecond || r.failure != "" {
		t.Errorf("read %+v, %d requests", r, count)
	}
}

func TestParseWrkRefusesFailures(t *testing.T) {
	for name, line := range map[string]string{
		"status": "  Non-2xx or 3xx responses: 7\nRequests/sec:",
		"socket": "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:",
	} {
		r, _, err := parseWrk([]byte(strings.Replace(goodReport, "Requests/sec:", line, 1)))
		if err != nil || r.failure == "" {
			t.Errorf("%s: failure %q, error %v", name, r.failure, err)
		}
		if failure([][]sample{{{}}, {r}}, 0) == "" {
			t.Errorf("%s: one failed run does not make the figure invalid", name)
		}
	}
	r, _, err := parseWrk([]byte(strings.ReplaceAll(goodReport, "450000 requests", "0 requests")))
	if err != nil || r.failure == "" {
		t.Errorf("no request: failure %q, error %v", r.failure, err)
	}
	if _, _, err := parseWrk([]byte("unable to connect")); err == nil {
		t.Error("a report without figures is taken")
	}
}

func TestMedians(t *testing.T) {
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median of three is %v", m)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median of four is %v", m)
	}
	// Each round halves the machine's speed; the ratio within a round does not change.
	rounds := [][]sample{{{perSecond: 100}, {perSecond: 90}}, {{perSecond: 50}, {perSecond: 45}}, {{perSecond: 25}, {perSecond: 22.5}}}
	if r := pairwise(rounds, 1, 0); r < 0.8999 || r > 0.9001 {
		t.Errorf("ratio by round is %v, want 0.9", r)
	}
	w := workload{goals: []goal{{"nginx", 0.91}, {"absent", 1}}}
	part := []*server{{name: "nginx"}, {name: "edge"}}
	if v := verdicts(w, part, rounds, 1); v != "0.90 × nginx, goal 0.91 MISSED" {
		t.Errorf("0.9 against 0.91 is %q", v)
	}
}

const h2Report = `finished in 3.00s, 103372.33 req/s, 4.76MB/s
requests: 310117 total, 311367 started, 310117 done, 310117 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 310117 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 14.29MB (14984666) total, 3.84MB (4031833) headers (space savings 95.00%), 3.55MB (3721404) data
                     min         max         mean         sd        +/- sd
time for request:      211us     64.16ms     12.01ms      2.97ms    86.52%
`

func TestParseH2load(t *testing.T) {
	r, count, err := parseH2load([]byte(h2Report))
	if err != nil || r.perSecond != 103372.33 || count != 310117 || r.p50 != 12010*time.Microsecond || r.failure != "" {
		t.Errorf("read %+v, %d requests, %v", r, count, err)
	}
	for what, bad := range map[string]string{
		"310117 succeeded, 0 failed": "310116 succeeded, 1 failed", "310117 2xx, 0 3xx": "310000 2xx, 117 3xx", "310117 done, 310117": "0 done, 0",
	} {
		if r, _, err := parseH2load([]byte(strings.Replace(h2Report, what, bad, 1))); err != nil || r.failure == "" {
			t.Errorf("%s: failure %q, error %v", bad, r.failure, err)
		}
	}
	if _, _, err := parseH2load([]byte("unable to connect")); err == nil {
		t.Error("a report without figures is taken")
	}
}
