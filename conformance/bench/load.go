package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"edge/conformance/proc"
)

// sample is one run of the load against one server.
type sample struct {
	perSecond float64
	cpuMicros float64 // of the server, per request
	p50, p99  time.Duration
	failure   string  // why the figure does not count, or ""
	other     float64 // share of the machine that neither server, origin nor load used
}

var (
	wrkRate    = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
	wrkCount   = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkSocket  = regexp.MustCompile(`(?m)^\s*Socket errors: .*`)
	wrkStatus  = regexp.MustCompile(`(?m)^\s*Non-2xx or 3xx responses: .*`)
	wrkLatency = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([0-9.]+[a-z]+)`)
)

// load runs wrk, or h2load, once against a server, pinned to the load's processor.
func (b *bench) load(ctx context.Context, s *server, w workload, d time.Duration) (sample, error) {
	parse := parseWrk
	args := []string{"-c", loadCPU, "wrk", "-t", "1", "-c", strconv.Itoa(b.connections), "-d", d.String(), "--timeout", "5s", "--latency"}
	if w.header != "" {
		args = append(args, "-H", w.header)
	}
	if w.h2 > 0 {
		args, parse = h2load(w, d), parseH2load
	}
	args = append(args, s.url(w))
	before, machine := b.cpu(s), proc.ReadMachine()
	cmd := exec.CommandContext(ctx, "taskset", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", args[2], err, out)
	}
	after, rested := b.cpu(s), proc.ReadMachine()
	r, count, err := parse(out)
	if err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, out)
	}
	if count > 0 {
		r.cpuMicros = float64(after.server-before.server) / 1e3 / float64(count)
	}
	if total := rested.Total - machine.Total; total > 0 {
		busy := total - (rested.Idle - machine.Idle)
		ours := (after.server - before.server + after.origin - before.origin + int64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())) / 1e7
		r.other = max(0, float64(busy-ours)/float64(total))
	}
	return r, nil
}

// parseWrk reads wrk's report.
func parseWrk(out []byte) (r sample, count int, err error) {
	rate, n := wrkRate.FindSubmatch(out), wrkCount.FindSubmatch(out)
	if rate == nil || n == nil {
		return r, 0, fmt.Errorf("wrk's report is not understood")
	}
	if r.perSecond, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return r, 0, err
	}
	if count, err = strconv.Atoi(string(n[1])); err != nil {
		return r, 0, err
	}
	for _, m := range wrkLatency.FindAllSubmatch(out, -1) {
		d, err := time.ParseDuration(string(m[2]))
		if err != nil {
			return r, 0, err
		}
		if string(m[1]) == "50" {
			r.p50 = d
		} else {
			r.p99 = d
		}
	}
	for _, bad := range []*regexp.Regexp{wrkSocket, wrkStatus} {
		if m := bad.Find(out); m != nil {
			r.failure += string(bytes.TrimSpace(m)) + "; "
		}
	}
	if count == 0 {
		r.failure += "no request was answered; "
	}
	return r, count, nil
}

// times are processor times in nanoseconds.
type times struct{ server, origin int64 }

func (b *bench) cpu(s *server) (t times) {
	t.server, _ = proc.GroupCPUNanos(s.child.PID())
	t.origin, _ = proc.GroupCPUNanos(b.origin.child.PID())
	return t
}
