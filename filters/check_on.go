//go:build ownercheck

package filters

// entering and left bracket every callback. A callback within a callback of the same chain, or of a stream that is not
// the owner while there is one, is a bug of the chain or of a filter that calls the chain.
func (c *Chain) entering(l *link) {
	if c.inside != nil {
		panic("filters: callback of " + l.filter.Name() + " within one of " + c.inside.filter.Name())
	}
	if c.owner != nil && c.owner != l {
		panic("filters: callback of " + l.filter.Name() + " while the message is " + c.owner.filter.Name() + "'s")
	}
	if l.stream == nil || !l.in && !l.closing {
		panic("filters: callback of " + l.filter.Name() + " after its close")
	}
	c.inside = l
}

func (c *Chain) left(*link) { c.inside = nil }

// checkRun: an answer that waits for the owner's close has somebody to wait for. Nobody would wake the connection otherwise.
func (c *Chain) checkRun() {
	if c.answer && c.owner == nil && !c.over {
		panic("filters: an answer waits for nobody")
	}
}

func (c *Chain) checkBegin() {
	for i := range c.links {
		if c.links[i].closing {
			panic("filters: Begin before End was done")
		}
	}
}
