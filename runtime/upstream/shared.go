package upstream

import (
	"strings"

	"edge/filters/message"
	"edge/runtime/http2"
)

// A leg on a shared connection: its side of the stream.

// sharedLeg is what a leg keeps of its stream.
type sharedLeg struct {
	st    *stream
	idle  *stream // of an earlier request, to be used again
	got   []byte  // body taken from the stream …
	given int     // … and given to the receiver but for the rest
	owed  int     // bytes given that the session has not been told of
	wider int     // bytes of window beyond the first that the client's account has given
	again int     // tries on another connection to the same server
	whole bool    // the response is nothing but a head
	news  news
}

// news is what was taken from the stream beside body, and not been acted upon.
type news struct {
	interims []*message.Response
	head     bool
	end      bool
	failed   bool
	failure  failure
}

const (
	maxAgain   = 3        // of one request
	pieceBytes = 16 << 10 // of body given at a time
)

// held says whether something waits for the receiver.
func (h *sharedLeg) held() bool { return h.given < len(h.got) || h.news.end || h.news.failed }

// shares says whether the try goes by a shared connection. An upgrade needs a connection to itself, where there is one to have; else a
// WebSocket is a stream, and any other protocol is not asked for.
func (l *Leg) shares() bool {
	return l.server.h2c || l.server.shares() && l.opts.Upgrade == ""
}

// join begins a try on a shared connection.
func (l *Leg) join(now int64) {
	h := &l.shared
	st := h.idle
	h.idle = nil
	if st == nil {
		st = new(stream)
	}
	st.renew(l.conn)
	scheme := "http"
	if l.server.shared != nil {
		scheme = "https"
	}
	block, err := st.block[:0], error(nil)
	if st.tunnel = strings.EqualFold(l.opts.Upgrade, websocket); st.tunnel {
		block, err = http2.AppendConnect(block, l.req, websocket, scheme)
	} else {
		block, err = http2.AppendRequest(block, l.req, scheme, l.opts.Trailers)
	}
	if err != nil {
		h.idle = st
		l.fail(BadRequest)
		return
	}
	st.block, st.headOnly, st.headEnd = block, l.req.Method == "HEAD", l.ended && !st.tunnel
	l.state = legShared
	h.st, h.owed, h.whole, h.news = st, 0, false, news{}
	h.wider = l.ahead.take()
	st.wider = h.wider
	h.got, h.given = h.got[:0], 0
	l.movedAt = now
	l.deadline = now + int64(l.pool.options.ConnectTimeout) + int64(l.pool.options.ResponseTimeout)
	if !l.pool.halls[l.conn.Poller()].join(l.conn, l.pool, l.server, st) {
		h.st, h.idle = nil, st
		l.ahead.give(h.wider)
		l.fail(Crowded)
	}
}

// writeShared gives a piece of the body to the session.
func (l *Leg) writeShared(p []byte, end bool, now int64) {
	st := l.shared.st
	if st.queued.Load() == 0 {
		l.movedAt = now
	}
	st.queued.Add(int64(len(p)))
	st.mu.Lock()
	st.out = append(st.out, p...)
	if end {
		st.outEnd = true
		st.tail = http2.AppendTrailers(st.tail[:0], &l.req.Trailer)
	}
	st.post()
}

// stepShared takes what the session has brought, and gives it to the receiver.
func (l *Leg) stepShared(now int64) {
	for l.state == legShared && l.fetch() {
		l.give(now)
	}
}

// fetch takes what is in the stream once all that was taken before is given, and says whether there is anything to give now.
func (l *Leg) fetch() bool {
	h := &l.shared
	if h.held() {
		return l.to.Accepts()
	}
	st := h.st
	st.mu.Lock()
	h.news = news{st.interims, st.head, st.inEnd && st.over, st.failed && st.over, st.failure}
	st.interims, st.head = nil, false
	h.got, st.in, h.given = st.in, h.got[:0], 0
	st.mu.Unlock()
	return len(h.news.interims) > 0 || h.news.head || h.held() && (h.news.failed || l.to.Accepts())
}

