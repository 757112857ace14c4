package server

import (
	"net/netip"
	"sync/atomic"

	"edge/filters"
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/files"
	"edge/runtime/route"
	"edge/runtime/upstream"
)

// exchange is one request and its answer. It is filters.Host and filters.Sink of its chain, and upstream.Receiver of its leg.
//
// It belongs to the worker that runs the connection, but for owner, the queue in calls and the messages while a filter has paused
// (filters.Chain says when).
type exchange struct {
	owner atomic.Pointer[mpm.Conn] // whom Wake wakes; a late one may find the next owner, which does no harm
	conn  *conn
	to    client
	site  *Site
	route *route.Route
	plan  *plan
	req   message.Request
	resp  message.Response
	chain filters.Chain
	leg   upstream.Leg
	file  files.File
	rest  []byte // body of a fixed answer that has not entered the chain yet; the route's
	calls calls

	client    netip.Addr // whom the request is from, once trusted proxies are believed
	id        [32]byte   // request id, in hex
	flags     flag
	began     int64
	firstByte int64
	requestIn int64 // bytes of the bodies
	replyOut  int64
	sentAt    uint64 // Conn.Sent when the head was sent
	status    int    // of the answer that was sent; 0: none
	dueAt     int64  // when a gRPC client waits no longer; 0: it does
	resetAs   int    // gRPC's code for the RST_STREAM by which the server has ended its answer; 0: it has not
	cause     string // why the answer is what it is, for the log
	causeFlag string

	endedAt atomic.Int64 // on the engine's clock; 0: under way, or no filter is there to ask
}

// flag is a set of facts about an exchange.
type flag uint16

const (
	flagRead      flag = 1 << iota // the request has been read to its end
	flagAction                     // the action has begun
	flagHeaded                     // the response's head is on its way
	flagDone                       // all of the response is on its way
	flagContinued                  // 100 (Continue) was sent
	flagAborted                    // cut off
	flagEnding                     // over, but a filter's lane is busy
	flagServerEnd                  // of a tunnel: the server has said its last
	flagClientEnd                  // and the client
	flagGRPC                       // the request is gRPC's
	flagOverdue                    // its grpc-timeout has passed
)

func (x *exchange) is(f flag) bool { return x.flags&f != 0 }

func newExchange() *exchange { return new(exchange) }

// begin takes up a request whose head is complete; since is when its first byte came, end says that nothing follows the head.
func (x *exchange) begin(cn *conn, to client, since int64, end bool) {
	x.conn, x.to, x.site = cn, to, cn.srv.enter(cn.local)
	x.owner.Store(cn.c)
	x.flags, x.firstByte, x.requestIn, x.replyOut, x.status, x.cause, x.causeFlag = 0, 0, 0, 0, 0, "", ""
	x.began = since
	if x.endedAt.Load() != 0 {
		x.endedAt.Store(0)
	}
	x.req.Scheme = cn.scheme()
	x.resp.Reset()
	x.leg.Reset(&cn.ahead)
	x.makeID(cn.local.rand)
	cn.local.shard.Begin()

	if end {
		x.flags = flagRead
	}
	x.findGRPC()
	x.client = x.findClient()
	x.route, x.plan = nil, nil
	if !cn.serves(x.req.Authority) { // T42
		x.chain.Begin(nil, &x.req, &x.resp, x, x)
		x.site.settle(cn.local)
		x.flags |= flagAction
		x.answer(421, "NR", "the host is not the connection's")
		return
	}
	if x.req.Target != "*" { // T34: a question about the server itself is no route's
		x.route = x.site.table.Find(&x.req)
	}
	if x.route == nil {
		x.chain.Begin(nil, &x.req, &x.resp, x, x)
		x.site.settle(cn.local)
		x.noRoute()
		return
	}
	x.plan = x.route.Action.(*plan)
	if len(x.route.Filters) > 0 || x.plan.pool != nil {
		x.forwarded()
	}
	x.chain.Begin(x.route.Filters, &x.req, &x.resp, x, x)
	x.site.settle(cn.local)
	x.chain.RequestHead(end)
}

// wantsBody says whether the client's body may be read on.
func (x *exchange) wantsBody() bool {
	if x.leg.Tunnel() {
		return x.tunnels() && x.takesClient()
	}
	if x.is(flagRead|flagDone|flagAborted|flagEnding) || !x.chain.Accepts(filters.Request) {
		return false
	}
	if x.is(flagAction) && !x.leg.Active() {
		return false // nobody takes it: what is left is dropped after the answer
	}
	return x.leg.Pending() < upstream.HighWater
}

