package server

import (
	"io"
	"strings"

	"edge/mpm"
	"edge/runtime/http2"
)

// sniffing is a connection in the clear whose first bytes say which protocol it speaks: HTTP/2's preface was made to be no request of
// HTTP/1 (RFC 9113 section 3.4). It is the conn itself, as the protocol of that time.
type sniffing conn

// serve is part of protocol. Once the bytes are told apart the connection's protocol takes over, with nothing of them consumed.
func (o *sniffing) serve(ev mpm.Events) (again bool) {
	cn := (*conn)(o)
	data, err := cn.wire.Read(cn.c, cn.t.In)
	head := string(data[:min(len(data), len(http2.Preface))])
	cn.wire.Keep(data)
	switch {
	case head == http2.Preface:
		cn.proto = cn.local.takeHTTP2(cn)
	case !strings.HasPrefix(http2.Preface, head) || err != nil && err != mpm.ErrAgain && err != io.EOF:
		cn.proto = cn.local.takeHTTP1(cn)
	case err == io.EOF || cn.openBy != 0 && cn.t.Now >= cn.openBy:
		cn.failed = true
		return false
	default:
		if cn.openBy == 0 && len(data) > 0 {
			cn.openBy = cn.t.Now + int64(cn.settings.HeaderTimeout)
		}
		return false
	}
	return cn.proto.serve(ev)
}

// verdict is part of protocol.
func (o *sniffing) verdict(bool) mpm.Verdict {
	switch {
	case o.failed:
		return mpm.Linger(true)
	case o.openBy == 0:
		return mpm.FirstRequest(o.t.Now + int64(o.srv.current().KeepaliveTimeout))
	}
	return mpm.Wait(mpm.In, o.openBy, mpm.PhaseReading)
}

// gone is part of protocol.
func (o *sniffing) gone() {}

// end is part of protocol.
func (o *sniffing) end(mpm.Cause) (done bool) { return true }
