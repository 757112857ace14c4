package mpm

import (
	"math"
	"sync/atomic"

	"edge/mpm/internal/wheel"
)

// never is a deadline that does not come.
const never = math.MaxInt64

// passed is a deadline that has passed: the engine's clock never is as early.
const passed = 1

// source is a registered socket: a client's, or one that connections borrow.
//
// deadline is stored by the owner of the connection. The wheel is looked after lazily: its entry is only moved when the
// deadline comes forward, and when it fires early the poller sets it again to what the deadline has become. A request
// on a busy connection so costs one store and one load.
type source struct {
	fd       int
	slot     uint32
	poller   *poller
	deadline atomic.Int64 // engine nanoseconds, or never
	timerAt  atomic.Int64 // when the wheel will look at it, or never; stored under poller.mu
	timer    wheel.Timer[*source]
	fin      atomic.Bool // the peer has sent its end of stream; stored by the poller
	conn     *Conn       // exactly one of conn and sock is set
	sock     *Socket
}

// hold sets the deadline (E7: the first half of release; 0 is none).
func (s *source) hold(deadline int64) {
	if deadline == 0 {
		deadline = never
	}
	s.deadline.Store(deadline)
	if deadline < s.timerAt.Load() {
		s.poller.bring(s, deadline)
	}
}

// due says whether the deadline has passed. A timer event that arrives late, for a deadline that has moved, is so told
// from a real one.
func (s *source) due(now int64) bool { return s.deadline.Load() <= now }
