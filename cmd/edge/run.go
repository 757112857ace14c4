package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"edge/runtime/config"
)

func runCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve until told to stop",
		Long: "Serve until told to stop. TERM or INT finishes what is under way, for at most shutdown_timeout; a second one stops now. HUP reads\n" +
			"the configuration again, USR1 opens the logs again.\n" +
			"Without -c and without an edge.toml the built-in configuration greets on http://127.0.0.1:8080/.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, problems := loadConfig(path)
			if len(problems) > 0 {
				return failed(problems)
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), w)
			}
			return serve(path, cfg)
		},
	}
	fileFlag(c, &path)
	return c
}

// serve runs one process of a configuration until a signal ends it (P5); path is as the command line had it.
func serve(path string, cfg *config.Config) error {
	ends, tasks := make(chan os.Signal, 2), make(chan os.Signal, 8)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(tasks, syscall.SIGHUP, syscall.SIGUSR1)
	p, err := start(path, cfg)
	if err != nil {
		return failed(err)
	}
	for ended := false; !ended; {
		select {
		case s := <-tasks:
			if s == syscall.SIGHUP {
				p.hangUp()
			} else {
				p.reopenLogs()
			}
		case <-ends:
			ended = true
		}
	}
	drain, cancel := context.WithTimeout(context.Background(), p.config().Server.ShutdownTimeout)
	defer cancel()
	go func() {
		<-ends
		cancel()
	}()
	if err := p.stop(drain); err != nil {
		return &status{exitForced, fmt.Errorf("stopped before everything was finished: %w", err)}
	}
	return nil
}
