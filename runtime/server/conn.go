package server

import (
	"errors"
	"io"

	"edge/mpm"
	"edge/runtime/http1"
	"edge/runtime/wire"
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

// conn is a client's connection. It is all that an idle one costs beside the engine's own; a request's state is in x.
type conn struct {
	srv    *Server
	c      *mpm.Conn
	reader http1.RequestReader
	wire   wire.Plain
	x      *exchange // the request being answered, or nil

	since     int64  // when the request's first byte came; 0 while there is none
	movedAt   int64  // when the client last sent or took something
	rateAt    int64  // when the present window of the least rate began; 0 while nothing is expected of the client
	rateMark  uint64 // progress then
	bodyBytes uint64 // of request bodies
	discarded int64  // bytes of a body nobody wants
	closing   closing
	starved   bool // the reader has seen all that is unread
	discards  bool // the rest of a request's body is read and dropped
	eof       bool // the client has finished sending
	halved    bool // the end of the stream has been sent to the client

	// For the length of a turn.
	t     *mpm.Turn
	local *local
}

func (cn *conn) begin(s *Server, c *mpm.Conn) {
	cn.srv, cn.c = s, c
	cn.reader.Reset(&s.options.Limits)
}

// turn does what can be done, ends with one write, and says what the connection waits for.
func (cn *conn) turn(t *mpm.Turn, l *local, ev mpm.Events) mpm.Verdict {
	cn.t, cn.local = t, l
	t.Out = t.Out[:0]
	if ev&mpm.Broken != 0 && cn.c.Broken() && !cn.halved {
		cn.clientGone()
		return mpm.Close()
	}
	sent := cn.c.Sent()
	if cn.wire.Pending() > 0 {
		cn.wire.Flush(cn.c)
	}
	if ev&mpm.Expired != 0 {
		cn.expire()
	}
	again := cn.work()
	if len(t.Out) > 0 {
		cn.wire.Send(cn.c, t.Out, nil)
	}
	if cn.wire.Failed() {
		cn.clientGone()
		return mpm.Close()
	}
	cn.halfClose()
	if cn.c.Sent() != sent {
		cn.movedAt = t.Now
	}
	return cn.verdict(again)
}

// work goes round while something moves, and says whether the turn's share ran out first.
func (cn *conn) work() (again bool) {
	for requests := 0; cn.closing == closeNot || cn.x != nil; {
		moved := false
		if x := cn.x; x != nil {
			moved = x.advance()
			if cn.x == nil {
				if requests++; requests >= turnRequests {
					return true
				}
			}
		}
		if !cn.tunnels() && cn.wantsInput() && cn.input() {
			moved = true
		}
		if !moved {
			return cn.x != nil && cn.x.more()
		}
	}
	return false
}

// wantsInput says whether the client's next bytes have somewhere to go: that is the whole of back-pressure on requests.
func (cn *conn) wantsInput() bool {
	switch {
	case cn.closing != closeNot || cn.eof && len(cn.wire.Unread()) == 0:
		return false
	case cn.x != nil:
		return cn.x.wantsBody()
	}
	return cn.pending() < highWater
}

// pending is the output that is not gone yet.
func (cn *conn) pending() int { return cn.wire.Pending() + len(cn.t.Out) }

// input reads what the client has sent and hands it on. It returns false where there is nothing new.
func (cn *conn) input() (moved bool) {
	data := cn.wire.Unread()
	if len(data) == 0 || cn.starved {
		if x := cn.x; x != nil {
			x.sendContinue()
		}
		if cn.eof && cn.x == nil {
			cn.closing = closeFinish // within a request that will never be whole
			return true
		}
		if cn.eof || !cn.c.Readable() {
			return false
		}
		var err error
		data, err = cn.wire.Read(cn.c, cn.t.In)
		if err == mpm.ErrAgain {
			return false
		}
		if err != nil {
			cn.ended(err)
			return true
		}
		cn.starved = false
		cn.movedAt = cn.t.Now
	}
	if cn.since == 0 {
		cn.since = cn.t.Now
	}
	cn.wire.Keep(cn.feed(data))
	return true
}

// ended is the end of the client's stream, or an error of its socket.
func (cn *conn) ended(err error) {
	cn.eof = true
	switch {
	case !errors.Is(err, io.EOF):
		cn.clientGone()
		cn.closing = closeReset
	case cn.x != nil && !cn.reader.Done():
		cn.x.clientGone() // the body will never be whole
		cn.closing = closeReset
	case cn.x == nil:
		cn.closing = closeFinish
	}
}

// feed has the reader read data as long as what it finds has somewhere to go, and returns the rest.
func (cn *conn) feed(data []byte) (rest []byte) {
	for {
		x := cn.x
		if x == nil {
			x = cn.local.next
		}
		n, ev, bad := cn.reader.Feed(data, &x.req)
		data = data[n:]
		if bad != nil {
			cn.refuse(bad)
			return nil
		}
		switch ev {
		case http1.More:
			cn.starved = true
			return data
		case http1.Head:
			cn.local.next = cn.local.takeExchange()
			cn.x = x
			x.begin(cn)
		case http1.Data:
			cn.bodyIn(cn.reader.Data())
			if cn.discards && cn.reader.Done() {
				cn.bodyEnd()
				return data
			}
		case http1.End:
			cn.bodyEnd()
			return data
		}
		if cn.x != nil && cn.reader.Done() && cn.reader.Unread() == 0 && ev != http1.Data {
			return data
		}
		if !cn.wantsInput() {
			return data
		}
	}
}

// bodyIn takes a piece of the request's body.
func (cn *conn) bodyIn(p []byte) {
	cn.bodyBytes += uint64(len(p))
	if cn.discards {
		if cn.discarded += int64(len(p)); cn.discarded > discardBytes {
			cn.closing = closeLinger
		}
		return
	}
	cn.x.bodyIn(p, cn.reader.Done())
}

// bodyEnd is the end of the request, trailers included.
func (cn *conn) bodyEnd() {
	if cn.discards {
		cn.discards = false
		cn.nextRequest()
		return
	}
	cn.x.bodyEnd()
}

// nextRequest readies the reader for what follows.
func (cn *conn) nextRequest() {
	cn.reader.Reset(&cn.srv.options.Limits)
	cn.since, cn.rateAt, cn.discarded, cn.starved = 0, 0, 0, false
	if cn.eof && len(cn.wire.Unread()) == 0 && cn.closing == closeNot {
		cn.closing = closeFinish
	}
}

// refuse answers bytes that are not a request, and has the connection end: nothing behind them can be trusted.
func (cn *conn) refuse(bad *http1.Error) {
	cn.srv.rejects.count(bad)
	if x := cn.x; x != nil && !cn.discards {
		x.badBody(bad)
		return
	}
	cn.closing = closeAbuse
	if !cn.discards {
		cn.sayAndClose(bad.Status)
		cn.logRefused(bad)
	}
}

// clientGone gives up what is under way: there is nobody to answer.
func (cn *conn) clientGone() {
	if cn.x != nil {
		cn.x.clientGone()
	}
}

// send appends output, or sends it at once together with what is waiting where it is too large to gather.
func (cn *conn) send(p []byte) {
	if len(cn.t.Out)+len(p) <= wire.Gather {
		cn.t.Out = append(cn.t.Out, p...)
		return
	}
	cn.wire.Send(cn.c, cn.t.Out, p)
	cn.t.Out = cn.t.Out[:0]
}

// verdict says what the connection waits for, and until when.
func (cn *conn) verdict(again bool) mpm.Verdict {
	o := &cn.srv.options
	now := cn.t.Now
	if cn.x == nil && (cn.closing == closeReset || cn.wire.Pending() == 0) {
		switch cn.closing {
		case closeFinish:
			return mpm.Finish()
		case closeLinger:
			return mpm.Linger(false)
		case closeAbuse:
			return mpm.Linger(true)
		case closeReset:
			return mpm.Reset()
		}
	} else if cn.closing == closeReset {
		return mpm.Reset()
	}
	if again {
		return mpm.Again()
	}
	if cn.x == nil && cn.since == 0 && len(cn.wire.Unread()) == 0 && cn.wire.Pending() == 0 {
		return mpm.KeepAlive(now + int64(o.KeepaliveTimeout))
	}
	var want mpm.Events
	phase, deadline := mpm.PhaseReading, int64(0)
	if cn.wantsInput() {
		want |= mpm.In
	}
	if cn.wire.Pending() > 0 || cn.x != nil && cn.x.sends() {
		want |= mpm.Out
		phase = mpm.PhaseWriting
	}
	deadline = cn.clientDeadline(want)
	if x := cn.x; x != nil {
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

// sooner is the earlier of two deadlines, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
