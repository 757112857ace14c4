package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/http1"
)

// TestS25S26S27S30Keep: what happens to the connection after an answer, on the path that answers by itself.
func TestS25S26S27S30Keep(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\n"
	again := "HTTP/1.1 200 "
	for _, c := range []struct {
		name, say string
		want      string // what comes, by status lines; "close" is an end that was announced, "end" one that was not
	}{
		{"pipelined", get + get + get, again + again + again},
		{"close asked", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get, again + "close"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", again + "close"},
		{"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", again + again + "close"},
		{"S25 body nobody wants", post + "Content-Length: 5\r\n\r\nGET /" + get, again + again},
		{"S25 chunked body nobody wants", post + "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nx: y\r\n\r\n" + get, again + again},
		{"S26 too large to be dropped", post + "Content-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537) + get, again + "close"},
		{"S26 chunked, too large", post +
			"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 1<<17) + "\r\n0\r\n\r\n" + get, again + "end"},
		{"S27 body not sent", post + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", again + "close"},
		{"S27 unknown expectation", post + "Content-Length: 5\r\nExpect: 200-ok\r\n\r\n", "HTTP/1.1 417 close"},
		{"S30 valid, then not", get + "GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get, again + "HTTP/1.1 400 close"},
		{"R76 body too large", post + "Content-Length: 2000000\r\n\r\n", "HTTP/1.1 413 close"},
		{"R76 chunk too large", post + "Transfer-Encoding: chunked\r\n\r\n200000\r\n", again + "end"},
		{"empty lines before", "\r\n\r\n" + get, again},
	} {
		for _, bytewise := range []bool{false, true} {
			if bytewise && len(c.say) > 1000 {
				continue
			}
			t.Run(c.name+map[bool]string{true: ", byte by byte"}[bytewise], func(t *testing.T) {
				b := grow(t, plot{routes: []Route{fixed("")}, options: func(o *Options) { o.Limits.BodyBytes = 1 << 20 }})
				p := dial(t, b.addr)
				tcp(p.Conn).SetNoDelay(true)
				go func() {
					if !bytewise {
						p.Conn.Write([]byte(c.say))
						return
					}
					for i := range len(c.say) {
						p.Conn.Write([]byte{c.say[i]})
					}
				}()
				for want := c.want; want != ""; {
					if want == "close" || want == "end" {
						if one, err := p.in.ReadByte(); err == nil {
							t.Fatalf("more comes: %q", one)
						}
						break
					}
					head, err := p.head()
					if err != nil || !strings.HasPrefix(head, want[:len(again)]) {
						t.Fatalf("got %q, %v, want %q", head, err, want)
					}
					if closes := strings.Contains(head, "\r\nconnection: close\r\n"); closes != (want[len(again):] == "close") {
						t.Errorf("says connection: close %v in %q", closes, head)
					}
					if want = want[len(again):]; head[9] != '2' {
						p.take(len(http1.Reason(int(head[9]-'0')*100+int(head[10]-'0')*10+int(head[11]-'0'))) + 5)
					}
				}
			})
		}
	}
}

// TestExpectContinue: 100 is said once, when the body is wanted and has not come (S27).
func TestExpectContinue(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, echo)}})
	c := dial(t, b.addr)
	const head = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	c.say(head)
	if h, err := c.head(); err != nil || h != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q, %v", h, err)
	}
	c.say("hello")
	c.want("POST", 200, "POST /p hello")
	c.say(head, "hello") // it does not wait: no 100 is needed
	c.want("POST", 200, "POST /p hello")
	c.say(strings.Replace(head, "1.1", "1.0", 1), "hello")
	c.want("POST", 200, "POST /p hello") // S28
}

// TestTimeouts: each bound on a client, with what it gets (R70, R71, R72, S29, C6).
func TestTimeouts(t *testing.T) {
	const short = 60 * time.Millisecond
	for _, c := range []struct {
		name, say string
		set       func(*Options)
		status    int // 0: nothing, just the end
	}{
		{"R70 header_timeout", "GET / HTTP/1.1\r\nHo", func(o *Options) { o.HeaderTimeout = short }, 408},
		{"R71 min_rate of a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc",
			func(o *Options) { o.RatePer, o.RateBytes = short, 100 }, 408},
		{"S29 timeout within a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n", func(o *Options) { o.Timeout = short }, 408},
		{"C6 keepalive_timeout", "", func(o *Options) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := grow(t, plot{servers: []string{origin(t, echo)}, options: c.set, engine: func(o *mpm.Options) {
				if c.status == 0 {
					o.Times.FirstByte = short
				}
			}})
			if *overTLS && c.status == 0 {
				t.Skip("a handshake is more than a first byte")
			}
			p := dial(t, b.addr)
			p.say(c.say)
			if c.status != 0 {
				if r := p.want("GET", c.status, "*"); !r.Close {
					t.Error("the connection is to stay")
				}
			}
			p.closed()
		})
	}
}

