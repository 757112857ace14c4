package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"edge/runtime/config"
	"edge/runtime/control/board"
)

// Bounds of keeping children.
const (
	YoungTime   = 5 * time.Second // a child that dies earlier after it was ready, or before, has died young
	MinBackoff  = 100 * time.Millisecond
	MaxBackoff  = 30 * time.Second // between two children of a slot that die young
	KillTime    = 5 * time.Second  // a child that has not ended so long after it should is killed
	MaxRetiring = 64               // children that retire; from then on full ones go on accepting, and no generation begins
	MaxNumber   = 1<<20 - 1        // of a child, as connection ids have it (P9); then they begin anew
)

// Options are what the control process needs from outside.
type Options struct {
	Spawn  func(*Spawn) (Process, Link, error)                  // starts a child: Program.Start
	Bind   func(*config.Listen) (fd int, err error)             // opens a listening socket
	Shut   func(fd int)                                         // closes one
	Open   func(path string, append bool) (*os.File, error)     // OpenBrokered
	User   func(*config.Config) (*Credential, config.Problems)  // CredentialOf
	Cache  func(*config.Config, *Credential) (directory string) // for compiled modules, which the children are to own
	Secret func() []byte                                        // Start.Secret, for each child anew
	Bye    func(child int, numbers []byte)                      // the last numbers of a child, or nil where it has left none
	Doing  func(child int, cells []uint64) string               // what a child's workers were at, by the cells of its board, in words; nil: nobody can tell
	Log    *slog.Logger

	// Fence makes what a child begins in, of the configuration, whose rights it has, and the directory of Cache; nil: children begin in nothing.
	Fence func(*config.Config, *Credential, string) (Fence, error)
}

// State is what a child is about, for the status page, logs and metrics.
type State string

// The states of a child.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Retiring State = "retiring" // accepts nothing more, and finishes what it has
	Stopping State = "stopping" // the same, and idle connections have been ended
)

// Reasons for which a child was replaced.
const (
	Died  = "died"  // unasked
	Full  = "full"  // max_connections_per_child, or a signal
	Stuck = "stuck" // it did not answer
)

// Control owns the children. Its methods may be called from any goroutine; Begin, Reload, Reopen and Drain wait for each other.
type Control struct {
	options  Options
	stopping chan struct{} // closed by Stop
	stop     sync.Once
	ops      sync.Mutex     // held by who changes generations; guards sockets
	sockets  map[string]int // by address and port: ours, whatever children do

	mu         sync.Mutex  // guards what follows, and what says so
	current    *generation // nil: none has begun, or it has drained
	served     *config.Config
	generation int // the number of the last
	number     int // of the last child
	children   map[int]*child
	restarts   map[string]uint64
	draining   bool
	ids        uint64 // of messages
}

// New makes a control process without children.
func New(o Options) *Control {
	return &Control{options: o, stopping: make(chan struct{}), sockets: map[string]int{}, children: map[int]*child{},
		restarts: map[string]uint64{Died: 0, Full: 0, Stuck: 0}}
}

// ErrDraining says that no traffic should come any more.
var ErrDraining = errors.New("draining")

// ErrStopping says that nothing new is begun.
var ErrStopping = errors.New("edge is stopping")

func (c *Control) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// Change is what a reload has done.
type Change struct {
	Warnings   config.Problems // of what children have looked at
	Generation bool            // a new one has begun: the old children finish what they have
}

// Bind opens the listening sockets of a configuration that are not open yet, for Begin. Its error is a config.Problems.
func (c *Control) Bind(cfg *config.Config) error {
	c.ops.Lock()
	defer c.ops.Unlock()
	_, _, err := c.bind(cfg)
	return err
}

// Begin starts the first generation, and returns when all of its children accept connections. Its error is a config.Problems where the
// configuration is to blame; nothing is left running then.
func (c *Control) Begin(t Text, cfg *config.Config) (Change, error) {
	c.ops.Lock()
	defer c.ops.Unlock()
	return c.replace(t, cfg)
}

// Reload has a configuration take the place of the one that serves: in all children, or, where it differs in what children begin with
// (see SameProcess) or reach, in a new generation of them. Where it cannot be used nothing has changed.
func (c *Control) Reload(t Text, cfg *config.Config) (Change, error) {
	c.ops.Lock()
	defer c.ops.Unlock()
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	switch {
	case c.isStopping():
		return Change{}, ErrStopping
	case g == nil:
		return Change{}, errors.New("edge is draining")
	case !SameProcess(g.config(), cfg) || !g.covers(cfg):
		return c.replace(t, cfg)
	}
	change, tried, err := g.reload(t, cfg)
	if !tried {
		return c.replace(t, cfg) // nobody is there to try it
	}
	return change, err
}

// Drain has all children retire and starts no others: readiness is false, open connections go on for as long as they like, until Stop.
func (c *Control) Drain() { c.retireAll(Unbounded) }

func (c *Control) retireAll(within time.Duration) {
	c.ops.Lock()
	defer c.ops.Unlock()
	if g := c.lastGeneration(); g != nil {
		g.retire(within)
	}
}

