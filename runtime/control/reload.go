package control

import (
	"errors"
	"sync"

	"edge/runtime/config"
)

// maxDeaths is how many children may die while they prepare a configuration before it is taken to be the cause.
const maxDeaths = 2

// reload has all children of the generation prepare a text, and, where all can, serve it; else none does. One prepares it first, alone:
// most of what can be wrong is found by one. tried is false where no child was there to try it. The caller holds ops.
func (g *generation) reload(t Text, cfg *config.Config) (change Change, tried bool, err error) {
	c := g.control
	c.mu.Lock()
	g.next = cfg
	list := c.withState(g, Ready)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		g.next = nil
		c.mu.Unlock()
	}()
	id := c.id()
	var prepared []*child
	deaths := 0
	for ; len(prepared) == 0 && len(list) > 0; list = list[1:] {
		warnings, err := list[0].prepare(id, &t)
		switch {
		case errors.Is(err, ErrGone):
			if deaths++; deaths == maxDeaths {
				return Change{}, true, errors.New("children die of it: " + list[0].how)
			}
		case err != nil:
			return Change{}, true, err
		default:
			change.Warnings = warnings
			prepared = append(prepared, list[0])
		}
	}
	if len(prepared) == 0 {
		return Change{}, false, nil
	}
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, ch := range list {
		all.Go(func() { _, errs[i] = ch.prepare(id, &t) })
	}
	all.Wait()
	for i, ch := range list {
		switch {
		case errs[i] == nil:
			prepared = append(prepared, ch)
		case !errors.Is(errs[i], ErrGone): // its replacement begins with what is decided here
			err = errs[i]
		}
	}
	if err == nil && c.isStopping() {
		err = ErrStopping
	}
	if err != nil {
		for _, ch := range prepared {
			_ = ch.link.Send(&Message{Kind: AbandonKind, ID: id})
		}
		return Change{}, true, err
	}
	g.commit(id, t, cfg, prepared)
	return change, true, nil
}

// prepare has the child prepare a text. One that does not answer is replaced: it is not known what it does.
func (ch *child) prepare(id uint64, t *Text) (config.Problems, error) {
	m, err := ch.ask(&Message{Kind: PrepareKind, ID: id, Text: t}, PrepareTime, ch.gen.control.stopping)
	switch {
	case errors.Is(err, errStuck):
		ch.stuck()
	case errors.Is(err, ErrStopping):
		_ = ch.link.Send(&Message{Kind: AbandonKind, ID: id})
	}
	if err != nil {
		if ch.ending() {
			err = ch.error(ErrGone)
		}
		return nil, err
	}
	return m.Warnings, nil
}

// ending says whether the child has been told to end, and what it says of a reload does not count.
func (ch *child) ending() bool {
	c := ch.gen.control
	c.mu.Lock()
	defer c.mu.Unlock()
	return ch.state != Ready
}

// stuck ends a child that does not answer; its slot replaces it.
func (ch *child) stuck() {
	c := ch.gen.control
	c.options.Log.Error("a child does not answer and is killed", "child", ch.number, "pid", ch.process.PID())
	c.count(Stuck)
	_ = ch.process.Kill()
}

// commit has the children serve what they have prepared, and those that have become ready meanwhile follow.
func (g *generation) commit(id uint64, t Text, cfg *config.Config, prepared []*child) {
	c := g.control
	c.mu.Lock()
	g.text, g.cfg, c.served = t, cfg, cfg
	g.version++
	for _, ch := range prepared {
		ch.version = g.version
	}
	var late []*child
	for _, ch := range c.withState(g, Ready) {
		if ch.version != g.version {
			late = append(late, ch)
		}
	}
	c.mu.Unlock()
	var all sync.WaitGroup
	for _, ch := range prepared {
		all.Go(func() {
			if _, err := ch.ask(&Message{Kind: CommitKind, ID: id}, CommitTime, nil); errors.Is(err, errStuck) {
				ch.stuck()
			}
		})
	}
	for _, ch := range late {
		all.Go(func() {
			if err := ch.follow(false); err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrStopping) {
				c.options.Log.Error("a child cannot follow a reload", "child", ch.number, "error", err.Error())
				ch.stuck()
			}
		})
	}
	all.Wait()
}
