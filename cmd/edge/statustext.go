package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"edge/runtime/admin"
)

// statusText is a status in lines, with rates and percentiles since before, which is an earlier status of the same process, or nil:
// then they are those since its start.
func statusText(before, s *admin.Status) string {
	if before == nil || before.Started != s.Started {
		before = &admin.Status{Now: s.Started}
	}
	dt := max(s.Now.Sub(before.Now).Seconds(), 0.001)
	var b strings.Builder
	writeHead(&b, before, s, dt)
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	writeChildren(w, before, s, dt)
	writeTraffic(w, before, s, dt)
	writeFilterRows(w, before, s, dt)
	w.Flush()
	for i := range s.Filters {
		if f := s.Filters[i].LastFault; f != nil {
			fmt.Fprintf(&b, "last fault of %s: %s in %s, %s ago: %s\n", printable(s.Filters[i].Name), f.Cause, f.Phase,
				age(s.Now.Sub(f.Time)), printable(f.Error))
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "%s %s: %d\n", p.Kind, printable(p.Reason), p.N)
	}
	return b.String()
}

func writeHead(b *strings.Builder, before, s *admin.Status, dt float64) {
	state := "serving"
	switch {
	case s.NotReady != "":
		state = printable(s.NotReady)
	case s.NotAccepting:
		state = "not accepting"
	}
	fmt.Fprintf(b, "edge %s, %s, up %s, process %d, %s", printable(s.Version), state, age(s.Now.Sub(s.Started)), s.PID, printable(s.Config))
	if s.Engine != "compiler" {
		fmt.Fprintf(b, ", wasm: %s", printable(s.Engine))
	}
	if s.Sandbox != nil && s.Sandbox.State != admin.SandboxOn {
		fmt.Fprintf(b, ", sandbox: %s", s.Sandbox.State)
	}
	if s.LastReload != nil && s.LastReload.Result != "done" {
		fmt.Fprintf(b, ", the last reload %s %s ago", s.LastReload.Result, age(s.Now.Sub(s.LastReload.Time)))
	}
	var requests, bad float64
	took := make([]uint64, len(s.RequestBounds)+1)
	for i := range s.Routes {
		r, was := &s.Routes[i], routeOf(before, s.Routes[i].Name)
		requests += risen(sum(r.Codes), sum(was.Codes))
		bad += risen(r.Codes["5xx"]+r.Codes["none"], was.Codes["5xx"]+was.Codes["none"])
		for k, n := range since(r.Durations, was.Durations) {
			took[k] += n
		}
	}
	fmt.Fprintf(b, "\n%s requests/s, %s failed/s, p50 %s, p99 %s, %d in flight\n", amount(requests/dt), amount(bad/dt),
		percentile(s.RequestBounds, took, 0.5), percentile(s.RequestBounds, took, 0.99), s.InFlight)
	fmt.Fprintf(b, "%d connections of %d:", s.Connections, s.ConnectionLimit)
	for _, ph := range slices.Sorted(maps.Keys(s.ByPhase)) {
		if s.ByPhase[ph] > 0 {
			fmt.Fprintf(b, " %s %d", ph, s.ByPhase[ph])
		}
	}
	fmt.Fprintf(b, "\n%d workers of %d busy, queue %d, memory %s\n", s.Workers-s.WorkersIdle, s.Workers, s.Queue, size(float64(s.MemoryBytes)))
}

// writeChildren shows what children have on their scoreboards (P8).
func writeChildren(w *tabwriter.Writer, before, s *admin.Status, dt float64) {
	if len(s.Children) > 0 {
		fmt.Fprint(w, "\nCHILD\tPID\tGENERATION\tSTATE\tUP\tCONNECTIONS\tACCEPTED/S\tACCEPTED\tWORKERS\n")
	}
	for i := range s.Children {
		c := &s.Children[i]
		was := admin.ChildStatus{}
		for _, o := range before.Children {
			if o.Number == c.Number {
				was = o
			}
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t%d\t%s\t%d\t%s\n", c.Number, c.PID, c.Generation, childState(c), age(s.Now.Sub(c.Started)),
			c.Connections, amount(risen(c.Accepted, was.Accepted)/dt), c.Accepted, workersOf(c))
	}
}

// silentBoard is how old a child's figures are, in seconds, when something keeps it from telling them, as it does four times a second.
const silentBoard = 2

// childState is a child's state, and what is odd about it.
func childState(c *admin.ChildStatus) string {
	state := printable(c.State)
	if c.NotAccepting && c.State == "ready" {
		state += ", not accepting"
	}
	if c.Silent || c.HeartbeatAge > silentBoard {
		state += ", silent"
	}
	return state
}

