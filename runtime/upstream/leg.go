package upstream

import (
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http1"
	"edge/runtime/http2"
)

// Bounds of one leg.
const (
	HighWater  = 64 << 10 // bytes of a request waiting for the server; beyond, the owner feeds no more
	turnBytes  = 4 * mpm.ScratchBytes
	keepBuffer = 8 << 10 // a request buffer that has grown beyond this is given back
)

// Receiver takes what a leg brings, on the connection's turn and in order. A method may call Cancel, and nothing else of the leg.
type Receiver interface {
	// Accepts says whether more of the response can be taken now: back-pressure.
	Accepts() bool

	// Interim is a 1xx response other than 101; Head the final one, or 101. Both are in the Response given to Begin. Body
	// brings bytes valid during the call, End the end with trailers, if any, in the Response.
	Interim()
	Head()
	Body(p []byte)
	End()

	// Failed says that there will be no response, or no more of it.
	Failed(c Cause)
}

type legState uint8

const (
	legNone         legState = iota
	legConnecting            // the socket is not connected yet
	legActive                // request and response under way
	legTunnel                // after 101: bytes
	legShared                // on a connection that is shared: see stream
	legSharedTunnel          // a WebSocket there
)

// Leg is one request on its way to a server of a pool, through as many tries as the pool allows. It is a part of its exchange and
// belongs to the worker that runs the connection. The zero value is ready for Begin.
type Leg struct {
	pool   *Pool
	conn   *mpm.Conn
	req    *message.Request
	resp   *message.Response
	to     Receiver
	limits *http1.Limits
	opts   http1.RequestOptions
	key    uint64

	server *Server
	link   *link
	shared sharedLeg
	ahead  *Ahead
	reader http1.ResponseReader
	state  legState
	in     []byte // read and not consumed
	buf    []byte // memory of out
	out    []byte // head and body the socket has not taken
	wrote  bool   // bytes of this try have left
	fed    bool   // body bytes were given: the request cannot be made again
	ended  bool   // the whole request was given
	headed bool   // the response's head is there
	broken bool   // the server takes no more of the request; its response may still come
	reused bool   // the try is on a connection that has served others
	counts bool   // the try is counted in server.active
	tried  uint64 // servers, by index
	held   bool   // the receiver took no more: what is in in, or the response's end, waits for it
	ends   bool   // of a tunnel: the client will say no more once out is gone

	deadline int64 // when Step is to look at the time
	movedAt  int64 // when the server last took or sent something, or the owner gave what it is to answer
	began    int64
	retries  int
	status   int
	reset    bool // the last stream was reset by the server, with resetBy
	resetBy  http2.Code
}

// Reset forgets the last request, which is over. The next one is on the account of a client; nil for none.
func (l *Leg) Reset(a *Ahead) {
	l.server, l.retries, l.headed, l.reset, l.ahead = nil, 0, false, false, a
}

// Active says whether a request is under way.
func (l *Leg) Active() bool { return l.state != legNone }

// Server is the server that was asked last, or nil.
func (l *Leg) Server() *Server { return l.server }

// Retries is how many tries there were beyond the first.
func (l *Leg) Retries() int { return l.retries }

// Status is that of the server's answer, 0 while there is none.
func (l *Leg) Status() int {
	if !l.headed {
		return 0
	}
	return l.status
}

// Whole says, in Head, that no body and no trailers follow.
func (l *Leg) Whole() bool {
	if l.state == legShared {
		return l.shared.whole
	}
	return l.reader.Done()
}

// Upgrade is the protocol that a 101 switches to.
func (l *Leg) Upgrade() string {
	if l.state == legSharedTunnel {
		return l.opts.Upgrade
	}
	return l.reader.Upgrade()
}

// ResetBy is the code of the RST_STREAM by which the server has ended the request, in Receiver.Failed and after; reset is false where
// it has not, or speaks no HTTP/2.
func (l *Leg) ResetBy() (code http2.Code, reset bool) { return l.resetBy, l.reset }

// Began is when the request began, on the engine's clock.
func (l *Leg) Began() int64 { return l.began }

// Deadline is when Step is to be called at the latest, or 0.
func (l *Leg) Deadline() int64 { return l.deadline }

// Pending is the number of request bytes that the server has not taken.
func (l *Leg) Pending() int {
	if l.state == legShared || l.state == legSharedTunnel {
		return int(l.shared.st.queued.Load())
	}
	if l.link == nil {
		return len(l.out)
	}
	return len(l.out) + l.link.tls.Pending()
}

