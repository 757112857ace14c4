package mpm

import "sync"

// RecycleMax is how many closed connections' memory a poller keeps for new ones (E9).
const RecycleMax = 64

// recycleList keeps the memory of closed connections: any worker puts, the accepting poller takes.
type recycleList struct {
	mu   sync.Mutex
	list []*Conn
}

func (r *recycleList) put(c *Conn) {
	r.mu.Lock()
	if len(r.list) < RecycleMax {
		r.list = append(r.list, c)
	}
	r.mu.Unlock()
}

func (r *recycleList) take() *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.list)
	if n == 0 {
		return nil
	}
	c := r.list[n-1]
	r.list[n-1] = nil
	r.list = r.list[:n-1]
	return c
}
