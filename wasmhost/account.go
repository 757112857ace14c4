package wasmhost

import (
	"sync/atomic"
	"time"
)

// TimedOneIn says how many calls come on one that is timed: reading the clock twice costs as much as a small call. It is
// a prime, so that it does not always meet the same callback.
const TimedOneIn = 17

// Buckets are the upper bounds of the histogram of calls' durations, in ascending order.
var Buckets = [...]time.Duration{
	time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 25 * time.Microsecond,
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond,
	2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
}

// callCounts count the calls of one instance after another. Whoever holds the instance counts, but for waits, which
// whoever waits counts; anybody reads. No two instances share one, so workers do not contend for it.
type callCounts struct {
	calls  [phases][results]atomic.Uint64
	timed  [len(Buckets) + 1]atomic.Uint64 // the last is above every bound
	nanos  atomic.Uint64                   // of the timed calls
	serial uint8                           // the holder's: counts to TimedOneIn
	began  time.Time                       // the holder's: of the call under way, where it is timed
	_      [64]byte
}

// begin comes before a call into the guest.
func (c *callCounts) begin(now func() time.Time) {
	if c.serial++; c.serial >= TimedOneIn {
		c.serial = 0
		c.began = now()
	}
}

// end comes after it.
func (c *callCounts) end(p Phase, r Result, now func() time.Time) {
	c.calls[p][r].Add(1)
	if c.began.IsZero() {
		return
	}
	took := max(now().Sub(c.began), 0)
	c.began = time.Time{}
	k := 0
	for k < len(Buckets) && took > Buckets[k] {
		k++
	}
	c.timed[k].Add(1)
	c.nanos.Add(uint64(took))
}

// addTo adds what was counted to a filter's figures.
func (c *callCounts) addTo(s *Stats) {
	for p := range c.calls {
		for r := range c.calls[p] {
			n := c.calls[p][r].Load()
			s.ByPhase[p][r] += n
			if Result(r) == Waited {
				s.Waits += n
			} else {
				s.Calls += n
			}
		}
	}
	for k := range c.timed {
		s.Timed[k] += c.timed[k].Load()
	}
	s.TimedNanos += c.nanos.Load()
}
