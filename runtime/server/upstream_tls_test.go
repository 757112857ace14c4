package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/runtime/upstream"
)

// secureOrigin is origin over TLS.
func secureOrigin(t *testing.T, config *tls.Config, script func(c *peer, n int)) (addr string) {
	t.Helper()
	return origin(t, func(c *peer, n int) {
		s := tls.Server(c.Conn, config)
		if s.Handshake() == nil {
			script(newPeer(t, s), n)
		}
		s.Close()
	})
}

// refusals collects what Options.Refused is told.
type refusals struct {
	mu   sync.Mutex
	list []error
}

func (r *refusals) add(_ string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err)
}

// only is the one error that was told.
func (r *refusals) only() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) != 1 {
		return fmt.Errorf("%d errors: %w", len(r.list), errors.Join(r.list...))
	}
	return r.list[0]
}

func overUpstreamTLS(config *tls.Config, told *refusals) func(*upstream.Options) {
	return func(o *upstream.Options) {
		for i := range o.Servers {
			o.Servers[i].TLS = config
		}
		if o.Refused = nil; told != nil {
			o.Refused = told.add
		}
	}
}

// TestUpstreamTLS: requests reach a server over TLS, by its name, over connections that are kept; bodies of any size go both ways.
func TestUpstreamTLS(t *testing.T) {
	ca := pki.New(t, "ca")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			var conns atomic.Int32
			var name atomic.Value
			config := &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}, NextProtos: []string{"h2", "http/1.1"}}
			addr := secureOrigin(t, config, func(c *peer, n int) {
				conns.Store(int32(n + 1))
				state := c.Conn.(*tls.Conn).ConnectionState()
				name.Store(state.ServerName + " " + state.NegotiatedProtocol)
				echo(c, n)
			})
			b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
			p := dial(t, b.addr)
			for i := range 20 {
				p.say(get)
				p.want("GET", 200, "GET / ")
				body := strings.Repeat("x", i*10_000)
				p.say(fmt.Sprintf("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				p.want("POST", 200, "POST /p "+body)
			}
			if conns.Load() != 1 || name.Load() != "origin.test http/1.1" {
				t.Errorf("%d connections, %v", conns.Load(), name.Load())
			}
			if !within(patience, func() bool { return b.pools["app"].Idle() == 1 }) {
				t.Errorf("%d idle", b.pools["app"].Idle())
			}
		})
	}
}

// TestUpstreamTLSBigBody: many megabytes both ways at once, through the leg's back-pressure.
func TestUpstreamTLSBigBody(t *testing.T) {
	const size = 8_000_000
	ca := pki.New(t, "ca")
	addr := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}}, func(c *peer, _ int) {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		c.head()
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		io.CopyN(c, c.in, size)
	})
	b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
	p := dial(t, b.addr)
	p.SetDeadline(time.Now().Add(30 * time.Second))
	body := strings.Repeat("0123456789abcdef", size/16)
	go p.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size), body)
	if _, got, err := p.answer("POST"); err != nil || got != body {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

// TestUpstreamTLSRefused: a server that cannot be trusted, or that does not trust edge, gets no request; the next one is tried.
func TestUpstreamTLSRefused(t *testing.T) {
	ca, other := pki.New(t, "ca"), pki.New(t, "other")
	good := &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}}
	strict := good.Clone()
	strict.ClientAuth, strict.ClientCAs, strict.MaxVersion = tls.RequireAndVerifyClientCert, ca.Pool(), tls.VersionTLS12
	trusting := &tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}
	mine := trusting.Clone()
	mine.Certificates = []tls.Certificate{ca.Leaf("edge").TLS}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		want           string // "": it works
	}{
		{"trusted", good, trusting, ""},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{other.Leaf("origin.test").TLS}}, trusting, "unknown authority"},
		{"another name", &tls.Config{Certificates: []tls.Certificate{ca.Leaf("other.test").TLS}}, trusting, "other.test"},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ca.LeafUntil(time.Now().Add(-time.Minute), "origin.test").TLS}}, trusting, "expired"},
		{"insecure", &tls.Config{Certificates: []tls.Certificate{other.Leaf("other.test").TLS}}, &tls.Config{InsecureSkipVerify: true, ServerName: "x"}, ""},
		{"edge is asked who it is", strict, mine, ""},
		{"and does not say", strict, trusting, "handshake failure"},
		{"no TLS", nil, trusting, "the first bytes are not TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := func(c *peer, n int) { echo(c, n) }
			addr := ""
			if c.server == nil {
				addr = origin(t, func(c *peer, _ int) { io.WriteString(c, "220 mail.test ESMTP\r\n"); c.in.ReadByte() })
			} else {
				addr = secureOrigin(t, c.server, script)
			}
			told := new(refusals)
			b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(c.client, told)})
			p := dial(t, b.addr)
			p.say(get)
			if c.want == "" {
				p.want("GET", 200, "GET / ")
				return
			}
			p.want("GET", 502, "*")
			if err := told.only(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if got := b.pools["app"].Stats().Failures[upstream.TLSFailed].Load(); got != 1 {
				t.Errorf("counted %d times", got)
			}
		})
	}
	t.Run("the next server", func(t *testing.T) {
		bad := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{other.Leaf("origin.test").TLS}}, echo)
		fine := secureOrigin(t, good, echo)
		b := grow(t, plot{servers: []string{bad, fine}, pool: func(o *upstream.Options) {
			overUpstreamTLS(trusting, nil)(o)
			o.Balance = upstream.RoundRobin
		}})
		p := dial(t, b.addr)
		for range 4 {
			p.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
			p.want("POST", 200, "POST / hello")
		}
	})
}

