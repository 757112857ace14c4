package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"edge/conformance/proc"
)

// maxRounds bounds the rounds of a workload, in units of the rounds that must count.
const maxRounds = 3

// preamble says what is measured, where, and what is missing.
func (b *bench) preamble(out io.Writer) {
	fmt.Fprintf(out, "%d processors, %s/%s, %s; load %s\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), proc.ReadMachine().Load)
	for _, s := range b.servers {
		fmt.Fprintf(out, "%s: %s\n", s.name, s.version)
	}
	for _, a := range b.absent {
		first, _, _ := strings.Cut(a, "\n")
		fmt.Fprintln(out, "absent:", first)
	}
	fmt.Fprintf(out, "server pinned to processor %s; wrk (1 thread, %d connections) and the origin pinned to processor %s; %v a run, %d rounds\n",
		serverCPU, b.connections, loadCPU, b.duration, b.pairs)
}

// measure runs one workload and prints its table.
func (b *bench) measure(ctx context.Context, out io.Writer, w workload) error {
	var part []*server
	for _, s := range b.servers {
		if !s.takesPart(w) {
			continue
		}
		if err := s.check(w); err != nil {
			fmt.Fprintf(out, "\n%s: INVALID: %v\n", w.name, err)
			continue
		}
		if _, err := b.load(ctx, s, w, time.Second); err != nil { // warm-up
			return err
		}
		part = append(part, s)
	}
	began := proc.ReadMachine()
	var rounds, quiet [][]sample
	for len(quiet) < b.pairs && len(rounds) < b.pairs*maxRounds {
		round := make([]sample, len(part))
		calm := true
		for i := range part {
			if len(rounds)%2 == 1 {
				i = len(part) - 1 - i
			}
			r, err := b.load(ctx, part[i], w, b.duration)
			if err != nil {
				return err
			}
			round[i] = r
			calm = calm && r.other <= b.maxOther
		}
		rounds = append(rounds, round)
		if calm {
			quiet = append(quiet, round)
		}
	}
	noise := ""
	if len(quiet) < b.pairs {
		noise, quiet = "NOISY MACHINE: ", rounds
	}
	ended := proc.ReadMachine()
	fmt.Fprintf(out, "\n## %s: %s\n", w.name, w.note)
	table(out, w, part, quiet)
	fmt.Fprintf(out, "%s%d of %d rounds counted; other processes used at most %.0f %% of the machine in a run; steal %.1f %%; load %s\n",
		noise, len(quiet), len(rounds), 100*worstOther(quiet), share(ended.Steal-began.Steal, ended.Total-began.Total), ended.Load)
	return nil
}

// table prints one line a server. Where a server is busy for much less than 100 %, the load is the bottleneck, and the
// processor time per request says more than the rate.
func table(out io.Writer, w workload, part []*server, rounds [][]sample) {
	fmt.Fprintln(out, "| server | req/s median | min – max | of nginx: medians | of nginx: by round "+
		"| server CPU µs/req | nginx CPU ÷ own | server busy | p50 | p99 | |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|")
	nginx := slices.IndexFunc(part, func(s *server) bool { return s.name == "nginx" })
	for i, s := range part {
		rates := column(rounds, i, func(r sample) float64 { return r.perSecond })
		verdict, ratio, byRound := "", "–", "–"
		if f := failure(rounds, i); f != "" {
			verdict = "INVALID: " + f
		} else if nginx >= 0 && i != nginx && failure(rounds, nginx) == "" {
			r := pairwise(rounds, i, nginx)
			ratio = fmt.Sprintf("%.2f", median(rates)/median(column(rounds, nginx, func(r sample) float64 { return r.perSecond })))
			byRound = fmt.Sprintf("%.2f", r)
		}
		if s.name == "edge" && verdict == "" {
			verdict = verdicts(w, part, rounds, i)
		}
		fmt.Fprintf(out, "| %s | %.0f | %.0f – %.0f | %s | %s | %.1f | %s | %.0f %% | %v | %v | %s |\n",
			s.name, median(rates), slices.Min(rates), slices.Max(rates), ratio, byRound, cpu(rounds, i), thrift(rounds, i, nginx),
			median(column(rounds, i, func(r sample) float64 { return r.cpuMicros * r.perSecond / 1e4 })),
			time.Duration(median(column(rounds, i, func(r sample) float64 { return float64(r.p50) }))),
			time.Duration(median(column(rounds, i, func(r sample) float64 { return float64(r.p99) }))), verdict)
	}
}

func cpu(rounds [][]sample, i int) float64 {
	return median(column(rounds, i, func(r sample) float64 { return r.cpuMicros }))
}

// thrift is the ratio of the processor time per request of nginx to that of server i. It is what the ratio of rates would be were
// both servers busy all the time, and it hardly moves when others use the machine.
func thrift(rounds [][]sample, i, nginx int) string {
	if nginx < 0 || i == nginx || cpu(rounds, i) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", cpu(rounds, nginx)/cpu(rounds, i))
}

// verdicts words the ratios of server i to those peers that it is to be held against.
func verdicts(w workload, part []*server, rounds [][]sample, i int) string {
	var said []string
	for _, g := range w.goals {
		peer := slices.IndexFunc(part, func(s *server) bool { return s.name == g.peer })
		if peer < 0 || failure(rounds, peer) != "" {
			continue
		}
		ratio, met := pairwise(rounds, i, peer), "met"
		if ratio < g.ratio {
			met = "MISSED"
		}
		said = append(said, fmt.Sprintf("%.2f × %s, goal %.2f %s", ratio, g.peer, g.ratio, met))
	}
	return strings.Join(said, "; ")
}

// failure is why server i's figures do not count, or "".
func failure(rounds [][]sample, i int) string {
	for _, r := range rounds {
		if r[i].failure != "" {
			return r[i].failure
		}
	}
	return ""
}

func column(rounds [][]sample, i int, of func(sample) float64) []float64 {
	c := make([]float64, len(rounds))
	for n, r := range rounds {
		c[n] = of(r[i])
	}
	return c
}

// pairwise is the median of the rounds' ratios of two servers' rates.
func pairwise(rounds [][]sample, i, to int) float64 {
	c := make([]float64, 0, len(rounds))
	for _, r := range rounds {
		if r[to].perSecond > 0 {
			c = append(c, r[i].perSecond/r[to].perSecond)
		}
	}
	return median(c)
}

// median of an even number of values is the mean of the middle two; of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func worstOther(rounds [][]sample) (worst float64) {
	for _, round := range rounds {
		for _, r := range round {
			worst = max(worst, r.other)
		}
	}
	return worst
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
