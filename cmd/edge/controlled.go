package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/admin"
	"edge/runtime/certs"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/metrics"
	"edge/wasmhost"
)

// controlled is the control process with what it has around it: the file, logs, admin server and pid file. The children serve.
type controlled struct {
	path    string         // of the file, as the command line had it
	started *config.Config // that edge has started with; what serves now is control's
	control *control.Control
	errors  *accesslog.Writer
	log     *accesslog.Logger
	tickets *certs.Tickets // the seed of all children's
	own     []byte         // likewise, as common has it
	admin   *admin.Server
	tally   *tally
	reloads reloads
	began   time.Time

	inherited *inheritance
	signals   signals
	adopted   map[string]int  // listening sockets of it, by address and port. Of begin
	kept      map[string]bool // listening sockets that the service manager keeps. Of begin, and then of takeUp
	upgrades  upgrades
	tasks     chan func()   // for the goroutine of takeUp
	ending    chan struct{} // closed when it begins to stop
	notReady  atomic.Bool   // it drains, or is about to
	gone      atomic.Bool   // another process has taken over
}

// serve runs children of a configuration until a signal ends it (P5), or another process takes over; path is as the command line had it.
func serve(path string, text control.Text, cfg *config.Config, follow string, h *inheritance, s signals) error {
	all, err := h.common()
	if err != nil {
		return failed(err)
	}
	c := &controlled{
		path: path, started: cfg, tickets: certs.NewTickets(all.Seed, time.Now), own: all.SelfSigned, reloads: newReloads(cfg), began: time.Now(),
		inherited: h, signals: s, upgrades: newUpgrades(h.before), tasks: make(chan func()), ending: make(chan struct{}),
	}
	if err := c.open(cfg); err != nil {
		return failed(err)
	}
	defer followConfig(follow, &c.reloads, c.log)()
	begun := make(chan error, 1)
	go func() { begun <- c.begin(text, cfg) }()
	for serving := false; ; {
		select {
		case err := <-begun:
			if err != nil {
				h.failed(err)
				c.close()
				return failed(err)
			}
			serving = true
			go c.takeUp()
		case sig := <-s.tasks:
			switch sig {
			case syscall.SIGHUP:
				c.reloads.hangUp()
			case syscall.SIGUSR2:
				c.upgrades.hangUp()
			case syscall.SIGWINCH:
				if !onTerminal() {
					go c.drain(context.Background(), 0)
				}
			default:
				go c.reopenLogs()
			}
		case next := <-c.upgrades.taken:
			err := c.leave(next, s)
			c.close()
			return err
		case sig := <-s.ends:
			err := c.stop(s, patience(sig, c.config()))
			if !serving {
				<-begun
			}
			c.farewell(err)
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
		Bind: func(l *config.Listen) (int, error) {
			if fd, ok := c.adopted[l.AddrPort.String()]; ok {
				delete(c.adopted, l.AddrPort.String())
				return fd, nil
			}
			return bind(l)
		},
		Shut: func(fd int) { mpm.CloseListener(mpm.Listener{FD: fd}) },
		Open: control.OpenBrokered,
		User: func(cfg *config.Config) (*control.Credential, config.Problems) {
			return control.CredentialOf(cfg, os.Geteuid())
		},
		Cache:  cacheFor,
		Fence:  sandboxFor,
		Secret: c.secret,
		Bye:    c.tally.gone,
		Doing:  workersText,
		Log:    slog.New(engineLog{c.log}),
	})
	c.tally.children = c.control
	c.tally.own.SetSources(metrics.Sources{Reloads: c.reloads.numbers, Control: c.numbers})
	return nil
}

// numbers are this process's own, for its metrics.
func (c *controlled) numbers() metrics.Control {
	n := c.tally.numbers()
	n.Upgrades = c.upgrades.numbers()
	return n
}

// secret is what all children have in common.
func (c *controlled) secret() []byte {
	secret, _ := json.Marshal(common{c.tickets.Seed(), c.own}) // numbers and bytes
	return secret
}

// begin starts the first generation, and what is to be there when it serves. Where another edge's place is taken, that has its admin server
// and pid file until then.
func (c *controlled) begin(text control.Text, cfg *config.Config) error {
	before := c.inherited.before
	if before != nil {
		c.control.Follow(before.State.Number, before.State.Generation)
	}
	c.adopted = c.inherited.adopt(cfg)
	for _, what := range c.inherited.unfit {
		c.log.Warn(what)
	}
	if err := c.control.Bind(cfg); err != nil {
		return err
	}
	if before == nil {
		if err := c.openAdmin(cfg.Server.Admin); err != nil {
			return err
		}
	}
	change, err := c.control.Begin(text, cfg)
	if err != nil {
		return err
	}
	if err := before.Ready(); err != nil {
		return err
	}
	if err := writePid(cfg); err != nil {
		return err
	}
	if before != nil {
		if err := c.openAdmin(cfg.Server.Admin); err != nil {
			return err
		}
	}
	before.Taken()
	c.inherited.tidy()
	c.served(cfg, "")
	c.keepListeners()
	go c.watchdog()
	for _, w := range append(change.Warnings, sandboxWarnings(cfg)...) {
		c.log.Warn(w.String())
	}
	logServing(c.log, cfg)
	return nil
}

