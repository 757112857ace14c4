package upstream

import (
	"crypto/sha1"
	"encoding/base64"
	"io"

	"edge/mpm"
)

// A WebSocket on a shared connection is a stream of its own (RFC 8441). The leg's owner sees what it would see in HTTP/1.1: a 101, and
// then a tunnel.

const (
	websocket     = "websocket"
	websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// WebSocketAccept is what answers a WebSocket's key (RFC 6455 section 4.2.2).
func WebSocketAccept(key string) (accept [28]byte) {
	sum := sha1.Sum([]byte(key + websocketGUID))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}

// switches makes a 101 of the server's 2xx. Nobody has shown the client's key to the server: edge answers it.
func (l *Leg) switches() {
	l.resp.Status, l.resp.Length, l.resp.Bodiless = 101, 0, true
	l.resp.Header.Delete("content-length")
	l.resp.Header.Delete("sec-websocket-accept")
	if key := l.req.Header.Value("sec-websocket-key"); key != "" {
		accept := WebSocketAccept(key)
		l.resp.Header.Add("sec-websocket-accept", string(accept[:]))
	}
	l.headed, l.status = true, 101
	l.state, l.deadline = legSharedTunnel, 0
	l.pool.stats.Requests[1].Add(1)
	l.to.Head()
}

// tunnelReady says that tunnelRead would bring something.
func (h *sharedLeg) tunnelReady() bool {
	if h.given < len(h.got) {
		return true
	}
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	return len(h.st.in) > 0 || h.st.inEnd || h.st.failed
}

// tunnelRead is TunnelRead.
func (l *Leg) tunnelRead(p []byte) (int, error) {
	h := &l.shared
	if h.given == len(h.got) {
		h.st.mu.Lock()
		h.got, h.st.in, h.given = h.st.in, h.got[:0], 0
		h.news.end, h.news.failed = h.st.inEnd, h.st.failed
		h.st.mu.Unlock()
	}
	switch n := copy(p, h.got[h.given:]); {
	case n > 0:
		h.given += n
		h.owed += n
		l.settle()
		return n, nil
	case h.news.failed:
		return 0, io.ErrUnexpectedEOF
	case h.news.end:
		return 0, io.EOF
	}
	return 0, mpm.ErrAgain
}

// tunnelWrite gives bytes, or the end of them, to the session. Its error says that nobody takes them.
func (l *Leg) tunnelWrite(p []byte, end bool) error {
	st := l.shared.st
	st.mu.Lock()
	if st.failed || st.over && !st.outEnd {
		st.mu.Unlock()
		return errGone
	}
	if len(p) == 0 && !end || st.outEnd {
		st.mu.Unlock()
		return nil
	}
	st.queued.Add(int64(len(p)))
	st.out = append(st.out, p...)
	st.outEnd = end
	st.post()
	return nil
}
