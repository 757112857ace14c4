package control

import (
	"fmt"

	"edge/runtime/config"
)

// Fence is what bounds a child from their first instruction on: package confine has it.
type Fence interface {
	// Do runs start, which starts the child: inside.
	Do(start func() error) error

	// Covers says whether the child reaches all that a configuration names, as the file system is now.
	Covers(cfg *config.Config) bool

	// Close gives it up, when the child has gone.
	Close()
}

// free is the fence where there is none.
type free struct{}

func (free) Do(start func() error) error { return start() }
func (free) Covers(*config.Config) bool  { return true }
func (free) Close()                      {}

// enclose makes the fence of the generation's next child.
func (g *generation) enclose(cfg *config.Config, cache string) (Fence, error) {
	if g.control.options.Fence == nil {
		return free{}, nil
	}
	f, err := g.control.options.Fence(cfg, g.credential, cache)
	if err != nil {
		return nil, fmt.Errorf("a child cannot be confined: %w", err)
	}
	return f, nil
}

// covers says whether all children that serve reach what a configuration names. One that has not started yet, and does not, will be found
// out when it is to follow the others.
func (g *generation) covers(cfg *config.Config) bool {
	c := g.control
	c.mu.Lock()
	list := c.withState(g, Ready)
	c.mu.Unlock()
	for _, ch := range list {
		if !ch.fence.Covers(cfg) {
			return false
		}
	}
	return true
}
