package upstream

import (
	"io"
	"strings"

	"edge/mpm"
	"edge/runtime/http1"
)

// The response's way through a leg: from the socket through the reader to the receiver, as far as the receiver takes it.

// read takes what the server has sent, as long as the receiver does and the turn's share lasts; Ready tells of the rest.
func (l *Leg) read(t *mpm.Turn) {
	for taken := 0; l.state == legActive && taken < turnBytes && l.to.Accepts(); {
		data := l.in
		if !l.held {
			var err error
			data, err = l.fill(t.In)
			if err == mpm.ErrAgain {
				return
			}
			if err != nil {
				l.closed(err, t)
				return
			}
			l.movedAt = t.Now
		}
		l.held = false
		taken += len(data)
		l.feed(data, t)
	}
}

// headBytes is how much is read at a time before the head has come. What comes behind it must be kept where the client takes nothing
// yet, and one client may have a hundred requests under way.
const headBytes = 8 << 10

// fill reads once, behind what was left over.
func (l *Leg) fill(scratch []byte) (data []byte, err error) {
	if !l.link.readable() {
		return nil, mpm.ErrAgain
	}
	if !l.headed && l.link.config == nil {
		scratch = scratch[:headBytes]
	}
	data, err = l.link.read(scratch)
	if len(l.in) > 0 {
		l.in = append(l.in, data...)
		data = l.in
	}
	return data, err
}

// feed hands on what data brings and keeps what is left.
func (l *Leg) feed(data []byte, t *mpm.Turn) {
	for {
		n, ev, bad := l.reader.Feed(data, l.resp)
		data = data[n:]
		if bad != nil {
			l.fail(BadResponse)
			return
		}
		switch ev {
		case http1.More:
			l.keepIn(data)
			return
		case http1.Interim:
			l.to.Interim()
		case http1.Head:
			l.head(t.Now)
			if l.state == legTunnel {
				l.keepIn(data)
				return
			}
		case http1.Data:
			l.to.Body(l.reader.Data())
		case http1.End:
			l.end(len(data), t)
			return
		}
		if l.state != legActive {
			return
		}
		// The end of a response that is nothing but a head is no news to the receiver.
		if whole := ev == http1.Head && l.reader.Done(); l.headed && !whole && !l.to.Accepts() {
			l.keepIn(data)
			l.held = true
			return
		}
	}
}

// keepIn keeps what is not consumed: a tail of in, or of the scratch memory.
func (l *Leg) keepIn(rest []byte) {
	if len(rest) == 0 {
		l.in = nil
		return
	}
	l.in = append(l.in[:0], rest...)
}

func (l *Leg) head(now int64) {
	l.headed, l.status = true, l.resp.Status
	l.movedAt, l.deadline = now, now+int64(l.pool.options.BodyTimeout)
	if l.resp.Status == 101 {
		if !sameProtocol(l.opts.Upgrade, l.reader.Upgrade()) { // U92
			l.headed = false
			l.fail(BadResponse)
			return
		}
		l.state, l.deadline = legTunnel, 0
	}
	l.pool.stats.Requests[min(l.resp.Status/100, 5)].Add(1)
	l.to.Head()
}

// sameProtocol says whether a server switches to the protocol that was asked for: the name counts, in any case.
func sameProtocol(asked, got string) bool {
	asked, _, _ = strings.Cut(asked, "/")
	got, _, _ = strings.Cut(got, "/")
	return asked != "" && strings.EqualFold(asked, got)
}

// end gives the connection back for others, if it is fit for that: the request has gone out whole, and nothing but the response
// has come in.
func (l *Leg) end(rest int, t *mpm.Turn) {
	fit := l.reader.KeepAlive() && l.ended && l.Pending() == 0 && !l.broken && rest == 0 && !l.opts.Close
	if fit && l.link.readable() {
		_, err := l.link.read(t.In)
		fit = err == mpm.ErrAgain
	}
	if fit && l.link.sock.Ready()&mpm.Broken == 0 {
		link := l.link
		l.link = nil
		l.finish()
		l.pool.shelves[l.conn.Poller()].put(link, l.pool.options.Keepalive, t.Now+int64(IdleTimeout))
	} else {
		l.finish()
	}
	l.to.End()
}

// closed is the end of the server's stream, or an error of its socket, which never ends a response soundly (U82).
func (l *Leg) closed(err error, t *mpm.Turn) {
	started := l.reader.Started()
	_, bad := l.reader.EOF(l.resp)
	switch {
	case bad == nil && err == io.EOF:
		l.opts.Close = true
		l.end(0, t)
	case !started && !l.headed:
		l.tryFailed(Closed, t.Now)
	default:
		l.fail(Closed)
	}
}
