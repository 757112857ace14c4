// Package admit decides whether the listeners are open: a pure state machine with no clock of its own (A1–A4).
package admit

// LowWater is the share of the workers, in percent, to which pending work must fall before a closed door opens (A2).
const LowWater = 75

// Back-off after accept has run out of descriptors or memory (E4), in nanoseconds.
const (
	BackoffMin = 50e6
	BackoffMax = 1e9
)

// Load is what the decision is made from, read once.
type Load struct {
	Pending     int // connections in the run queue
	Idle        int // workers without a connection
	Connections int // open connections
}

// Door is the state of the listeners. Its owner is the accepting poller.
type Door struct {
	Workers        int // workers of this process
	MaxConnections int // connections it may hold; 0 means no bound

	closed  bool
	stopped bool
	backoff int64 // the last back-off, 0 when accept last went well
	until   int64 // when the back-off ends
}

// Closed says whether the listeners are out of the epoll set.
func (d *Door) Closed() bool { return d.closed }

// BackoffUntil is when a back-off ends, in nanoseconds; 0 if there is none, or Decide has seen its end.
func (d *Door) BackoffUntil() int64 { return d.until }

// Active is the number of busy workers. Total and idle are read at different moments, so it is kept from going below 0 (A3).
func (d *Door) Active(l Load) int { return max(0, d.Workers-l.Idle) }

// Decide closes or opens the door and says whether that changed anything (A1, A2). It is called after each accept and
// once a loop.
func (d *Door) Decide(l Load, now int64) (changed bool) {
	if now >= d.until {
		d.until = 0
	}
	full := d.MaxConnections > 0 && l.Connections >= d.MaxConnections
	var want bool
	switch {
	case d.stopped, full, now < d.until:
		want = true
	case d.closed:
		want = !(l.Idle > 0 && l.Pending*100 <= d.Workers*LowWater && d.Active(l) < d.Workers)
	default:
		want = l.Idle <= 0 || l.Pending >= d.Workers || d.Active(l) >= d.Workers
	}
	changed = want != d.closed
	d.closed = want
	return changed
}

// Exhausted starts or doubles the back-off after accept ran out of descriptors or memory (E4).
func (d *Door) Exhausted(now int64) {
	d.backoff = min(max(2*d.backoff, BackoffMin), BackoffMax)
	d.until = now + d.backoff
}

// Accepted ends the back-off: accept works again.
func (d *Door) Accepted() { d.backoff, d.until = 0, 0 }

// Stop closes the door for good (A2: never re-opened while stopping). Decide makes it so.
func (d *Door) Stop() { d.stopped = true }
