package upstream

import (
	"slices"
	"sync"
	"sync/atomic"

	"edge/mpm"
	"edge/runtime/http2"
)

// Session is an HTTP/2 connection to a server, which the requests of many clients' connections share. A connection borrows its sockets for
// itself alone; what is shared cannot be borrowed. So a session is a unit of its own: the engine runs it like a connection without a
// client, on the poller of those that use it. All of it belongs to the worker that runs the unit, but for its mailbox.
type Session struct {
	pool   *Pool
	server *Server
	hall   *hall
	load   int // streams in it; the hall's
	slots  int // streams it takes at a time; the hall's

	unit atomic.Pointer[mpm.Conn] // nil before it is begun

	mu    sync.Mutex // guards what follows: the mailbox
	posts []*stream  // that have news for the session
	dead  bool       // nobody reads posts any more
	ends  bool       // it is to end with its last stream

	// The worker's.
	link    *link
	client  http2.Client
	taken   []*stream // posts of this turn
	waiting []*stream // for a slot
	writers []*stream // with body to send
	done    []*stream // to be released when Feed has returned
	left    int       // streams that are over and not counted out yet
	known   int       // slots that the hall knows of
	state   sessionState
	served  bool // it has brought a response
	began   int64
	idleAt  int64 // when the last stream ended
	broken  failure
	out     *http2.Output
	now     int64
}

type sessionState uint8

const (
	sessionNew sessionState = iota
	sessionConnecting
	sessionUp
	sessionDead
)

// Local is what a worker keeps for sessions: it is to be in the Turn.Local that Serve and Close are called with.
type Local struct{ out *http2.Output }

// NewLocal makes one.
func NewLocal() *Local { return &Local{http2.NewOutput()} }

func newSession(p *Pool, server *Server, h *hall) *Session {
	s := &Session{pool: p, server: server, hall: h, slots: MaxStreams, known: MaxStreams}
	s.client.Begin(&p.http2, &p.stats.HTTP2, s)
	return s
}

// begin has the engine run the session.
func (s *Session) begin(c *mpm.Conn) {
	unit, err := c.Unit(s)
	if err != nil {
		s.end(failure{cause: ConnectFailed, unseen: true})
		return
	}
	s.unit.Store(unit)
	unit.Wake() // whoever found no unit to wake
}

// post puts a stream into the mailbox. False: the session has ended.
func (s *Session) post(st *stream) bool {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return false
	}
	s.posts = append(s.posts, st)
	s.mu.Unlock()
	s.wake()
	return true
}

func (s *Session) wake() {
	if unit := s.unit.Load(); unit != nil {
		unit.Wake()
	}
}

// stop has the session end with its last stream. Any goroutine may call it.
func (s *Session) stop() {
	s.mu.Lock()
	s.ends = true
	s.mu.Unlock()
	s.wake()
}

// Serve is a turn of the session's unit.
func (s *Session) Serve(c *mpm.Conn, t *mpm.Turn, local *Local) mpm.Verdict {
	s.out, s.now = local.out, t.Now
	if s.state == sessionNew {
		s.dial(c)
	}
	s.out.Begin(t.Out[:0])
	s.collect()
	if s.state == sessionConnecting {
		s.connecting(t.In)
	}
	again := false
	if s.state == sessionUp {
		again = s.work(t)
	}
	if s.state == sessionDead || s.finished() {
		s.part()
		return mpm.Close()
	}
	if again {
		return mpm.Again()
	}
	return mpm.Wait(mpm.Borrow, s.deadline(), mpm.PhaseUpstream)
}

// Close ends the session because its unit has ended.
func (s *Session) Close(t *mpm.Turn, local *Local) {
	s.out, s.now = local.out, t.Now
	s.out.Begin(t.Out[:0])
	s.end(failure{cause: Closed, unseen: true})
}

// dial begins the connection.
func (s *Session) dial(c *mpm.Conn) {
	s.began = s.now
	sock, err := c.Dial(s.server.address, nil)
	if err != nil {
		s.fail(failure{cause: ConnectFailed, unseen: true})
		return
	}
	s.link, s.state = &link{sock: sock, server: s.server, config: s.server.shared}, sessionConnecting
}

// connecting goes on with connect and handshake.
func (s *Session) connecting(scratch []byte) {
	switch err := s.link.connect(scratch); {
	case err == mpm.ErrAgain && s.now >= s.began+int64(s.pool.options.ConnectTimeout):
		s.fail(failure{cause: ConnectTimeout, unseen: true})
	case err == mpm.ErrAgain:
	case err == errHandshake:
		s.fail(failure{cause: TLSFailed, unseen: true})
	case err != nil:
		s.fail(failure{cause: ConnectFailed, unseen: true})
	case s.link.tls.Secure() && s.link.tls.TLS().NegotiatedProtocol != protocolHTTP2:
		s.server.plain.Store(true)
		s.fail(failure{cause: ConnectFailed, unseen: true, plain: true})
	default:
		s.state, s.idleAt = sessionUp, s.now
	}
}

// collect takes the mailbox and looks at each stream in it.
func (s *Session) collect() {
	s.mu.Lock()
	s.taken, s.posts = s.posts, s.taken[:0]
	ends := s.ends
	s.mu.Unlock()
	if ends {
		s.hall.retire(s, false)
	}
	if s.state == sessionUp {
		s.client.Turn(s.out, s.now)
	}
	for i, st := range s.taken {
		s.taken[i] = nil
		s.look(st)
	}
}

