package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"edge/runtime/config"
)

// generation is a fixed number of children that serve one configuration text; a reload may put another text in its place that asks for
// the same kind of children.
type generation struct {
	control    *Control
	number     int
	files      []File // its listening sockets, by the address as the configuration writes it
	credential *Credential
	ended      chan struct{} // closed when its children are replaced no more
	keepers    sync.WaitGroup

	text    Text // with the following guarded by Control.mu
	cfg     *config.Config
	version int            // of the text
	next    *config.Config // that is being prepared; nil: none
}

func (g *generation) config() *config.Config {
	g.control.mu.Lock()
	defer g.control.mu.Unlock()
	return g.cfg
}

// replace begins a generation and retires the one before, if any. The caller holds ops. Where a child cannot start nothing has changed.
func (c *Control) replace(t Text, cfg *config.Config) (Change, error) {
	if c.isStopping() {
		return Change{}, ErrStopping
	}
	credential, problems := c.options.User(cfg)
	if len(problems) > 0 {
		return Change{}, problems
	}
	c.mu.Lock()
	g := &generation{control: c, number: c.generation + 1, credential: credential, ended: make(chan struct{}), text: t, cfg: cfg}
	old, retiring := c.current, len(c.withState(nil, Retiring))
	c.mu.Unlock()
	if retiring >= MaxRetiring {
		return Change{}, fmt.Errorf("%d children of generations before have not finished yet; try again later", retiring)
	}
	fresh, files, err := c.bind(cfg)
	g.files = files
	var list []*child
	var warnings config.Problems
	if err == nil {
		list, warnings, err = g.prepareAll(max(1, cfg.Server.Children))
	}
	if err == nil {
		err = acceptAll(list)
	}
	if err != nil {
		g.close()
		for _, ch := range list {
			go ch.end(context.Background(), RetireKind, cfg.Server.ShutdownTimeout)
		}
		for _, address := range fresh {
			c.options.Shut(c.sockets[address])
			delete(c.sockets, address)
		}
		return Change{}, err
	}
	c.mu.Lock()
	c.current, c.generation, c.served = g, g.number, g.cfg
	c.mu.Unlock()
	for _, ch := range list {
		g.keepers.Go(func() { g.keep(ch) })
	}
	c.shut(cfg)
	if old != nil {
		old.retire(cfg.Server.ShutdownTimeout)
	}
	return Change{Warnings: warnings, Generation: true}, nil
}

// bind opens the listening sockets of a configuration, and returns the addresses of those that are new. The caller holds ops.
func (c *Control) bind(cfg *config.Config) (fresh []string, files []File, err error) {
	var problems config.Problems
	for i := range cfg.Listen {
		l := &cfg.Listen[i]
		address := l.AddrPort.String()
		fd, open := c.sockets[address]
		if !open {
			if fd, err = c.options.Bind(l); err != nil {
				problems = append(problems, cfg.Problem([]any{"listen", i, "address"}, c.remedy(l), "%v", err))
				continue
			}
			c.sockets[address] = fd
			fresh = append(fresh, address)
		}
		files = append(files, File{l.Address, fd})
	}
	if len(problems) > 0 {
		return fresh, nil, problems
	}
	return fresh, files, nil
}

// remedy is what to do about an address that cannot be bound. One address with the same port as another, such as all addresses of a machine
// in place of one, cannot be bound while that is open.
func (c *Control) remedy(l *config.Listen) string {
	for address := range c.sockets {
		if a, err := netip.ParseAddrPort(address); err == nil && a.Port() == l.AddrPort.Port() {
			return "edge itself has " + address + " open: restart it, or choose another port"
		}
	}
	return "stop what listens there, or choose another address"
}

// prepareAll starts n children: the first alone, so that what is wrong with the configuration costs one, and what is compiled is compiled
// once. On an error the list is of those that are ready all the same.
func (g *generation) prepareAll(n int) (list []*child, warnings config.Problems, err error) {
	first, warnings, err := g.prepare()
	if err != nil {
		return nil, nil, err
	}
	list = append(list, first)
	started, errs := make([]*child, n-1), make([]error, n-1)
	var all sync.WaitGroup
	for i := range n - 1 {
		all.Go(func() { started[i], _, errs[i] = g.prepare() })
	}
	all.Wait()
	for _, ch := range started {
		if ch != nil {
			list = append(list, ch)
		}
	}
	return list, warnings, errors.Join(errs...)
}

// acceptAll has children accept that are all ready: before, nobody has seen anything of the generation. One that fails now is replaced as any
// other that dies; it is an error where all of them fail.
func acceptAll(list []*child) error {
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, ch := range list {
		all.Go(func() { errs[i] = ch.accept() })
	}
	all.Wait()
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

// close has the generation's children replaced no more. Those that were starting are gone when it returns.
func (g *generation) close() {
	close(g.ended)
	g.keepers.Wait()
}

// retire ends the generation: its children finish what they have, and go.
func (g *generation) retire(within time.Duration) {
	g.close()
	c := g.control
	c.mu.Lock()
	list := c.withState(g, Ready)
	for _, ch := range list {
		ch.state = Retiring
	}
	c.mu.Unlock()
	for _, ch := range list {
		go ch.end(context.Background(), RetireKind, within)
	}
}
