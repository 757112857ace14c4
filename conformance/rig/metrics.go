package rig

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Metrics is a reading of /metrics: a line's name with its labels, as printed, to its value.
type Metrics map[string]float64

// Metrics reads the metrics through the admin socket.
func (e *Edge) Metrics() Metrics {
	e.t.Helper()
	answer, err := e.AdminClient().Get("http://localhost/metrics")
	if err != nil {
		e.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		e.t.Fatalf("/metrics answers %s: %s", answer.Status, body)
	}
	m := Metrics{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := cutLast(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			m[name] = v
		}
	}
	if err := lines.Err(); err != nil {
		e.t.Fatal(err)
	}
	return m
}

// Sum adds every line of a metric whose labels contain each of with, for example `code="200"`.
func (m Metrics) Sum(name string, with ...string) (sum float64) {
next:
	for line, v := range m {
		metric, labels, _ := strings.Cut(line, "{")
		if metric != name {
			continue
		}
		for _, w := range with {
			if !strings.Contains(labels, w) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// Has says whether a metric is there at all.
func (m Metrics) Has(name string) bool {
	for line := range m {
		if metric, _, _ := strings.Cut(line, "{"); metric == name {
			return true
		}
	}
	return false
}

// WaitMetric reads the metrics until ok holds for them.
func (e *Edge) WaitMetric(what string, ok func(Metrics) bool) Metrics {
	e.t.Helper()
	var m Metrics
	if !Eventually(ioLimit, func() bool { m = e.Metrics(); return ok(m) }) {
		e.t.Fatalf("metrics never showed %s", what)
	}
	return m
}

// Eventually asks again and again, up to limit, and says whether ok ever held.
func Eventually(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-again.C
	}
}

// Must fails the test now where err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
