package wasm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// What /status.json says is what /metrics says, once nothing moves any more; and edge status prints it.
func TestStatusIsTrue(t *testing.T) {
	origin := rig.NewOrigin(t, talk)
	rest := app(origin) + filterOf("seen", example(t, "two-headers"), "", "") + route("/app/*", "seen") +
		"[[routes]]\nname = \"none\"\nmatch = { path = \"/none\" }\nrespond = { status = 503 }\n"
	e := rig.Start(t, rig.Config{Rest: rest})
	for i := range 120 {
		resp, err := http.Get(fmt.Sprintf("http://%s%s", e.Addr, []string{"/app/x", "/none", "/nowhere", "/app/y"}[i%4]))
		rig.Must(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	m := e.WaitMetric("120 requests over", func(m rig.Metrics) bool {
		return m.Sum("edge_http_requests_total") == 120 && m.Sum("edge_http_requests_in_flight") == 0
	})
	resp, err := e.AdminClient().Get("http://localhost/status.json")
	rig.Must(t, err)
	defer resp.Body.Close()
	var s struct {
		Engine string
		Routes []struct {
			Name      string
			Codes     map[string]float64
			Protocols map[string]float64
			Durations struct{ Counts []float64 }
		}
		Upstreams []struct {
			Codes map[string]float64
			Idle  float64
		}
		Filters []struct {
			Calls, Waits, Fuel, Starts, Instances float64
			SHA256                                string
			Results                               map[string]float64
			Durations                             struct{ Counts []float64 }
		}
		Listeners []struct{ Accepted float64 }
	}
	rig.Must(t, json.NewDecoder(resp.Body).Decode(&s))
	same := func(what string, got, want float64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: the status says %v, the metrics %v", what, got, want)
		}
	}
	for _, r := range s.Routes {
		label := fmt.Sprintf("route=%q", r.Name)
		for class, n := range r.Codes {
			same(r.Name+" "+class, n, m.Sum("edge_http_requests_total", label, `code="`+class[:1]))
		}
		same(r.Name, total(r.Codes), m.Sum("edge_http_requests_total", label))
		same(r.Name+" in http/1.1", r.Protocols["http/1.1"], m.Sum("edge_http_requests_total", label, `protocol="http/1.1"`))
		same(r.Name+" durations", add(r.Durations.Counts), m.Sum("edge_http_request_duration_seconds_count", label))
	}
	if len(s.Routes) != 3 || len(s.Upstreams) != 1 || len(s.Filters) != 1 || len(s.Listeners) != 1 || s.Engine == "" {
		t.Fatalf("the status is %+v", s)
	}
	u, f := s.Upstreams[0], s.Filters[0]
	same("upstream", total(u.Codes), m.Sum("edge_upstream_requests_total"))
	same("idle", u.Idle, m.Sum("edge_upstream_idle"))
	same("calls", f.Calls+f.Waits, m.Sum("edge_filter_calls_total"))
	same("calls that went on", f.Results["continue"], m.Sum("edge_filter_calls_total", `result="continue"`))
	same("timed calls", add(f.Durations.Counts), m.Sum("edge_filter_call_duration_seconds_count"))
	same("fuel", f.Fuel, m.Sum("edge_filter_fuel_total"))
	same("starts", f.Starts, m.Sum("edge_filter_starts_total"))
	same("instances", f.Instances, m.Sum("edge_filter_instances"))
	same("version", 1, m.Sum("edge_filter_info", f.SHA256))
	same("accepted", s.Listeners[0].Accepted, m.Sum("edge_listener_connections_total"))

	said, err := exec.Command(rig.Binary(t), "status", "--admin", "unix:"+e.Admin).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "\nseen ") || !strings.Contains(string(said), "\napp ") {
		t.Errorf("edge status: %v\n%s", err, said)
	}
}

func total(counts map[string]float64) (n float64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func add(counts []float64) (n float64) {
	for _, c := range counts {
		n += c
	}
	return n
}
