// Package server puts codecs, routes, filters and actions on the engine: it is the mpm.Handler of every listener that speaks HTTP.
//
// A connection costs a [conn] while it is idle. A request has an [exchange] from its head to the last byte of its answer, which
// holds everything the request needs and goes back to the worker's free list. Both belong to the worker that runs the connection.
package server

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/http1"
	"edge/runtime/http2"
	"edge/runtime/metrics"
)

// Bounds that no configuration moves.
const (
	turnRequests    = 32       // pipelined requests served in one turn
	partingRequests = 128      // answers to requests that a client has pipelined while the engine ends
	turnBytes       = 1 << 20  // bytes of a file sent in one turn
	highWater       = 64 << 10 // output the client has not taken: beyond it nothing is read for it
	fileWater       = 32 << 10 // the same, for the next piece of a file
	discardBytes    = 64 << 10 // of a request body nobody wants; more closes the connection (S26)
	discardTime     = 2 * time.Second
	freeMax         = 64       // connections and exchanges kept by a worker, each
	freeStreams     = 256      // streams kept by a worker
	freeBytes       = 32 << 10 // of messages; an exchange that has grown beyond is not kept
	maxHops         = 8        // times a request may have passed an edge (U89)
)

// Options are the settings of a Server. Log, Metrics and Now are the server's for its life; the others go with the site, and can be
// replaced together with it: see [Site.Configure]. They do not change while anybody reads them.
type Options struct {
	Limits           http1.Limits
	ResponseLimits   http1.Limits  // for what upstreams send
	HandshakeTimeout time.Duration // from a connection's first byte to the end of its TLS handshake, absolute (R78); 10 s
	HeaderTimeout    time.Duration // from a request's first byte to its whole head, absolute (R70)
	Timeout          time.Duration // for the client's next bytes, or for it to take ours (C1, C2)
	KeepaliveTimeout time.Duration // C3
	RateBytes        int64         // a body must move at least this many bytes …
	RatePer          time.Duration // … in each of these (R71, R72); 0 is no bound
	Trusted          []netip.Prefix
	AccessLog        *accesslog.Writer // nil is off
	AccessFormat     accesslog.Format
	Log              *accesslog.Logger
	FilterLevels     map[string]accesslog.Level // from which lines of a filter are written whatever the level of Log is
	Metrics          *metrics.Set
	Now              func() time.Time // the calendar: dates and log lines
}

// Server serves HTTP on an engine. The site it serves can be replaced at any time; a request keeps the one it began with.
type Server struct {
	logger      *accesslog.Logger
	metrics     *metrics.Set
	now         func() time.Time
	site        atomic.Pointer[Site]
	rejects     rejects
	http2Counts http2.Counts
}

// New makes a server for a site, which it configures with these settings.
func New(o Options, site *Site) *Server {
	s := &Server{logger: o.Log, metrics: o.Metrics, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	site.Configure(o)
	s.site.Store(site)
	return s
}

// local is what one worker keeps: no other goroutine touches it.
type local struct {
	number     uint
	shard      *metrics.Shard
	rand       *rand.PCG
	conns      []*conn
	http1s     []*http1Conn
	http2s     []*http2Conn
	exchanges  []*exchange
	next       *exchange // takes the next head that any connection completes
	streams    []*stream
	nextStream *stream       // the stream of next, if it is HTTP/2's; or nil
	out        *http2.Output // of HTTP/2 connections, nil until there is one
	date       date

	line, ip, client, filters []byte // what is being written
}

// NewWorker is part of mpm.Handler.
func (s *Server) NewWorker(number int) any {
	return &local{number: uint(number), shard: s.metrics.NewShard(), rand: rand.NewPCG(rand.Uint64(), rand.Uint64()), next: newExchange()}
}

// Serve is part of mpm.Handler.
func (s *Server) Serve(c *mpm.Conn, t *mpm.Turn, ev mpm.Events) mpm.Verdict {
	l := t.Local.(*local)
	cn, _ := c.State.(*conn)
	if cn == nil {
		cn = l.takeConn()
		cn.begin(s, c, t, l)
		c.State = cn
	}
	return cn.turn(t, l, ev)
}

// Flush is part of mpm.Handler.
func (s *Server) Flush(c *mpm.Conn, _ *mpm.Turn) (done bool, err error) {
	cn, _ := c.State.(*conn)
	if cn == nil {
		return true, nil
	}
	return cn.wire.Flush(c)
}

// Bye is part of mpm.Parting: HTTP/2's last words, then TLS's.
func (s *Server) Bye(c *mpm.Conn, t *mpm.Turn) {
	cn := c.State.(*conn)
	cn.t, cn.local = t, t.Local.(*local)
	if h, ok := cn.proto.(*http2Conn); ok {
		h.bye()
	}
	cn.wire.Bye(c)
}

// Close is part of mpm.Handler.
func (s *Server) Close(c *mpm.Conn, t *mpm.Turn, cause mpm.Cause) (done bool) {
	cn := c.State.(*conn)
	cn.t, cn.local = t, t.Local.(*local)
	if !cn.end(cause) {
		return false
	}
	cn.local.putConn(cn)
	return true
}

func (l *local) takeConn() *conn {
	if cn := take(&l.conns); cn != nil {
		return cn
	}
	return new(conn)
}

// take is the last of a free list, or nil.
func take[T any](list *[]*T) *T {
	n := len(*list)
	if n == 0 {
		return nil
	}
	last := (*list)[n-1]
	*list = (*list)[:n-1]
	return last
}

func (l *local) putConn(cn *conn) {
	*cn = conn{}
	if len(l.conns) < freeMax {
		l.conns = append(l.conns, cn)
	}
}

func (l *local) takeHTTP1(cn *conn) *http1Conn {
	h := take(&l.http1s)
	if h == nil {
		h = new(http1Conn)
	}
	h.begin(cn)
	return h
}

func (l *local) putHTTP1(h *http1Conn) {
	*h = http1Conn{}
	if len(l.http1s) < freeMax {
		l.http1s = append(l.http1s, h)
	}
}

func (l *local) takeExchange() *exchange {
	if x := take(&l.exchanges); x != nil {
		return x
	}
	return spares.Get().(*exchange)
}

// spares are the exchanges that workers have no place for: HTTP/2 may have thousands under way, for a while. The collector takes
// those that nobody needs any more.
var spares = sync.Pool{New: func() any { return newExchange() }}

func (l *local) putExchange(x *exchange) {
	if x.site != nil {
		x.site.leave(l)
	}
	x.site, x.route, x.plan, x.to = nil, nil, nil, nil // a site that has been replaced is not kept alive
	if x.req.Version == message.HTTP2 {
		x.req.Reset() // its strings are the decoder's, of any size
	}
	switch {
	case x.memory() > freeBytes:
	case len(l.exchanges) < freeMax:
		l.exchanges = append(l.exchanges, x)
	default:
		spares.Put(x)
	}
}

// memory is the number of bytes that the exchange's messages keep.
func (x *exchange) memory() int {
	return x.req.Header.Memory() + x.req.Trailer.Memory() + x.resp.Header.Memory() + x.resp.Trailer.Memory()
}
