package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/runtime/admin"
)

// twoSeconds are two statuses of one process, two seconds apart.
func twoSeconds() (before, now *admin.Status) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(after time.Duration, n uint64) *admin.Status {
		return &admin.Status{
			Version: "1.2", PID: 7, Started: began, Now: began.Add(after), Config: "edge.toml", Engine: "interpreter", Sandbox: &admin.SandboxStatus{State: admin.SandboxPartly}, Connections: 3,
			ConnectionLimit: 100, ByPhase: map[string]uint64{"keepalive": 2, "reading": 1, "tunnel": 0}, Workers: 16, WorkersIdle: 14,
			MemoryBytes: 3 << 20, RequestBounds: []float64{0.001, 0.01}, CallBounds: []float64{1e-6},
			Children: []admin.ChildStatus{
				{Number: 3, PID: 70, Generation: 2, State: "ready", Connections: 2, Accepted: 20 * n, Started: began,
					Workers: map[string]int{"writing": 1, "idle": 6, "reading": 1}},
				{Number: 1, PID: 68, Generation: 1, State: "retiring", NotAccepting: true, Connections: 1, Accepted: 7, Started: began,
					Workers: map[string]int{"idle": 8}, HeartbeatAge: 3},
				{Number: 4, PID: 71, Generation: 2, State: "ready", NotAccepting: true, Started: began, HeartbeatAge: -1, Silent: true},
			},
			Routes: []admin.RouteStatus{{Name: "api", Codes: map[string]uint64{"2xx": 90 * n, "5xx": 10 * n}, ResponseBytes: 2048 * n,
				Durations: admin.Durations{Counts: []uint64{0, 100 * n, 0}}}},
			Upstreams: []admin.UpstreamStatus{{Name: "app", Codes: map[string]uint64{"2xx": 50 * n}, Idle: 4}},
			Filters: []admin.FilterStatus{{Name: "auth\x1b[2J", SHA256: "0123456789abcdef", Calls: 40 * n, Lanes: 2, Instances: 2, Fuel: 2e7 * n,
				Faults: map[string]uint64{"cpu": 2}, Durations: admin.Durations{Counts: []uint64{8 * n, 0}},
				LastFault: &admin.FaultStatus{Time: began, Cause: "cpu", Phase: "tick", Error: "a\nb\u009b"}}},
			Problems: []admin.Problem{{Kind: "timeouts", Reason: "idle", N: 5}},
		}
	}
	return at(10*time.Second, 1), at(12*time.Second, 3)
}

const twoSecondsText = `edge 1.2, serving, up 12s, process 7, edge.toml, wasm: interpreter, sandbox: partly
100 requests/s, 10.0 failed/s, p50 5.5ms, p99 9.91ms, 0 in flight
3 connections of 100: keepalive 2 reading 1
2 workers of 16 busy, queue 0, memory 3.0MiB

CHILD  PID  GENERATION  STATE                         UP   CONNECTIONS  ACCEPTED/S  ACCEPTED  WORKERS
3      70   2           ready                         12s  2            20.0        60        idle 6, reading 1, writing 1
1      68   1           retiring, silent              12s  1            0           7         idle 8
4      71   2           ready, not accepting, silent  12s  0            0           0         idle 0

ROUTE  REQ/S  P50    P99     2XX  3XX  4XX  5XX  NONE  SENT/S
api    100    5.5ms  9.91ms  270  0    0    30   0     2.0KiB

UPSTREAM  REQ/S  2XX  4XX  5XX  NONE  RETRIES  UNREACHED  IDLE
app       50.0   150  0    0    0     0        0          4

FILTER    VERSION       CALLS/S  P50   P99   FUEL/S  FAULTS  STARTS  INSTANCES  MEMORY  STREAMS  PARKED
auth [2J  0123456789ab  40.0     <1µs  <1µs  20.0M   2       0       2 of 2     0B      0        0
last fault of auth [2J: cpu in tick, 12s ago: a b 
timeouts idle: 5
`

func TestStatusText(t *testing.T) {
	before, now := twoSeconds()
	if got := statusText(before, now); got != twoSecondsText {
		t.Errorf("got\n%s\nwant\n%s", got, twoSecondsText)
	}
	if got := statusText(nil, now); !strings.Contains(got, "\n25.0 requests/s") {
		t.Errorf("since the start:\n%s", got)
	}
	before.Started = before.Started.Add(-time.Hour) // another process
	if got := statusText(before, now); !strings.Contains(got, "\n25.0 requests/s") {
		t.Errorf("after another process:\n%s", got)
	}
}

func TestPercentile(t *testing.T) {
	bounds := []float64{0.001, 0.01}
	for _, c := range []struct {
		counts []uint64
		q      float64
		want   string
	}{
		{[]uint64{0, 0, 0}, 0.5, "-"}, {[]uint64{9, 0, 0}, 0.5, "<1ms"}, {[]uint64{0, 10, 0}, 0.5, "5.5ms"}, {[]uint64{0, 1, 9}, 0.99, ">10ms"}, {nil, 0.5, "-"},
	} {
		if got := percentile(bounds, c.counts, c.q); got != c.want {
			t.Errorf("%v of %v: %s, want %s", c.q, c.counts, got, c.want)
		}
	}
}

func TestStatusFrame(t *testing.T) {
	if got, want := frame("abcdef\ngh\n", 4, 5), "\x1b[Habcd\x1b[K\r\ngh\x1b[K\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := frame("a\nb\nc\nd\n", 20, 3), "\x1b[Ha\x1b[K\r\nb\x1b[K\r\n… 2 more lines\x1b[K\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatusWithoutEdge(t *testing.T) {
	inSite(t, "edge.toml", "[server]\nadmin = \"unix:a.sock\"\n"+siteFileWithoutFilters, "none.toml", "[server]\nadmin = \"\"\n"+siteFileWithoutFilters)
	for _, args := range [][]string{{"status"}, {"status", "--watch"}, {"status", "--json"}} {
		said, code := edge(args...)
		if code != exitFailed || !strings.HasSuffix(said, "a.sock; is edge running?\n") {
			t.Errorf("%v: %d, %q", args, code, said)
		}
	}
	if said, code := edge("status", "-c", "none.toml"); code != exitFailed || !strings.Contains(said, "has no admin server") {
		t.Errorf("%d, %q", code, said)
	}
}

const siteFileWithoutFilters = "[[listen]]\naddress = \"127.0.0.1:8080\"\n[[routes]]\nrespond = { body = \"x\" }\n"

// Without a terminal a watch prints again and again, through a time without answers, and ends with its context.
func TestWatchWithoutTerminal(t *testing.T) {
	before, now := twoSeconds()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := 0
	ask := func(context.Context) ([]byte, *admin.Status, error) {
		asked++
		switch asked {
		case 1:
			return []byte("{}\n"), before, nil
		case 2:
			return nil, nil, errors.New("nothing answers")
		case 3:
			return []byte("{}\n"), now, nil
		}
		cancel()
		return nil, nil, ctx.Err()
	}
	none, err := os.Open(filepath.Join("/dev", "null"))
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	var out bytes.Buffer
	if err := watchStatus(ctx, ask, false, none, &out); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.HasSuffix(got, "nothing answers\n\n"+twoSecondsText+"\n") || strings.Contains(got, "\x1b") {
		t.Errorf("got\n%s", got)
	}
}
