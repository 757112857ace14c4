package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/filters"
	"edge/mpm"
)

// guest is a client that comes again and again until it is told not to: each is one connection. It returns what was lost.
type guest func(b *bed, rnd *rand.Rand, asked func()) error

// connect1 connects for HTTP/1, over TLS where the bed speaks it.
func connect1(b *bed) (*peer, error) {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		return nil, err
	}
	if beds[b.addr] {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	return newPeer(nil, c), nil
}

// guest1 asks over HTTP/1: send writes so many requests, all of which must be answered unless it was told before that the connection ends.
func guest1(requests int, send func(p *peer, rnd *rand.Rand) error, body string) guest {
	return func(b *bed, rnd *rand.Rand, asked func()) error {
		p, err := connect1(b)
		if err != nil {
			return err
		}
		defer p.Close()
		for {
			if err := send(p, rnd); err != nil {
				return err
			}
			for n := range requests {
				r, got, err := p.answer("GET")
				if err != nil || r.StatusCode != 200 || got != body {
					return fmt.Errorf("answer %d of %d: %.40q, %v", n+1, requests, got, err)
				}
				if r.Close {
					if n < requests-1 {
						return fmt.Errorf("the connection ends after %d of %d requests that were sent together", n+1, requests)
					}
					if rest, err := p.in.ReadByte(); err == nil {
						return fmt.Errorf("%q behind the last answer", rest)
					}
					return nil
				}
			}
			asked()
		}
	}
}

// guest2 asks over HTTP/2: so many requests at a time, and more when they are answered. A stream that the last GOAWAY names must be.
func guest2(requests int, body string) guest {
	return func(b *bed, _ *rand.Rand, asked func()) error {
		f, err := begin2(b)
		if err != nil {
			return err
		}
		defer f.Close()
		last := uint32(1<<31 - 1)
		warned := false
		for first := uint32(1); ; first += uint32(2 * requests) {
			for n := range requests {
				f.ask(first+uint32(2*n), true, get2("/")...)
			}
			open := requests
			for open > 0 {
				got, err := f.next()
				if err != nil {
					if unserved := (int(first) + 2*requests - 1 - int(last)) / 2; warned && open == min(unserved, requests) {
						return nil
					}
					return fmt.Errorf("%d of the streams from %d on are lost, the last is %d, warned %v: %w", open, first, last, warned, err)
				}
				var goaway, id uint32
				switch n, _ := fmt.Sscanf(got, "GOAWAY %d", &goaway); {
				case n == 1 && goaway < 1<<31-1:
					last = goaway
				case n == 1:
					warned = true
				case strings.HasPrefix(got, "RST"):
					return fmt.Errorf("%s", got)
				}
				if strings.HasSuffix(got, " end") {
					open--
					if fmt.Sscanf(got, "DATA %d", &id); f.bodies[id] != body {
						return fmt.Errorf("stream %d says %q", id, f.bodies[id])
					}
				}
			}
			asked()
		}
	}
}

// begin2 is dial2 for a goroutine that may not fail the test.
func begin2(b *bed) (*framer, error) {
	c, err := connect2(context.Background(), "tcp", b.addr, nil)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(2 * patience))
	f := newFramer(b.t, c)
	c.Write([]byte(http2.ClientPreface))
	f.WriteSettings()
	f.WriteSettingsAck()
	return f, nil
}

// TestRetireP4 has clients ask without a pause while the engine retires, so that some of them ask at the very moment: nothing is lost, in
// either protocol, in the clear and over TLS, and everybody is told that the connection ends before it does.
func TestRetireP4(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 2
	}
	upload := func(p *peer, rnd *rand.Rand) error {
		for _, piece := range []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "ab", "cd"} {
			if _, err := p.Write([]byte(piece)); err != nil {
				return err
			}
			time.Sleep(time.Duration(rnd.IntN(int(2 * time.Millisecond)))) // a client's pace, which nothing waits for
		}
		return nil
	}
	sends := func(text string) func(*peer, *rand.Rand) error {
		return func(p *peer, _ *rand.Rand) error { _, err := p.Write([]byte(text)); return err }
	}
	pausing := &fake{name: "pausing", wants: filters.OnRequestHead, head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		go x.Continue(filters.Request)
		return filters.Pause
	}}
	for _, c := range []struct {
		name   string
		http2  bool
		plot   plot
		origin bool
		guest  guest
	}{
		{name: "keep-alive", plot: plot{routes: []Route{fixed("hello")}}, guest: guest1(1, sends(get), "hello")},
		{name: "pipelined", plot: plot{routes: []Route{fixed("hello")}}, guest: guest1(5, sends(strings.Repeat(get, 5)), "hello")},
		{name: "pipelined to an upstream", origin: true, guest: guest1(5, sends(strings.Repeat(get, 5)), "GET / ")},
		{name: "slow uploads", origin: true, guest: guest1(1, upload, "POST / abcd")},
		{name: "suspended", plot: plot{filters: []filters.Filter{pausing}}, origin: true, guest: guest1(1, sends(get), "GET / ")},
		{name: "HTTP/2", http2: true, plot: plot{routes: []Route{fixed("hello")}}, guest: guest2(1, "hello")},
		{name: "HTTP/2, several streams", http2: true, plot: plot{routes: []Route{fixed("hello")}}, guest: guest2(10, "hello")},
		{name: "HTTP/2, suspended", http2: true, plot: plot{filters: []filters.Filter{pausing}}, origin: true, guest: guest2(3, "GET / ")},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", c.name, secure), func(t *testing.T) {
				for round := range rounds {
					p := c.plot
					if c.origin {
						p.servers = []string{origin(t, echo)}
					}
					switch {
					case secure && c.http2:
						p.entry = secureEntry(t, "h2", "http/1.1")
					case secure:
						p.entry = secureEntry(t)
					case c.http2:
						p.entry = sniffed
					default:
						p.entry = new(Entry)
					}
					retireUnderLoad(t, grow(t, p), c.guest, uint64(round))
				}
			})
		}
	}
}

