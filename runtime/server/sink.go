package server

import (
	"strconv"

	"edge/filters"
	"edge/runtime/http1"
)

// The exchange as filters.Sink: what comes out of the chain goes to the action, or to the client.

// RequestHead begins the action.
func (x *exchange) RequestHead(end bool) {
	x.flags |= flagAction
	switch p := x.plan; {
	case p.respond != nil:
		x.respond(p.respond)
	case p.redirect != nil:
		x.redirect(p.redirect)
	case p.files != nil:
		x.serveFile(p.files)
	default:
		x.forward(p.pool, end)
	}
}

// RequestBody goes to the upstream; the other actions have no use for it.
func (x *exchange) RequestBody(p []byte, end bool) {
	if x.leg.Active() {
		x.leg.Write(p, end, x.conn.t.Now)
	}
}

// RequestTrailers end the request.
func (x *exchange) RequestTrailers() { x.RequestBody(nil, true) }

// Cancel gives the action up: a filter, or the server, answers in its place.
func (x *exchange) Cancel() {
	x.flags |= flagAction
	x.leg.Cancel()
	x.file.Close()
	x.rest = nil
}

// ResponseHead sends the head to the client.
func (x *exchange) ResponseHead(end bool) {
	if x.is(flagGRPC) && x.chain.Answered() && x.grpcHead() {
		end = true
	}
	x.to.head(end)
	x.flags |= flagHeaded
	x.status, x.firstByte = x.resp.Status, x.conn.t.Now
	if end {
		x.responseEnd()
	}
}

// ResponseBody sends a piece of the body.
func (x *exchange) ResponseBody(p []byte, end bool) {
	if x.is(flagDone) {
		return
	}
	x.replyOut += int64(len(p))
	x.to.body(p, end)
	if end {
		x.responseEnd()
	}
}

// ResponseTrailers end the response.
func (x *exchange) ResponseTrailers() {
	x.to.trailers(&x.resp.Trailer)
	x.responseEnd()
}

func (x *exchange) responseEnd() {
	if x.resp.Status != 101 {
		x.flags |= flagDone
	}
}

// Abort cuts the exchange off.
func (x *exchange) Abort(cause string) {
	x.fail("FT", cause)
	x.flags |= flagAborted
}

// roomy says whether more output may be built for the client.
func (x *exchange) roomy() bool { return x.to.pending() < highWater }

// answer has the chain say something in the action's place.
func (x *exchange) answer(status int, flag, cause string, header ...[2]string) {
	if x.grpcCut(status, flag, cause) {
		return
	}
	x.fail(flag, cause)
	header = append(header, [2]string{"content-type", "text/plain; charset=utf-8"})
	text := strconv.Itoa(status) + " " + http1.Reason(status) + "\n"
	err := x.chain.Answer(&filters.Reply{Status: status, Header: header, Body: []byte(text), Details: cause}, cause)
	if err != nil {
		x.Abort(cause)
	}
}

// refuse answers a request whose rest does not come, or cannot be read; where an answer has begun it is cut off.
func (x *exchange) refuse(status int, flag, cause string) {
	if x.is(flagHeaded) {
		x.fail(flag, cause)
		x.flags |= flagAborted
		return
	}
	x.answer(status, flag, cause)
}
