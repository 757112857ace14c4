package lifecycle

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// swapsUnderLoad is how many times the module is swapped under load; a swap takes a quarter of a second, most of it to settle.
func swapsUnderLoad() int {
	if testing.Short() || rig.Race {
		return 20
	}
	return 100
}

// TestW109SwapUnderLoad: the module changes under load. No request fails, each is served by one version from its request's head to
// its response's, and no client meets an older version after a newer one.
func TestW109SwapUnderLoad(t *testing.T) {
	b := newBed(t, plot{})
	var stop atomic.Bool
	var requests, newest atomic.Int64
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: k == 3}}
			defer c.CloseIdleConnections()
			last := ""
			for !stop.Load() && !t.Failed() {
				request, response, err := b.get(c)
				if err != nil || request == "" || request != response {
					t.Errorf("request %q, response %q, error %v", request, response, err)
				}
				if response < last {
					t.Errorf("%s after %s", response, last)
				}
				last = response
				requests.Add(1)
				n, _ := strconv.Atoi(strings.TrimPrefix(response, "version-"))
				for old := newest.Load(); int64(n) > old && !newest.CompareAndSwap(old, int64(n)); old = newest.Load() {
				}
			}
		})
	}
	wrk := startWrk(t, b.Addr)
	swaps, size := swapsUnderLoad(), int64(0)
	began := time.Now()
	for n := 1; n <= swaps && !t.Failed(); n++ {
		b.put(n)
		within(t, fmt.Sprintf("version %d is served", n), func() bool { return t.Failed() || newest.Load() == int64(n) })
		if n == 10 {
			size = resident(t, b)
		}
	}
	grown := resident(t, b) - size
	took := time.Since(began)
	stop.Store(true)
	wg.Wait()
	wrk.check()
	if got := b.swaps("swapped"); got != swaps {
		t.Errorf("%d swaps are counted, want %d", got, swaps)
	}
	within(t, "only the last version has instances", func() bool {
		return b.Metrics().Sum("edge_filter_instances") == b.lanes()
	})
	if text := b.AccessLog(); regexp.MustCompile(`"status":(5|0|4)`).MatchString(text) {
		t.Error("the access log has failures")
	}
	if grown > 32<<20 && !rig.Race {
		t.Errorf("%d bytes more are resident", grown)
	}
	t.Logf("%d swaps in %s, %d requests checked, %s; %d KiB more are resident than after ten of them, of %d",
		swaps, took.Round(time.Millisecond), requests.Load(), wrk.said, grown>>10, size>>10)
}

func resident(t *testing.T, b *bed) int64 {
	t.Helper()
	n, err := proc.RSS(b.PID())
	rig.Must(t, err)
	return n
}

// load is wrk beside the test's own clients, or nothing.
type load struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	said string
}

// startWrk runs wrk, where it is installed, until check ends it; a script is more of its arguments.
func startWrk(t *testing.T, addr string, script ...string) *load {
	t.Helper()
	l := &load{t: t, said: "wrk is not installed"}
	path, err := exec.LookPath("wrk")
	if err != nil {
		return l
	}
	args := append([]string{"-t", "1", "-c", "8", "-d", "3600s", "--timeout", "60s"}, script...)
	l.cmd = exec.Command(path, append(args, "http://"+addr+"/wrk")...)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	rig.Must(t, l.cmd.Start())
	t.Cleanup(func() { l.cmd.Process.Kill() })
	return l
}

var (
	wrkTotal  = regexp.MustCompile(`(\d+) requests in`)
	wrkFailed = regexp.MustCompile(`(?m)^.*(Socket errors|Non-2xx).*$`)
)

// check ends wrk, which reports on SIGINT, and holds it to no failure.
func (l *load) check() {
	l.t.Helper()
	if l.cmd == nil {
		return
	}
	rig.Must(l.t, l.cmd.Process.Signal(os.Interrupt))
	_ = l.cmd.Wait()
	text := l.out.String()
	if line := wrkFailed.FindString(text); line != "" {
		l.t.Errorf("wrk: %s", line)
	}
	total := wrkTotal.FindStringSubmatch(text)
	if total == nil || total[1] == "0" {
		l.t.Errorf("wrk has done nothing:\n%s", text)
		return
	}
	l.said = "wrk " + total[0] + " its time"
}

// TestBadVersions: a version that cannot be used leaves the one that runs at work, and the log, the metrics and the status say why.
func TestBadVersions(t *testing.T) {
	b := newBed(t, plot{})
	refused := 0
	was := sum(versionModule(t, 0))
	good := versionModule(t, 7)
	for _, c := range []struct {
		name string
		wasm []byte
		why  string
	}{
		{"no module", []byte("#!/bin/sh\n"), "not a WebAssembly module"},
		{"empty", nil, "not a WebAssembly module"},
		{"half a module", good[:len(good)/2], "ends in the middle"},
		{"another ABI", bytes.Replace(good, []byte("proxy_abi_version_0_2_1"), []byte("proxy_abi_version_9_9_9"), 1), "ABI"},
		{"an import of nobody's", bytes.Replace(good, []byte("proxy_http_call"), []byte("proxy_http_cals"), 1), "proxy_http_cals"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.putFile(c.wasm)
			refused++
			within(t, "the version is refused", func() bool { return b.swaps("refused") == refused })
			b.want(0)
			s := b.state()
			if s.SHA256 != was || s.LastSwap == nil || s.LastSwap.Result != "refused" || !strings.Contains(s.LastSwap.Error, c.why) {
				t.Errorf("the status says %+v, %+v; want %q", s, s.LastSwap, c.why)
			}
			b.logged(t, " error the module's new version is not used", `filter="version"`, c.why)
		})
	}
	rig.Must(t, os.Remove(b.module)) // nobody's change, yet
	b.want(0)
	b.putFile(good)
	within(t, "the good version is swapped in", func() bool { return b.swaps("swapped") == 1 })
	b.want(7)
	if s := b.state(); s.SHA256 != sum(good) || s.LastSwap == nil || s.LastSwap.Result != "swapped" || s.LastSwap.SHA256 != sum(good) {
		t.Errorf("the status says %+v, %+v", s, s.LastSwap)
	}
	if got := b.Metrics().Sum("edge_filter_info", `sha256="`+sum(good)+`"`); got != 1 {
		t.Errorf("edge_filter_info of the new version is %v", got)
	}
	if got := b.swaps("refused"); got != refused {
		t.Errorf("%d refusals are counted, want %d", got, refused)
	}
}

