package wasm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
)

// failing is the guest of wasmhost's tests that fails as the path says.
func failing(t *testing.T) string {
	return filepath.Join(rig.Root(t), "wasmhost", "testdata", "fails", "fails-c.wasm")
}

// What an operator sees of guests that fail: the process log, the access log, the metrics and the status tell the same.
func TestFaultsAreSeen(t *testing.T) {
	rest := ""
	for _, f := range []string{"trap", "spin", "deeper"} {
		rest += filterOf(f, failing(t), "", "lanes = 1\n")
		rest += fmt.Sprintf("[[routes]]\nmatch = { path = \"/%s\" }\nfilters = [%q, \"after\"]\nrespond = { body = \"x\" }\n", f, f)
	}
	rest += filterOf("open", failing(t), "", "lanes = 1\non_failure = \"open\"\n")
	rest += "[[routes]]\nmatch = { path = \"/open\" }\nfilters = [\"open\", \"after\"]\nrespond = { body = \"x\" }\n"
	rest += filterOf("after", example(t, "two-headers"), "", "")
	e := rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: rest})

	for _, c := range []struct {
		name, filter     string
		status           int
		cause, flags     string
		filters, details string
		logged           []string
	}{
		{"W97 a trap", "trap", 503, "unreachable", "FT", "trap:failed,after", "the filter failed: unreachable in request_head",
			[]string{"cause=unreachable", `stack="innermost < between < on_request_headers"`}},
		{"W94 an endless loop", "spin", 503, "cpu", "FL", "spin:limit,after", "the filter failed: cpu (limit: cpu 10ms) in request_head",
			[]string{"cause=cpu", `limit="cpu 10ms"`, `stack="spin < on_request_headers"`}},
		{"W96 endless recursion", "deeper", 503, "depth", "FL", "deeper:limit,after",
			"the filter failed: depth (limit: call_depth 512) in request_head",
			[]string{"cause=depth", `limit="call_depth 512"`, `stack="deeper (`}},
		{"a trap, open", "open", 200, "unreachable", "FS", "open:skipped,after",
			"the filter failed and was left out: unreachable in request_head", []string{"cause=unreachable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := http.Get("http://" + e.Addr + "/" + c.filter)
			rig.Must(t, err)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if n := e.Metrics()[fmt.Sprintf(`edge_filter_traps_total{filter=%q,reason=%q}`, c.filter, c.cause)]; n != 1 {
				t.Errorf("%v traps by %s", n, c.cause)
			}
			if n := e.Metrics()[fmt.Sprintf(`edge_filter_calls_total{filter=%q,phase="request_head",result="fault"}`, c.filter)]; n != 1 {
				t.Errorf("%v calls that failed", n)
			}
			seen := status(t, e)[c.filter]
			if seen.Faults[c.cause] != 1 || seen.LastFault.Cause != c.cause || seen.LastFault.Phase != "request_head" || seen.LastFault.Time == "" {
				t.Errorf("status %+v", seen)
			}
			if len(seen.SHA256) != 64 || seen.ABI != "proxy-wasm 0.2.1" || seen.Lanes != 1 || seen.Calls == 0 {
				t.Errorf("status %+v", seen)
			}
		})
		eventually(t, "the access log tells of "+c.name, func() bool {
			for line := range strings.Lines(e.AccessLog()) {
				var m struct{ Path, Flags, Filters, Details string }
				if json.Unmarshal([]byte(line), &m) == nil && m.Path == "/"+c.filter {
					return m.Flags == c.flags && m.Filters == c.filters && m.Details == c.details
				}
			}
			return false
		})
		eventually(t, "the log tells of "+c.name, func() bool {
			line := regexp.MustCompile(`(?m)^.* error the guest failed (?:child=\d+ )?filter="?` + c.filter + `"? .*$`).FindString(e.Log.String())
			for _, want := range append(c.logged, "phase=request_head", "request_id=") {
				if !strings.Contains(strings.ReplaceAll(line, `"`, ""), strings.ReplaceAll(want, `"`, "")) {
					return false
				}
			}
			return line != ""
		})
		if t.Failed() {
			t.Logf("access log:\n%s\nlog:\n%s", e.AccessLog(), e.Log.Tail(4000))
		}
	}
}

// filterStatus is a filter on the status page.
type filterStatus struct {
	Name, SHA256, ABI string
	Lanes             int
	Calls             uint64
	Faults            map[string]int
	LastFault         struct{ Time, Cause, Phase string } `json:"last_fault"`
}

