// Package commons keeps what guests have in common beyond one call: shared data and queues, one set for each vm_id, and
// the metrics that guests define, one set for each filter. All of it is this process's alone, lives in Go's memory, and
// is gone with the last filter that could reach it.
package commons

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Bounds of what the filters of one vm_id keep. What would exceed one is refused and counted; nothing is evicted, since a
// guest that finds a value gone cannot tell that from one that was never there.
const (
	// MaxBytes bounds the keys and values of the shared data together, each entry with EntryBytes besides.
	MaxBytes = 16 << 20

	// MaxEntries is the number of keys.
	MaxEntries = 1 << 16

	// MaxKey and MaxValue are the bytes of one key and of one value.
	MaxKey   = 4 << 10
	MaxValue = 1 << 20

	// EntryBytes is what an entry, or an item of a queue, is counted as beyond its text.
	EntryBytes = 128

	// MaxQueues is the number of queues, MaxQueueName the bytes of a queue's name.
	MaxQueues    = 256
	MaxQueueName = 256

	// MaxItems is the number of items in all queues together, MaxQueueBytes their bytes, each with EntryBytes besides,
	// and MaxItem the bytes of one.
	MaxItems      = 1 << 14
	MaxQueueBytes = 8 << 20
	MaxItem       = 1 << 20
)

// Errors.
var (
	ErrFull     = errors.New("over a bound of what guests may share")
	ErrMismatch = errors.New("the value has been changed since it was read")
	ErrNotFound = errors.New("no such queue or metric")
	ErrEmpty    = errors.New("the queue is empty")
	ErrRefused  = errors.New("the metric's type does not have that")
)

// Commons is the common property of a host's filters. Its methods, and those of its members, may be called from any
// goroutine. No lock is held while a guest runs, nor while a queue's listener is told.
type Commons struct {
	cas atomic.Uint32 // the compare-and-swap id given last, of all data

	mu        sync.RWMutex // guards the rest; taken before a group's own
	groups    map[groupKey]*group
	queues    map[uint32]*queue
	lastQueue uint32
	metrics   map[string]*Metrics
	defined   atomic.Uint64 // metrics ever defined, for their order
}

// groupKey names a group: by the vm_id that filters give, or, where they give none, by the filter alone, so that no
// vm_id of another's choosing reaches it.
type groupKey struct {
	id  string
	own bool
}

// group is the property of one vm_id.
type group struct {
	key     groupKey
	members int // guarded by Commons.mu

	mu         sync.Mutex // guards the rest
	data       map[string]*entry
	bytes      int
	queues     map[string]*queue
	items      int
	queueBytes int
}

// New makes an empty one.
func New() *Commons {
	return &Commons{groups: map[groupKey]*group{}, queues: map[uint32]*queue{}, metrics: map[string]*Metrics{}}
}

// Member is one filter's access, from Join to Leave.
type Member struct {
	// Metrics are the filter's.
	Metrics *Metrics

	// RefusedData and RefusedQueue count the writes that were refused for a bound.
	RefusedData, RefusedQueue atomic.Uint64

	commons *Commons
	group   *group
}

// Join gives a filter its access: to the data and queues of vmID, or, where that is "", to some that are the filter's
// own, and to the metrics of its name. Two filters of one name, such as two versions while one is replaced, share these.
func (c *Commons) Join(vmID, filter string) *Member {
	key := groupKey{id: vmID}
	if vmID == "" {
		key = groupKey{id: filter, own: true}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[key]
	if g == nil {
		g = &group{key: key, data: map[string]*entry{}, queues: map[string]*queue{}}
		c.groups[key] = g
	}
	g.members++
	m := c.metrics[filter]
	if m == nil {
		m = newMetrics(c, filter)
		c.metrics[filter] = m
	}
	m.users++
	return &Member{Metrics: m, commons: c, group: g}
}

// Leave ends the access. With the last member of a group its data and queues are gone, with the last filter of a name
// its metrics. It is called once; no guest of the filter may run any more.
func (m *Member) Leave() {
	c, g := m.commons, m.group
	c.mu.Lock()
	defer c.mu.Unlock()
	g.mu.Lock()
	for _, q := range g.queues {
		q.unlisten(m)
		if g.members == 1 {
			delete(c.queues, q.id)
		}
	}
	g.mu.Unlock()
	if g.members--; g.members == 0 {
		delete(c.groups, g.key)
	}
	if m.Metrics.users--; m.Metrics.users == 0 {
		delete(c.metrics, m.Metrics.filter)
	}
}

// Use is what the members of one group keep now.
type Use struct {
	VMID       string // "" where the group is one filter's own
	Filter     string // that filter's name
	Entries    int
	Bytes      int // of the data, as MaxBytes counts them
	Items      int
	QueueBytes int // as MaxQueueBytes counts them
}

// Use tells of every group, in no order.
func (c *Commons) Use() []Use {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]Use, 0, len(c.groups))
	for key, g := range c.groups {
		g.mu.Lock()
		u := Use{Entries: len(g.data), Bytes: g.bytes, Items: g.items, QueueBytes: g.queueBytes}
		g.mu.Unlock()
		if key.own {
			u.Filter = key.id
		} else {
			u.VMID = key.id
		}
		list = append(list, u)
	}
	return list
}