// sendContinue tells a client that waits for it to go on (RFC 9110 section 10.1.1).
func (x *exchange) sendContinue() {
	if x.req.Expect && !x.is(flagContinued|flagHeaded) {
		x.flags |= flagContinued
		x.to.interim(100, nil)
	}
}

// bodyIn pushes a piece of the request's body, or of what the client says through a tunnel.
func (x *exchange) bodyIn(p []byte, end bool) {
	x.requestIn += int64(len(p))
	if x.tunnels() {
		x.toServer(p)
		return
	}
	if end {
		x.flags |= flagRead
	}
	x.chain.RequestBody(p, end)
}

// bodyEnd is the end of a request whose end came behind its body, with trailers or without.
func (x *exchange) bodyEnd() {
	x.flags |= flagRead
	if x.req.Trailer.Len() > 0 {
		x.chain.RequestTrailers()
	} else {
		x.chain.RequestBody(nil, true)
	}
}

// advance does what can be done without the client's bytes, and says whether something moved that may let more be done.
func (x *exchange) advance() (moved bool) {
	cn := x.conn
	if x.is(flagEnding) {
		return x.finish()
	}
	x.chain.Run()
	if d := x.chain.Deadline(); d != 0 && cn.t.Now >= d {
		x.chain.Expire(cn.t.Now)
	}
	x.expireGRPC()
	if x.leg.Tunnel() {
		if x.tunnels() {
			x.tunnel()
		}
	} else if x.leg.Active() {
		x.leg.Step(cn.t)
	}
	x.stepCalls()
	x.stepReply()
	x.stepFile()
	if x.is(flagDone | flagAborted) {
		return x.finish()
	}
	return false
}

// more says that there is something to do that no event will tell of: the turn's share ran out, or what was done last has made room
// for what was looked at before. It looks at how things are, not at how they came to be, so no wake-up can be lost.
func (x *exchange) more() bool {
	switch {
	case x.is(flagEnding):
		return false
	case x.tunnels():
		return x.tunnelReady()
	}
	return !x.leg.Tunnel() && x.leg.Ready() || x.replyReady() || x.fileReady() || x.calls.ready()
}

// finish ends the exchange once its answer is on its way. It returns false where a filter's lane is busy.
func (x *exchange) finish() bool {
	if !x.is(flagEnding) {
		x.flags |= flagEnding
		x.release()
		x.record()
		if x.route != nil && len(x.route.Filters) > 0 {
			x.endedAt.Store(x.conn.c.Now())
		}
	}
	if !x.chain.End() {
		return false
	}
	x.calls.cancel() // those made by a stream's last callback
	x.to.over(x)
	x.conn.local.putExchange(x)
	return true
}

// release gives up what the exchange holds outside itself.
func (x *exchange) release() {
	x.leg.Cancel()
	x.file.Close()
	x.rest = nil
	x.calls.cancel()
}

// clientGone ends the exchange without an answer.
func (x *exchange) clientGone() {
	if x.is(flagDone | flagAborted) {
		return
	}
	x.fail("DC", "the client closed the connection")
	x.flags |= flagAborted
}

// fail notes why the answer is what it is; the first reason stands.
func (x *exchange) fail(flag, cause string) {
	if x.causeFlag == "" {
		x.causeFlag, x.cause = flag, cause
	}
}

// end ends the exchange because its connection has. It returns false where a filter's lane is busy.
func (x *exchange) end(cause mpm.Cause) bool {
	if !x.is(flagEnding) {
		if cause == mpm.CauseShutdown {
			x.fail("DC", "the server stopped")
		}
		x.clientGone()
	}
	return x.finish()
}

// deadline is when advance has something to do at the latest, or 0.
func (x *exchange) deadline() int64 {
	d := x.leg.Deadline()
	d = sooner(d, x.chain.Deadline())
	if !x.is(flagEnding) {
		d = sooner(d, x.dueAt)
	}
	return sooner(d, x.calls.deadline())
}

// borrows says whether events of borrowed sockets matter.
func (x *exchange) borrows() bool { return x.leg.Active() || len(x.calls.active) > 0 }

// parked says that a filter, and nobody else, has the exchange wait (C4).
func (x *exchange) parked() bool {
	return x.is(flagEnding) || (!x.leg.Active() && x.chain.Busy())
}

func (x *exchange) phase() mpm.Phase {
	if x.leg.Tunnel() {
		return mpm.PhaseTunnel
	}
	return mpm.PhaseUpstream
}
