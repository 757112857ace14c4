package admin

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// MaxKept is the most routes, upstreams, filters, listeners and kinds of problems, of each, whose counts the status keeps of children that
// have gone.
const MaxKept = 1024

// ChildStatus is a child as the control process sees it: what the child has put on its scoreboard (P8), and what only its parent knows.
type ChildStatus struct {
	Number       int            `json:"number"`
	PID          int            `json:"pid"`
	Generation   int            `json:"generation"`
	State        string         `json:"state"` // "starting", "ready", "retiring", "stopping"
	NotAccepting bool           `json:"not_accepting"`
	Connections  int            `json:"connections"`
	Accepted     uint64         `json:"accepted"`
	Started      time.Time      `json:"started"`
	Workers      map[string]int `json:"workers"`               // by what they do
	HeartbeatAge float64        `json:"heartbeat_age_seconds"` // of the figures; -1: there have been none
	Silent       bool           `json:"silent"`                // it was asked how it fares, and did not answer in time
}

// Totals adds up the statuses of children: of those that are there, and what those have counted that have gone, so that no count falls
// because of that. It goes by the numbers of children, which no two have at a time. It is safe for use by several goroutines at once, but
// answers of one child must be given to Take in the order in which it gave them.
type Totals struct {
	mu       sync.Mutex // guards the fields below
	children map[int]*Status
	silent   map[int]bool // they did not answer the last time
	past     Status       // what children that have gone have counted
}

// NewTotals makes totals of no children.
func NewTotals() *Totals { return &Totals{children: map[int]*Status{}, silent: map[int]bool{}} }

// Take takes what a child says of itself. The status belongs to the totals then.
func (t *Totals) Take(child int, s *Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.children[child] = s
	delete(t.silent, child)
}

// Silent says that a child was asked and has not answered: until it does only what it has counted so far is left of it.
func (t *Totals) Silent(child int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent[child] = true
}

// IsSilent says whether a child has not answered when it was last asked.
func (t *Totals) IsSilent(child int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.silent[child]
}

// Gone says that a child is no more; s is what it said at its end, nil where it could not: then what it said before counts.
func (t *Totals) Gone(child int, s *Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == nil {
		s = t.children[child]
	}
	delete(t.children, child)
	delete(t.silent, child)
	if s == nil {
		return
	}
	t.past.merge(s.counted())
	for _, living := range t.children {
		t.past.forget(living)
		break // all serve the same, or are about to
	}
	t.past.Routes = t.past.Routes[:min(len(t.past.Routes), MaxKept)]
	t.past.Upstreams = t.past.Upstreams[:min(len(t.past.Upstreams), MaxKept)]
	t.past.Filters = t.past.Filters[:min(len(t.past.Filters), MaxKept)]
	t.past.Listeners = t.past.Listeners[:min(len(t.past.Listeners), MaxKept)]
	t.past.Problems = t.past.Problems[:min(len(t.past.Problems), MaxKept)]
}

// Status is all of them together. What they are (PID and so on, the configuration) and Children is left to the caller.
func (t *Totals) Status() *Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := &Status{
		NotAccepting: true, ByPhase: map[string]uint64{}, Routes: []RouteStatus{}, Upstreams: []UpstreamStatus{}, Filters: []FilterStatus{},
		Listeners: []ListenerStatus{}, Problems: []Problem{}, Children: []ChildStatus{},
		TLS: TLSStatus{Handshakes: map[string]uint64{}, Certificates: []CertificateStatus{}},
	}
	answers := 0
	numbers := slices.Sorted(maps.Keys(t.children))
	for _, n := range slices.Backward(numbers) { // the youngest says what things are
		s := t.children[n]
		if t.silent[n] {
			s = s.counted()
		} else {
			answers++
			sum.NotAccepting = sum.NotAccepting && s.NotAccepting
		}
		sum.merge(s)
	}
	past := t.past.counted() // a copy, as merge takes what it is given
	if len(numbers) > 0 {
		past.forget(t.children[numbers[len(numbers)-1]])
	}
	sum.merge(past)
	sum.NotAccepting = sum.NotAccepting && answers > 0
	slices.SortStableFunc(sum.Problems, func(a, b Problem) int { return cmp.Compare(b.N, a.N) })
	return sum
}

// forget drops what another process does not have any more: upstreams, filters and listeners that have left the configuration.
func (s *Status) forget(living *Status) {
	s.Upstreams = slices.DeleteFunc(s.Upstreams, func(u UpstreamStatus) bool {
		return !slices.ContainsFunc(living.Upstreams, func(o UpstreamStatus) bool { return o.Name == u.Name })
	})
	s.Filters = slices.DeleteFunc(s.Filters, func(f FilterStatus) bool {
		return !slices.ContainsFunc(living.Filters, func(o FilterStatus) bool { return o.Name == f.Name })
	})
	s.Listeners = slices.DeleteFunc(s.Listeners, func(l ListenerStatus) bool {
		return !slices.ContainsFunc(living.Listeners, func(o ListenerStatus) bool { return o.Address == l.Address })
	})
}
