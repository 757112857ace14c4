package upstream

import (
	"math"
	"math/bits"
)

// Balance is how a pool picks a server.
type Balance uint8

// The ways.
const (
	RoundRobin    Balance = iota // by weight, in turn
	LeastRequests                // fewest requests under way for its weight
	Random2                      // the better of two picked at random
	Hash                         // the same server for the same key, as long as it is there
)

// pick chooses a server that is not in tried, or nil if there is none left. One that is down is chosen only where all are.
func (p *Pool) pick(tried uint64, key uint64, now int64) *Server {
	if len(p.servers) == 1 {
		if tried != 0 {
			return nil
		}
		return p.servers[0]
	}
	if s := p.choose(tried|p.down(now), key); s != nil {
		return s
	}
	return p.choose(tried, key)
}

func (p *Pool) down(now int64) (mask uint64) {
	for _, s := range p.servers {
		if s.downUntil.Load() > now {
			mask |= 1 << s.index
		}
	}
	return mask
}

// choose picks among the servers that are not in the mask.
func (p *Pool) choose(without uint64, key uint64) *Server {
	if bits.OnesCount64(without) >= len(p.servers) {
		return nil
	}
	switch p.options.Balance {
	case LeastRequests:
		return p.least(without)
	case Random2:
		a, b := p.random(without), p.random(without)
		if b.load() < a.load() {
			return b
		}
		return a
	case Hash:
		return p.rendezvous(without, key)
	}
	return p.next(without)
}

// load is the requests under way, per weight.
func (s *Server) load() float64 { return float64(s.active.Load()) / float64(s.weight) }

func (p *Pool) next(without uint64) *Server {
	for {
		s := p.slots[(p.turn.Add(1)-1)%uint64(len(p.slots))]
		if without&(1<<s.index) == 0 {
			return s
		}
	}
}

// least begins with a different server each time, each as often as its weight says, so that equal ones share by weight.
func (p *Pool) least(without uint64) *Server {
	var best *Server
	start := p.slots[p.turn.Add(1)%uint64(len(p.slots))].index
	for i := range p.servers {
		s := p.servers[(start+i)%len(p.servers)]
		if without&(1<<s.index) == 0 && (best == nil || s.load() < best.load()) {
			best = s
		}
	}
	return best
}

func (p *Pool) random(without uint64) *Server {
	for {
		if s := p.slots[p.options.Random()%uint64(len(p.slots))]; without&(1<<s.index) == 0 {
			return s
		}
	}
}

// rendezvous is highest-random-weight hashing: a server that leaves moves only the keys that were its own.
func (p *Pool) rendezvous(without uint64, key uint64) *Server {
	var best *Server
	var most float64
	for _, s := range p.servers {
		if without&(1<<s.index) != 0 {
			continue
		}
		unit := (float64(mix(key^s.hash)>>11) + 0.5) / (1 << 53)
		if score := float64(s.weight) / -math.Log(unit); best == nil || score > most {
			best, most = s, score
		}
	}
	return best
}

// HashKey makes a pool's hash key of a string.
func HashKey(s string) uint64 { return mix(hashString(s)) }

// hashString is FNV-1a.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
