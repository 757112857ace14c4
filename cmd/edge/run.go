package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/watch"
)

func runCommand() *cobra.Command {
	var path string
	var alone, watched bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve until told to stop",
		Long: "Serve until told to stop. TERM or INT finishes what is under way, for at most shutdown_timeout; a second one stops now. HUP reads\n" +
			"the configuration again, USR1 opens the logs again, USR2 has the binary that is installed now take over, QUIT stops however\n" +
			"long that takes, WINCH takes no more connections.\n" +
			"Without -c and without an edge.toml the built-in configuration greets on http://127.0.0.1:8080/.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// A panic, or the ABRT of a watchdog, ends this process by a signal, and not with Go's status 2, which is that of a command line
			// that is not valid: who supervises edge starts it again after the one and not after the other.
			debug.SetTraceback("crash")
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
			follow := "" // no file
			if watched && text.File != config.BuiltinName {
				follow = text.File
			}
			if alone {
				return serveAlone(path, cfg, follow, s)
			}
			return serve(path, text, cfg, follow, h, s)
		},
	}
	fileFlag(c, &path)
	c.Flags().BoolVar(&alone, "single", false, "serve in this very process, without a control process and children: for debuggers")
	c.Flags().BoolVar(&watched, "watch", false, "read the configuration again whenever its file changes")
	return c
}

// signals are those that edge takes (P5).
type signals struct {
	ends  chan os.Signal // it is to stop
	tasks chan os.Signal
}

// patience is how long a stop may take that a signal asks for: shutdown_timeout, or, for QUIT, as long as it does.
func patience(sig os.Signal, cfg *config.Config) time.Duration {
	if sig == syscall.SIGQUIT {
		return control.Unbounded
	}
	return cfg.Server.ShutdownTimeout
}

// onTerminal says whether somebody sits at this process: a terminal that changes its size sends WINCH to all in front of it.
func onTerminal() bool {
	for _, fd := range [...]int{0, 2} {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return true
		}
	}
	return false
}

// followConfig asks for a reload whenever a file has changed, until what it returns is called. Of "" it watches nothing.
func followConfig(file string, r *reloads, log *accesslog.Logger) (end func()) {
	if file == "" {
		return func() {}
	}
	w := watch.New([]string{file}, watch.Options{Log: func(text string) { log.Warn(text) }})
	go func() {
		for {
			select {
			case <-w.Changes():
				r.hangUp()
			case <-r.stop:
				return
			}
		}
	}()
	return w.Close
}

func listenForSignals() signals {
	s := signals{make(chan os.Signal, 2), make(chan os.Signal, 8)}
	signal.Notify(s.ends, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	signal.Notify(s.tasks, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
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
func serveAlone(path string, cfg *config.Config, follow string, s signals) error {
	p, err := start(path, cfg, single(cfg))
	if err != nil {
		return failed(err)
	}
	for _, w := range certWarningsOf(p) {
		p.log.Warn(w.String())
	}
	for _, w := range idleAlone(cfg) {
		p.log.Warn(w.String())
	}
	logServing(p.log, cfg)
	defer followConfig(follow, &p.reloads, p.log)()
	var asked os.Signal
	for asked == nil {
		select {
		case sig := <-s.tasks:
			switch sig {
			case syscall.SIGHUP:
				p.reloads.hangUp()
			case syscall.SIGUSR2:
				p.log.Error("no upgrade is tried: one process alone has nobody to hand over; start edge again")
			case syscall.SIGWINCH:
				p.log.Warn("one process alone accepts until it stops")
			default:
				p.reopenLogs()
			}
		case asked = <-s.ends:
		}
	}
	drain, cancel := context.WithCancel(context.Background())
	if within := patience(asked, p.config()); within != control.Unbounded {
		drain, cancel = context.WithTimeout(context.Background(), within)
	}
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