// TestUpstreamTLSTimeout: a server that takes the connection and never shakes hands is given up after connect_timeout, and leaves
// nothing behind.
func TestUpstreamTLSTimeout(t *testing.T) {
	addr := origin(t, func(c *peer, _ int) { io.Copy(io.Discard, c) })
	b := grow(t, plot{servers: []string{addr}, pool: func(o *upstream.Options) {
		overUpstreamTLS(anyServer, nil)(o)
		o.ConnectTimeout = 60 * time.Millisecond
	}})
	p := dial(t, b.addr)
	p.say(get)
	p.want("GET", 504, "*")
	p = dial(t, b.addr)
	p.say(get)
	time.Sleep(time.Millisecond)
	resetConn(p) // in the middle of the handshake
}

// TestUpstreamTLSTruncated: a response that ends with the connection ends by the server's word, or it is cut off (U82).
func TestUpstreamTLSTruncated(t *testing.T) {
	ca := pki.New(t, "ca")
	for _, word := range []bool{true, false} {
		addr := origin(t, func(c *peer, _ int) {
			s := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}})
			newPeer(t, s).head()
			io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\nall of it?")
			if word {
				s.CloseWrite()
			}
			tcp(s).CloseWrite()
			io.Copy(io.Discard, c)
		})
		b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
		p := dial(t, b.addr)
		p.say(get)
		_, body, err := p.answer("GET")
		if sound := err == nil && body == "all of it?"; sound != word {
			t.Errorf("with the server's word %v: %q, %v", word, body, err)
		}
	}
}

// TestUpstreamTLSStale: a kept connection that the server has closed meanwhile is not used again, with its word for it or without.
func TestUpstreamTLSStale(t *testing.T) {
	ca := pki.New(t, "ca")
	for _, word := range []bool{true, false} {
		var conns atomic.Int32
		pull := make(chan struct{})
		addr := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}}, func(c *peer, n int) {
			conns.Add(1)
			c.head()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 0 {
				<-pull
				if word {
					c.Conn.(*tls.Conn).CloseWrite()
				} else {
					tcp(c.Conn).CloseWrite()
				}
			}
			c.in.ReadByte()
		})
		b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
		p := dial(t, b.addr)
		p.say(get)
		p.want("GET", 200, "ok")
		if !within(patience, func() bool { return b.pools["app"].Idle() == 1 }) {
			t.Error("not kept")
		}
		close(pull)
		if !within(patience, func() bool { return b.pools["app"].Idle() == 0 }) {
			t.Error("kept")
		}
		p.say(get)
		p.want("GET", 200, "ok")
		if conns.Load() != 2 {
			t.Errorf("%d connections", conns.Load())
		}
	}
}

// TestUpstreamTLSTunnel: an upgraded protocol passes through TLS both ways, and each side's end reaches the other.
func TestUpstreamTLSTunnel(t *testing.T) {
	ca := pki.New(t, "ca")
	addr := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}}, func(c *peer, _ int) {
		c.head()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi")
		io.Copy(c.Conn, c.in)
		c.Conn.(*tls.Conn).CloseWrite()
	})
	b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
	p := dial(t, b.addr)
	p.SetDeadline(time.Now().Add(10 * time.Second))
	p.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	if h, err := p.head(); err != nil || !strings.HasPrefix(h, "HTTP/1.1 101 ") {
		t.Fatal(h, err)
	}
	if got := p.take(2); got != "hi" {
		t.Errorf("%q", got)
	}
	text := strings.Repeat("to and fro ", 100_000)
	go func() {
		p.say(text)
		closeWrite(p.Conn)
	}()
	if got, err := io.ReadAll(p.in); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestUpstreamTLSResumes: the second connection to a server resumes the first one's session.
func TestUpstreamTLSResumes(t *testing.T) {
	ca := pki.New(t, "ca")
	var resumed atomic.Int32
	addr := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Leaf("origin.test").TLS}}, func(c *peer, n int) {
		if c.Conn.(*tls.Conn).ConnectionState().DidResume {
			resumed.Add(1)
		}
		c.head()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	})
	b := grow(t, plot{servers: []string{addr}, pool: overUpstreamTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "origin.test"}, nil)})
	p := dial(t, b.addr)
	for range 3 {
		p.say(get)
		p.want("GET", 200, "ok")
	}
	if resumed.Load() != 2 {
		t.Errorf("%d resumed", resumed.Load())
	}
}

var _ net.Conn = bare(0)