// TestPinnedModule: a pin outlives the file's change.
func TestPinnedModule(t *testing.T) {
	b := newBed(t, plot{filter: fmt.Sprintf("sha256 = %q\n", sum(versionModule(t, 0)))})
	b.put(1)
	within(t, "the version is refused", func() bool { return b.swaps("refused") == 1 })
	b.want(0)
	b.logged(t, " error ", "not used", "pinned", sum(versionModule(t, 1)))
	b.put(0)
	b.put(1)
	b.want(0)
}

// TestUnwatched: with watch = false a module is what it was at the start.
func TestUnwatched(t *testing.T) {
	b := newBed(t, plot{server: "watch = false\n"})
	other := newBed(t, plot{})
	b.put(1)
	other.put(1)
	within(t, "the watched one is swapped", func() bool { return other.swaps("swapped") == 1 })
	b.want(0)
	other.want(1)
}

// TestPausedAcrossSwap: a stream that is paused while versions come and go ends on the one that it began with, and its instance
// goes after it.
func TestPausedAcrossSwap(t *testing.T) {
	b := newBed(t, plot{filter: "lanes = 1\nlimits = { pause = \"60s\" }\n"})
	type answer struct {
		request, response string
		err               error
	}
	held := make(chan answer, 1)
	go func() {
		request, response, err := b.get(client, "x-do", "hold")
		held <- answer{request, response, err}
	}()
	within(t, "the request is paused", func() bool { return b.Metrics().Sum("edge_filter_parked") == 1 })
	for n := 1; n <= 3; n++ {
		b.put(n)
		within(t, "the version is swapped in", func() bool { return b.swaps("swapped") == n })
		b.want(n)
	}
	within(t, "two versions have an instance, the first and the last", func() bool { return b.Metrics().Sum("edge_filter_instances") == 2 })
	before := b.Metrics().Sum("edge_filter_calls_total")
	b.gate <- struct{}{}
	select {
	case a := <-held:
		if a.err != nil || a.request != versionText(0) || a.response != versionText(0) {
			t.Errorf("the paused request has seen %+v", a)
		}
	case <-time.After(patience):
		t.Fatal("the paused request has no answer")
	}
	within(t, "one version has an instance", func() bool { return b.Metrics().Sum("edge_filter_instances") == 1 })
	if after := b.Metrics().Sum("edge_filter_calls_total"); after <= before {
		t.Errorf("edge_filter_calls_total has gone from %v to %v", before, after)
	}
	b.want(3)
}

// TestTwoFiltersOfOneModule: a change is taken up by each filter for itself, with its settings and in every route.
func TestTwoFiltersOfOneModule(t *testing.T) {
	module := filepath.Join(t.TempDir(), "shared.wasm")
	rig.Must(t, os.WriteFile(module, versionModule(t, 0), 0o644))
	e := rig.Start(t, rig.Config{Rest: fmt.Sprintf(`
[filters.plain]
module = %[1]q
[filters.pinned]
module = %[1]q
sha256 = %[2]q
[[routes]]
match = { path = "/plain" }
filters = ["plain"]
respond = { body = "x" }
[[routes]]
match = { path = "/own" }
filters = [{ name = "plain", config = "own" }]
respond = { body = "x" }
[[routes]]
match = { path = "/pinned" }
filters = ["pinned"]
respond = { body = "x" }
`, module, sum(versionModule(t, 0)))})
	version := func(path string) string {
		answer, err := client.Get("http://" + e.Addr + path)
		rig.Must(t, err)
		answer.Body.Close()
		return answer.Header.Get("X-Version")
	}
	for _, path := range []string{"/plain", "/own", "/pinned"} {
		if got := version(path); got != versionText(0) {
			t.Errorf("%s is served by %s at first", path, got)
		}
	}
	rig.Must(t, os.WriteFile(module, versionModule(t, 5), 0o644)) // in place
	within(t, "both filters have looked at it", func() bool {
		m := e.Metrics()
		return m.Sum("edge_filter_swaps_total", `filter="plain"`, `result="swapped"`) == 1 &&
			m.Sum("edge_filter_swaps_total", `filter="pinned"`, `result="refused"`) == 1
	})
	for path, n := range map[string]int{"/plain": 5, "/own": 5, "/pinned": 0} {
		if got := version(path); got != versionText(n) {
			t.Errorf("%s is served by %s, want %s", path, got, versionText(n))
		}
	}
}