func (c *controlled) openAdmin(address config.Address) (err error) {
	inherited := c.inherited.adminSocket(adminAddress(address))
	if address == (config.Address{}) {
		return nil
	}
	c.admin, err = admin.Listen(admin.Options{
		Address: adminAddress(address), Metrics: c.tally.metrics, MetricsType: metrics.ContentType, Status: c.status,
		Reload:  func(ctx context.Context) (any, int) { return c.reloads.ask(ctx, c.started.File) },
		Upgrade: c.askUpgrade,
		Drain:   c.drain,
		Stop: func(now bool) any {
			c.signals.end()
			if now {
				c.signals.end()
			}
			return stopping{PID: os.Getpid(), Version: version()}
		},
		Ready:     c.ready,
		Healthy:   func() error { return nil },
		Inherited: inherited,
		Log:       func(m string) { c.log.Warn(m) },
	})
	return err
}

// ready is why no traffic should come, or nil.
func (c *controlled) ready() error {
	if c.notReady.Load() {
		return control.ErrDraining
	}
	return c.control.Ready()
}

// takeUp takes up reloads, upgrades and drains, one after the other, until reloads.stop is closed.
func (c *controlled) takeUp() {
	for {
		select {
		case <-c.reloads.stop:
			return
		case answer := <-c.reloads.asked:
			answer <- c.reload()
		case <-c.reloads.hangup:
			if !c.gone.Load() {
				c.reload()
			}
		case answer := <-c.upgrades.asked:
			answer <- c.upgrade()
		case <-c.upgrades.hangup:
			c.upgrade()
		case do := <-c.tasks:
			do()
		}
	}
}

// reload reads the configuration again and has the children serve it, or others. Where anything is wrong with it nothing has changed.
func (c *controlled) reload() *outcome {
	began := time.Now()
	text, cfg, problems := readConfig(c.path)
	o := &outcome{Result: reloadFailed, Config: absolute(cfg.File), SHA256: cfg.SHA256}
	if c.gone.Load() {
		problems = config.Problems{{File: cfg.File, Message: "is not used by this edge: another has taken over; ask again"}}
	} else {
		c.told(c.inherited.service.Reloading())
	}
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
	if !c.gone.Load() {
		c.keepListeners()
		c.served(c.config(), map[string]string{reloadFailed: "the last reload has failed"}[o.Result])
	}
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

// config is the configuration that serves, or the one to begin with.
func (c *controlled) config() *config.Config {
	if cfg := c.control.Config(); cfg != nil {
		return cfg
	}
	return c.started
}

// stop ends the children, and the edge whose place was taken if it is there yet. A second signal is the end of what they have not finished.
func (c *controlled) stop(s signals, within time.Duration) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.ends:
			cancel()
		case <-ctx.Done():
		}
	}()
	close(c.ending)
	c.log.Info("stopping")
	if !c.gone.Load() {
		c.told(c.inherited.service.Stopping())
	}
	before := make(chan bool, 1)
	go func() { before <- c.inherited.before.Stop(within, ctx.Done()) }()
	err := c.control.Stop(ctx, within)
	if finished := <-before; err != nil || !finished {
		return &status{exitForced, errors.New("stopped before everything was finished")}
	}
	return nil
}

// farewell tells those who wait for the end how it has come.
func (c *controlled) farewell(err error) {
	if c.admin != nil {
		c.admin.Farewell(stopped{Finished: err == nil})
	}
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
	removePid(c.started)
	c.errors.Close(ctx)
}

// status is admin.Options.Status.
func (c *controlled) status() *admin.Status {
	s := c.tally.status()
	r := c.reloads.numbers()
	s.ConfigSHA256, s.ConfigSince, s.LastReload = r.SHA256, r.Since.UTC(), (*admin.ReloadStatus)(c.reloads.lastOne())
	s.Version, s.Go, s.PID, s.Started, s.Now = version(), runtime.Version(), os.Getpid(), c.began.UTC(), time.Now().UTC()
	if s.Config = c.started.File; c.control.Config() != nil {
		s.Config = c.control.Config().File
	}
	if err := c.ready(); err != nil {
		s.NotReady, s.Draining = err.Error(), err == control.ErrDraining
	}
	goroutines, memory := ofGo()
	s.Goroutines += goroutines
	s.MemoryBytes += memory
	if s.RequestBounds == nil { // no child has said anything
		s.RequestBounds, s.CallBounds = seconds(metrics.RequestBounds()), seconds(wasmhost.Buckets[:])
	}
	s.Sandbox = sandboxStatus(c.control.Config(), c.control.Numbers().Children)
	return s
}
