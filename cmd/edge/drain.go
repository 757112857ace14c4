package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edge/runtime/accesslog"
	"edge/runtime/admin"
)

func drainCommand() *cobra.Command {
	var to target
	var delay, timeout time.Duration
	c := &cobra.Command{
		Use:   "drain",
		Short: "Have the running edge take no more connections, and wait until it has none",
		Long: "Have the running edge take no more connections, and wait until those it has are over. /readyz says at once that it is not ready;\n" +
			"with --delay connections are accepted for that time yet, for whoever has not looked there. Then listeners close, idle clients may ask\n" +
			"once more, and are told that it is the last time. edge itself and its admin server stay until they are stopped.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if delay < 0 || delay > admin.MaxDelay || timeout < 0 {
				return fmt.Errorf("--delay is between 0s and %v, --timeout at least 0s", admin.MaxDelay)
			}
			client, err := to.client("")
			if err != nil {
				return failed(err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			return client.drain(ctx, delay, c.OutOrStdout())
		},
	}
	to.flags(c)
	c.Flags().DurationVar(&delay, "delay", 0, "accept connections for this `time` yet")
	c.Flags().DurationVar(&timeout, "timeout", 0, "wait for at most this `time`, the delay included; 0 is for as long as it takes")
	return c
}

// draining is what has come of a request to drain, when no more connections are accepted.
type draining struct {
	Result   string   `json:"result"` // drainBegun or drainRefused
	Problems []string `json:"problems,omitempty"`
}

// The results of it.
const (
	drainBegun   = "draining"
	drainRefused = "refused"
)

// drainPeriod is how often a drain looks at what is left.
const drainPeriod = 250 * time.Millisecond

// drain is admin.Options.Drain. It comes behind a reload or an upgrade that is under way.
func (c *controlled) drain(ctx context.Context, delay time.Duration) (any, int) {
	refused := func(why string) (any, int) {
		return draining{Result: drainRefused, Problems: []string{why}}, http.StatusServiceUnavailable
	}
	if !c.notReady.Swap(true) {
		c.log.Info("draining", accesslog.Dur("delay", delay))
		c.told(c.inherited.service.Status("draining"))
	}
	done := make(chan bool, 1)
	go func() { // goes on where nobody waits any more
		late := time.NewTimer(delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-c.ending:
			return
		}
		select {
		case c.tasks <- func() {
			if c.gone.Load() {
				done <- false
				return
			}
			c.control.Drain()
			done <- true
		}:
		case <-c.ending:
		}
	}()
	select {
	case drains := <-done:
		if !drains {
			return refused("another edge has taken over; ask again")
		}
		return draining{Result: drainBegun}, http.StatusOK
	case <-c.ending:
		return refused("edge is stopping")
	case <-ctx.Done():
		return refused("it takes too long, and goes on; see the log")
	}
}

// drain has edge drain, and says how many connections are left until there are none. When ctx ends first that is its error.
func (c *adminClient) drain(ctx context.Context, delay time.Duration, out io.Writer) error {
	if delay > 0 {
		fmt.Fprintf(out, "connections are accepted for %v yet\n", delay)
	}
	var d draining
	_, _, err := c.ask(ctx, delay+statusTime, "POST", admin.DrainPath+"?delay="+delay.String(), &d)
	switch {
	case ctx.Err() != nil:
		return &status{exitForced, errors.New("edge drains, and nobody waits for it any more")}
	case err != nil:
		return failed(err)
	case d.Result != drainBegun:
		return failed(fmt.Errorf("edge does not drain: %s", strings.Join(d.Problems, "; ")))
	}
	again := time.NewTicker(drainPeriod)
	defer again.Stop()
	for left := -1; ; {
		select {
		case <-ctx.Done():
			return &status{exitForced, fmt.Errorf("%d connections are left, and nobody waits for them any more; edge goes on draining", max(left, 0))}
		case <-again.C:
		}
		_, s, err := c.status(ctx)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil:
			return failed(fmt.Errorf("edge drained, and has gone: %w", err))
		case !s.Draining:
			return failed(errors.New("edge drained, and another one has been started meanwhile"))
		case s.Connections == 0:
			fmt.Fprintln(out, "drained")
			return nil
		case s.Connections != left:
			left = s.Connections
			fmt.Fprintf(out, "%d connections left\n", left)
		}
	}
}
