// Package upstream asks origins: pools of servers, their idle connections, and one request on its way to one of them.
package upstream

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"edge/mpm"
)

// Bounds that no configuration moves.
const (
	IdleTimeout = 55 * time.Second // an unused connection is closed after this
	downTime    = time.Second      // a server that refused a connection is left out this long, while there are others
	MaxServers  = 64               // of one pool: tries are remembered in one word
)

// ServerOptions are one server of a pool.
type ServerOptions struct {
	Label   string // as configured: for logs
	Address *mpm.Address
	Weight  int         // 1 or more
	TLS     *tls.Config // nil: none. ALPN is the pool's
}

// Options are a pool's settings.
type Options struct {
	Name            string
	Servers         []ServerOptions // 1 to MaxServers
	Balance         Balance
	HashHeader      string        // of Hash: the lower-case field; "" is the client's address
	Keepalive       int           // idle connections kept per poller; 0 keeps none
	ConnectTimeout  time.Duration // of one try
	ResponseTimeout time.Duration // from the request's end to the response's head
	BodyTimeout     time.Duration // longest pause within the response's body
	Retries         int           // further tries, each on another server
	Pollers         int           // of the engine
	Random          func() uint64

	// Refused, if not nil, hears of TLS handshakes that failed; workers call it, and it must not block.
	Refused func(server string, err error)
}

// Pool is one upstream: a set of servers that do the same job. It is shared by all workers; what changes is atomic, or behind
// the lock of one poller's shelf.
type Pool struct {
	options Options
	servers []*Server
	slots   []*Server     // each server as often as its weight says
	turn    atomic.Uint64 // round robin
	shelves []shelf       // idle connections, by poller
	stats   Stats
}

// Server is one server of a pool.
type Server struct {
	label     string
	address   *mpm.Address
	tls       *tls.Config
	refused   func(string, error)
	weight    int
	index     int
	hash      uint64
	active    atomic.Int64 // tries under way
	downUntil atomic.Int64 // engine nanoseconds
}

// Label is the server's address as configured.
func (s *Server) Label() string { return s.label }

// Stats are counters since the start.
type Stats struct {
	Requests [6]atomic.Uint64 // by the response's class; [0] is none
	Retries  atomic.Uint64
	Failures [Causes]atomic.Uint64
}

// NewPool makes a pool.
func NewPool(o Options) *Pool {
	p := &Pool{options: o, shelves: make([]shelf, o.Pollers)}
	for i, so := range o.Servers[:min(len(o.Servers), MaxServers)] {
		s := &Server{label: so.Label, address: so.Address, weight: max(1, so.Weight), index: i, hash: hashString(so.Label),
			tls: clientConfig(so.TLS), refused: o.Refused}
		p.servers = append(p.servers, s)
		for range s.weight {
			p.slots = append(p.slots, s)
		}
	}
	return p
}

// sessions is how many TLS sessions are kept for each server, to resume.
const sessions = 8

func clientConfig(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	return c
}

// ActionKind makes a pool a route's action.
func (p *Pool) ActionKind() string { return "upstream" }

// Name is the pool's name in the configuration.
func (p *Pool) Name() string { return p.options.Name }

// HashBy is the request's field that servers are picked by, "" for the client's address; ok is false where the pool does not hash.
func (p *Pool) HashBy() (header string, ok bool) {
	return p.options.HashHeader, p.options.Balance == Hash
}

// Stats returns the counters.
func (p *Pool) Stats() *Stats { return &p.stats }

// Idle is the number of connections that wait for a request.
func (p *Pool) Idle() int {
	n := 0
	for i := range p.shelves {
		n += p.shelves[i].len()
	}
	return n
}

// Close closes the idle connections, when no request uses the pool any more.
func (p *Pool) Close() {
	for i := range p.shelves {
		p.shelves[i].closeAll()
	}
}
