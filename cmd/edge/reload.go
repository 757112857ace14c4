package main

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/runtime/server"
	"edge/runtime/watch"
)

// reloadsWaiting is how many reloads may wait for their turn; who asks for more is refused.
const reloadsWaiting = 4

// The results of a reload.
const (
	reloadDone    = "done"
	reloadFailed  = "failed"  // the configuration cannot be used
	reloadRefused = "refused" // nobody has looked at it
)

// reloads is what has become of the configuration, and who waits for more.
type reloads struct {
	asked  chan chan *outcome // each has room for the answer
	hangup chan struct{}      // room for one: whoever comes meanwhile asks for the same
	stop   chan struct{}      // closed to end takeUp
	ended  chan struct{}      // closed when it has; nil where it has not begun

	mu     sync.Mutex // guards what follows
	count  map[string]uint64
	last   *outcome // that looked at a configuration; nil: none has
	since  time.Time
	sha256 string
}

// outcome is what has come of a reload: the answer of the admin server, and the last one stands in the status.
type outcome struct {
	Time     time.Time `json:"time"` // of its end
	Result   string    `json:"result"`
	Config   string    `json:"config"` // the file, its path absolute
	SHA256   string    `json:"sha256"` // of its text
	TookMS   float64   `json:"took_ms"`
	Problems []string  `json:"problems,omitempty"` // why it has failed
	Warnings []string  `json:"warnings,omitempty"`
	Restart  []string  `json:"needs_restart,omitempty"` // keys whose new values do not count before
}

func newReloads(cfg *config.Config) reloads {
	return reloads{
		asked: make(chan chan *outcome, reloadsWaiting), hangup: make(chan struct{}, 1), stop: make(chan struct{}),
		count: map[string]uint64{reloadDone: 0, reloadFailed: 0, reloadRefused: 0}, since: time.Now(), sha256: cfg.SHA256,
	}
}

// hangUp asks for a reload and does not wait for it.
func (r *reloads) hangUp() {
	select {
	case r.hangup <- struct{}{}:
	default:
	}
}

// ask asks for a reload of the file and waits until it is over, or the context is. It is admin.Options.Reload.
func (r *reloads) ask(ctx context.Context, file string) (any, int) {
	refuse := func(why string) (any, int) {
		o := &outcome{Time: time.Now().UTC(), Result: reloadRefused, Config: absolute(file), Problems: []string{why}}
		r.note(o)
		return o, http.StatusServiceUnavailable
	}
	answer := make(chan *outcome, 1)
	select {
	case r.asked <- answer:
	default:
		return refuse("too many reloads wait already; try again later")
	}
	select {
	case o := <-answer:
		if o.Result != reloadDone {
			return o, http.StatusUnprocessableEntity
		}
		return o, http.StatusOK
	case <-r.stop:
		return refuse("edge is stopping")
	case <-ctx.Done():
		return refuse("it takes too long, and goes on; see the log")
	}
}

// reload reads the configuration again, tries everything in it, and swaps it in. Where anything is wrong with it nothing has changed.
func (p *process) reload() *outcome {
	began, old := time.Now(), p.live.Load()
	cfg, problems := loadConfig(p.path)
	o := &outcome{Result: reloadFailed, Config: absolute(cfg.File), SHA256: cfg.SHA256}
	var next *prepared
	if len(problems) == 0 {
		next, problems = p.prepare(cfg, old)
	}
	if len(problems) == 0 && p.draining.Load() {
		next.discard(old)
		problems = config.Problems{{File: cfg.File, Message: "is not used any more, edge is stopping"}}
	}
	if len(problems) == 0 {
		o.done(slices.Concat(cfg.Warnings, certWarnings(cfg, next.certs, time.Now())), needRestart(p.cfg, cfg))
		p.takeOver(next)
	}
	p.reloads.end(o, problems, began, p.log)
	return o
}

// done says that the configuration serves, all but the keys that need a restart.
func (o *outcome) done(warnings, restart config.Problems) {
	o.Result = reloadDone
	for _, w := range restart {
		o.Restart = append(o.Restart, w.Path)
	}
	for _, w := range slices.Concat(warnings, restart) {
		o.Warnings = append(o.Warnings, w.String())
	}
}