// Ready says that Step, or TunnelRead, can go on at once: no event will tell of it.
func (l *Leg) Ready() bool {
	switch l.state {
	case legConnecting:
		return l.link.up && l.link.readable()
	case legActive:
		return (l.held || l.link.readable()) && l.to.Accepts()
	case legTunnel:
		return len(l.in) > 0 || l.link.readable()
	case legShared:
		return l.shared.held() && l.to.Accepts()
	case legSharedTunnel:
		return l.shared.tunnelReady()
	}
	return false
}

// Begin sends a request's head. end says that no body follows it. req and resp must stay as they are until the leg is over;
// the receiver may be called before Begin returns.
func (l *Leg) Begin(c *mpm.Conn, p *Pool, req *message.Request, resp *message.Response, opts http1.RequestOptions,
	limits *http1.Limits, key uint64, end bool, now int64, to Receiver) {
	*l = Leg{shared: sharedLeg{idle: l.shared.idle, got: l.shared.got[:0]}, ahead: l.ahead,
		pool: p, conn: c, req: req, resp: resp, to: to, limits: limits, opts: opts, key: key, ended: end, began: now, buf: l.buf}
	server := p.pick(0, key, now)
	if server == nil {
		l.fail(NoServer)
		return
	}
	l.try(server, now)
}

// try begins with a server.
func (l *Leg) try(server *Server, now int64) {
	l.server = server
	l.tried |= 1 << server.index
	server.active.Add(1)
	l.counts = true
	l.connect(now, true)
}

// connect takes an idle connection to the server, if it may, or opens one.
func (l *Leg) connect(now int64, idle bool) {
	l.wrote, l.broken, l.reused, l.headed, l.held, l.reset = false, false, false, false, false, false
	l.in = nil
	if l.shares() {
		l.join(now)
		return
	}
	l.reader.Reset(l.limits, l.req.Method)
	if !l.fed {
		out, bad := http1.AppendRequest(l.buf[:0], l.req, l.opts)
		if bad != nil {
			l.fail(BadRequest)
			return
		}
		l.buf, l.out = out, out
	}
	keeper := &l.pool.shelves[l.conn.Poller()]
	if idle {
		if l.link = keeper.take(l.conn, l.server); l.link != nil {
			l.reused = true
			l.established(now)
			return
		}
	}
	sock, err := l.conn.Dial(l.server.address, keeper)
	if err != nil {
		l.tryFailed(ConnectFailed, now)
		return
	}
	l.link, l.state = &link{sock: sock, server: l.server, config: l.server.tls}, legConnecting
	l.deadline = now + int64(l.pool.options.ConnectTimeout)
	if sock.Writable() {
		l.connecting(nil, now)
	}
}

// connecting looks how the connect has gone.
func (l *Leg) connecting(scratch []byte, now int64) {
	switch err := l.link.connect(scratch); {
	case err == mpm.ErrAgain:
	case err == errHandshake:
		l.tryFailed(TLSFailed, now)
	case err != nil:
		l.tryFailed(ConnectFailed, now)
	default:
		l.established(now)
	}
}

func (l *Leg) established(now int64) {
	l.state = legActive
	l.movedAt, l.deadline = now, now+int64(l.pool.options.ResponseTimeout)
	l.flush(now)
}

// Write sends a piece of the request's body; end says that it is the last, with what trailers the request has by now. It takes
// all of it.
func (l *Leg) Write(p []byte, end bool, now int64) {
	if l.state == legNone || l.ended {
		return
	}
	chunked := l.req.Length == message.UnknownLength
	l.fed = l.fed || len(p) > 0 || chunked
	l.ended = end
	if l.state == legShared {
		l.writeShared(p, end, now)
		return
	}
	if l.broken {
		return
	}
	if len(l.out) == 0 {
		l.movedAt = now
	}
	if !chunked {
		if l.state == legActive && len(l.out) == 0 {
			p = p[l.send(p, now):]
		}
		l.keep(p)
	} else {
		l.own()
		l.out = http1.AppendChunk(l.out, p)
		if end {
			l.out = http1.AppendLastChunk(l.out, &l.req.Trailer)
		}
		l.buf = l.out
	}
	if l.state == legActive {
		l.flush(now)
	}
}

// keep puts bytes behind those that wait.
func (l *Leg) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	l.own()
	l.out = append(l.out, p...)
	l.buf = l.out
}

// own moves what waits to the front of its memory, so that it does not grow for ever.
func (l *Leg) own() {
	if len(l.out) == 0 {
		l.out = l.buf[:0]
	} else if cap(l.out) < cap(l.buf) && len(l.out) < cap(l.buf)/2 {
		l.out = l.buf[:copy(l.buf[:cap(l.buf)], l.out)]
	}
}

