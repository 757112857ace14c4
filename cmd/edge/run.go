package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"edge/runtime/accesslog"
	"edge/runtime/config"
)

func runCommand() *cobra.Command {
	var path string
	var alone bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve until told to stop",
		Long: "Serve until told to stop. TERM or INT finishes what is under way, for at most shutdown_timeout; a second one stops now. HUP reads\n" +
			"the configuration again, USR1 opens the logs again, USR2 has the binary that is installed now take over.\n" +
			"Without -c and without an edge.toml the built-in configuration greets on http://127.0.0.1:8080/.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := inherit()
			if err != nil {
				return failed(err)
			}
			text, cfg, problems := readConfig(path)
			if len(problems) > 0 {
				h.failed(problems)
				return failed(problems)
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), w)
			}
			s := listenForSignals()
			if alone {
				return serveAlone(path, cfg, s)
			}
			return serve(path, text, cfg, h, s)
		},
	}
	fileFlag(c, &path)
	c.Flags().BoolVar(&alone, "single", false, "serve in this very process, without a control process and children: for debuggers")
	return c
}

// signals are those that edge takes (P5).
type signals struct {
	ends  chan os.Signal // it is to stop
	tasks chan os.Signal
}

func listenForSignals() signals {
	s := signals{make(chan os.Signal, 2), make(chan os.Signal, 8)}
	signal.Notify(s.ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(s.tasks, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	return s
}

// end has it stop as a signal does; a second call as a second one.
func (s signals) end() {
	select {
	case s.ends <- syscall.SIGTERM:
	default:
	}
}

// serveAlone runs one process of a configuration until a signal ends it (P6); path is as the command line had it.
func serveAlone(path string, cfg *config.Config, s signals) error {
	p, err := start(path, cfg, single(cfg))
	if err != nil {
		return failed(err)
	}
	for _, w := range certWarningsOf(p) {
		p.log.Warn(w.String())
	}
	logServing(p.log, cfg)
	for ended := false; !ended; {
		select {
		case sig := <-s.tasks:
			switch sig {
			case syscall.SIGHUP:
				p.reloads.hangUp()
			case syscall.SIGUSR2:
				p.log.Error("no upgrade is tried: one process alone has nobody to hand over; start edge again")
			default:
				p.reopenLogs()
			}
		case <-s.ends:
			ended = true
		}
	}
	drain, cancel := context.WithTimeout(context.Background(), p.config().Server.ShutdownTimeout)
	defer cancel()
	go func() {
		<-s.ends
		cancel()
	}()
	p.log.Info("stopping")
	err = p.finish(drain)
	p.close(context.Background())
	if err != nil {
		return &status{exitForced, fmt.Errorf("stopped before everything was finished: %w", err)}
	}
	return nil
}

func logServing(log *accesslog.Logger, cfg *config.Config) {
	log.Info("serving", accesslog.Str("config", cfg.File), accesslog.Str("version", version()), accesslog.Str("listen", listenNames(cfg)))
}
