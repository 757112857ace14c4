package upstream

import "edge/mpm"

// After 101 (Switching Protocols) a leg carries bytes (RFC 9110 section 7.8). Its owner moves them.

// Tunnel says whether the leg carries an upgraded protocol.
func (l *Leg) Tunnel() bool { return l.state == legTunnel }

// TunnelRead reads what the server says into p, what came right behind the 101 first. Errors are those of mpm.Socket.Read.
func (l *Leg) TunnelRead(p []byte) (int, error) {
	if len(l.in) > 0 {
		n := copy(p, l.in)
		if l.in = l.in[n:]; len(l.in) == 0 {
			l.in = nil
		}
		return n, nil
	}
	if l.sock.Ready()&(mpm.In|mpm.Broken) == 0 {
		return 0, mpm.ErrAgain
	}
	return l.sock.Read(p)
}

// TunnelWrite sends p and keeps what the server does not take; the owner looks at Pending before it reads more of the client.
func (l *Leg) TunnelWrite(p []byte) error {
	if len(l.out) == 0 {
		p = p[l.send(p):]
	}
	l.keep(p)
	return l.TunnelFlush()
}

// TunnelFlush writes what waits. Its error says that the server takes no more.
func (l *Leg) TunnelFlush() error {
	l.flush()
	if l.broken {
		return errGone
	}
	return nil
}

// TunnelEnd tells the server that the client will say no more.
func (l *Leg) TunnelEnd() { l.sock.CloseWrite() }