// look takes what the leg has put into a stream.
func (s *Session) look(st *stream) {
	st.mu.Lock()
	st.posted = false
	if st.over {
		st.mu.Unlock()
		return
	}
	cancelled, credit, wider := st.cancelled, st.credit, 0
	st.credit = 0
	if st.opened {
		wider, st.wider = st.wider, 0
	}
	if st.sent == len(st.pending) && len(st.out) > 0 {
		st.pending, st.out, st.sent = st.out, st.pending[:0], 0
	}
	if len(st.out) == 0 {
		st.endSeen = st.outEnd
	}
	fresh := !st.opened && !st.busy
	st.mu.Unlock()
	switch {
	case st.done:
	case cancelled:
		s.finish(st)
		s.release()
	case !st.opened:
		if fresh {
			st.busy = true
			s.waiting = append(s.waiting, st)
		}
	default:
		if credit > 0 {
			s.client.Credit(&st.s, credit)
		}
		s.client.Widen(&st.s, wider)
		s.writes(st)
	}
}

// over lets go of a stream: what is left of it on the connection is reset.
func (s *Session) over(st *stream) {
	list := &s.waiting
	if st.opened {
		s.client.Release(&st.s)
		list = &s.writers
	}
	if st.busy {
		if i := slices.Index(*list, st); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
		}
	}
	st.mu.Lock()
	st.over = true
	s.left++
	st.tell()
}

// release lets go of the streams that are done.
func (s *Session) release() {
	for i, st := range s.done {
		s.done[i] = nil
		s.over(st)
	}
	s.done = s.done[:0]
}

// settle counts out who has left, and turns those away that this connection will not serve.
func (s *Session) settle() {
	if s.state == sessionUp && !s.client.Usable() {
		s.hall.retire(s, false)
		s.turnAway(failure{cause: Closed, unseen: true, refused: true})
	}
	slots := s.known
	if s.state == sessionUp && s.served {
		slots = max(1, s.client.Slots()+s.client.Len())
	}
	if s.left > 0 || slots != s.known {
		if s.hall.leave(s, s.left, slots) == 0 {
			s.idleAt = s.now
		}
		s.left, s.known = 0, slots
	}
}

// turnAway gives up what waits for a slot.
func (s *Session) turnAway(f failure) {
	for _, st := range s.waiting {
		s.giveUp(st, f)
	}
	s.release()
}

// deadline is when the session has something to do at the latest.
func (s *Session) deadline() int64 {
	if s.state == sessionConnecting {
		return s.began + int64(s.pool.options.ConnectTimeout)
	}
	d := s.client.Deadline()
	if s.client.Len() == 0 && len(s.waiting) == 0 {
		if idle := s.idleAt + int64(IdleTimeout); d == 0 || idle < d {
			d = idle
		}
	}
	return d
}

// finished says whether the connection has nothing left to do: it was told to end, the server has said so, or nobody has used it.
func (s *Session) finished() bool {
	if s.state != sessionUp || s.client.Len() > 0 || len(s.waiting) > 0 {
		return false
	}
	s.mu.Lock()
	ends := s.ends
	s.mu.Unlock()
	idle := s.now >= s.idleAt+int64(IdleTimeout) || s.pool.options.Keepalive == 0 && s.served
	return (ends || idle || !s.client.Usable()) && s.hall.retire(s, true)
}

// part says goodbye to the server. Close follows.
func (s *Session) part() {
	if s.state == sessionUp {
		s.client.Turn(s.out, s.now)
		s.client.End()
		s.spill(0)
		s.link.tls.Bye(s.link.sock)
		s.state, s.broken = sessionDead, failure{cause: Closed, unseen: true, refused: true}
	}
}

// fail ends the connection: every stream is told.
func (s *Session) fail(f failure) {
	s.state, s.broken = sessionDead, f
	s.hall.retire(s, false)
	if s.link != nil && s.link.up && f.cause == BadResponse {
		s.spill(0) // the GOAWAY
	}
	s.client.Abandon(errServerGone)
	s.release()
}

var errServerGone = &http2.Error{Reason: "the server closed the connection"}

// end closes the connection and gives up what still waits for it.
func (s *Session) end(f failure) {
	if s.broken.cause == NoCause {
		s.broken = f
	}
	if s.state != sessionDead {
		s.state = sessionDead
		s.client.Abandon(errServerGone)
		s.release()
	}
	f = s.broken
	f.unseen = true
	s.mu.Lock()
	s.dead = true
	s.taken, s.posts = s.posts, nil
	s.mu.Unlock()
	s.turnAway(f)
	for _, st := range s.taken {
		if st.mu.Lock(); st.over {
			st.posted = false
			st.mu.Unlock()
			continue
		}
		st.mu.Unlock()
		s.giveUp(st, f)
	}
	s.release()
	s.taken, s.writers = nil, nil
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
	s.hall.ended(s)
}

// giveUp tells a leg that its stream has failed.
func (s *Session) giveUp(st *stream, f failure) {
	st.mu.Lock()
	if !st.inEnd && !st.failed {
		f.bodied = st.bodied
		st.failure, st.failed = f, true
	}
	st.mu.Unlock()
	s.finish(st)
}

// finish notes that a stream is to be let go of.
func (s *Session) finish(st *stream) {
	if !st.done {
		st.done = true
		s.done = append(s.done, st)
	}
}
