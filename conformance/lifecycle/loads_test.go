package lifecycle

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"edge/conformance/rig"
)

// loads is h2load, run after run, where it is installed.
type loads struct {
	e         *estate
	stop      context.CancelFunc
	done      chan struct{}
	succeeded []int // requests, by run; owned by the goroutine until done is closed
}

var (
	h2loadReport = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, `)
	h2loadStatus = regexp.MustCompile(`(?m)^status codes: \d+ 2xx, 0 3xx, 0 4xx, 0 5xx`)
	h2loadLine   = regexp.MustCompile(`"/h2load/(\d+)"`)
)

// startLoads runs h2load over TLS until check.
func startLoads(e *estate) *loads {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loads{e: e, stop: cancel, done: make(chan struct{})}
	path, err := exec.LookPath("h2load")
	if err != nil {
		close(l.done)
		return l
	}
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			target := fmt.Sprintf("https://%s/h2load/%d", e.secure.addr, len(l.succeeded))
			out, err := exec.Command(path, "-n", "400", "-c", "4", "-m", "8", target).CombinedOutput()
			report := h2loadReport.FindSubmatch(out)
			if err != nil || report == nil || !h2loadStatus.Match(out) {
				e.t.Errorf("h2load: %v\n%s", err, out)
				return
			}
			n, _ := strconv.Atoi(string(report[1]))
			l.succeeded = append(l.succeeded, n)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // the machine is for others too
			}
		}
	}()
	e.t.Cleanup(func() { cancel(); <-l.done })
	return l
}

// check ends the runs, and holds each to have had an answer to every request that edge has seen. What a run has started and not sent when
// it is told to end, which it counts as failed, is nobody's loss: GOAWAY says that it may be tried elsewhere (T2, RFC 9113 6.8).
func (l *loads) check() (said string) {
	l.stop()
	<-l.done
	if len(l.succeeded) == 0 {
		return "h2load is not installed"
	}
	total := 0
	var seen []int
	same := func() bool {
		seen, total = l.seen(), 0
		for run, n := range l.succeeded {
			if total += n; n != seen[run] {
				return false
			}
		}
		return true
	}
	if !rig.Eventually(10*time.Second, same) {
		l.e.t.Errorf("edge has answered %v requests of each run, h2load has answers to %v", seen, l.succeeded)
	}
	return fmt.Sprintf("h2load %d requests in %d runs", total, len(l.succeeded))
}

// seen counts the requests of each run that the access log has.
func (l *loads) seen() []int {
	counts := make([]int, len(l.succeeded))
	file, err := os.Open(filepath.Join(l.e.Dir, "access.log"))
	rig.Must(l.e.t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if m := h2loadLine.FindSubmatch(lines.Bytes()); m != nil {
			if run, err := strconv.Atoi(string(m[1])); err == nil && run < len(counts) {
				counts[run]++
			}
		}
	}
	rig.Must(l.e.t, lines.Err())
	return counts
}

// pacedWrk is the script of a wrk that leaves something of the machine to others.
func pacedWrk(t testing.TB) []string {
	path := filepath.Join(t.TempDir(), "paced.lua")
	rig.Must(t, os.WriteFile(path, []byte("function delay() return 2 end\n"), 0o644))
	return []string{"-s", path}
}
