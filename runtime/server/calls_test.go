package server

import (
	"io"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/mpm"
)

// asking is a filter that makes a call for each request, pauses, and answers with how the call went.
func asking(c filters.Call) *fake {
	return &fake{name: "f", wants: filters.OnRequestHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			if _, err := x.Call(&c); err != nil {
				x.Respond(&filters.Reply{Status: 500, Body: []byte(err.Error())})
			}
			return filters.Pause
		},
		called: func(x filters.Exchange, _ uint32, a *filters.CallAnswer) filters.Action {
			body := "failed"
			if a != nil {
				body = itoa(a.Status) + " " + string(a.Body[:min(len(a.Body), 20)])
			}
			x.Respond(&filters.Reply{Status: 200, Body: []byte(body)})
			return filters.Continue
		}}
}

// TestCallOuts: how a call-out may end, and that the request goes on after each (W105 is the chain's bound on how many).
func TestCallOuts(t *testing.T) {
	silent := func(c *peer, _ int) { io.Copy(io.Discard, c.in) }
	for _, c := range []struct {
		name   string
		script func(*peer, int)
		call   filters.Call
		want   string
		status int
	}{
		{"answered", says("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"), filters.Call{}, "201 ok", 200},
		{"with a body", echo, filters.Call{Method: "POST", Body: []byte("hi")}, "200 POST /call hi", 200},
		{"with trailers", echo, filters.Call{Method: "POST", Body: []byte("hi"), Trailer: [][2]string{{"x-t", "1"}}}, "200 POST /call hi", 200},
		{"timed out", silent, filters.Call{Timeout: 50 * time.Millisecond}, "failed", 200},
		{"closed", func(c *peer, _ int) { c.head() }, filters.Call{}, "failed", 200},
		{"not HTTP", says("HELLO\r\n\r\n"), filters.Call{}, "failed", 200},
		{"too large", says("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1)), filters.Call{}, "failed", 200},
		{"switched protocols", says(switching), filters.Call{}, "failed", 200},
		{"no such upstream", silent, filters.Call{Upstream: "other"}, "no such upstream, or not allowed for this filter", 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.call.Upstream == "" {
				c.call.Upstream = "app"
			}
			if c.call.Method == "" {
				c.call.Method = "GET"
			}
			c.call.Authority, c.call.Target = "a", "/call"
			b := grow(t, plot{servers: []string{origin(t, c.script)}, filters: []filters.Filter{asking(c.call)}})
			p := dial(t, b.addr)
			for range 2 {
				p.say(get)
				p.want("GET", c.status, c.want)
			}
		})
	}
}

// TestCallEndsWithClient: a call-out is given up when the client is gone, or the engine's time is over.
func TestCallEndsWithClient(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	b := grow(t, plot{filters: []filters.Filter{asking(filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"})},
		servers: []string{origin(t, func(c *peer, _ int) {
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
		t.Error("the call goes on")
	}
}

// TestCallFromAnotherGoroutine: the holder of a paused stream's lane may make calls, and their answers reach the stream.
func TestCallFromAnotherGoroutine(t *testing.T) {
	f := asking(filters.Call{})
	f.head = func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		go x.Call(&filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"})
		return filters.Pause
	}
	b := grow(t, plot{servers: []string{origin(t, echo)}, filters: []filters.Filter{f}})
	p := dial(t, b.addr)
	for range 50 {
		p.say(get)
		p.want("GET", 200, "200 GET /call ")
	}
}

// TestPauseEnds: a pause that nobody ends does so at the filter's limit, and the connection stays (C4).
func TestPauseEnds(t *testing.T) {
	f := &fake{name: "f", wants: filters.OnRequestHead, limits: filters.Limits{Pause: 50 * time.Millisecond},
		head: func(filters.Exchange, filters.Direction, bool) filters.Action { return filters.Pause }}
	b := grow(t, plot{routes: []Route{{Name: "r", Filters: []filters.Filter{f}, Action: fixed("x").Action}}})
	p := dial(t, b.addr)
	for range 2 {
		p.say(get)
		p.want("GET", 504, "*")
	}
}

// TestTunnelTimeouts: a tunnel at rest stays; one whose one direction has ended, or whose client takes nothing, does not for ever.
func TestTunnelTimeouts(t *testing.T) {
	const timeout = 100 * time.Millisecond
	p := plot{options: func(o *Options) { o.Timeout = timeout }}
	t.Run("at rest", func(t *testing.T) {
		b, c, o := tunnelled(t, p, "", "")
		rests := func() bool { return b.engine.Load().Phases[mpm.PhaseTunnel] == 1 }
		if !within(patience, rests) || within(3*timeout, func() bool { return !rests() }) {
			t.Errorf("phases %v", b.engine.Load().Phases)
		}
		o.say("x")
		c.take(1)
	})
	t.Run("server has ended", func(t *testing.T) {
		b, c, o := tunnelled(t, p, "", "")
		closeWrite(o.Conn)
		c.closed()
		if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
			t.Errorf("phases %v", b.engine.Load().Phases)
		}
	})
	t.Run("client takes nothing", func(t *testing.T) {
		b, _, o := tunnelled(t, p, "", "")
		go io.WriteString(o.Conn, strings.Repeat("x", 32<<20))
		if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
			t.Errorf("phases %v", b.engine.Load().Phases)
		}
	})
}

// TestRejects: what the parser refuses is counted by reason.
func TestRejects(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("")}})
	for range 2 {
		p := dial(t, b.addr)
		p.say("GET / HTTP/1.1\r\n\r\n")
		p.want("GET", 400, "*")
		p.closed()
		p.Close()
	}
	if r := b.server.Rejects(); len(r) != 1 || r[0].Label != "no host" || r[0].N != 2 {
		t.Errorf("%v", r)
	}
}

// TestSplitRequest: a request that comes byte by byte reaches the origin the same.
func TestSplitRequest(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, echo)}})
	p := dial(t, b.addr)
	tcp(p.Conn).SetNoDelay(true)
	for _, ask := range []string{
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nx-t: 1\r\n\r\n",
	} {
		for i := range len(ask) {
			p.say(ask[i : i+1])
		}
		p.want("POST", 200, "POST /p hello")
	}
}
