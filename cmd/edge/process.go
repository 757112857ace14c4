package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/admin"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/metrics"
	"edge/runtime/server"
	"edge/runtime/watch"
	"edge/wasmhost"
)

// process is everything that serves, tied together: all of edge with --single, or a child.
type process struct {
	path     string // of the file, as the command line had it: what a reload reads
	around   around
	cfg      *config.Config // that the process has started with; what it serves now is live's
	errors   *accesslog.Writer
	log      *accesslog.Logger
	access   *accesslog.Writer // also where there is no access log, since there may be one later
	metrics  *metrics.Set
	host     *wasmhost.Host
	live     atomic.Pointer[edition] // replaced by start, and then by takeUp alone
	retired  retired
	server   *server.Server
	tls      *tlsPart
	engine   *mpm.Engine
	units    *server.Units // what filters do without requests
	admin    *admin.Server
	doors    []door
	modules  *watch.Watcher // nil: modules are not watched. Of start, and then of takeUp
	swaps    swaps
	reloads  reloads
	began    time.Time
	serving  atomic.Bool // set by start, when connections are accepted
	draining atomic.Bool
	stuck    bool // the engine has stopped without what a handler holds; of stop
}

// start builds a process and begins to serve. Where it fails nothing is left running.
func start(path string, cfg *config.Config, around around) (*process, error) {
	p := &process{path: path, around: around, cfg: cfg, metrics: metrics.New(version()), units: server.NewUnits(), tls: newTLSPart(around.seed),
		reloads: newReloads(cfg), began: time.Now()}
	if err := p.assemble(); err != nil {
		p.close(context.Background())
		return nil, err
	}
	return p, nil
}

func (p *process) assemble() (err error) {
	if err = p.openLogs(); err != nil {
		return err
	}
	if p.host, err = newHost(p.around.cache, p.filterLog, p.filterFault, p.units); err != nil {
		return err
	}
	p.modules = p.watchModules(p.cfg)
	p.swaps.follow(p.cfg)
	began := time.Now()
	g, problems := p.build(p.cfg, nil, nil)
	if len(problems) > 0 {
		return problems
	}
	if n := len(g.filters.guests); n > 0 {
		p.log.Info("the filters are ready", accesslog.Int("guests", n), accesslog.Dur("took", time.Since(began)))
	}
	p.live.Store(g)
	p.server = server.New(p.serverOptions(p.cfg), g.site.Site)
	p.tls.follow(g.certs)
	if err = p.listen(); err != nil {
		return err
	}
	p.metrics.SetSources(p.sources())
	if p.around.alone {
		if err = p.openAdmin(); err != nil {
			return err
		}
		if err = writePid(p.cfg); err != nil {
			return err
		}
	}
	p.engine.Start()
	p.units.Attach(p.engine, p.server)
	p.takeUp()
	if p.around.alone {
		return p.accept()
	}
	return nil
}

// accept opens the doors.
func (p *process) accept() error {
	if err := p.engine.Accept(); err != nil {
		return err
	}
	p.serving.Store(true)
	return nil
}

// config is the configuration that is served, or about to be.
func (p *process) config() *config.Config {
	if g := p.live.Load(); g != nil {
		return g.cfg
	}
	return p.cfg
}

func (p *process) pollers() int { return mpm.PollersFor(p.cfg.Server.Pollers, p.cfg.Server.Workers) }

func (p *process) openLogs() (err error) {
	level, err := accesslog.ParseLevel(p.cfg.Log.Level)
	if err != nil {
		return err
	}
	if p.errors, err = accesslog.Open("stderr", accesslog.Limits{}); err != nil {
		return err
	}
	p.log = accesslog.NewLogger(p.errors, accesslog.Text, level, nil)
	if !p.around.alone { // several write there
		p.log = p.log.With(accesslog.Int("child", p.around.number))
	}
	if p.access, err = accesslog.Open("off", accesslog.Limits{}); err != nil {
		return err
	}
	target, err := p.target(p.cfg.Log.Access)
	if err != nil {
		return config.Problems{p.cfg.Problem([]any{"log", "access"}, "", "%v", err)}
	}
	return p.access.Switch(target)
}

func (p *process) serverOptions(c *config.Config) server.Options {
	format, _ := accesslog.ParseFormat(c.Log.Format) // checked with the configuration
	o := server.Options{
		Limits: http1Limits(&c.Limits), HandshakeTimeout: c.Server.HandshakeTimeout, HeaderTimeout: c.Server.HeaderTimeout, Timeout: c.Server.Timeout,
		KeepaliveTimeout: c.Server.KeepaliveTimeout, RateBytes: int64(c.Limits.MinRate.Bytes), RatePer: c.Limits.MinRate.Per,
		Trusted: c.Server.TrustedProxies, AccessFormat: format, Log: p.log, FilterLevels: filterLevels(c),
		Metrics: p.metrics,
	}
	if c.Log.Access != "off" {
		o.AccessLog = p.access
	}
	o.ResponseLimits = o.Limits
	o.ResponseLimits.BodyBytes = -1
	return o
}