func status(t *testing.T, e *rig.Edge) map[string]filterStatus {
	t.Helper()
	resp, err := e.AdminClient().Get("http://localhost/status.json")
	rig.Must(t, err)
	defer resp.Body.Close()
	var s struct{ Filters []filterStatus }
	rig.Must(t, json.NewDecoder(resp.Body).Decode(&s))
	m := map[string]filterStatus{}
	for _, f := range s.Filters {
		m[f.Name] = f
	}
	return m
}

// A filter's log_level has its host calls traced, and nobody else's; its lines have its name and the request's id.
func TestTraceOfOneFilter(t *testing.T) {
	rest := filterOf("seen", example(t, "two-headers"), "", "log_level = \"trace\"\n") + filterOf("other", example(t, "two-headers"), "", "")
	rest += "[[routes]]\nfilters = [\"seen\", \"other\"]\nrespond = { body = \"x\" }\n"
	e := rig.Start(t, rig.Config{Log: "level = \"warn\"\n", Rest: rest})
	resp, err := http.Get("http://" + e.Addr + "/secret")
	rig.Must(t, err)
	resp.Body.Close()
	want := regexp.MustCompile(`trace return proxy_on_response_headers = 0 (?:child=\d+ )?filter="?seen"? request_id="?[0-9a-f]+`)
	eventually(t, "the trace is written", func() bool { return want.MatchString(e.Log.String()) })
	text := e.Log.String()
	if !regexp.MustCompile(`trace proxy_replace_header_map_value\(response_headers, \\?"x-served-by\\?", \\?"edge\\?"\) = ok`).MatchString(text) {
		t.Errorf("no host call in\n%s", text)
	}
	if strings.Contains(text, "other") {
		t.Errorf("another filter's lines in\n%s", text)
	}
}

// eventually waits for what a log's writer is about to show.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !rig.Eventually(10*time.Second, ok) {
		t.Errorf("not seen: %s", what)
	}
}

// A guest's lines have its filter's name, its level and the request's id, in both ABIs; those of a root context have no id.
func TestGuestsLinesAreAttributed(t *testing.T) {
	script := filepath.Join(rig.Root(t), "wasmhost", "testdata", "script.wasm")
	rest := probeFilter(t, "proxy", "0.2.1", "configure: proxy_log 3 'from the root'", "log_level = \"debug\"\n") +
		filterOf("handler", script, "f0", "log_level = \"info\"\n")
	for _, f := range []string{"proxy", "handler"} {
		rest += fmt.Sprintf("[[routes]]\nmatch = { path = \"/%s\" }\nfilters = [%q]\nrespond = { body = \"x\" }\n", f, f)
	}
	e := rig.Start(t, rig.Config{Log: "level = \"error\"\n", Rest: rest})
	for path, do := range map[string]string{
		"/proxy": "request_headers: proxy_log 0 'p-trace'; proxy_log 1 'p-debug'; proxy_log 2 'p-info'; proxy_log 3 'p-warn'; " +
			"proxy_log 4 'p-error'; proxy_log 5 'p-critical'",
		"/handler": "l0h-debug;l1h-info;l2h-warn;l3h-error",
	} {
		rig.Dial(t, e.Addr).Get(path, "X-Do: "+do+"\r\n")
	}
	ids := map[string]string{}
	for _, c := range []struct{ text, level, filter string }{
		{"from the root", "warn", "proxy"}, {"p-debug", "debug", "proxy"}, {"p-info", "info", "proxy"}, {"p-warn", "warn", "proxy"},
		{"p-error", "error", "proxy"}, {"p-critical", "error", "proxy"},
		{"h-info", "info", "handler"}, {"h-warn", "warn", "handler"}, {"h-error", "error", "handler"},
	} {
		line := regexp.MustCompile(`(?m)^\S+ ` + c.level + ` "?` + c.text + `"? (?:child=\d+ )?filter="?` + c.filter + `"?( request_id="?([^" \n]+)"?)?$`)
		eventually(t, c.text, func() bool { return line.MatchString(e.Log.String()) })
		if m := line.FindStringSubmatch(e.Log.String()); m != nil {
			if (m[2] == "") != (c.text == "from the root") || ids[c.filter] != "" && m[2] != "" && ids[c.filter] != m[2] {
				t.Errorf("%s: request id %q, before %q", c.text, m[2], ids[c.filter])
			}
			ids[c.filter] = m[2]
		}
	}
	for _, below := range []string{"p-trace", "h-debug"} {
		if strings.Contains(e.Log.String(), below) {
			t.Errorf("%s is below its filter's level", below)
		}
	}
	if t.Failed() {
		t.Logf("log:\n%s", e.Log.Tail(4000))
	}
}
