package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/admin"
	"edge/runtime/certs"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/metrics"
)

// controlled is the control process with what it has around it: the file, logs, admin server and pid file. The children serve.
type controlled struct {
	path    string         // of the file, as the command line had it
	started *config.Config // that edge has started with; what serves now is control's
	control *control.Control
	errors  *accesslog.Writer
	log     *accesslog.Logger
	tickets *certs.Tickets // the seed of all children's
	admin   *admin.Server
	tally   *tally
	reloads reloads
	began   time.Time
	pid     bool // the pid file is ours
}

// serve runs children of a configuration until a signal ends it (P5); path is as the command line had it.
func serve(path string, text control.Text, cfg *config.Config, s signals) error {
	c := &controlled{path: path, started: cfg, tickets: certs.NewTickets(certs.NewSeed(time.Now()), time.Now), reloads: newReloads(cfg), began: time.Now()}
	if err := c.open(cfg); err != nil {
		return failed(err)
	}
	begun := make(chan error, 1)
	go func() { begun <- c.begin(text, cfg) }()
	for serving := false; ; {
		select {
		case err := <-begun:
			if err != nil {
				c.close()
				return failed(err)
			}
			serving = true
			go c.takeUp()
		case sig := <-s.tasks:
			if sig == syscall.SIGHUP {
				c.reloads.hangUp()
			} else {
				go c.reopenLogs()
			}
		case <-s.ends:
			err := c.stop(s)
			if !serving {
				<-begun
			}
			c.close()
			return err
		}
	}
}

// open makes what is there before the first child.
func (c *controlled) open(cfg *config.Config) (err error) {
	level, _ := accesslog.ParseLevel(cfg.Log.Level) // checked with the configuration
	if c.errors, err = accesslog.Open("stderr", accesslog.Limits{}); err != nil {
		return err
	}
	c.log = accesslog.NewLogger(c.errors, accesslog.Text, level, nil)
	c.tally = newTally(c.log)
	c.control = control.New(control.Options{
		Spawn: control.Program{Args: []string{"edge", "child"}}.Start,
		Bind:  bind,
		Shut:  func(fd int) { mpm.CloseListener(mpm.Listener{FD: fd}) },
		Open:  control.OpenBrokered,
		User: func(cfg *config.Config) (*control.Credential, config.Problems) {
			return control.CredentialOf(cfg, os.Geteuid())
		},
		Cache: cacheFor,
		Fence: sandboxFor,
		Secret: func() []byte {
			secret, _ := json.Marshal(c.tickets.Seed()) // numbers and bytes
			return secret
		},
		Bye: c.tally.gone,
		Log: slog.New(engineLog{c.log}),
	})
	c.tally.children = c.control
	c.tally.own.SetSources(metrics.Sources{Reloads: c.reloads.numbers, Control: c.tally.numbers})
	return nil
}

// begin starts the first generation, and what is to be there when it serves.
func (c *controlled) begin(text control.Text, cfg *config.Config) error {
	if err := c.control.Bind(cfg); err != nil {
		return err
	}
	if err := c.openAdmin(cfg.Server.Admin); err != nil {
		return err
	}
	change, err := c.control.Begin(text, cfg)
	if err != nil {
		return err
	}
	if err := writePid(cfg); err != nil {
		return err
	}
	c.pid = cfg.Server.PidFile != ""
	for _, w := range append(change.Warnings, sandboxWarnings(cfg)...) {
		c.log.Warn(w.String())
	}
	logServing(c.log, cfg)
	return nil
}

func (c *controlled) openAdmin(address config.Address) (err error) {
	if address == (config.Address{}) {
		return nil
	}
	c.admin, err = admin.Listen(admin.Options{
		Address: adminAddress(address), Metrics: c.tally.metrics, MetricsType: metrics.ContentType, Status: c.status,
		Reload:  func(ctx context.Context) (any, int) { return c.reloads.ask(ctx, c.started.File) },
		Ready:   c.control.Ready,
		Healthy: func() error { return nil },
		Log:     func(m string) { c.log.Warn(m) },
	})
	return err
}

// takeUp takes up reloads, one after the other, until reloads.stop is closed.
func (c *controlled) takeUp() {
	for {
		select {
		case <-c.reloads.stop:
			return
		case answer := <-c.reloads.asked:
			answer <- c.reload()
		case <-c.reloads.hangup:
			c.reload()
		}
	}
}

// reload reads the configuration again and has the children serve it, or others. Where anything is wrong with it nothing has changed.
func (c *controlled) reload() *outcome {
	began := time.Now()
	text, cfg, problems := readConfig(c.path)
	o := &outcome{Result: reloadFailed, Config: absolute(cfg.File), SHA256: cfg.SHA256}
	if len(problems) == 0 {
		change, err := c.control.Reload(text, cfg)
		switch {
		case err == nil:
			o.done(append(cfg.Warnings[:len(cfg.Warnings):len(cfg.Warnings)], change.Warnings...), keptByControl(c.started, cfg))
			level, _ := accesslog.ParseLevel(cfg.Log.Level) // checked with the configuration
			c.log.SetLevel(level)
		case !errors.As(err, &problems):
			problems = config.Problems{{File: cfg.File, Message: "is not used: " + err.Error()}}
		}
	}
	c.reloads.end(o, problems, began, c.log)
	return o
}

// reopenLogs has the children open the access log anew, after a rotation.
func (c *controlled) reopenLogs() {
	if err := c.control.Reopen(); err != nil {
		c.log.Error("the access log cannot be opened again, the file before stays in use", accesslog.Err(err))
		return
	}
	c.log.Info("the logs are open again")
}

// stop ends the children. A second signal is the end of what they have not finished.
func (c *controlled) stop(s signals) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.ends:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.log.Info("stopping")
	cfg := c.control.Config()
	if cfg == nil {
		cfg = c.started
	}
	if err := c.control.Stop(ctx, cfg.Server.ShutdownTimeout); err != nil {
		return &status{exitForced, errors.New("stopped before everything was finished")}
	}
	return nil
}

// close takes down what is around the children, when they have gone: the logs last (P7).
func (c *controlled) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = c.control.Stop(ctx, 0) // for a start that has failed; else nothing is left
	close(c.reloads.stop)
	if c.admin != nil {
		c.admin.Close(ctx)
	}
	if c.pid {
		os.Remove(c.started.Server.PidFile)
	}
	c.errors.Close(ctx)
}

// status is admin.Options.Status.
func (c *controlled) status() *admin.Status {
	s := &admin.Status{}
	for _, a := range c.control.Ask(numbersWord, nil) {
		if a.Err != nil {
			continue
		}
		if text, _, err := splitNumbers(a.Body); err == nil && json.Unmarshal(text, s) == nil {
			break
		}
	}
	r := c.reloads.numbers()
	s.ConfigSHA256, s.ConfigSince, s.LastReload = r.SHA256, r.Since.UTC(), (*admin.ReloadStatus)(c.reloads.lastOne())
	s.Version, s.Go, s.PID, s.Started, s.Now = version(), runtime.Version(), os.Getpid(), c.began.UTC(), time.Now().UTC()
	s.Draining = c.control.Ready() != nil
	return s
}
