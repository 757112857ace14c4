package mpm

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// peerServer echoes lines on loopback and can close its connections.
type peerServer struct {
	addr  netip.AddrPort
	mu    sync.Mutex
	conns []net.Conn
	count atomic.Int64
}

func newPeer(t testing.TB) *peerServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peerServer{addr: l.Addr().(*net.TCPAddr).AddrPort()}
	t.Cleanup(func() { l.Close(); p.closeAll() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.count.Add(1)
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			go io.Copy(c, c)
		}
	}()
	return p
}

func (p *peerServer) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// pool is a Keeper as an upstream pool would be: one list a poller.
type pool struct {
	mu   sync.Mutex
	idle []*Socket
	lost atomic.Int64
}

func (p *pool) Lost(s *Socket) {
	p.mu.Lock()
	kept := false
	for i, other := range p.idle {
		if other == s {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			kept = true
			break
		}
	}
	p.mu.Unlock()
	if kept {
		p.lost.Add(1)
		s.Close()
	}
}

func (p *pool) put(s *Socket, deadline int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
	s.Rest(deadline)
}

func (p *pool) len() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.idle) }

func (p *pool) take() *Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return s
	}
	return nil
}

// upstream adds the command "via": it sends its argument to the peer over a borrowed socket and answers with what comes back.
func upstream(h *script, peer *Address, keep *pool, rest time.Duration) {
	h.commands["via"] = func(s *session, turn *Turn, arg string) (Verdict, bool) {
		var sock *Socket
		for sock = keep.take(); sock != nil && !sock.Adopt(s.c); sock = keep.take() {
			sock.Close()
		}
		var err error
		if sock == nil {
			if sock, err = s.c.Dial(peer, keep); err != nil {
				s.out = append(s.out, err.Error()+"\n"...)
				return Verdict{}, false
			}
		}
		sent, got := false, []byte(nil)
		deadline := turn.Now + int64(5*time.Second)
		var step func(*session, *Turn, Events) (Verdict, bool)
		end := func(answer string) (Verdict, bool) {
			sock.Close()
			s.out = append(append(s.out, answer...), '\n')
			return Verdict{}, false
		}
		step = func(s *session, turn *Turn, ev Events) (Verdict, bool) {
			if ev&Expired != 0 {
				return end("timeout")
			}
			s.then = step
			if !sent {
				switch err := sock.Connected(); err {
				case nil:
				case ErrAgain:
					return Wait(Borrow, deadline, PhaseUpstream), true
				default:
					s.then = nil
					return end(err.Error())
				}
				if n, err := sock.Write(append([]byte(arg), '\n')); n != len(arg)+1 || err != nil {
					s.then = nil
					return end("write: " + err.Error())
				}
				sent = true
			}
			for sock.Ready()&In != 0 && len(got) <= len(arg) {
				n, err := sock.Read(turn.In)
				got = append(got, turn.In[:n]...)
				if err == ErrAgain {
					break
				}
				if err != nil {
					s.then = nil
					return end(err.Error())
				}
			}
			if len(got) <= len(arg) {
				return Wait(Borrow, deadline, PhaseUpstream), true
			}
			s.then = nil
			s.out = append(s.out, got...)
			keep.put(sock, turn.Now+int64(rest))
			return Verdict{}, false
		}
		return step(s, turn, 0)
	}
}

// TestBorrow: a socket's events wake its borrower; at rest it waits in the pool; others of the poller borrow it.
func TestBorrow(t *testing.T) {
	h, peer, keep := newScript(t), newPeer(t), &pool{}
	upstream(h, TCP(peer.addr), keep, time.Hour)
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	for range 5 {
		c := w.dial()
		for range 20 {
			c.ask("via hello", "hello")
		}
		c.Close()
	}
	if n := peer.count.Load(); n != 1 || keep.len() != 1 {
		t.Errorf("%d connections to the peer, %d kept", n, keep.len())
	}
}

// TestConnectRefused: a connect that fails says so, and nothing of it stays.
func TestConnectRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	h, keep := newScript(t), &pool{}
	upstream(h, TCP(addr), keep, time.Hour)
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	c := w.dial()
	for range 10 {
		c.ask("via hello", syscall.ECONNREFUSED.Error())
	}
	p := w.pollers[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	if used := len(p.slots) - len(p.free); used != 1 {
		t.Errorf("%d slots in use", used)
	}
}

// TestConnectTimeout: a peer that does not answer is the borrower's deadline to end.
func TestConnectTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // accepts nothing, so nothing comes back
	h, keep, clock := newScript(t), &pool{}, newFakeClock()
	upstream(h, TCP(l.Addr().(*net.TCPAddr).AddrPort()), keep, time.Hour)
	w := start(t, h, Options{Workers: 4, Pollers: 1, clock: clock.now.Load})
	c := w.dial()
	c.send("via hello\n")
	until(t, "waiting for the peer", func() bool { return w.Load().Phases[PhaseUpstream] == 1 })
	clock.advance(w.Engine, 6*time.Second)
	c.expect("timeout\n")
}

