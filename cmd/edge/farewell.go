package main

import "context"

// farewell retires the filters when the last request has been answered, and waits for those that have something left to do, while
// the engine still runs what they do: at most wasmhost.DoneTime, and not beyond the context.
func (p *process) farewell(ctx context.Context) {
	if p.engine.Drain(ctx) != nil {
		return
	}
	guests := p.live.Load().filters.guests
	retireAll(guests)
	for _, g := range guests {
		select {
		case <-g.Ended():
		case <-ctx.Done():
			return
		}
	}
}
