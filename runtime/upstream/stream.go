package upstream

import (
	"sync"
	"sync/atomic"

	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http2"
)

// stream is one request on a shared connection: what its leg and the session hand each other. The leg runs on the client's connection,
// the session on a unit of its own; neither ever waits for the other. Each puts what it has into the stream, for the length of a copy,
// and wakes the other:
//
//	leg:     head, pieces of body, trailers, room, cancel  ──►  session
//	leg  ◄── session: heads, pieces of body, trailers, end or failure
//
// Both ways are bounded: what goes out by HighWater, which the leg's owner keeps to, what comes in by the stream's window, which is
// opened again only for what the owner has taken.
type stream struct {
	s       http2.Stream     // the session's, from Open to over
	resp    message.Response // the session's until head, then the leg's
	session *Session         // set by the leg before it joins
	pending []byte           // the session's: body taken from out and not sent yet …
	sent    int              // … but for this much of it
	endSeen bool             // the session's: pending is followed by the end
	opened  bool             // the session's
	busy    bool             // the session's: it is among those that wait, or once it is opened among the writers
	bodied  bool             // the session's: some of the body is gone
	done    bool             // the session's: it is to be let go of
	tunnel  bool             // set by the leg before it joins: it asks for a WebSocket
	open    bool             // the session's: … and the server has agreed
	heard   bool             // the session's: the server has said its last

	queued  atomic.Int64 // bytes of body that have not gone into the session's output
	movedAt atomic.Int64 // when the server last took or sent something of it

	mu     sync.Mutex // guards what follows, for the length of a copy
	conn   *mpm.Conn  // the leg's; nil once it has left
	posted bool       // it is in the session's posts
	over   bool       // the session has let go of it: all of it is the leg's

	// From the leg.
	block     []byte // the request's header block
	headOnly  bool   // the method is HEAD
	headEnd   bool   // no body follows
	out       []byte // body
	outEnd    bool   // … and its end is behind it
	tail      []byte // the trailers' header block
	credit    int    // bytes that the owner has taken
	wider     int    // bytes that its window is to grow by
	cancelled bool

	// From the session.
	interims []*message.Response
	head     bool // resp is there, and the leg's
	inEnd    bool // the response has ended
	in       []byte
	trailer  message.Fields
	failure  failure
	failed   bool
}

// failure is why a stream has ended without its response, and whether it may be asked again.
type failure struct {
	cause   Cause
	unseen  bool // the server has done nothing for the request
	bodied  bool // some of the body is gone
	stale   bool // the connection had served others: a new one to the same server may do
	refused bool // the server wants it on another connection
	plain   bool // the server speaks no HTTP/2
	reset   bool // the server has reset the stream, with code
	code    http2.Code
}

// streamKeep bounds the buffers that a leg keeps with its stream for the next request.
const streamKeep = 8 << 10

// renew makes the stream ready for another request. All of it is the leg's.
func (st *stream) renew(c *mpm.Conn) {
	st.s.Response, st.s.Owner = &st.resp, st
	st.resp.Reset()
	st.trailer.Reset()
	st.session, st.sent, st.endSeen, st.opened, st.busy, st.bodied, st.done = nil, 0, false, false, false, false, false
	st.tunnel, st.open, st.heard = false, false, false
	st.pending, st.out, st.in = keep(st.pending), keep(st.out), keep(st.in)
	st.queued.Store(0)
	st.movedAt.Store(0)
	st.conn, st.posted, st.over = c, false, false
	st.block, st.headOnly, st.headEnd, st.outEnd, st.tail = st.block[:0], false, false, false, st.tail[:0]
	st.credit, st.wider, st.cancelled = 0, 0, false
	st.interims, st.head, st.inEnd, st.failure, st.failed = nil, false, false, failure{}, false
}

func keep(b []byte) []byte {
	if cap(b) > streamKeep {
		return nil
	}
	return b[:0]
}

// free says whether the leg may use the stream again.
func (st *stream) free() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.over && !st.posted
}

// tell has put something for the leg into the stream: the caller holds mu, which tell gives back.
func (st *stream) tell() {
	c := st.conn
	st.mu.Unlock()
	if c != nil {
		c.Wake()
	}
}

// post has put something for the session into the stream: the caller holds mu, which post gives back. False: the session has ended,
// and knows nothing of a stream that had not joined it.
func (st *stream) post() bool {
	if st.over || st.posted {
		st.mu.Unlock()
		return true
	}
	st.posted = true
	s := st.session
	st.mu.Unlock()
	return s.post(st)
}