// lastGeneration closes the listening sockets for good and gives the generation up that accepted on them; nil: there is none. The caller holds
// c.ops.
func (c *Control) lastGeneration() *generation {
	c.mu.Lock()
	g := c.current
	c.current, c.draining = nil, true
	c.mu.Unlock()
	c.shut(nil)
	return g
}

// Stop has every child finish what it has, for at most within (Unbounded: however long that takes), and returns when all have gone. When
// ctx ends what is left is cut off. The error says that not everything was finished.
func (c *Control) Stop(ctx context.Context, within time.Duration) error {
	c.stop.Do(func() { close(c.stopping) })
	c.ops.Lock()
	defer c.ops.Unlock()
	if g := c.lastGeneration(); g != nil {
		g.close()
	}
	var all sync.WaitGroup
	c.mu.Lock()
	list := c.withState(nil, Starting, Ready, Retiring, Stopping)
	c.mu.Unlock()
	cut := make([]bool, len(list))
	for i, ch := range list {
		all.Go(func() { cut[i] = !ch.end(ctx, StopKind, within) })
	}
	all.Wait()
	if slices.Contains(cut, true) {
		return errors.New("not everything was finished")
	}
	return nil
}

// shut closes the listening sockets that a configuration does not have; nil: all.
func (c *Control) shut(cfg *config.Config) {
	for address, fd := range c.sockets {
		if cfg == nil || !slices.ContainsFunc(cfg.Listen, func(l config.Listen) bool { return l.AddrPort.String() == address }) {
			c.options.Shut(fd)
			delete(c.sockets, address)
		}
	}
}

// Ready returns why no traffic should come: nothing serves yet, or nothing is to.
func (c *Control) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining || c.isStopping():
		return ErrDraining
	case c.current == nil:
		return errors.New("starting")
	}
	for _, ch := range c.children {
		if ch.state == Ready {
			return nil
		}
	}
	return errors.New("no child serves")
}

// Info is one child as the control process knows it.
type Info struct {
	Number, PID, Generation int
	State                   State
	Began                   time.Time
	Board                   board.Seen // what the child says
}

// Numbers are the control process's own figures.
type Numbers struct {
	Generation int
	Children   []Info            // by number
	Restarts   map[string]uint64 // by reason
}

// Numbers looks at the children.
func (c *Control) Numbers() Numbers {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := Numbers{Generation: c.generation, Restarts: map[string]uint64{}}
	for reason, count := range c.restarts {
		n.Restarts[reason] = count
	}
	for _, ch := range c.children {
		seen, _ := ch.board.Look()
		n.Children = append(n.Children, Info{ch.number, ch.process.PID(), ch.gen.number, ch.state, ch.began, seen})
	}
	slices.SortFunc(n.Children, func(a, b Info) int { return a.Number - b.Number })
	return n
}

// Answer is what one child says to Ask.
type Answer struct {
	Child int
	Body  []byte
	Err   error
}

// Ask asks every child that serves or finishes what it has, all at once. One that does not answer in AskTime is left out, with its error.
func (c *Control) Ask(what string, body []byte) []Answer {
	c.mu.Lock()
	var list []*child
	for _, ch := range c.children {
		if ch.state != Starting {
			list = append(list, ch)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(list, func(a, b *child) int { return a.number - b.number })
	answers := make([]Answer, len(list))
	var all sync.WaitGroup
	for i, ch := range list {
		all.Go(func() {
			m, err := ch.ask(&Message{Kind: AskKind, What: what, Body: body}, AskTime, nil)
			answers[i] = Answer{Child: ch.number, Err: err}
			if err == nil {
				answers[i].Body = m.Body
			}
		})
	}
	all.Wait()
	return answers
}

// Reopen has all children open their logs anew. Its error is the first of theirs.
func (c *Control) Reopen() error {
	c.mu.Lock()
	list := c.withState(nil, Ready, Retiring)
	c.mu.Unlock()
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, ch := range list {
		all.Go(func() { _, errs[i] = ch.ask(&Message{Kind: ReopenKind}, CommitTime, nil) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrGone) { // what comes after it opens them anew
			return err
		}
	}
	return nil
}

// withState are the children of a generation, or of any where it is nil, in one of the states. The caller holds mu.
func (c *Control) withState(g *generation, states ...State) (list []*child) {
	for _, ch := range c.children {
		if (g == nil || ch.gen == g) && slices.Contains(states, ch.state) {
			list = append(list, ch)
		}
	}
	slices.SortFunc(list, func(a, b *child) int { return a.number - b.number })
	return list
}

// Config is the configuration that serves, or has served last; nil: none has.
func (c *Control) Config() *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// Listeners are the listening sockets, by the address and port they are bound to. They stay the control process's own.
func (c *Control) Listeners() (list []File) {
	c.ops.Lock()
	defer c.ops.Unlock()
	for address, fd := range c.sockets {
		list = append(list, File{address, fd})
	}
	return list
}
