package upstream

import "edge/mpm"

// After 101 (Switching Protocols) a leg carries bytes (RFC 9110 section 7.8). Its owner moves them.

// Tunnel says whether the leg carries an upgraded protocol.
func (l *Leg) Tunnel() bool { return l.state == legTunnel || l.state == legSharedTunnel }

// TunnelRead reads what the server says into p, of mpm.ScratchBytes, what came right behind the 101 first. Errors are those of
// mpm.Socket.Read; an end that is not in order is io.ErrUnexpectedEOF.
func (l *Leg) TunnelRead(p []byte) (int, error) {
	if l.state == legSharedTunnel {
		return l.tunnelRead(p)
	}
	if len(l.in) > 0 {
		n := copy(p, l.in)
		if l.in = l.in[n:]; len(l.in) == 0 {
			l.in = nil
		}
		return n, nil
	}
	if !l.link.readable() {
		return 0, mpm.ErrAgain
	}
	data, err := l.link.read(p)
	return len(data), err
}

// TunnelWrite sends p and keeps what the server does not take; the owner looks at Pending before it reads more of the client.
func (l *Leg) TunnelWrite(p []byte, now int64) error {
	if l.state == legSharedTunnel {
		return l.tunnelWrite(p, false)
	}
	if len(l.out) == 0 {
		p = p[l.send(p, now):]
	}
	l.keep(p)
	return l.TunnelFlush(now)
}

// TunnelFlush writes what waits, and behind the last of it the end, if TunnelEnd was called. Its error says that the server takes
// no more.
func (l *Leg) TunnelFlush(now int64) error {
	if l.state == legSharedTunnel {
		return l.tunnelWrite(nil, false)
	}
	l.flush(now)
	switch {
	case l.broken:
		return errGone
	case l.ends && l.Pending() == 0:
		l.ends = false
		l.link.closeWrite()
	}
	return nil
}

// TunnelEnd tells the server, behind what still waits, that the client will say no more.
func (l *Leg) TunnelEnd(now int64) error {
	if l.state == legSharedTunnel {
		return l.tunnelWrite(nil, true)
	}
	l.ends = true
	return l.TunnelFlush(now)
}