// end notes and logs what has come of a reload.
func (r *reloads) end(o *outcome, problems config.Problems, began time.Time, log *accesslog.Logger) {
	for _, problem := range problems {
		o.Problems = append(o.Problems, problem.String())
	}
	took := time.Since(began)
	o.Time, o.TookMS = time.Now().UTC(), float64(took.Microseconds())/1000
	r.note(o)
	for _, w := range o.Warnings {
		log.Warn(w)
	}
	for _, problem := range o.Problems {
		log.Error(problem)
	}
	fields := []accesslog.Field{accesslog.Str("config", o.Config), accesslog.Dur("took", took)}
	if o.Result == reloadDone {
		log.Info("the configuration has been reloaded", append(fields, accesslog.Str("sha256", o.SHA256[:min(12, len(o.SHA256))]))...)
		return
	}
	log.Error("the configuration is not used, the one before goes on", append(fields, accesslog.Int("problems", len(o.Problems)))...)
}

// prepared is an edition that is ready to serve, and what is to change with it.
type prepared struct {
	*edition
	access  *accesslog.Target // nil: the access log stays where it is
	watches bool              // other modules than before
	modules *watch.Watcher    // they, if any
}

// prepare makes all of a configuration that can fail.
func (p *process) prepare(cfg *config.Config, old *edition) (*prepared, config.Problems) {
	next := &prepared{}
	if next.watches = !slices.Equal(watchedPaths(cfg), watchedPaths(old.cfg)); next.watches {
		next.modules = p.watchModules(cfg)
	}
	var problems config.Problems
	next.edition, problems = p.build(cfg, old, func(string) bool { return true })
	if cfg.Log.Access != old.cfg.Log.Access {
		var err error
		if next.access, err = p.target(cfg.Log.Access); err != nil {
			next.access = nil
			problems = append(problems, cfg.Problem([]any{"log", "access"}, "", "%v", err))
		}
	}
	if len(problems) == 0 {
		next.site.Configure(p.serverOptions(cfg))
		return next, nil
	}
	next.discard(old)
	problems.Sort()
	return nil, problems
}

// discard gives up what was prepared.
func (n *prepared) discard(runs *edition) {
	if n.edition != nil {
		n.edition.discard(runs)
	}
	if n.modules != nil {
		n.modules.Close()
	}
	if n.access != nil {
		n.access.Close()
	}
}

// takeOver has what was prepared serve. Nothing of it can fail. The goroutine that swaps is the only one to do so.
func (p *process) takeOver(next *prepared) {
	if next.watches {
		if p.modules != nil {
			p.modules.Close()
		}
		p.modules = next.modules
	}
	p.swaps.follow(next.cfg)
	off := next.cfg.Log.Access == "off"
	if next.access != nil && !off {
		p.access.Switch(next.access)
	}
	p.swap(next.edition)
	if next.access != nil && off {
		p.access.Switch(next.access)
	}
	p.retired.forget(next.cfg)
}

// adopt brings an edition's settings to what is not replaced with it.
func (p *process) adopt(next *edition) {
	level, _ := accesslog.ParseLevel(next.cfg.Log.Level) // checked with the configuration
	p.log.SetLevel(level)
	p.engine.SetTimes(engineTimes(next.cfg))
	p.tls.follow(next.certs)
	for _, d := range p.doors {
		if l := listenOf(next.cfg, d.listen.Address); l != nil {
			d.entry.Replace(p.entry(l, next.certs))
		}
	}
}

// door is a listener as the process has started with it, and its entry.
type door struct {
	listen *config.Listen
	entry  *server.Entry
}

// note counts an outcome.
func (r *reloads) note(o *outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[o.Result]++
	if o.Result == reloadRefused {
		return
	}
	r.last = o
	if o.Result == reloadDone {
		r.since, r.sha256 = o.Time, o.SHA256
	}
}

// lastOne is the last reload for the status, or nil.
func (r *reloads) lastOne() *outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reloads) numbers() metrics.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := metrics.Reloads{Last: r.last == nil || r.last.Result == reloadDone, Since: r.since, SHA256: r.sha256}
	for _, result := range [...]string{reloadDone, reloadFailed, reloadRefused} {
		n.Results = append(n.Results, metrics.Count{Label: result, N: r.count[result]})
	}
	return n
}

// absolute is a file's path from the root, or its name where it is no file.
func absolute(file string) string {
	if file == config.BuiltinName {
		return file
	}
	if path, err := filepath.Abs(file); err == nil {
		return path
	}
	return file
}
