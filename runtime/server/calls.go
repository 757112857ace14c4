package server

import (
	"slices"
	"sync"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/http1"
	"edge/runtime/upstream"
)

// callBytes is the most of a call-out's answer that is kept for the filter; a longer one is a failure.
const callBytes = 1 << 20

// defaultCallTime bounds a call-out that names no timeout.
const defaultCallTime = 60 * time.Second

// calls are the call-outs of one owner: of an exchange's filters, or of a unit. They are borrowed sockets of the owner's connection, as
// the upstream's is: no worker waits for one. queue and last belong to whoever holds mu, the rest to the connection.
type calls struct {
	mu    sync.Mutex
	queue []*callout // asked for, perhaps by the holder of another connection's lane
	last  uint32

	active []*callout
}

// callout is one request of a filter. It is the upstream.Receiver of its leg.
type callout struct {
	index    int // of the filter in the chain
	id       uint32
	pool     *upstream.Pool // nil: none of that name any more
	timeout  time.Duration
	deadline int64
	req      message.Request
	resp     message.Response
	sends    []byte
	leg      upstream.Leg
	body     message.Body
	over     bool
	ok       bool
	dropped  bool // nobody wants its answer
	refused  bool // the answer could not be taken when it came
}

// asker is whose calls they are. callDone brings an answer, nil where the call has failed; false means not now.
type asker interface {
	callDone(co *callout, answer *filters.CallAnswer) (taken bool)
}

// newCallout copies what the filter asks for.
func newCallout(pool *upstream.Pool, c *filters.Call) *callout {
	co := &callout{pool: pool, timeout: c.Timeout, sends: append([]byte(nil), c.Body...)}
	if co.timeout <= 0 || co.timeout > defaultCallTime {
		co.timeout = defaultCallTime
	}
	r := &co.req
	r.Method, r.Authority, r.Target = r.Header.Keep(c.Method), r.Header.Keep(c.Authority), r.Header.Keep(c.Target)
	r.Scheme, r.Version, r.Length = "http", http11, int64(len(c.Body))
	for _, h := range c.Header {
		r.Header.Add(h[0], h[1])
	}
	if len(c.Trailer) > 0 {
		r.Length = message.UnknownLength
		for _, h := range c.Trailer {
			r.Trailer.Add(h[0], h[1])
		}
	}
	return co
}

// add puts a call into the queue and gives it an id.
func (cs *calls) add(co *callout) (id uint32) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.last++
	co.id = cs.last
	cs.queue = append(cs.queue, co)
	return co.id
}

// drop gives up the calls of one filter.
func (cs *calls) drop(index int) {
	cs.take()
	for _, co := range cs.active {
		if co.index == index {
			co.leg.Cancel()
			co.over, co.ok, co.dropped = true, false, true
		}
	}
}

// cancel gives up all.
func (cs *calls) cancel() {
	cs.take()
	for i, co := range cs.active {
		co.leg.Cancel()
		cs.active[i] = nil
	}
	cs.active = cs.active[:0]
}

func (cs *calls) take() {
	cs.mu.Lock()
	cs.active = append(cs.active, cs.queue...)
	clear(cs.queue)
	cs.queue = cs.queue[:0]
	cs.mu.Unlock()
}

// step begins what is new, goes on with what is under way, and brings the asker what is done.
func (cs *calls) step(c *mpm.Conn, t *mpm.Turn, limits *http1.Limits, to asker) {
	cs.take()
	if len(cs.active) == 0 {
		return
	}
	for i := 0; i < len(cs.active); i++ { // an answer may lead to another call
		co := cs.active[i]
		switch {
		case co.over:
		case co.deadline == 0:
			co.begin(c, t, limits)
		case t.Now >= co.deadline:
			co.leg.Cancel()
			co.over = true
		default:
			co.leg.Step(t)
		}
	}
	cs.answer(to)
}

// answer strikes finished calls off the list and tells the asker of each, until it refuses one.
func (cs *calls) answer(to asker) {
	for i := 0; i < len(cs.active); {
		co := cs.active[i]
		if !co.over {
			i++
			continue
		}
		cs.active = slices.Delete(cs.active, i, i+1)
		if co.dropped {
			continue
		}
		var answer *filters.CallAnswer
		if co.ok {
			answer = &filters.CallAnswer{Status: co.resp.Status, Header: &co.resp.Header, Body: co.body.Bytes(), Trailer: &co.resp.Trailer}
		}
		if co.refused = !to.callDone(co, answer); co.refused {
			cs.active = slices.Insert(cs.active, 0, co)
			return
		}
		i = 0 // the list may have changed
	}
}

// ready says that a call-out can go on at once.
func (cs *calls) ready() bool {
	for _, co := range cs.active {
		if co.over && !co.refused || !co.over && (co.deadline == 0 || co.leg.Ready()) {
			return true
		}
	}
	return false
}

func (cs *calls) deadline() (d int64) {
	for _, co := range cs.active {
		if !co.over {
			d = sooner(d, co.deadline)
			d = sooner(d, co.leg.Deadline())
		}
	}
	return d
}

func (co *callout) begin(c *mpm.Conn, t *mpm.Turn, limits *http1.Limits) {
	co.deadline = t.Now + int64(co.timeout)
	if co.pool == nil {
		co.over = true
		return
	}
	end := co.req.Length == 0
	opts := http1.RequestOptions{Trailers: isGRPC(&co.req.Header)}
	co.leg.Begin(c, co.pool, &co.req, &co.resp, opts, limits, 0, end, t.Now, co)
	if !end && !co.over {
		co.leg.Write(co.sends, true, t.Now)
	}
}

// Call is part of filters.Host.
func (x *exchange) Call(index int, c *filters.Call) (id uint32, err error) {
	pool := x.site.pools[c.Upstream]
	if pool == nil {
		return 0, filters.ErrNoUpstream
	}
	co := newCallout(pool, c)
	co.index = index
	id = x.calls.add(co)
	x.Wake()
	return id, nil
}

// CancelCalls is part of filters.Host.
func (x *exchange) CancelCalls(index int) { x.calls.drop(index) }

func (x *exchange) callDone(co *callout, answer *filters.CallAnswer) bool {
	x.chain.CallDone(co.index, co.id, answer)
	return true
}

func (x *exchange) stepCalls() {
	x.calls.step(x.conn.c, x.conn.t, &x.site.settings.ResponseLimits, x)
}

// Accepts is part of upstream.Receiver: the answer is bounded, so all of it is taken.
func (co *callout) Accepts() bool { return true }

// Interim is part of upstream.Receiver.
func (co *callout) Interim() {}

// Head is part of upstream.Receiver.
func (co *callout) Head() {}

// Body is part of upstream.Receiver.
func (co *callout) Body(p []byte) {
	if co.body.Len()+len(p) > callBytes {
		co.leg.Cancel()
		co.over = true
		return
	}
	co.body.Append(p)
}

// End is part of upstream.Receiver.
func (co *callout) End() { co.over, co.ok = true, true }

// Failed is part of upstream.Receiver.
func (co *callout) Failed(upstream.Cause) { co.over = true }