// TestR70Dribble: the bound on a head is absolute; bytes do not move it.
func TestR70Dribble(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("")}, options: func(o *Options) { o.HeaderTimeout = 100 * time.Millisecond }})
	p := dial(t, b.addr)
	p.say("GET / HTTP/1.1\r\nHost: a\r\nX: ")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				p.Conn.Write([]byte("x"))
			}
		}
	}()
	p.want("GET", 408, "*")
	close(stop)
	<-done
}

// TestS26Dribble: the bound on a body that nobody wants is absolute as well.
func TestS26Dribble(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("")}})
	p := dial(t, b.addr)
	p.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
	p.want("POST", 200, "")
	began := time.Now()
	go func() {
		for time.Since(began) < 2*discardTime {
			if _, err := p.Conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // the dribble itself
		}
	}()
	p.closed()
	if took := time.Since(began); took > discardTime+discardTime/2 {
		t.Errorf("the connection has stayed for %v", took)
	}
	p.Close()
}

// TestR72SlowReader: a client that takes nothing is cut off, also where the connection is to close anyway.
func TestR72SlowReader(t *testing.T) {
	for _, connection := range []string{"keep-alive", "close"} {
		t.Run(connection, func(t *testing.T) {
			big := strings.Repeat("x", 16<<20)
			b := grow(t, plot{routes: []Route{fixed(big)}, options: func(o *Options) { o.RatePer, o.RateBytes = 50*time.Millisecond, 1000 },
				engine: func(o *mpm.Options) { o.Times.WriteTimeout = time.Minute }})
			p := dial(t, b.addr)
			p.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: ", connection, "\r\n\r\n")
			if !within(patience, func() bool {
				return b.server.Rejects() == nil && b.engine.Stats().Accepted.Load() == 1 && b.engine.Load().Connections == 0
			}) {
				t.Errorf("phases %v", b.engine.Load().Phases)
			}
		})
	}
}

// TestHeldClientIsNotSlow: no time runs against a client whose body edge itself does not take, because a filter has paused.
func TestHeldClientIsNotSlow(t *testing.T) {
	const timeout = 300 * time.Millisecond
	f := &fake{name: "f", wants: filters.OnRequestHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			time.AfterFunc(2*timeout, func() { x.Continue(filters.Request) })
			return filters.Pause
		}}
	begun := make(chan struct{})
	o := origin(t, func(c *peer, _ int) {
		c.head()
		c.take(3)
		close(begun)
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", c.take(2))
	})
	b := grow(t, plot{servers: []string{o}, filters: []filters.Filter{f}, options: func(o *Options) { o.Timeout = timeout }})
	p := dial(t, b.addr)
	p.say("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
	<-begun
	within(timeout/10, func() bool { return b.engine.Load().Connections == 0 }) // what would be wrong
	p.say("lo")
	p.want("POST", 200, "lo")
}

// TestR74HalfClosed: a client that has said all it has to say still gets its answer, and then the end.
func TestR74HalfClosed(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, echo)}})
	for _, say := range []string{get, get + get, get + "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"} {
		p := dial(t, b.addr)
		p.say(say)
		closeWrite(p.Conn)
		for range strings.Count(say, "\r\n\r\n") {
			p.want("GET", 200, "*")
		}
		p.closed()
		p.Close()
	}
}

// TestDrain: while the engine stops, the answer under way says that it is the last, and idle connections go (P4).
func TestDrain(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	b := grow(t, plot{servers: []string{origin(t, func(c *peer, _ int) {
		c.head()
		close(asked)
		<-answer
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})}})
	busy, idle := dial(t, b.addr), dial(t, b.addr)
	busy.say(get)
	<-asked
	if !within(patience, func() bool { return b.engine.Load().Connections == 2 }) {
		t.Fatal("not accepted")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	drained := make(chan error)
	go func() { drained <- b.engine.Drain(ctx) }()
	idle.closed()
	idle.Close()
	close(answer)
	if r := busy.want("GET", 200, "ok"); !r.Close {
		t.Error("the last answer does not say so")
	}
	busy.closed()
	busy.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestClientGone: an aborted client takes its upstream request with it.
func TestClientGone(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	b := grow(t, plot{servers: []string{origin(t, func(c *peer, _ int) {
		c.head()
		close(asked)
		c.in.ReadByte()
		close(ended)
	})}})
	p := dial(t, b.addr)
	p.say(get)
	<-asked
	resetConn(p)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the upstream request goes on")
	}
}
