package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// pool makes a pool of servers a, b, c … with these weights.
func pool(b Balance, weights ...int) *Pool {
	o := Options{Balance: b, Pollers: 1, Random: rand.New(rand.NewPCG(1, 2)).Uint64}
	for i, w := range weights {
		o.Servers = append(o.Servers, ServerOptions{Label: string(rune('a' + i)), Weight: w})
	}
	return NewPool(o)
}

// TestWeights: each way of balancing gives each server its share, whether the requests come one after another or are all under way.
func TestWeights(t *testing.T) {
	const n = 6000
	for _, b := range []Balance{RoundRobin, LeastRequests, Random2, Hash} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("balance %d, held %v", b, held), func(t *testing.T) {
				p := pool(b, 1, 2, 3)
				var got [3]int
				for i := range n {
					s := p.pick(0, HashKey(fmt.Sprint(i)), 0)
					got[s.index]++
					if held {
						s.active.Add(1)
					}
				}
				for i, g := range got {
					if want := float64(n) * float64(i+1) / 6; math.Abs(float64(g)-want) > want/8 {
						t.Errorf("server %d got %d of %d, want about %.0f", i, g, n, want)
					}
				}
			})
		}
	}
}

// TestLeastRequestsPrefersIdle: the server with the least under way for its weight gets the next one.
func TestLeastRequestsPrefersIdle(t *testing.T) {
	for _, b := range []Balance{LeastRequests, Random2} {
		p := pool(b, 1, 1)
		p.servers[0].active.Store(1000)
		to1 := 0
		for range 1000 {
			to1 += p.pick(0, 0, 0).index
		}
		if least := map[Balance]int{LeastRequests: 1000, Random2: 700}[b]; to1 < least {
			t.Errorf("balance %d: the idle server got %d of 1000, at least %d", b, to1, least)
		}
	}
}

// TestHashStays: a key keeps its server, and only the keys of a server that leaves move.
func TestHashStays(t *testing.T) {
	p := pool(Hash, 1, 1, 1, 1)
	for i := range 1000 {
		key := HashKey(fmt.Sprint(i))
		first := p.pick(0, key, 0)
		if p.pick(0, key, 0) != first {
			t.Fatal("the same key went elsewhere")
		}
		for out := range p.servers {
			again := p.pick(1<<out, key, 0)
			if out != first.index && again != first || out == first.index && again == first {
				t.Fatalf("key %d: from %d to %d when %d left", i, first.index, again.index, out)
			}
		}
	}
}

// TestPickBounds: servers that are down are left out while there are others; tried ones are never picked again.
func TestPickBounds(t *testing.T) {
	for _, b := range []Balance{RoundRobin, LeastRequests, Random2, Hash} {
		p := pool(b, 1, 2, 1)
		p.servers[1].downUntil.Store(100)
		for i := range 50 {
			if s := p.pick(0, uint64(i), 99); s.index == 1 {
				t.Errorf("balance %d picks a server that is down", b)
			}
			if s := p.pick(0b101, uint64(i), 99); s == nil || s.index != 1 {
				t.Errorf("balance %d does not pick the only one left", b)
			}
		}
		back := false
		for i := range 200 {
			back = back || p.pick(0, mix(uint64(i)), 100).index == 1
		}
		if !back {
			t.Errorf("balance %d never picks the server that is back", b)
		}
		if s := p.pick(0b111, 0, 0); s != nil {
			t.Errorf("balance %d picks %s although all were tried", b, s.Label())
		}
	}
	one := pool(RoundRobin, 1)
	if one.pick(0, 0, 0) == nil || one.pick(1, 0, 0) != nil {
		t.Error("a pool of one server is not tried exactly once")
	}
}

// TestCauses: 502, 503 and 504 are told apart, and each cause has a name and a flag.
func TestCauses(t *testing.T) {
	want := map[Cause]int{NoServer: 503, ConnectFailed: 502, ConnectTimeout: 504, Closed: 502, BadResponse: 502, ResponseTimeout: 504,
		BodyTimeout: 504, TLSFailed: 502, Crowded: 503, BadRequest: 500, NoTunnel: 501}
	for c := NoCause + 1; int(c) < Causes; c++ {
		if c.Status() != want[c] || c.Flag() == "" || c.String() == "" || c.Label() == "" {
			t.Errorf("cause %d: %d %q %q, want %d", c, c.Status(), c.Flag(), c, want[c])
		}
	}
}

// TestPickAllocates nothing.
func TestPickAllocates(t *testing.T) {
	for _, b := range []Balance{RoundRobin, LeastRequests, Random2, Hash} {
		p := pool(b, 1, 2, 3)
		if n := testing.AllocsPerRun(100, func() { p.pick(0, 7, 0) }); n != 0 {
			t.Errorf("balance %d: %v allocations", b, n)
		}
	}
}
