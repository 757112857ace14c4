package mpm

// Glance is a look at the engine that costs next to nothing: for who looks some times a second.
type Glance struct {
	NotAccepting bool
	Connections  int    // open ones
	Accepted     uint64 // since the start
}

// Glance looks at the engine without a lock and without walking its connections.
func (e *Engine) Glance() Glance {
	return Glance{e.notAccepting.Load(), int(e.connections.Load()), e.stats.Accepted.Load()}
}
