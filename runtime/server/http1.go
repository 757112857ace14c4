package server

import (
	"io"

	"edge/mpm"
	"edge/runtime/http1"
)

// closing is how a connection is to end.
type closing uint8

const (
	closeNot    closing = iota
	closeFinish         // flush, then close: nothing of the client's is unread
	closeLinger         // flush, half-close, read what still comes (C7)
	closeAbuse          // the same, shortly
	closeReset          // at once: what was sent is not whole
)

// http1Conn is a connection that speaks HTTP/1: one request after another. It is the protocol of its conn and the client of its
// exchange. With the conn it is all that an idle connection costs beside the engine's own; a request's state is in x.
type http1Conn struct {
	cn     *conn
	reader http1.RequestReader
	x      *exchange // the request being answered, or nil

	since     int64  // when the request's first byte came; 0 while there is none
	movedAt   int64  // when the client last sent or took something
	sent      uint64 // Conn.Sent then
	rateAt    int64  // when the present window of the least rate began; 0 while nothing is expected of the client
	rateMark  uint64 // progress then
	bodyBytes uint64 // of request bodies
	discarded int64  // bytes of a body nobody wants
	taken     int    // bytes read in this turn
	parting   uint8  // answers behind which requests were waiting, since the engine has begun to end
	closing   closing
	behind    bool // bytes are unread behind what the reader has seen
	starved   bool // the reader has seen all that is unread
	discards  bool // the rest of a request's body is read and dropped
	eof       bool // the client has finished sending
	keep      bool // the connection stays after this answer
	chunked   bool // this answer's body goes in chunks
	asked     bool // a request has begun on this connection
}

func (h *http1Conn) begin(cn *conn) {
	h.cn = cn
	h.reader.Reset(&cn.settings.Limits)
}

// serve is part of protocol. It goes round while something moves.
func (h *http1Conn) serve(ev mpm.Events) (again bool) {
	h.taken = 0
	h.noteSent()
	if ev&mpm.Expired != 0 {
		h.expire()
	}
	for requests := 0; h.closing == closeNot || h.x != nil; {
		moved := false
		if x := h.x; x != nil {
			moved = x.advance()
			if h.x == nil {
				if requests++; requests >= turnRequests {
					return true
				}
			}
		}
		if h.wantsInput() && h.taken < turnBytes && h.input() {
			moved = true
		}
		if !moved {
			return h.taken >= turnBytes && h.wantsInput() || h.x != nil && h.x.more()
		}
	}
	return false
}

// noteSent notes that the client has taken output.
func (h *http1Conn) noteSent() {
	if sent := h.cn.c.Sent(); sent != h.sent {
		h.sent, h.movedAt = sent, h.cn.t.Now
	}
}

// wantsInput says whether the client's next bytes have somewhere to go: that is the whole of back-pressure on requests.
func (h *http1Conn) wantsInput() bool {
	switch {
	case h.closing != closeNot || h.eof && len(h.cn.wire.Unread()) == 0:
		return false
	case h.x != nil:
		return h.x.wantsBody()
	}
	return h.cn.pending() < highWater
}

// input reads what the client has sent and hands it on. It returns false where there is nothing new.
func (h *http1Conn) input() (moved bool) {
	cn := h.cn
	data := cn.wire.Unread()
	if len(data) == 0 || h.starved {
		if x := h.x; x != nil {
			x.sendContinue()
		}
		if h.eof && h.x == nil {
			h.closing = closeFinish // within a request that will never be whole
			return true
		}
		if h.eof || !cn.wire.Readable(cn.c) {
			return false
		}
		var err error
		data, err = cn.wire.Read(cn.c, cn.t.In)
		if err == mpm.ErrAgain {
			return false
		}
		if err != nil {
			h.ended(err)
			return true
		}
		h.starved = false
		h.movedAt = cn.t.Now
		h.taken += len(data)
	}
	if h.tunnels() {
		h.x.bodyIn(data, false)
		cn.wire.Keep(nil)
		return true
	}
	if h.since == 0 {
		h.since, h.asked = cn.t.Now, true
		h.renew()
	}
	cn.wire.Keep(h.feed(data))
	return true
}

// ended is the end of the client's stream, or an error of its socket.
func (h *http1Conn) ended(err error) {
	h.eof = true
	switch {
	case h.tunnels():
		h.x.tunnelEnd(err == io.EOF)
	case err != io.EOF && err != io.ErrUnexpectedEOF: // many clients end without TLS's word for it
		h.gone()
		h.closing = closeReset
	case h.x != nil && !h.reader.Done():
		h.x.clientGone() // the body will never be whole
		h.closing = closeReset
	case h.x == nil:
		h.closing = closeFinish
	}
}

