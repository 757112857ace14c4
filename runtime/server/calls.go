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
	kind     filters.CallKind
	index    int // of the filter in the chain
	id       uint32
	pool     *upstream.Pool // nil: none of that name any more
	timeout  time.Duration  // 0: none
	deadline int64          // likewise
	req      message.Request
	resp     message.Response
	sends    []byte
	leg      upstream.Leg
	body     message.Body // of an answer of HTTP
	grpc     grpcCall     // of gRPC
	begun    bool
	ended    bool // of gRPC: the leg has all that the filter sends
	over     bool
	ok       bool
	dropped  bool // nobody wants its answer
	refused  bool // the answer could not be taken when it came
}

// asker is whose calls they are. callDone brings an answer, nil where the call of HTTP has failed, or a part of one; false means not now.
type asker interface {
	callDone(co *callout, answer *filters.CallAnswer) (taken bool)
}

// newCallout copies what the filter asks for. wake has the turn of its owner come.
func newCallout(pool *upstream.Pool, c *filters.Call, wake func()) *callout {
	co := &callout{kind: c.Kind, pool: pool, timeout: c.Timeout}
	if co.kind != filters.GRPCStream && (co.timeout <= 0 || co.timeout > defaultCallTime) {
		co.timeout = defaultCallTime
	}
	r := &co.req
	r.Method, r.Authority, r.Target = r.Header.Keep(c.Method), r.Header.Keep(c.Authority), r.Header.Keep(c.Target)
	r.Scheme, r.Version = "http", http11
	if co.kind == filters.HTTPCall {
		co.sends = append([]byte(nil), c.Body...)
		r.Length = int64(len(co.sends))
	} else {
		co.beginGRPC(c, wake)
	}
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
			co.giveUp()
			co.ok, co.dropped = false, true
		}
	}
}

// cancel gives up all.
func (cs *calls) cancel() {
	cs.take()
	for i, co := range cs.active {
		co.giveUp()
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
		case co.cancelled():
			co.refuse(grpcCancelled, "cancelled")
		case !co.begun:
			co.begin(c, t, limits)
		case co.deadline != 0 && t.Now >= co.deadline:
			co.giveUp()
			co.grpc.code, co.grpc.text = grpcDeadlineExceeded, "deadline exceeded"
		default:
			co.leg.Step(t)
		}
		if co.kind != filters.HTTPCall {
			co.stepGRPC(t, to)
		}
	}
	cs.answer(to)
}

// answer strikes finished calls off the list and tells the asker of each, until it refuses one.
func (cs *calls) answer(to asker) {
	for i := 0; i < len(cs.active); {
		co := cs.active[i]
		if !co.over || !co.dropped && co.waits() {
			i++
			continue
		}
		cs.active = slices.Delete(cs.active, i, i+1)
		if co.dropped {
			continue
		}
		var answer *filters.CallAnswer
		switch {
		case co.kind != filters.HTTPCall:
			answer = co.closed()
		case co.ok:
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
		if co.ready() {
			return true
		}
	}
	return false
}

func (co *callout) ready() bool {
	if co.refused {
		return false
	}
	return co.over || !co.begun || co.waits() || co.leg.Ready()
}

// giveUp ends a call before its answer is whole.
func (co *callout) giveUp() {
	co.leg.Cancel()
	co.end()
}

// end notes that nothing more comes, and that nothing more is taken.
func (co *callout) end() {
	co.over = true
	if co.grpc.outbox != nil {
		co.grpc.outbox.Close()
	}
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
	co.begun = true
	if co.timeout > 0 {
		co.deadline = t.Now + int64(co.timeout)
	}
	if co.pool == nil {
		co.Failed(upstream.NoServer)
		return
	}
	end := co.req.Length == 0
	opts := http1.RequestOptions{Trailers: co.req.Header.GRPC()}
	co.leg.Begin(c, co.pool, &co.req, &co.resp, opts, limits, 0, end, t.Now, co)
	if !end && !co.over && co.kind != filters.GRPCStream {
		co.leg.Write(co.sends, true, t.Now)
	}
}

// Call is part of filters.Host.
func (x *exchange) Call(index int, c *filters.Call) (id uint32, err error) {
	pool := x.site.pools[c.Upstream]
	if pool == nil {
		return 0, filters.ErrNoUpstream
	}
	co := newCallout(pool, c, x.Wake)
	co.index = index
	id = x.calls.add(co)
	x.Wake()
	return id, nil
}

// CancelCalls is part of filters.Host.
func (x *exchange) CancelCalls(index int) { x.calls.drop(index) }

func (x *exchange) callDone(co *callout, answer *filters.CallAnswer) bool {
	if answer.More() && x.chain.Holds(co.index) {
		return false
	}
	x.chain.CallDone(co.index, co.id, answer)
	return true
}

func (x *exchange) stepCalls() {
	x.calls.step(x.conn.c, x.conn.t, &x.site.settings.ResponseLimits, x)
}

// Accepts is part of upstream.Receiver: the answer of HTTP is bounded, so all of it is taken; of gRPC one part after the other.
func (co *callout) Accepts() bool { return !co.waits() }

// Interim is part of upstream.Receiver.
func (co *callout) Interim() {}

// Head is part of upstream.Receiver.
func (co *callout) Head() {
	if co.kind != filters.HTTPCall {
		co.headGRPC()
	}
}

// Body is part of upstream.Receiver.
func (co *callout) Body(p []byte) {
	switch {
	case co.kind != filters.HTTPCall:
		co.bodyGRPC(p)
	case co.body.Len()+len(p) > callBytes:
		co.giveUp()
	default:
		co.body.Append(p)
	}
}

// End is part of upstream.Receiver.
func (co *callout) End() {
	if co.kind != filters.HTTPCall {
		co.endGRPC()
	}
	co.ok = true
	co.end()
}

// Failed is part of upstream.Receiver.
func (co *callout) Failed(c upstream.Cause) {
	if co.kind != filters.HTTPCall {
		co.failGRPC(c)
	}
	co.end()
}