// TestLost: an idle socket goes when its peer closes it, when bytes come that nobody asked for, and at its deadline.
func TestLost(t *testing.T) {
	h, peer, keep, clock := newScript(t), newPeer(t), &pool{}, newFakeClock()
	upstream(h, TCP(peer.addr), keep, 30*time.Second)
	w := start(t, h, Options{Workers: 4, Pollers: 1, clock: clock.now.Load})
	c := w.dial()
	ends := []func(){
		func() { peer.closeAll() },
		func() {
			peer.mu.Lock()
			defer peer.mu.Unlock()
			for _, c := range peer.conns {
				c.Write([]byte("unasked"))
			}
		},
		func() { clock.advance(w.Engine, 31*time.Second) },
	}
	for i, end := range ends {
		c.ask("via hello", "hello")
		if keep.len() != 1 {
			t.Fatalf("%d kept", keep.len())
		}
		end()
		until(t, "lost", func() bool { return keep.lost.Load() == int64(i+1) })
	}
	c.ask("via hello", "hello")
	if n := peer.count.Load(); n != 4 {
		t.Errorf("%d connections to the peer", n)
	}
}

// TestSpoiltAtRest: what happens on a socket just before it rests does not stay in the pool until the deadline.
func TestSpoiltAtRest(t *testing.T) {
	h, peer, keep := newScript(t), newPeer(t), &pool{}
	h.commands["rest"] = func(s *session, turn *Turn, _ string) (Verdict, bool) {
		sock, err := s.c.Dial(TCP(peer.addr), keep)
		if err != nil {
			t.Error(err)
			return Close(), true
		}
		until(t, "accepted", func() bool { peer.mu.Lock(); defer peer.mu.Unlock(); return len(peer.conns) > 0 })
		peer.closeAll()
		until(t, "the poller has told its borrower", func() bool { return Events(sock.events.Load())&In != 0 })
		keep.put(sock, turn.Now+int64(time.Hour))
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	c := w.dial()
	for i := range 20 {
		c.send("rest\n")
		until(t, "lost", func() bool { return keep.lost.Load() == int64(i+1) })
	}
}

// TestAdoptSpoilt: a socket that something has happened to is refused to its next borrower.
func TestAdoptSpoilt(t *testing.T) {
	h, peer, keep := newScript(t), newPeer(t), &pool{}
	upstream(h, TCP(peer.addr), keep, time.Hour)
	adopted := make(chan bool, 1)
	h.commands["adopt"] = func(s *session, _ *Turn, _ string) (Verdict, bool) {
		sock := keep.take()
		peer.closeAll()
		until(t, "the end has arrived", func() bool { return Events(sock.events.Load())&In != 0 })
		adopted <- sock.Adopt(s.c)
		sock.Close()
		return Verdict{}, false
	}
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	c := w.dial()
	c.ask("via hello", "hello")
	c.ask("adopt\necho x", "x")
	if <-adopted {
		t.Error("adopted")
	}
	if keep.lost.Load() != 0 {
		t.Error("told of a socket that it had struck off")
	}
}

// TestStaleEvents: an event of a closed socket does not reach the one that has its slot, or its descriptor, now.
func TestStaleEvents(t *testing.T) {
	h := newScript(t)
	w := start(t, h, Options{Workers: 4, Pollers: 1})
	c := w.dial()
	c.ask("echo x", "x")
	s := h.only(t)
	p := w.pollers[0]
	p.mu.Lock()
	slot, gen := s.c.slot, p.slots[s.c.slot].gen
	p.mu.Unlock()
	c.Close()
	until(t, "gone", func() bool { return w.connections.Load() == 0 })
	c = w.dial()
	c.ask("echo y", "y")
	s = h.only(t)
	if s.c.slot != slot {
		t.Fatalf("slot %d, expected %d again", s.c.slot, slot)
	}
	turns := s.turns.Load()
	until(t, "idle", func() bool { return w.Load().Phases[PhaseKeepAlive] == 1 })
	stale := w.Load().StaleEvents
	p.mark(staleEvent(slot, gen))
	if got := w.Load().StaleEvents; got != stale+1 || s.turns.Load() != turns {
		t.Errorf("%d stale events, %d turns", got, s.turns.Load())
	}
}

// TestPoolHammer: many connections of two pollers borrow, return and lose sockets while the peer closes them at random.
func TestPoolHammer(t *testing.T) {
	h, peer := newScript(t), newPeer(t)
	pools := []*pool{{}, {}}
	byPoller := []*script{newScript(t), newScript(t)}
	for i := range byPoller {
		upstream(byPoller[i], TCP(peer.addr), pools[i], time.Millisecond)
	}
	h.commands["via"] = func(s *session, turn *Turn, arg string) (Verdict, bool) {
		return byPoller[s.c.Poller()].commands["via"](s, turn, arg)
	}
	w := start(t, h, Options{Workers: 4, Pollers: 2})
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	var stop atomic.Bool
	var clients, closer sync.WaitGroup
	closer.Go(func() {
		for !stop.Load() {
			peer.closeAll()
			time.Sleep(2 * time.Millisecond)
		}
	})
	for range 20 {
		clients.Go(func() {
			c := w.dial()
			defer c.Close()
			for range rounds {
				c.send("via hello\necho done\n")
				buf := make([]byte, 0, 200)
				one := make([]byte, 200)
				for len(buf) < 5 || string(buf[len(buf)-5:]) != "done\n" {
					n, err := c.Read(one)
					if err != nil {
						t.Errorf("after %q: %v", buf, err)
						return
					}
					buf = append(buf, one[:n]...)
				}
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	closer.Wait()
	until(t, "all gone", func() bool { return w.connections.Load() == 0 })
	w.stop(time.Second)
	for i, p := range w.pollers {
		if len(p.free) != len(p.slots) {
			t.Errorf("poller %d: %d of %d slots free", i, len(p.free), len(p.slots))
		}
	}
}
