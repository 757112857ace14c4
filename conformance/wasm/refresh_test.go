package wasm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/rig"
)

// keys is an origin that gives a larger number with each answer, once it may.
type keys struct {
	*rig.Origin
	given atomic.Int64
	byes  atomic.Int64
	open  chan struct{} // closed when it may answer
}

func newKeys(t testing.TB) *keys {
	k := &keys{open: make(chan struct{})}
	k.Origin = rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			<-k.open
			if q.Target == "/bye" {
				k.byes.Add(1)
			}
			if c.Say(rig.OK(strconv.FormatInt(k.given.Add(1), 10))) != nil {
				return
			}
		}
	})
	return k
}

// tellValue answers with the request's x-value.
func tellValue(c *rig.OriginConn) {
	for {
		q, err := c.ReadRequest()
		if err != nil || c.Say(rig.OK(q.Header.Get("x-value"))) != nil {
			return
		}
	}
}

// refresh is the TOML text of the example filter refresh with that period, and of its upstream.
func refresh(t testing.TB, k *keys, period int, more string) string {
	return fmt.Sprintf("[upstreams.keys]\nservers = [%q]\n", k.Addr) +
		filterOf("refresh", example(t, "refresh"), fmt.Sprintf(`{"upstream": "keys", "path": "/keys", "period": "%d"}`, period),
			"allow = { upstreams = [\"keys\"] }\n"+more)
}

// TestRootContextKeepsAValueFresh: a filter that calls at its start and on ticks, without a request. The requests that come before
// the first answer wait for it, later ones have the last one at once; those that ask for the next one are continued by its arrival.
// Values only grow for whoever asks one after the other of one lane. At the end the filter says its farewell by a call, which the
// stopping server still carries.
func TestRootContextKeepsAValueFresh(t *testing.T) {
	k := newKeys(t)
	origin := rig.NewOrigin(t, tellValue)
	e := rig.Start(t, rig.Config{Rest: app(origin) + refresh(t, k, 20, "lanes = 1\n") + route("/*", "refresh")})

	early := rig.Dial(t, e.Addr)
	early.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if !early.Silent(50 * time.Millisecond) {
		t.Fatal("a request goes on before there is a value")
	}
	close(k.open)
	first, err := strconv.Atoi(string(early.Response("GET").Body))
	if err != nil || first < 1 {
		t.Errorf("the first value is %d, %v", first, err)
	}

	const clients, rounds = 8, 60
	var all sync.WaitGroup
	var wrong atomic.Pointer[string]
	for n := range clients {
		all.Go(func() {
			c := rig.Dial(t, e.Addr)
			last := 0
			for r := range rounds {
				fields := ""
				if (n+r)%3 == 0 {
					fields = "X-Value: fresh\r\n"
				}
				if err := c.TrySend("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"); err != nil {
					s := err.Error()
					wrong.Store(&s)
					return
				}
				a, err := c.TryNext("GET")
				if err != nil {
					s := err.Error()
					wrong.Store(&s)
					return
				}
				v, err := strconv.Atoi(string(a.Body))
				if err != nil || a.Status != 200 || v < last || fields != "" && v <= last && last > 0 {
					s := fmt.Sprintf("client %d, request %d: status %d, %q after %d", n, r, a.Status, a.Body, last)
					wrong.Store(&s)
					return
				}
				last = v
			}
		})
	}
	all.Wait()
	if s := wrong.Load(); s != nil {
		t.Error(*s)
	}
	m := e.Metrics()
	if m.Sum("edge_filter_calls_total", `phase="tick"`, `result="continue"`) < 5 {
		t.Error("the ticks are not in the metrics")
	}
	e.Stop()
	if k.byes.Load() != 1 {
		t.Errorf("%d farewells", k.byes.Load())
	}
}

// TestRootContextHurtsNobody: an upstream that never answers the root context leaves requests alone, and so does its end.
func TestRootContextHurtsNobody(t *testing.T) {
	k := newKeys(t)
	origin := rig.NewOrigin(t, tellValue)
	e := rig.Start(t, rig.Config{Server: "shutdown_timeout = \"20s\"\n", Rest: app(origin) + refresh(t, k, 10, "background = true\n") + route("/*")})
	if !rig.Eventually(10*time.Second, func() bool { return len(k.Requests()) > 0 }) {
		t.Fatal("a background filter that no route names does not call")
	}
	for range 50 {
		if a := rig.Dial(t, e.Addr).Get("/", ""); a.Status != 200 {
			t.Fatalf("status %d", a.Status)
		}
	}
	m := e.WaitMetric("a tick", func(m rig.Metrics) bool {
		return m.Sum("edge_filter_calls_total", `filter="refresh"`, `phase="tick"`) > 0
	})
	if m.Sum("edge_filter_calls_total", `filter="refresh"`, `phase="request_head"`) != 0 {
		t.Error("a background filter sees requests")
	}
	began := time.Now()
	e.Stop() // its farewell is not answered: it has 5 s
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop takes %v", took)
	}
	close(k.open)
}

// TestRootContextFaults: ticks that fail cost the instance, again and again, with back-off; requests are answered meanwhile as the policy
// says, and the process lives.
func TestRootContextFaults(t *testing.T) {
	origin := rig.NewOrigin(t, talk)
	e := rig.Start(t, rig.Config{Rest: app(origin) +
		probeFilter(t, "probe", "0.2.1", "configure: proxy_set_tick_period_milliseconds 10 | tick: trap unreachable", "lanes = 1\non_failure = \"open\"\n") +
		probeFilter(t, "loops", "0.2.1", "configure: proxy_set_tick_period_milliseconds 10 | tick: loop", "lanes = 1\nlimits = { cpu = \"5ms\" }\n") +
		route("/probe/*", "probe")})
	c := rig.Dial(t, e.Addr)
	for range 200 {
		if a := c.Get("/probe/a", ""); a.Status != 200 {
			t.Fatalf("status %d", a.Status)
		}
	}
	m := e.WaitMetric("faults of both", func(m rig.Metrics) bool {
		return m.Sum("edge_filter_calls_total", `filter="probe"`, `phase="tick"`, `result="fault"`) >= 2 &&
			m.Sum("edge_filter_calls_total", `filter="loops"`, `phase="tick"`, `result="fault"`) >= 2
	})
	if n := m.Sum("edge_filter_calls_total", `phase="tick"`, `result="fault"`); n > 100 {
		t.Errorf("%v faults: there is no back-off", n)
	}
}

// TestCheckStartsTicksAndCalls: edge check starts such filters, and ends.
func TestCheckStartsTicksAndCalls(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edge.toml")
	text := "[[listen]]\naddress = \"127.0.0.1:1\"\n[upstreams.keys]\nservers = [\"127.0.0.1:1\"]\n" +
		filterOf("refresh", example(t, "refresh"), `{"upstream": "keys", "period": "10"}`, "background = true\nallow = { upstreams = [\"keys\"] }\n") +
		"[[routes]]\nrespond = { status = 200 }\n"
	for _, c := range []struct{ text, want string }{
		{text, "is valid"},
		{strings.Replace(text, "[[routes]]", "[[routes]]\nfilters = [\"refresh\"]", 1), "take it out of the route"},
	} {
		rig.Must(t, os.WriteFile(file, []byte(c.text), 0o644))
		out, _ := exec.Command(rig.Binary(t), "check", "-c", file).CombinedOutput()
		if !strings.Contains(string(out), c.want) || strings.Contains(string(out), "no route uses it") {
			t.Errorf("check says %s", out)
		}
	}
}