// flush writes what waits.
func (l *Leg) flush(now int64) {
	if l.broken {
		return
	}
	if left := l.link.tls.Pending(); left > 0 {
		err := l.link.flush()
		if l.link.tls.Pending() < left {
			l.movedAt = now
		}
		if err != nil {
			l.broken = err != mpm.ErrAgain
			return
		}
	}
	if len(l.out) == 0 {
		return
	}
	if n := l.send(l.out, now); l.broken {
		l.out = nil
	} else {
		l.out = l.out[n:]
	}
}

// send writes p and returns how much of it needs no keeping: all of it where the server takes no more.
func (l *Leg) send(p []byte, now int64) (n int) {
	if len(p) == 0 {
		return 0
	}
	n, err := l.link.write(p)
	if n > 0 {
		l.wrote, l.movedAt = true, now
	}
	if err != nil && err != mpm.ErrAgain {
		l.broken = true // its response may be there all the same: reading will tell
		return len(p)
	}
	return n
}

// Step goes on: it finishes the connect, writes, reads and hands on what has come.
func (l *Leg) Step(t *mpm.Turn) {
	if l.state == legConnecting {
		l.connecting(t.In, t.Now)
	}
	if l.state == legActive {
		l.flush(t.Now)
		l.read(t)
	}
	if l.state == legShared {
		l.stepShared(t.Now)
	}
	if (l.state == legConnecting || l.state == legActive || l.state == legShared) && t.Now >= l.deadline {
		l.expire(t.Now)
	}
}

// expire looks at what the server has been waited for, and since when. While the owner has not given all of the request, or takes
// nothing of the response, the server is not to blame: other bounds watch the client and the filters.
func (l *Leg) expire(now int64) {
	if l.state == legConnecting {
		l.tryFailed(ConnectTimeout, now)
		return
	}
	limit, cause := int64(l.pool.options.ResponseTimeout), ResponseTimeout
	if l.headed {
		limit, cause = int64(l.pool.silence(l.req)), BodyTimeout
	}
	if l.state == legShared {
		l.movedAt = max(l.movedAt, l.shared.st.movedAt.Load())
	}
	if (!l.ended && l.Pending() == 0) || (l.headed && !l.to.Accepts()) {
		l.movedAt = now
	}
	if l.deadline = l.movedAt + limit; now >= l.deadline {
		l.fail(cause)
	}
}

// tryFailed ends a try that brought nothing, and makes another where that is safe (RFC 9110 section 9.2.2, threat U88): nothing of
// the request has left and all of it is still here, or the method is safe and there is no body to be said twice.
func (l *Leg) tryFailed(cause Cause, now int64) {
	if cause == ConnectFailed || cause == ConnectTimeout || cause == TLSFailed {
		l.server.downUntil.Store(now + int64(downTime))
	}
	l.pool.stats.Failures[cause].Add(1)
	safe := !l.fed && safeMethod(l.req.Method)
	fresh := !l.wrote && !(l.broken && l.fed)
	stale := l.reused && cause == Closed // the server closed it while the request was on its way
	if !safe && !fresh {
		l.stop(cause)
		return
	}
	out := l.out // where a body was given, the only copy of it
	if stale {
		l.drop()
		l.connect(now, false)
		return
	}
	var next *Server
	if l.retries < l.pool.options.Retries {
		next = l.pool.pick(l.tried, l.key, now)
	}
	if next == nil || l.fed && next.shares() { // what was given is framed for HTTP/1 already
		l.stop(cause)
		return
	}
	l.retries++
	l.pool.stats.Retries.Add(1)
	l.finish()
	l.out = out
	l.try(next, now)
}

// safeMethod says whether a request may be made twice without asking: the safe methods (RFC 9110 section 9.2.1).
func safeMethod(m string) bool {
	return m == "GET" || m == "HEAD" || m == "OPTIONS" || m == "TRACE"
}

// fail counts a cause and ends the leg with it.
func (l *Leg) fail(cause Cause) {
	l.pool.stats.Failures[cause].Add(1)
	l.stop(cause)
}

func (l *Leg) stop(cause Cause) {
	if !l.headed {
		l.pool.stats.Requests[0].Add(1)
	}
	l.finish()
	l.to.Failed(cause)
}

// Cancel gives the request up: its connection is closed, since nobody will read the rest.
func (l *Leg) Cancel() {
	if l.state != legNone {
		l.finish()
	}
}

// finish leaves the server.
func (l *Leg) finish() {
	l.drop()
	l.state, l.deadline, l.held, l.ends = legNone, 0, false, false
	l.in, l.out = nil, nil
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	if l.counts {
		l.counts = false
		l.server.active.Add(-1)
	}
}

// drop closes the socket, if there still is one.
func (l *Leg) drop() {
	l.leave()
	if l.link != nil {
		l.link.close()
		l.link = nil
	}
}
