package server

import (
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/runtime/http1"
	"edge/runtime/upstream"
)

// callBytes is the most of a call-out's answer that is kept for the filter; a longer one is a failure.
const callBytes = 1 << 20

// defaultCallTime bounds a call-out that names no timeout.
const defaultCallTime = 60 * time.Second

// calls are the call-outs of an exchange's filters. They are borrowed sockets of the connection, as the upstream's is: no worker waits
// for one. queue belongs to whoever holds exchange.mu, the rest to the connection.
type calls struct {
	queue  []*callout // asked for, perhaps by the holder of another connection's lane
	active []*callout
	last   uint32
}

// callout is one request of a filter. It is the upstream.Receiver of its leg.
type callout struct {
	x        *exchange
	index    int // of the filter in the chain
	id       uint32
	pool     *upstream.Pool
	timeout  time.Duration
	deadline int64
	req      message.Request
	resp     message.Response
	sends    []byte
	leg      upstream.Leg
	body     message.Body
	over     bool
	ok       bool
}

// Call is part of filters.Host.
func (x *exchange) Call(index int, c *filters.Call) (id uint32, err error) {
	pool := x.site.pools[c.Upstream]
	if pool == nil {
		return 0, filters.ErrNoUpstream
	}
	co := &callout{x: x, index: index, pool: pool, timeout: c.Timeout, sends: append([]byte(nil), c.Body...)}
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
	x.mu.Lock()
	x.calls.last++
	co.id = x.calls.last
	x.calls.queue = append(x.calls.queue, co)
	x.mu.Unlock()
	x.Wake()
	return co.id, nil
}

// CancelCalls is part of filters.Host.
func (x *exchange) CancelCalls(index int) {
	x.takeCalls()
	for _, co := range x.calls.active {
		if co.index == index {
			co.leg.Cancel()
			co.over, co.ok = true, false
			co.x = nil // nobody wants its answer
		}
	}
}

func (x *exchange) cancelCalls() {
	x.takeCalls()
	for i, co := range x.calls.active {
		co.leg.Cancel()
		x.calls.active[i] = nil
	}
	x.calls.active = x.calls.active[:0]
}

func (x *exchange) takeCalls() {
	x.mu.Lock()
	x.calls.active = append(x.calls.active, x.calls.queue...)
	clear(x.calls.queue)
	x.calls.queue = x.calls.queue[:0]
	x.mu.Unlock()
}

// stepCalls begins what is new, goes on with what is under way, and brings the chain what is done.
func (x *exchange) stepCalls() {
	x.takeCalls()
	if len(x.calls.active) == 0 {
		return
	}
	t := x.conn.t
	for i := 0; i < len(x.calls.active); i++ { // an answer may lead to another call
		co := x.calls.active[i]
		switch {
		case co.over:
		case co.deadline == 0:
			co.begin(x)
		case t.Now >= co.deadline:
			co.leg.Cancel()
			co.over = true
		default:
			co.leg.Step(t)
		}
	}
	x.answerCalls()
}

// answerCalls strikes finished calls off the list and tells the chain of each.
func (x *exchange) answerCalls() {
	for i := 0; i < len(x.calls.active); {
		co := x.calls.active[i]
		if !co.over {
			i++
			continue
		}
		x.calls.active = append(x.calls.active[:i], x.calls.active[i+1:]...)
		if co.x == nil {
			continue
		}
		var answer *filters.CallAnswer
		if co.ok {
			answer = &filters.CallAnswer{Status: co.resp.Status, Header: &co.resp.Header, Body: co.body.Bytes(), Trailer: &co.resp.Trailer}
		}
		x.chain.CallDone(co.index, co.id, answer)
		i = 0
	}
}

// callsReady says that a call-out can go on at once.
func (x *exchange) callsReady() bool {
	for _, co := range x.calls.active {
		if co.deadline == 0 || co.over || co.leg.Ready() {
			return true
		}
	}
	return false
}

func (c *calls) deadline() (d int64) {
	for _, co := range c.active {
		d = sooner(d, co.deadline)
		d = sooner(d, co.leg.Deadline())
	}
	return d
}

func (co *callout) begin(x *exchange) {
	cn := x.conn
	co.deadline = cn.t.Now + int64(co.timeout)
	end := co.req.Length == 0
	co.leg.Begin(cn.c, co.pool, &co.req, &co.resp, http1.RequestOptions{}, &cn.srv.options.ResponseLimits, 0, end, cn.t.Now, co)
	if !end && !co.over {
		co.leg.Write(co.sends, true, cn.t.Now)
	}
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