// listen binds every address. One that is taken costs the start, with its line in the file.
func (p *process) listen() error {
	var listeners []mpm.Listener
	var problems config.Problems
	for i := range p.cfg.Listen {
		l := &p.cfg.Listen[i]
		fd, err := p.around.listen(l)
		if err != nil {
			problems = append(problems, p.cfg.Problem([]any{"listen", i, "address"}, "stop what listens there, or choose another address", "%v", err))
			continue
		}
		e := p.entry(l, p.live.Load().certs)
		listeners = append(listeners, mpm.Listener{FD: fd, Handler: p.server, Name: l.Address, Data: e})
		p.doors = append(p.doors, door{l, e})
	}
	if len(problems) > 0 {
		for _, l := range listeners {
			mpm.CloseListener(l)
		}
		return problems
	}
	var err error
	p.engine, err = mpm.New(mpm.Options{
		Pollers: p.pollers(), Workers: p.cfg.Server.Workers, Connections: p.cfg.Limits.Connections,
		Child: p.around.number, Cells: p.around.cells, MaxAccepted: int(p.around.accepts), Times: engineTimes(p.cfg),
		Log: slog.New(engineLog{p.log}), Units: p.units,
	}, listeners)
	return err
}

func engineTimes(c *config.Config) mpm.Times {
	return mpm.Times{FirstByte: c.Server.KeepaliveTimeout, WriteTimeout: c.Server.Timeout, Linger: c.Server.LingerTimeout}
}

func (p *process) openAdmin() (err error) {
	if p.cfg.Server.Admin == (config.Address{}) {
		return nil
	}
	p.admin, err = admin.Listen(admin.Options{
		Address: adminAddress(p.cfg.Server.Admin), Metrics: p.metrics.Write, MetricsType: metrics.ContentType, Status: p.status,
		Reload:  func(ctx context.Context) (any, int) { return p.reloads.ask(ctx, p.config().File) },
		Ready:   p.ready,
		Healthy: func() error { return nil },
		Log:     func(m string) { p.log.Warn(m) },
	})
	return err
}

// ready returns why no traffic should come to this process, if it should not.
func (p *process) ready() error {
	switch {
	case p.draining.Load():
		return control.ErrDraining
	case !p.serving.Load():
		return errors.New("starting")
	}
	return nil
}

// adminAddress is the address of the admin server as the admin package takes it.
func adminAddress(a config.Address) string {
	if a.Network == "unix" {
		return "unix:" + a.Addr
	}
	return a.Addr
}

func writePid(cfg *config.Config) error {
	if cfg.Server.PidFile == "" {
		return nil
	}
	return os.WriteFile(cfg.Server.PidFile, pidText(), 0o644)
}

// removePid removes the pid file, unless it is another process's by now.
func removePid(cfg *config.Config) {
	if cfg.Server.PidFile == "" {
		return
	}
	if text, err := os.ReadFile(cfg.Server.PidFile); err == nil && bytes.Equal(text, pidText()) {
		os.Remove(cfg.Server.PidFile)
	}
}

func pidText() []byte { return []byte(strconv.Itoa(os.Getpid()) + "\n") }

// finish finishes what is under way, until the context ends, and joins the engine. close takes down the rest: what its workers use goes
// after them, the logs last (P7).
func (p *process) finish(ctx context.Context) error {
	p.draining.Store(true)
	p.farewell(ctx)
	err := p.engine.Stop(ctx)
	p.stuck = errors.Is(err, mpm.ErrStuck)
	return err
}

// closeTime bounds what closing waits for: for a swap that is under way, for admin requests, and for each log.
const closeTime = 2 * time.Second

func (p *process) close(ctx context.Context) {
	bounded(ctx, p.stopTakingUp)
	if p.admin != nil {
		bounded(ctx, func(ctx context.Context) { p.admin.Close(ctx) })
	}
	if g := p.live.Load(); g != nil && !p.stuck {
		g.close()
	}
	p.units.Stop()
	if p.around.alone {
		removePid(p.cfg)
	}
	if p.access != nil {
		bounded(ctx, func(ctx context.Context) { p.access.Close(ctx) })
	}
	if p.errors != nil {
		bounded(ctx, func(ctx context.Context) { p.errors.Close(ctx) })
	}
}

// bounded gives a step of closing closeTime of its own: what the swap of a module that compiles has waited for is not taken from the logs.
func bounded(ctx context.Context, step func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	step(ctx)
}

// filterLog takes what the host says of filters as such, or, with "", of itself.
func (p *process) filterLog(filter string, level filters.Level, text string) {
	l := server.LogLevel(level)
	if filter == "" {
		p.log.Log(l, text)
		return
	}
	least, own := filterLevels(p.config())[filter]
	if p.log.Enabled(l) || own && l >= least {
		p.log.LogAlways(l, text, accesslog.Str("filter", filter))
	}
}

func listenNames(cfg *config.Config) string {
	var names []string
	for i := range cfg.Listen {
		names = append(names, schemeOf(&cfg.Listen[i]))
	}
	return strings.Join(names, " ")
}
