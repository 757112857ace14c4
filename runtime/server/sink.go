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

// ResponseHead writes the head to the client.
func (x *exchange) ResponseHead(end bool) {
	cn := x.conn
	opts := http1.ResponseOptions{Version: x.req.Version, Date: cn.local.date.at(cn.t.Now, cn.srv.options.Now)}
	if x.leg.Active() && (x.resp.Status == 101 || x.resp.Status == 426) {
		opts.Upgrade = x.leg.Upgrade()
	}
	if x.resp.Status != 101 && x.mayKeep() {
		opts.KeepAlive = true
		x.flags |= flagKeep
	}
	if http1.Chunked(&x.resp, x.req.Version) {
		x.flags |= flagChunked
	}
	cn.t.Out = http1.AppendResponse(cn.t.Out, &x.resp, opts)
	x.flags |= flagHeaded
	x.status, x.firstByte = x.resp.Status, cn.t.Now
	if end {
		x.responseEnd()
	}
}

// mayKeep says whether the connection can be used again after this answer: the rest of the request, if nobody takes it, must be small
// enough to be read and dropped (S25, S26), and a client that still waits for 100 may send it or not (S27).
func (x *exchange) mayKeep() bool {
	cn := x.conn
	if !cn.reader.KeepAlive() || cn.c.Draining() || cn.closing != closeNot || cn.eof ||
		http1.CloseDelimited(&x.resp, x.req.Version) {
		return false
	}
	if cn.reader.Done() {
		return true
	}
	if x.leg.Active() || (x.req.Expect && !x.is(flagContinued)) {
		return false
	}
	return cn.reader.Unread() <= discardBytes
}

// ResponseBody sends a piece of the body.
func (x *exchange) ResponseBody(p []byte, end bool) {
	if x.is(flagDone) {
		return
	}
	cn := x.conn
	x.replyOut += int64(len(p))
	if x.is(flagChunked) && len(p) > 0 {
		cn.t.Out = http1.AppendChunkHead(cn.t.Out, len(p))
		cn.send(p)
		cn.t.Out = append(cn.t.Out, "\r\n"...)
	} else {
		cn.send(p)
	}
	if end {
		if x.is(flagChunked) {
			cn.t.Out = http1.AppendLastChunk(cn.t.Out, nil)
		}
		x.responseEnd()
	}
}

// ResponseTrailers end the response.
func (x *exchange) ResponseTrailers() {
	if x.is(flagChunked) {
		x.conn.t.Out = http1.AppendLastChunk(x.conn.t.Out, &x.resp.Trailer)
	}
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
func (x *exchange) roomy() bool { return x.conn.wire.Pending() < highWater }

// answer has the chain say something in the action's place.
func (x *exchange) answer(status int, flag, cause string, header ...[2]string) {
	x.fail(flag, cause)
	header = append(header, [2]string{"content-type", "text/plain; charset=utf-8"})
	text := strconv.Itoa(status) + " " + http1.Reason(status) + "\n"
	err := x.chain.Answer(&filters.Reply{Status: status, Header: header, Body: []byte(text), Details: cause}, cause)
	if err != nil {
		x.Abort(cause)
	}
}

// badBody answers a body that is malformed, or too large.
func (x *exchange) badBody(bad *http1.Error) {
	x.conn.closing = closeAbuse
	if x.is(flagHeaded) {
		x.fail("DP", bad.Reason)
		x.flags |= flagAborted
		x.conn.closing = closeReset
		return
	}
	x.answer(bad.Status, "DP", bad.Reason)
}

// slowBody answers a client that does not send the body it announced.
func (x *exchange) slowBody() {
	x.conn.closing = closeAbuse
	if x.is(flagHeaded) {
		x.fail("DT", "the client was too slow")
		x.flags |= flagAborted
		x.conn.closing = closeReset
		return
	}
	x.answer(408, "DT", "the client was too slow")
}

// sayAndClose answers what is not a request: no route, no filters.
func (cn *conn) sayAndClose(status int) {
	t := cn.t
	reason := http1.Reason(status)
	text := strconv.Itoa(status) + " " + reason + "\n"
	t.Out = append(t.Out, "HTTP/1.1 "...)
	t.Out = append(strconv.AppendInt(t.Out, int64(status), 10), ' ')
	t.Out = append(append(t.Out, reason...), "\r\ndate: "...)
	t.Out = append(t.Out, cn.local.date.at(t.Now, cn.srv.options.Now)...)
	t.Out = append(t.Out, "\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: "...)
	t.Out = append(strconv.AppendInt(t.Out, int64(len(text)), 10), "\r\n\r\n"...)
	t.Out = append(t.Out, text...)
}
