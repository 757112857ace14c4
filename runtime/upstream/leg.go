package upstream

import (
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http1"
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
	legNone       legState = iota
	legConnecting          // the socket is not connected yet
	legActive              // request and response under way
	legTunnel              // after 101: bytes
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
	sock   *mpm.Socket
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
	again  bool   // the turn's share is used up, more is there

	deadline int64
	began    int64
	retries  int
	status   int
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
func (l *Leg) Whole() bool { return l.reader.Done() }

// Upgrade is the protocol that a 101 switches to.
func (l *Leg) Upgrade() string { return l.reader.Upgrade() }

// Began is when the request began, on the engine's clock.
func (l *Leg) Began() int64 { return l.began }

// Deadline is when Step is to be called at the latest, or 0.
func (l *Leg) Deadline() int64 { return l.deadline }

// Pending is the number of request bytes that the server has not taken.
func (l *Leg) Pending() int { return len(l.out) }

// Again says that Step has used its share of the turn and has more to do.
func (l *Leg) Again() bool { return l.again }

// Begin sends a request's head. end says that no body follows it. req and resp must stay as they are until the leg is over;
// the receiver may be called before Begin returns.
func (l *Leg) Begin(c *mpm.Conn, p *Pool, req *message.Request, resp *message.Response, opts http1.RequestOptions,
	limits *http1.Limits, key uint64, end bool, now int64, to Receiver) {
	buf := l.buf
	*l = Leg{pool: p, conn: c, req: req, resp: resp, to: to, limits: limits, opts: opts, key: key, ended: end, began: now, buf: buf}
	l.try(now)
}

// try picks a server and begins with it.
func (l *Leg) try(now int64) {
	server := l.pool.pick(l.tried, l.key, now)
	if server == nil {
		l.fail(NoServer)
		return
	}
	l.server = server
	l.tried |= 1 << server.index
	server.active.Add(1)
	l.counts = true
	l.connect(now, true)
}

// connect takes an idle connection to the server, if it may, or opens one.
func (l *Leg) connect(now int64, idle bool) {
	l.wrote, l.broken, l.reused, l.headed = false, false, false, false
	l.in = nil
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
		if l.sock = keeper.take(l.conn, l.server); l.sock != nil {
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
	l.sock, l.state = sock, legConnecting
	sock.State = l.server
	l.deadline = now + int64(l.pool.options.ConnectTimeout)
	if sock.Ready()&mpm.Out != 0 {
		l.connecting(now)
	}
}

func (l *Leg) connecting(now int64) {
	switch err := l.sock.Connected(); {
	case err == mpm.ErrAgain:
	case err != nil:
		l.tryFailed(ConnectFailed, now)
	default:
		l.established(now)
	}
}

func (l *Leg) established(now int64) {
	l.state = legActive
	l.expectResponse(now)
	l.flush()
}

// expectResponse sets the deadline once the whole request is on its way; before, the owner's own timeouts watch the client.
func (l *Leg) expectResponse(now int64) {
	l.deadline = now + int64(l.pool.options.ResponseTimeout)
}

// Write sends a piece of the request's body; end says that it is the last, with what trailers the request has by now. It takes
// all of it.
func (l *Leg) Write(p []byte, end bool, now int64) {
	if l.state == legNone || l.ended {
		return
	}
	l.fed = l.fed || len(p) > 0
	l.ended = end
	if l.broken {
		return
	}
	if l.state == legActive {
		l.expectResponse(now)
	}
	if l.req.Length != message.UnknownLength {
		if l.state == legActive && len(l.out) == 0 {
			p = p[l.send(p):]
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
		l.flush()
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
func (l *Leg) flush() {
	if len(l.out) > 0 && !l.broken {
		l.out = l.out[l.send(l.out):]
	}
}

func (l *Leg) send(p []byte) (n int) {
	if len(p) == 0 || l.sock.Ready()&mpm.Out == 0 {
		return 0
	}
	n, err := l.sock.Write(p)
	l.wrote = l.wrote || n > 0
	if err != nil && err != mpm.ErrAgain {
		l.broken = true // its response may be there all the same: reading will tell
		l.out = nil
		return len(p)
	}
	return n
}

// Step goes on: it finishes the connect, writes, reads and hands on what has come.
func (l *Leg) Step(t *mpm.Turn) {
	l.again = false
	if l.state == legConnecting {
		l.connecting(t.Now)
	}
	if l.state == legActive {
		l.flush()
		l.read(t)
	}
	if l.state != legNone && l.state != legTunnel && l.deadline != 0 && t.Now >= l.deadline {
		l.expire(t.Now)
	}
}

func (l *Leg) expire(now int64) {
	switch {
	case l.state == legConnecting:
		l.tryFailed(ConnectTimeout, now)
	case l.headed:
		l.fail(BodyTimeout)
	case !l.ended || len(l.out) > 0:
		l.expectResponse(now) // the request itself is still coming in: its own timeouts apply
	default:
		l.fail(ResponseTimeout)
	}
}

// read takes what the server has sent, as long as the receiver does.
func (l *Leg) read(t *mpm.Turn) {
	for taken := 0; l.state == legActive; {
		if !l.to.Accepts() {
			return
		}
		if taken >= turnBytes {
			l.again = true
			return
		}
		data, err := l.fill(t.In)
		if err == mpm.ErrAgain {
			return
		}
		if err != nil {
			l.closed(t.Now)
			return
		}
		taken += len(data)
		l.feed(data, t.Now)
	}
}

// fill reads once, behind what was left over.
func (l *Leg) fill(scratch []byte) ([]byte, error) {
	if l.sock.Ready()&(mpm.In|mpm.Broken) == 0 {
		return nil, mpm.ErrAgain
	}
	if len(l.in) == 0 {
		n, err := l.sock.Read(scratch)
		return scratch[:n], err
	}
	at := len(l.in)
	l.in = append(l.in, make([]byte, 4<<10)...)
	n, err := l.sock.Read(l.in[at:])
	l.in = l.in[:at+n]
	return l.in, err
}

// feed hands on what data brings and keeps what is left.
func (l *Leg) feed(data []byte, now int64) {
	for {
		n, ev, bad := l.reader.Feed(data, l.resp)
		data = data[n:]
		if bad != nil {
			l.fail(BadResponse)
			return
		}
		switch ev {
		case http1.More:
			l.in = append(l.in[:0], data...)
			if len(data) == 0 {
				l.in = nil
			}
			return
		case http1.Interim:
			l.to.Interim()
		case http1.Head:
			l.head(now)
			if l.state == legTunnel {
				l.in = append([]byte(nil), data...)
				return
			}
		case http1.Data:
			l.deadline = now + int64(l.pool.options.BodyTimeout)
			l.to.Body(l.reader.Data())
		case http1.End:
			l.end(len(data), now)
			return
		}
		if l.state != legActive {
			return
		}
	}
}

func (l *Leg) head(now int64) {
	l.headed, l.status = true, l.resp.Status
	l.deadline = now + int64(l.pool.options.BodyTimeout)
	l.pool.stats.Requests[min(l.resp.Status/100, 5)].Add(1)
	if l.resp.Status == 101 {
		l.state, l.deadline = legTunnel, 0
	}
	l.to.Head()
}

// end gives the connection back for others, if it is fit for that: the request has gone out whole, and nothing but the response
// has come in.
func (l *Leg) end(rest int, now int64) {
	fit := l.reader.KeepAlive() && l.ended && len(l.out) == 0 && !l.broken && rest == 0 && !l.opts.Close
	if fit && l.sock.Ready()&mpm.In != 0 {
		var one [1]byte
		_, err := l.sock.Read(one[:])
		fit = err == mpm.ErrAgain
	}
	if fit && l.sock.Ready()&mpm.Broken == 0 {
		sock := l.sock
		l.sock = nil
		l.finish()
		l.pool.shelves[l.conn.Poller()].put(sock, l.pool.options.Keepalive, now+int64(IdleTimeout))
	} else {
		l.finish()
	}
	l.to.End()
}

// closed is the end of the server's stream, or an error of its socket.
func (l *Leg) closed(now int64) {
	ev, bad := l.reader.EOF(l.resp)
	switch {
	case bad == nil && ev == http1.End:
		l.opts.Close = true
		l.end(0, now)
	case !l.headed && len(l.in) == 0:
		l.tryFailed(Closed, now)
	default:
		l.fail(Closed)
	}
}

// tryFailed ends a try that brought nothing, and makes another where that is safe (RFC 9110 section 9.2.2, threat U88): nothing of
// the request has left, or the method is safe and there is no body to be said twice.
func (l *Leg) tryFailed(cause Cause, now int64) {
	if cause == ConnectFailed || cause == ConnectTimeout {
		l.server.downUntil.Store(now + int64(downTime))
	}
	l.pool.stats.Failures[cause].Add(1)
	safe := !l.fed && safeMethod(l.req.Method)
	fresh := !l.wrote && !l.broken
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
	if l.retries >= l.pool.options.Retries || l.pool.pick(l.tried, l.key, now) == nil {
		l.stop(cause)
		return
	}
	l.retries++
	l.pool.stats.Retries.Add(1)
	l.finish()
	l.out = out
	l.try(now)
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
	l.state, l.deadline, l.again = legNone, 0, false
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
	if l.sock != nil {
		l.sock.Close()
		l.sock = nil
	}
}