// give gives the receiver what was taken, as long as it accepts.
func (l *Leg) give(now int64) {
	h := &l.shared
	for _, r := range h.news.interims {
		l.resp.Reset()
		l.resp.Status, l.resp.Bodiless = r.Status, true
		l.resp.Header.CopyFrom(&r.Header)
		if l.to.Interim(); l.state != legShared {
			return
		}
	}
	h.news.interims = nil
	if h.news.head {
		h.news.head = false
		l.headShared(now)
	}
	for l.state == legShared && h.given < len(h.got) && l.to.Accepts() {
		n := min(len(h.got)-h.given, pieceBytes)
		p := h.got[h.given : h.given+n]
		h.given += n
		h.owed += n
		l.to.Body(p)
	}
	if l.state != legShared {
		return
	}
	l.settle()
	switch {
	case h.given < len(h.got):
	case h.news.failed:
		l.sharedFailed(h.news.failure, now)
	case h.news.end && (h.whole || l.to.Accepts()):
		l.resp.Trailer.CopyFrom(&h.st.trailer)
		l.finish()
		l.to.End()
	}
}

func (l *Leg) headShared(now int64) {
	h := &l.shared
	from := &h.st.resp
	l.resp.Reset()
	l.resp.Status, l.resp.Length, l.resp.Bodiless = from.Status, from.Length, from.Bodiless
	l.resp.Header, from.Header = from.Header, l.resp.Header
	if h.st.tunnel && l.resp.Status/100 == 2 {
		l.switches()
		return
	}
	l.headed, l.status = true, l.resp.Status
	l.movedAt, l.deadline = now, now+int64(l.pool.options.BodyTimeout)
	l.pool.stats.Requests[min(l.resp.Status/100, 5)].Add(1)
	h.whole = h.news.end && len(h.got) == 0 && h.st.trailer.Len() == 0
	l.to.Head()
}

// settle tells the session what room there is again, once it is worth a turn.
func (l *Leg) settle() {
	h := &l.shared
	if h.owed < max(firstWindow/2, (firstWindow+h.wider)/4) {
		return
	}
	wider := 0
	if h.wider == 0 {
		wider = l.ahead.take()
		h.wider = wider
	}
	h.st.mu.Lock()
	h.st.credit += h.owed
	h.st.wider += wider
	h.owed = 0
	h.st.post()
}

// sharedFailed ends a try that failed, and makes another where that is safe (U88): the server has done nothing for the request and all
// of its body is still here, or the method is safe and there is no body.
func (l *Leg) sharedFailed(f failure, now int64) {
	h := &l.shared
	l.reset, l.resetBy = f.reset, f.code
	if f.plain {
		l.retry(l.server, now) // it has learned to speak HTTP/1 to it
		return
	}
	if f.cause == ConnectFailed || f.cause == ConnectTimeout || f.cause == TLSFailed {
		l.server.downUntil.Store(now + int64(downTime))
	}
	l.pool.stats.Failures[f.cause].Add(1)
	safe := !l.fed && safeMethod(l.req.Method) && f.cause == Closed
	if l.headed || !safe && (!f.unseen || f.bodied) {
		l.stop(f.cause)
		return
	}
	if (f.refused || f.stale) && h.again < maxAgain {
		h.again++
		l.retry(l.server, now)
		return
	}
	var next *Server
	if l.retries < l.pool.options.Retries {
		next = l.pool.pick(l.tried, l.key, now)
	}
	if next == nil {
		l.stop(f.cause)
		return
	}
	l.retries++
	l.pool.stats.Retries.Add(1)
	l.retry(next, now)
}

// retry makes the request again, with the body that the failed stream still has.
func (l *Leg) retry(server *Server, now int64) {
	st := l.shared.st
	body := append(st.pending[st.sent:len(st.pending):len(st.pending)], st.out...)
	ended, fed := l.ended, l.fed
	l.shared.st = nil // its memory is the body's now
	l.ahead.give(l.shared.wider)
	l.finish()
	if fed {
		l.ended = false
	}
	l.fed = false
	l.try(server, now)
	if fed && l.state != legNone {
		l.Write(body, ended, now)
	}
}

// leave gives the stream up. It is used again where the session has let go of it.
func (l *Leg) leave() {
	h := &l.shared
	st := h.st
	if st == nil {
		return
	}
	h.st, h.news = nil, news{}
	l.ahead.give(h.wider)
	if h.got, h.given = keep(h.got), 0; st.free() {
		h.idle = st
		return
	}
	st.mu.Lock()
	st.cancelled, st.conn = true, nil
	st.post()
}
