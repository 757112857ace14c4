package server

import (
	"strconv"

	"edge/filters/message"
	"edge/runtime/http1"
)

// The HTTP/1 connection as the client of its exchange: responses become bytes.

func (h *http1Conn) takesTrailers() bool { return h.reader.TakesTrailers() }

func (h *http1Conn) interim(status int, header *message.Fields) {
	h.cn.t.Out = http1.AppendInterim(h.cn.t.Out, status, header)
}

func (h *http1Conn) head(end bool) {
	cn, x := h.cn, h.x
	opts := http1.ResponseOptions{Version: x.req.Version, Date: cn.local.date.at(cn.t.Now, cn.srv.now)}
	if x.leg.Active() && (x.resp.Status == 101 || x.resp.Status == 426) {
		opts.Upgrade = x.leg.Upgrade()
	}
	h.keep = x.resp.Status != 101 && h.mayKeep()
	opts.KeepAlive = h.keep
	h.chunked = http1.Chunked(&x.resp, x.req.Version)
	cn.t.Out = http1.AppendResponse(cn.t.Out, &x.resp, opts)
}

// mayKeep says whether the connection can be used again after this answer: the rest of the request, if nobody takes it, must be small
// enough to be read and dropped (S25, S26), and a client that still waits for 100 may send it or not (S27).
func (h *http1Conn) mayKeep() bool {
	x := h.x
	if !h.reader.KeepAlive() || h.closing != closeNot || h.eof || h.cn.c.Draining() && !h.pipelined() ||
		http1.CloseDelimited(&x.resp, x.req.Version) {
		return false
	}
	if h.reader.Done() {
		return true
	}
	if x.leg.Active() || (x.req.Expect && !x.is(flagContinued)) {
		return false
	}
	return h.reader.Unread() <= discardBytes
}

// pipelined says, of an engine that ends, that more requests have come already and are answered too: a client that pipelines cannot know
// which of them were not (RFC 9112 section 9.3.2). It may go on so for parting answers at most.
func (h *http1Conn) pipelined() bool {
	if h.parting >= partingRequests || !h.reader.Done() || !h.behind && !h.cn.wire.Readable(h.cn.c) {
		return false
	}
	h.parting++
	return true
}

func (h *http1Conn) body(p []byte, end bool) {
	cn := h.cn
	if h.chunked && len(p) > 0 {
		cn.t.Out = http1.AppendChunkHead(cn.t.Out, len(p))
		cn.send(p)
		cn.t.Out = append(cn.t.Out, "\r\n"...)
	} else {
		cn.send(p)
	}
	switch {
	case h.tunnels():
		h.movedAt = cn.t.Now
		cn.halves = cn.halves || end
	case end && h.chunked:
		cn.t.Out = http1.AppendLastChunk(cn.t.Out, nil)
	}
}

func (h *http1Conn) trailers(f *message.Fields) {
	if h.chunked {
		h.cn.t.Out = http1.AppendLastChunk(h.cn.t.Out, f)
	}
}

func (h *http1Conn) pending() int { return h.cn.wire.Pending() }

func (h *http1Conn) direct() bool { return !h.chunked && !h.cn.wire.Secure() }

// over has the connection go on, or end, as the answer said.
func (h *http1Conn) over(x *exchange) {
	keep := h.keep
	h.x, h.keep, h.chunked = nil, false, false
	switch {
	case x.is(flagAborted):
		h.closing = closeReset
	case h.closing != closeNot:
	case keep && h.reader.Done():
		h.nextRequest()
	case keep:
		h.discards, h.since = true, h.cn.t.Now
	case h.reader.Done() && (h.eof || !h.reader.KeepAlive() && len(h.cn.wire.Unread()) == 0 && !h.cn.wire.Readable(h.cn.c)):
		h.closing = closeFinish // the client has said that it has nothing to add
	default:
		h.closing = closeLinger
	}
}

// sayAndClose answers what is not a request: no route, no filters.
func (h *http1Conn) sayAndClose(status int) {
	cn, t := h.cn, h.cn.t
	reason := http1.Reason(status)
	text := strconv.Itoa(status) + " " + reason + "\n"
	t.Out = append(t.Out, "HTTP/1.1 "...)
	t.Out = append(strconv.AppendInt(t.Out, int64(status), 10), ' ')
	t.Out = append(append(t.Out, reason...), "\r\ndate: "...)
	t.Out = append(t.Out, cn.local.date.at(t.Now, cn.srv.now)...)
	t.Out = append(t.Out, "\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: "...)
	t.Out = append(strconv.AppendInt(t.Out, int64(len(text)), 10), "\r\n\r\n"...)
	t.Out = append(t.Out, text...)
}