func retireUnderLoad(t *testing.T, b *bed, g guest, seed uint64) {
	const guests, before = 6, 5
	var all, ready sync.WaitGroup
	ready.Add(guests)
	for n := range guests {
		rnd := rand.New(rand.NewPCG(seed, uint64(n)))
		all.Go(func() {
			asked := 0
			err := g(b, rnd, func() {
				if asked++; asked == before {
					ready.Done()
				}
			})
			if err != nil {
				t.Errorf("after %d rounds of requests: %v", asked, err)
			}
			for ; asked < before; asked++ {
				if asked == before-1 {
					ready.Done()
				}
			}
		})
	}
	ready.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.engine.Retire(ctx); err != nil {
		t.Errorf("%v; phases %v", err, b.engine.Load().Phases)
	}
	all.Wait()
}

// TestRetireIdleP4: an HTTP/1 client that is idle finds its connection as it was and is told with the next answer; an HTTP/2 client is told
// at once, in two steps; one that has shaken hands and not begun yet is served.
func TestRetireIdleP4(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: sniffed})
	idle1, idle2, new2 := dial(t, b.addr), dial2(t, b.addr), dial(t, b.addr)
	idle1.say(get)
	idle1.want("GET", 200, "hello")
	idle2.ask(1, true, get2("/")...)
	idle2.body(1)
	new2.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if !within(patience, func() bool {
		l := b.engine.Load().Phases
		return l[mpm.PhaseKeepAlive] == 2 && l[mpm.PhaseReading] == 1
	}) {
		t.Fatalf("phases are %v", b.engine.Load().Phases)
	}
	retired := make(chan error)
	go func() { retired <- b.engine.Retire(t.Context()) }()
	idle2.want("GOAWAY 2147483647 NO_ERROR")
	idle2.ask(3, true, get2("/")...)
	for _, frame := range idle2.over() {
		if strings.HasPrefix(frame, "GOAWAY") && frame != "GOAWAY 3 NO_ERROR" && frame != "GOAWAY 1 NO_ERROR" {
			t.Error(frame)
		}
	}
	idle2.Close()
	f := newFramer(t, new2.Conn)
	f.WriteSettings()
	f.ask(1, true, get2("/")...)
	f.over()
	if f.bodies[1] != "hello" {
		t.Errorf("a client that has just begun gets %q", f.bodies[1])
	}
	f.Close()
	select {
	case err := <-retired:
		t.Fatalf("retired with a connection left: %v", err)
	default:
	}
	idle1.say(get)
	if r := idle1.want("GET", 200, "hello"); !r.Close {
		t.Error("the last answer does not say so")
	}
	idle1.closed()
	idle1.Close()
	if err := <-retired; err != nil {
		t.Error(err)
	}
}

// TestRetirePipelinedBound: a client that never stops pipelining is told after partingRequests answers that the connection ends.
func TestRetirePipelinedBound(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: new(Entry)})
	p, err := connect1(b)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	p.say(get)
	p.want("GET", 200, "hello")
	retired := make(chan error)
	go func() { retired <- b.engine.Retire(t.Context()) }()
	if !within(patience, func() bool { return b.engine.Load().NotAccepting }) {
		t.Fatal("does not retire")
	}
	p.say(strings.Repeat(get, 2*partingRequests))
	for n := 1; ; n++ {
		if r := p.want("GET", 200, "hello"); r.Close {
			if n != partingRequests+1 {
				t.Errorf("told with answer %d", n)
			}
			break
		}
	}
	p.Close()
	if err := <-retired; err != nil {
		t.Error(err)
	}
}
