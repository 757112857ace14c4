package server

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"edge/mpm"
	"edge/runtime/accesslog"
	"edge/runtime/certs"
	"edge/runtime/wire"
)

// Entry is what the server knows of a listener: mpm.Listener.Data. A listener without one speaks HTTP/1 in the clear.
type Entry struct {
	Certificates *certs.Set       // nil: no TLS
	Handshakes   *wire.Handshakes // with Certificates: bounds and counts; shared by all entries
	HTTP2        bool             // without Certificates: clients may begin with HTTP/2 unasked. With them they agree on it
	NoHTTP1      bool             // whoever does not speak HTTP/2 is sent away

	next atomic.Pointer[Entry] // what has replaced it; nil: nothing has
}

// plainEntry is that of a listener without one.
var plainEntry = new(Entry)

func entryOf(c *mpm.Conn) *Entry {
	e, _ := c.Listener().Data.(*Entry)
	if e == nil {
		return plainEntry
	}
	if next := e.next.Load(); next != nil {
		return next
	}
	return e
}

// Replace has connections that come from now on find what next says; those that are there keep what they have. The entry must be the
// one that the listener was made with. Any goroutine may call it, but one at a time.
func (e *Entry) Replace(next *Entry) { e.next.Store(next) }

// opening is a connection whose protocol is not chosen yet: it shakes hands first. It is the conn itself, as the protocol of that time.
type opening conn

// begin makes recycled or new memory a connection.
func (cn *conn) begin(s *Server, c *mpm.Conn, t *mpm.Turn, l *local) {
	cn.srv, cn.c, cn.entry, cn.settings = s, c, entryOf(c), s.current()
	if cn.entry.Certificates == nil {
		switch {
		case cn.entry.NoHTTP1:
			cn.proto = l.takeHTTP2(cn)
		case cn.entry.HTTP2:
			cn.proto = (*sniffing)(cn)
		default:
			cn.proto = l.takeHTTP1(cn)
		}
		return
	}
	cn.openBy = t.Now + int64(cn.settings.HandshakeTimeout)
	cn.wire.Server(cn.entry.Certificates.Config(), cn.entry.Handshakes)
	cn.proto = (*opening)(cn)
}

// serve is part of protocol. Once the handshake is done the connection's protocol takes over.
func (o *opening) serve(ev mpm.Events) (again bool) {
	cn := (*conn)(o)
	done, waiting, err := cn.wire.Handshake(cn.c, cn.c, cn.t.Now, cn.t.In)
	switch {
	case err != nil:
		cn.refused(err)
		return false
	case !done && cn.t.Now >= cn.openBy:
		cn.refused(wire.ErrTimeout)
		return false
	case !done:
		cn.queued = waiting
		return false
	}
	state := cn.wire.TLS()
	cn.name, cn.tlsVersion = state.ServerName, state.Version
	if state.NegotiatedProtocol == "h2" || cn.entry.NoHTTP1 {
		cn.proto = cn.local.takeHTTP2(cn)
	} else {
		cn.proto = cn.local.takeHTTP1(cn)
	}
	return cn.proto.serve(ev)
}

// refused ends a handshake that has failed. Who has spoken HTTP in the clear is told so, in the clear.
func (cn *conn) refused(err error) {
	cn.failed = true
	cn.wire.Abandon(err)
	if err == wire.ErrCrowded {
		cn.openBy = cn.t.Now // its socket is no more use than its handshake was
	}
	if log := cn.srv.logger; log.Enabled(accesslog.Debug) {
		log.Log(accesslog.Debug, "a TLS handshake failed", accesslog.Str("remote_ip", cn.c.Peer().Addr().String()),
			accesslog.Str("listener", cn.c.Listener().Name), accesslog.Str("error", err.Error()))
	}
	if errors.Is(err, wire.ErrPlainHTTP) {
		cn.wire.Reset()
		cn.t.Out = append(cn.t.Out, "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"+
			"connection: close\r\ncontent-length: 30\r\n\r\n400 This port speaks TLS only\n"...)
	}
}

// verdict is part of protocol.
func (o *opening) verdict(bool) mpm.Verdict {
	switch pending := o.wire.Pending() > 0; {
	case o.failed && o.t.Now >= o.openBy:
		return mpm.Close()
	case o.failed:
		return mpm.Linger(true)
	case o.queued:
		return mpm.Wait(0, o.openBy, mpm.PhaseReading)
	case pending:
		return mpm.Wait(mpm.In|mpm.Out, o.openBy, mpm.PhaseReading)
	}
	return mpm.Wait(mpm.In, o.openBy, mpm.PhaseReading)
}

// gone is part of protocol.
func (o *opening) gone() { o.wire.Abandon(io.ErrUnexpectedEOF) }

// end is part of protocol.
func (o *opening) end(mpm.Cause) (done bool) { return true }

// scheme is the connection's, as requests name it.
func (cn *conn) scheme() string {
	if cn.wire.Secure() {
		return "https"
	}
	return "http"
}

// serves says whether the client may ask for a host over this connection.
func (cn *conn) serves(authority string) bool {
	if !cn.wire.Secure() {
		return true
	}
	return cn.entry.Certificates.Serves(cn.name, hostOf(authority))
}

// hostOf is an authority without its port and brackets.
func hostOf(authority string) string {
	if len(authority) > 0 && authority[0] == '[' {
		host, _, _ := strings.Cut(authority[1:], "]")
		return host
	}
	host, _, _ := strings.Cut(authority, ":")
	return host
}
