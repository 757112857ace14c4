// Package upstream asks origins: pools of servers, their idle connections, and one request on its way to one of them.
package upstream

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http2"
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
	H2C     bool        // HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3)
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
	StreamTimeout   time.Duration // the same within one of gRPC; 0 is BodyTimeout
	Retries         int           // further tries, each on another server
	Pollers         int           // of the engine
	HTTP2           bool          // servers with TLS are asked for HTTP/2 first
	HeaderBytes     int           // of a response's head or trailers in HTTP/2; 0 is http2.DefaultLimits'
	HeaderCount     int           // of its fields; likewise
	Random          func() uint64

	// Stats, if not nil, are those of a pool before this one, to go on with.
	Stats *Stats

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
	halls   []hall        // shared connections, by poller
	stats   *Stats

	http2 http2.Limits
}

// Server is one server of a pool.
type Server struct {
	label     string
	address   *mpm.Address
	tls       *tls.Config
	shared    *tls.Config // of shared connections; nil: none
	h2c       bool
	plain     atomic.Bool // it has chosen HTTP/1.1 where HTTP/2 was offered
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
	HTTP2    http2.Counts // what servers did wrong, or too often, on HTTP/2 connections
}

// NewPool makes a pool.
func NewPool(o Options) *Pool {
	p := &Pool{options: o, shelves: make([]shelf, o.Pollers), halls: make([]hall, o.Pollers), stats: o.Stats, http2: clientLimits(o)}
	if p.stats == nil {
		p.stats = new(Stats)
	}
	for i, so := range o.Servers[:min(len(o.Servers), MaxServers)] {
		s := &Server{label: so.Label, address: so.Address, weight: max(1, so.Weight), index: i, hash: hashString(so.Label),
			tls: clientConfig(so.TLS, "http/1.1"), h2c: so.H2C, refused: o.Refused}
		if o.HTTP2 {
			s.shared = clientConfig(so.TLS, protocolHTTP2, "http/1.1")
		}
		p.servers = append(p.servers, s)
		for range s.weight {
			p.slots = append(p.slots, s)
		}
	}
	return p
}

// sessions is how many TLS sessions are kept for each server, to resume.
const sessions = 8

// protocolHTTP2 is HTTP/2's name in ALPN (RFC 9113 section 3.1).
const protocolHTTP2 = "h2"

func clientConfig(c *tls.Config, protocols ...string) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.NextProtos = protocols
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
func (p *Pool) Stats() *Stats { return p.stats }

// Idle is the number of connections that wait for a request.
func (p *Pool) Idle() int {
	n := 0
	for i := range p.shelves {
		n += p.shelves[i].len()
	}
	return n
}

// Shared is the number of HTTP/2 connections to servers, and of requests on them.
func (p *Pool) Shared() (sessions, streams int) {
	for i := range p.halls {
		n, m := p.halls[i].count()
		sessions, streams = sessions+n, streams+m
	}
	return sessions, streams
}

// clientLimits are those of what servers send in HTTP/2.
func clientLimits(o Options) http2.Limits {
	l := http2.DefaultLimits
	l.Streams, l.StreamWindow, l.Window = MaxStreams, firstWindow, sessionWindow
	if o.HeaderBytes > 0 {
		l.HeaderBytes = o.HeaderBytes
	}
	if o.HeaderCount > 0 {
		l.HeaderCount = o.HeaderCount
	}
	return l
}

// shares says whether requests to the server share connections: it speaks HTTP/2, or may.
func (s *Server) shares() bool { return s.h2c || s.shared != nil && !s.plain.Load() }

// Close closes the idle connections, when no request uses the pool any more.
func (p *Pool) Close() {
	for i := range p.shelves {
		p.shelves[i].closeAll()
		p.halls[i].close()
	}
}

// silence is how long a server may say nothing within a response's body: one of gRPC comes when there is something to say.
func (p *Pool) silence(r *message.Request) time.Duration {
	if p.options.StreamTimeout > 0 && r.Header.GRPC() {
		return p.options.StreamTimeout
	}
	return p.options.BodyTimeout
}

// StreamTimeout is how long both sides of a call of gRPC may say nothing; 0: as long as those of any other request.
func (p *Pool) StreamTimeout() time.Duration { return p.options.StreamTimeout }
