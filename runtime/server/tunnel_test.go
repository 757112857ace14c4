package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"edge/filters"
	"edge/mpm"
)

const upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

// resetConn closes with RST.
func resetConn(c *peer) {
	tcp(c.Conn).SetLinger(0)
	c.Close()
}

// tunnelled opens a tunnel and returns the client's end and the origin's.
func tunnelled(t *testing.T, p plot, behindRequest, behindSwitch string) (b *bed, c, o *peer) {
	t.Helper()
	far := make(chan *peer, 1)
	done := make(chan struct{})
	p.servers = []string{origin(t, func(c *peer, _ int) {
		if _, err := c.head(); err != nil {
			return
		}
		c.say(switching, behindSwitch)
		far <- c
		<-done
	})}
	b = grow(t, p)
	t.Cleanup(func() { close(done) })
	c = dial(t, b.addr)
	c.say(upgrade, behindRequest)
	if head, err := c.head(); err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") ||
		!strings.Contains(head, "\r\nupgrade: websocket\r\n") {
		t.Fatalf("head %q, %v", head, err)
	}
	return b, c, <-far
}

// TestU92TunnelBytes: bytes right behind the request and right behind the 101 are the tunnel's, in order.
func TestU92TunnelBytes(t *testing.T) {
	_, c, o := tunnelled(t, plot{}, "early client ", "early server ")
	o.say("late server")
	c.say("late client")
	if got := c.take(24); got != "early server late server" {
		t.Errorf("client got %q", got)
	}
	if got := o.take(24); got != "early client late client" {
		t.Errorf("server got %q", got)
	}
}

// TestTunnelWaitsForPausedHead: while a filter holds the 101 back, no byte of the tunnel goes ahead of it.
func TestTunnelWaitsForPausedHead(t *testing.T) {
	release := make(chan filters.Exchange, 1)
	f := &fake{name: "f", wants: filters.OnResponseHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			release <- x
			return filters.Pause
		}}
	go func() {
		x := <-release
		x.Log(filters.Debug, "held")
		x.Continue(filters.Response)
	}()
	_, c, o := tunnelled(t, plot{filters: []filters.Filter{f}}, "c", "server")
	if got := c.take(6) + o.take(1); got != "serverc" {
		t.Errorf("got %q", got)
	}
}

// TestTunnelHalfClose: the end of one direction is passed on behind its last byte, and the other goes on.
func TestTunnelHalfClose(t *testing.T) {
	big := strings.Repeat("x", 8<<20)
	t.Run("client first", func(t *testing.T) {
		_, c, o := tunnelled(t, plot{}, "", "")
		go func() {
			io.WriteString(c, big)
			closeWrite(c.Conn)
		}()
		if got, err := io.ReadAll(o.in); err != nil || len(got) != len(big) {
			t.Errorf("server got %d bytes of %d, %v", len(got), len(big), err)
		}
		o.say("goodbye")
		o.Close()
		if got, err := io.ReadAll(c.in); err != nil || string(got) != "goodbye" {
			t.Errorf("client got %q, %v", got, err)
		}
	})
	t.Run("server first", func(t *testing.T) {
		_, c, o := tunnelled(t, plot{}, "", "")
		go func() {
			io.WriteString(o, big)
			closeWrite(o.Conn)
		}()
		if got, err := io.ReadAll(c.in); err != nil || len(got) != len(big) {
			t.Errorf("client got %d bytes of %d, %v", len(got), len(big), err)
		}
		c.say("goodbye")
		c.Close()
		if got, err := io.ReadAll(o.in); err != nil || string(got) != "goodbye" {
			t.Errorf("server got %q, %v", got, err)
		}
	})
}

// TestTunnelBackPressure: a client that takes nothing stops the server; the connection then rests, and does not spin.
func TestTunnelBackPressure(t *testing.T) {
	b, c, o := tunnelled(t, plot{}, "", "")
	const size = 32 << 20
	go io.WriteString(o, strings.Repeat("x", size))
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseWriting] == 1 }) {
		t.Fatalf("phases %v", b.engine.Load().Phases)
	}
	if n, err := io.CopyN(io.Discard, c.in, size); err != nil {
		t.Errorf("client got %d bytes, %v", n, err)
	}
}

// TestU92NoTunnel: a 101 that was not asked for, or that switches to something else, is no tunnel; 426 is an answer like others.
func TestU92NoTunnel(t *testing.T) {
	for _, c := range []struct {
		name, ask, say string
		status         int
	}{
		{"101 unasked", get, switching, 502},
		{"101 to another protocol", upgrade, strings.Replace(switching, "websocket", "evil", 1), 502},
		{"426", upgrade, "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 426},
		{"200 in its place", upgrade, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := grow(t, plot{servers: []string{origin(t, says(c.say))}})
			p := dial(t, b.addr)
			p.say(c.ask)
			r := p.want("GET", c.status, "*")
			if c.status == 426 && r.Header.Get("Upgrade") != "websocket" {
				t.Errorf("426 without upgrade: %v", r.Header)
			}
			p.say(c.ask)
			p.want("GET", c.status, "*")
		})
	}
}

// TestRetireTunnelP4: a tunnel goes on while the engine retires, for as long as that is waited for.
func TestRetireTunnelP4(t *testing.T) {
	b, c, o := tunnelled(t, plot{}, "", "")
	ctx, cancel := context.WithCancel(t.Context())
	retired := make(chan error, 1)
	go func() { retired <- b.engine.Retire(ctx) }()
	if !within(patience, func() bool { return b.engine.Load().NotAccepting }) {
		t.Fatal("does not retire")
	}
	for range 3 {
		c.say("ping")
		if got := o.take(4); got != "ping" {
			t.Errorf("server got %q", got)
		}
		o.say("pong")
		if got := c.take(4); got != "pong" {
			t.Errorf("client got %q", got)
		}
	}
	cancel()
	if err := <-retired; !errors.Is(err, context.Canceled) {
		t.Errorf("retired with %v", err)
	}
	c.Close()
}
