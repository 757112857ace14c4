package main

import (
	"time"

	"edge/mpm"
	"edge/runtime/control/board"
)

// beatPeriod is how often a child tells its figures on the scoreboard (P8).
const beatPeriod = 250 * time.Millisecond

// heartbeat has a child tell its figures, from a goroutine of its own, until stop is called, which waits for its end: it has told the last
// ones then.
func heartbeat(b *board.Board, e *mpm.Engine) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	tell := func() {
		g := e.Glance()
		b.Beat(board.Clock(), board.Figures{NotAccepting: g.NotAccepting, Connections: g.Connections, Accepted: g.Accepted})
	}
	go func() {
		defer close(ended)
		again := time.NewTicker(beatPeriod)
		defer again.Stop()
		for {
			tell()
			select {
			case <-again.C:
			case <-end:
				tell()
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
