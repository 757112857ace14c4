package commons

import (
	"slices"
	"strings"
)

// queue is one shared queue. Its group's lock guards it, but for id and group, which never change.
type queue struct {
	id        uint32
	group     *group
	items     []string // those before head are taken
	head      int
	listeners []listener // who registered it, the latest last
}

// keepItems is how many places an empty queue keeps.
const keepItems = 64

type listener struct {
	member *Member
	ready  func(id uint32)
}

// Register opens the group's queue of that name, making it where there is none, and returns its id, which is never 0.
// From now on ready, if it is not nil, is told of every item that is put in, until somebody else registers the queue, or
// this member leaves; then whoever registered before is told again. It is called on the enqueuing guest's goroutine, and
// must not block or call the queue. Error: ErrFull.
func (m *Member) Register(name string, ready func(id uint32)) (id uint32, err error) {
	c, g := m.commons, m.group
	if len(name) > MaxQueueName {
		m.RefusedQueue.Add(1)
		return 0, ErrFull
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[name]
	if q == nil {
		if len(g.queues) >= MaxQueues {
			m.RefusedQueue.Add(1)
			return 0, ErrFull
		}
		q = &queue{id: c.nextQueue(), group: g}
		c.queues[q.id] = q
		g.queues[strings.Clone(name)] = q
	}
	q.unlisten(m)
	q.listeners = append(q.listeners, listener{m, ready})
	return q.id, nil
}

// nextQueue gives an id that no queue has. The caller holds Commons.mu.
func (c *Commons) nextQueue() uint32 {
	for {
		c.lastQueue++
		if _, taken := c.queues[c.lastQueue]; c.lastQueue != 0 && !taken {
			return c.lastQueue
		}
	}
}

func (q *queue) unlisten(m *Member) {
	q.listeners = slices.DeleteFunc(q.listeners, func(l listener) bool { return l.member == m })
}

// Resolve finds a queue of the group of vmID, or of the member's own where that is "" or its own.
func (m *Member) Resolve(vmID, name string) (id uint32, found bool) {
	c := m.commons
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := m.group
	if vmID != "" {
		if g = c.groups[groupKey{id: vmID}]; g == nil {
			return 0, false
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[name]
	if q == nil {
		return 0, false
	}
	return q.id, true
}

func (c *Commons) queue(id uint32) *queue {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.queues[id]
}

// Enqueue puts a copy of item at the end, and tells the listener. Whoever knows a queue's id may. Errors: ErrNotFound,
// ErrFull.
func (m *Member) Enqueue(id uint32, item []byte) error {
	q := m.commons.queue(id)
	if q == nil {
		return ErrNotFound
	}
	if len(item) > MaxItem {
		m.RefusedQueue.Add(1)
		return ErrFull
	}
	text := string(item)
	g := q.group
	g.mu.Lock()
	if g.items >= MaxItems || g.queueBytes+len(text)+EntryBytes > MaxQueueBytes {
		g.mu.Unlock()
		m.RefusedQueue.Add(1)
		return ErrFull
	}
	q.push(text)
	g.items++
	g.queueBytes += len(text) + EntryBytes
	var ready func(uint32)
	if n := len(q.listeners); n > 0 {
		ready = q.listeners[n-1].ready
	}
	g.mu.Unlock()
	if ready != nil {
		ready(id)
	}
	return nil
}

// push appends, in the place of what is taken once that is half of all.
func (q *queue) push(item string) {
	if len(q.items) == cap(q.items) && 2*q.head >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, item)
}

// Dequeue takes the first item. Errors: ErrNotFound, ErrEmpty.
func (m *Member) Dequeue(id uint32) (item string, err error) {
	q := m.commons.queue(id)
	if q == nil {
		return "", ErrNotFound
	}
	g := q.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if q.head == len(q.items) {
		return "", ErrEmpty
	}
	item = q.items[q.head]
	q.items[q.head] = ""
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > keepItems {
			q.items = nil
		}
	}
	g.items--
	g.queueBytes -= len(item) + EntryBytes
	return item, nil
}