// feed has the reader read data as long as what it finds has somewhere to go, and returns the rest.
func (h *http1Conn) feed(data []byte) (rest []byte) {
	l := h.cn.local
	for {
		x := h.x
		if x == nil {
			x = l.next
		}
		n, ev, bad := h.reader.Feed(data, &x.req)
		data = data[n:]
		h.behind = len(data) > 0
		if bad != nil {
			h.refuse(bad)
			return nil
		}
		switch ev {
		case http1.More:
			h.starved = true
			return data
		case http1.Head:
			l.next = l.takeExchange()
			h.x = x
			x.begin(h.cn, h, h.since, h.reader.Done())
		case http1.Data:
			h.bodyIn(h.reader.Data())
			if h.discards && h.reader.Done() {
				h.bodyEnd()
				return data
			}
		case http1.End:
			h.bodyEnd()
			return data
		}
		if h.x != nil && h.reader.Done() && h.reader.Unread() == 0 && ev != http1.Data {
			return data
		}
		if !h.wantsInput() {
			return data
		}
	}
}

// bodyIn takes a piece of the request's body.
func (h *http1Conn) bodyIn(p []byte) {
	h.bodyBytes += uint64(len(p))
	if h.discards {
		if h.discarded += int64(len(p)); h.discarded > discardBytes {
			h.closing = closeLinger
		}
		return
	}
	h.x.bodyIn(p, h.reader.Done())
}

// bodyEnd is the end of the request, trailers included.
func (h *http1Conn) bodyEnd() {
	if h.discards {
		h.discards = false
		h.nextRequest()
		return
	}
	h.x.bodyEnd()
}

// nextRequest readies the reader for what follows.
func (h *http1Conn) nextRequest() {
	h.reader.Reset(&h.cn.settings.Limits)
	h.since, h.rateAt, h.discarded, h.starved = 0, 0, 0, false
	if h.eof && len(h.cn.wire.Unread()) == 0 && h.closing == closeNot {
		h.closing = closeFinish
	}
}

// refuse answers bytes that are not a request, and has the connection end: nothing behind them can be trusted.
func (h *http1Conn) refuse(bad *http1.Error) {
	h.cn.srv.rejects.count(bad)
	h.closing = closeAbuse
	switch {
	case h.discards:
	case h.x != nil:
		h.x.refuse(bad.Status, "DP", bad.Reason)
	default:
		h.sayAndClose(bad.Status)
		h.logRefused(bad.Status, "DP", bad.Reason)
	}
}

// gone is part of protocol.
func (h *http1Conn) gone() {
	if h.x != nil {
		h.x.clientGone()
	}
}

// end is part of protocol.
func (h *http1Conn) end(cause mpm.Cause) (done bool) {
	if h.x != nil && !h.x.end(cause) {
		return false
	}
	h.cn.local.putHTTP1(h)
	return true
}

// tunnels says that the connection carries an upgraded protocol.
func (h *http1Conn) tunnels() bool { return h.x != nil && h.x.tunnels() }

// verdict is part of protocol.
func (h *http1Conn) verdict(again bool) mpm.Verdict {
	cn := h.cn
	h.noteSent()
	pending := cn.wire.Pending() > 0
	if h.closing == closeReset {
		return mpm.Reset()
	}
	if h.x == nil && !pending {
		switch h.closing {
		case closeFinish:
			return mpm.Finish()
		case closeLinger:
			return mpm.Linger(false)
		case closeAbuse:
			return mpm.Linger(true)
		}
	}
	if again {
		return mpm.Again()
	}
	if h.x == nil && h.since == 0 && len(cn.wire.Unread()) == 0 && !pending {
		deadline := cn.t.Now + int64(cn.srv.current().KeepaliveTimeout)
		if !h.asked {
			return mpm.FirstRequest(deadline)
		}
		return mpm.KeepAlive(deadline)
	}
	var want mpm.Events
	phase := mpm.PhaseReading
	if h.wantsInput() {
		want |= mpm.In
	}
	if pending || h.x != nil && h.x.sends() {
		want |= mpm.Out
		phase = mpm.PhaseWriting
	}
	deadline := h.clientDeadline(want)
	if x := h.x; x != nil {
		deadline = sooner(deadline, x.deadline())
		if x.borrows() {
			want |= mpm.Borrow
			if phase == mpm.PhaseReading {
				phase = x.phase()
			}
		}
		if want&(mpm.In|mpm.Out) == 0 && x.parked() {
			return mpm.Suspend(deadline)
		}
	}
	return mpm.Wait(want, deadline, phase)
}
