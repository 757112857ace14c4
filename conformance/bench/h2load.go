package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var (
	h2Rate   = regexp.MustCompile(`(?m)^finished in [^,]+, ([0-9.]+) req/s,`)
	h2Counts = regexp.MustCompile(`(?m)^requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2Status = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	h2Mean   = regexp.MustCompile(`(?m)^time for request:\s+\S+\s+\S+\s+(\S+)`)
)

// h2load is the command line for one run of a workload, without its address.
func h2load(w workload, d time.Duration) []string {
	return []string{"-c", loadCPU, "h2load", "-t", "1", "-c", strconv.Itoa(h2Connections), "-m", strconv.Itoa(w.h2),
		"-D", strconv.Itoa(max(1, int(d.Seconds())))}
}

// parseH2load reads h2load's report. It knows no percentiles; its mean stands for the median.
func parseH2load(out []byte) (r sample, count int, err error) {
	rate, counts, status := h2Rate.FindSubmatch(out), h2Counts.FindSubmatch(out), h2Status.FindSubmatch(out)
	if rate == nil || counts == nil || status == nil {
		return r, 0, fmt.Errorf("h2load's report is not understood")
	}
	if r.perSecond, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return r, 0, err
	}
	if count, err = strconv.Atoi(string(counts[4])); err != nil {
		return r, 0, err
	}
	if m := h2Mean.FindSubmatch(out); m != nil {
		r.p50, _ = time.ParseDuration(string(m[1]))
	}
	switch { // of the answers with 2xx some may not have ended when the time was over
	case count == 0:
		r.failure = "no request was answered; "
	case string(counts[3]) != string(counts[4]), string(status[2])+string(status[3])+string(status[4]) != "000":
		r.failure = string(counts[0]) + "; " + string(status[0]) + "; "
	}
	return r, count, nil
}
