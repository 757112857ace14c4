// Command bench measures edge beside nginx, Apache (event) and Caddy: small answers, one core for the server and the other
// for the load.
//
//	go run ./conformance/bench [-only respond] [-pairs 5] [-duration 3s] [-caddy build]
//
// Every workload runs its servers interleaved, in rounds: A B C, then C B A, and so on. It prints medians, the spread,
// the ratio of medians and the median of the rounds' ratios to nginx. A run in which any answer was missing, late or not
// 2xx makes the server's figure INVALID. Rounds in which other processes used the machine are repeated; where the machine
// does not come to rest the table says so.
//
// It needs nginx, wrk and h2load; a peer that is not installed has no row. The servers are children with configurations of their own
// in a temporary directory: nothing of the system's services is touched.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	edge        string
	caddy       string
	only        *regexp.Regexp
	pairs       int
	duration    time.Duration
	connections int
	maxOther    float64
}

func main() {
	var o options
	only := flag.String("only", "", "run only the workloads whose name matches this `regexp`")
	flag.StringVar(&o.edge, "edge", "", "edge `binary`; by default ./cmd/edge is built")
	flag.StringVar(&o.caddy, "caddy", "", "caddy `binary`; \"build\" builds it once into the user's cache, \"off\" leaves it out")
	flag.IntVar(&o.pairs, "pairs", 5, "rounds that count, per workload")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "length of one run")
	flag.IntVar(&o.connections, "connections", 64, "connections of the load")
	flag.Float64Var(&o.maxOther, "max-other", 0.09, "share of the machine other processes may use in a round that counts")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run starts the servers, runs the workloads and stops the servers.
func run(ctx context.Context, o options) (err error) {
	for _, program := range []string{"wrk", "h2load", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed: %w", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "edge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir}
	if err := b.layOut(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx); err != nil {
		return err
	}
	b.preamble(os.Stdout)
	for _, w := range workloads {
		if !o.only.MatchString(w.name) {
			continue
		}
		if err := b.measure(ctx, os.Stdout, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// layOut writes what the servers serve.
func (b *bench) layOut() error {
	if err := os.Chmod(b.dir, 0o755); err != nil { // Apache's child runs as another user
		return err
	}
	files := filepath.Join(b.dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(files, "large"), []byte(large), 0o644); err != nil {
		return err
	}
	if err := b.certify(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(files, "hello.txt"), []byte(hello), 0o644)
}
