package filters

import (
	"strconv"
	"time"
)

// Because is for streams that are about to return Skip or Fail, or to call Abort as they have failed: it says why, in words,
// for the access log. limit says that a limit was hit (FL) rather than that the filter itself went wrong (FT).
func Because(x Exchange, limit bool, cause string) {
	if l, ok := x.(*link); ok {
		l.because, l.limit = cause, limit
	}
}

// rest is the beginning of a pause, rise its end. Pauses in both directions at once count once.
func (l *link) rest() {
	l.rested = true
	if l.since == 0 {
		l.since = l.chain.host.Now()
	}
}

func (l *link) rise() {
	if l.since != 0 && !l.sides[Request].paused && !l.sides[Response].paused {
		l.paused += l.chain.host.Now() - l.since
		l.since = 0
	}
}

// AppendFilters appends the names of the filters that have taken part so far, in the route's order with commas between, each
// with what became of it after a colon, where there is something to say: paused (it has, and went on), or what ended its
// part: replied, failed, limit, expired (the pause, or the wait for a lane), body (too long), aborted, skipped. Behind it
// comes for how long the filter has paused, as in paused=12ms, if at all. A filter that no callback was made of is not named,
// unless it was left out or failed before it could begin. It is called on the connection's turn.
func (c *Chain) AppendFilters(to []byte) []byte {
	first := len(to)
	for i := range c.links {
		l := &c.links[i]
		if !l.seen && l.end == FlagNone {
			continue
		}
		if len(to) > first {
			to = append(to, ',')
		}
		to = append(to, l.filter.Name()...)
		if l.end != FlagNone || l.rested {
			to = append(append(to, ':'), ends[l.end]...)
		}
		if l.rested {
			paused := l.paused
			if l.since != 0 {
				paused += c.host.Now() - l.since
			}
			to = append(strconv.AppendInt(append(to, '='), paused/int64(time.Millisecond), 10), "ms"...)
		}
	}
	return to
}