// workersOf are a child's workers by what they do, the idle ones first.
func workersOf(c *admin.ChildStatus) string {
	list := []string{fmt.Sprintf("%s %d", idleWork, c.Workers[idleWork])}
	for _, what := range slices.Sorted(maps.Keys(c.Workers)) {
		if what != idleWork {
			list = append(list, fmt.Sprintf("%s %d", printable(what), c.Workers[what]))
		}
	}
	return strings.Join(list, ", ")
}

// risen is by how much a counter has risen, which is nothing where it has begun anew.
func risen(now, was uint64) float64 { return float64(max(now, was) - was) }

func writeTraffic(w *tabwriter.Writer, before, s *admin.Status, dt float64) {
	if len(s.Routes) > 0 {
		fmt.Fprint(w, "\nROUTE\tREQ/S\tP50\tP99\t2XX\t3XX\t4XX\t5XX\tNONE\tSENT/S\n")
	}
	for i := range s.Routes {
		r, was := &s.Routes[i], routeOf(before, s.Routes[i].Name)
		took := since(r.Durations, was.Durations)
		name := printable(r.Name)
		if name == "" {
			name = "(no route)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", name, amount(risen(sum(r.Codes), sum(was.Codes))/dt),
			percentile(s.RequestBounds, took, 0.5), percentile(s.RequestBounds, took, 0.99),
			r.Codes["2xx"], r.Codes["3xx"], r.Codes["4xx"], r.Codes["5xx"], r.Codes["none"], size(risen(r.ResponseBytes, was.ResponseBytes)/dt))
	}
	if len(s.Upstreams) > 0 {
		fmt.Fprint(w, "\nUPSTREAM\tREQ/S\t2XX\t4XX\t5XX\tNONE\tRETRIES\tUNREACHED\tIDLE\n")
	}
	for _, u := range s.Upstreams {
		was := uint64(0)
		for _, o := range before.Upstreams {
			if o.Name == u.Name {
				was = sum(o.Codes)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", printable(u.Name), amount(risen(sum(u.Codes), was)/dt),
			u.Codes["2xx"], u.Codes["4xx"], u.Codes["5xx"], u.Codes["none"], u.Retries, u.ConnectErrors, u.Idle)
	}
}

func writeFilterRows(w *tabwriter.Writer, before, s *admin.Status, dt float64) {
	if len(s.Filters) > 0 {
		fmt.Fprint(w, "\nFILTER\tVERSION\tCALLS/S\tP50\tP99\tFUEL/S\tFAULTS\tSTARTS\tINSTANCES\tMEMORY\tSTREAMS\tPARKED\n")
	}
	for i := range s.Filters {
		f := &s.Filters[i]
		var was admin.FilterStatus
		for _, o := range before.Filters {
			if o.Name == f.Name {
				was = o
			}
		}
		took := since(f.Durations, was.Durations)
		fmt.Fprintf(w, "%s\t%.12s\t%s\t%s\t%s\t%s\t%d\t%d\t%d of %d\t%s\t%d\t%d\n",
			printable(f.Name), f.SHA256, amount(risen(f.Calls, was.Calls)/dt),
			percentile(s.CallBounds, took, 0.5), percentile(s.CallBounds, took, 0.99), amount(risen(f.Fuel, was.Fuel)/dt),
			sum(f.Faults), f.Starts, f.Instances, f.Lanes, size(float64(f.Memory)), f.Streams, f.Parked)
	}
}

// printable is a stranger's text without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

func routeOf(s *admin.Status, name string) *admin.RouteStatus {
	for i := range s.Routes {
		if s.Routes[i].Name == name {
			return &s.Routes[i]
		}
	}
	return &admin.RouteStatus{}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func since(now, was admin.Durations) []uint64 {
	counts := slices.Clone(now.Counts)
	for i := range min(len(counts), len(was.Counts)) {
		counts[i] = max(counts[i], was.Counts[i]) - was.Counts[i]
	}
	return counts
}

// percentile estimates from a histogram: linear within a bucket, but for the lowest and the highest.
func percentile(bounds []float64, counts []uint64, q float64) string {
	all := uint64(0)
	for _, n := range counts {
		all += n
	}
	if all == 0 || len(counts) != len(bounds)+1 {
		return "-"
	}
	left := q * float64(all)
	for i, bound := range bounds {
		n := float64(counts[i])
		if n > 0 && left <= n {
			if i == 0 {
				return "<" + duration(bound)
			}
			return duration(bounds[i-1] + (bound-bounds[i-1])*left/n)
		}
		left -= n
	}
	return ">" + duration(bounds[len(bounds)-1])
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

func age(d time.Duration) string { return max(d, 0).Round(time.Second).String() }

func amount(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fG", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	case n >= 100 || n == 0:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

func size(n float64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1fGiB", n/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1fMiB", n/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1fKiB", n/(1<<10))
	}
	return fmt.Sprintf("%.0fB", n)
}
