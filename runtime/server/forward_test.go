package server

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/runtime/accesslog"
)

// mirror answers each request with its own head.
func mirror(c *peer, _ int) {
	for {
		head, err := c.head()
		if err != nil {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nVia: 1.1 origin\r\nContent-Length: ", itoa(len(head)), "\r\n\r\n", head)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// lines are the field lines of that name in a head.
func lines(head, name string) (values []string) {
	for _, l := range strings.Split(head, "\r\n") {
		if n, v, ok := strings.Cut(l, ": "); ok && n == name {
			values = append(values, v)
		}
	}
	return values
}

// TestU86U87Forwarded: what a client says of itself reaches the origin only from a trusted proxy, and each field once.
func TestU86U87Forwarded(t *testing.T) {
	scheme := "http"
	if *overTLS {
		scheme = "https"
	}
	trust := func(list ...string) func(*Options) {
		return func(o *Options) {
			for _, p := range list {
				o.Trusted = append(o.Trusted, netip.MustParsePrefix(p))
			}
		}
	}
	for _, c := range []struct {
		name, say string
		options   func(*Options)
		want      map[string]string // "" is: not there
		client    string
	}{
		{"a stranger's words", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n" +
			"X-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n", nil,
			map[string]string{"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": scheme, "x-forwarded-host": "a", "x-real-ip": "",
				"forwarded": ""}, "127.0.0.1"},
		{"a trusted proxy's", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", trust("127.0.0.0/8"),
			map[string]string{"x-forwarded-for": "1.2.3.4, 127.0.0.1", "x-forwarded-proto": "https"}, "1.2.3.4"},
		{"several lines", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4, 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n",
			trust("127.0.0.0/8", "10.0.0.0/8"),
			map[string]string{"x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.1, 10.0.0.2, 127.0.0.1"}, "1.2.3.4"},
		{"all trusted", "X-Forwarded-For: 10.0.0.3, 10.0.0.1\r\n", trust("127.0.0.0/8", "10.0.0.0/8"),
			map[string]string{"x-forwarded-for": "10.0.0.3, 10.0.0.1, 127.0.0.1"}, "10.0.0.3"},
		{"no address", "X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.1\r\n", trust("127.0.0.0/8", "10.0.0.0/8"),
			map[string]string{"x-forwarded-for": "1.2.3.4, unknown, 10.0.0.1, 127.0.0.1"}, "10.0.0.1"},
		{"with ports", "X-Forwarded-For: [2001:db8::1]:443, 10.0.0.1:80\r\n", trust("127.0.0.0/8", "10.0.0.0/8"), nil, "2001:db8::1"},
		{"connection cannot take them off", "Connection: x-forwarded-for, via, host\r\n", nil,
			map[string]string{"x-forwarded-for": "127.0.0.1", "via": "1.1 edge"}, "127.0.0.1"},
		{"via", "Via: 1.1 before\r\n", nil, map[string]string{"via": "1.1 before|1.1 edge"}, "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			w, err := accesslog.Open(log, accesslog.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			b := grow(t, plot{servers: []string{origin(t, mirror)}, keepFiles: true, options: func(o *Options) {
				o.AccessLog, o.AccessFormat = w, accesslog.Common
				if c.options != nil {
					c.options(o)
				}
			}})
			p := dial(t, b.addr)
			p.say("GET / HTTP/1.1\r\nHost: a\r\n", c.say, "\r\n")
			r, head, err := p.answer("GET")
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if got := strings.Join(lines(head, name), "|"); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if via := strings.Join(r.Header.Values("Via"), "|"); via != "1.1 origin|1.1 edge" {
				t.Errorf("the answer's via is %q", via)
			}
			p.Close()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
				t.Error("the connection stays")
			}
			w.Close(ctx)
			line, _ := os.ReadFile(log)
			if !strings.HasPrefix(string(line), c.client+" ") {
				t.Errorf("log line %q, want client %s", line, c.client)
			}
		})
	}
}

// TestU89Loop: a request that has passed here too often ends.
func TestU89Loop(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, mirror)}})
	c := dial(t, b.addr)
	c.say("GET / HTTP/1.1\r\nHost: a\r\nVia: ", strings.Repeat("1.1 edge, ", maxHops-1), "1.1 x\r\n\r\n")
	c.want("GET", 200, "*")
	c.say("GET / HTTP/1.1\r\nHost: a\r\nVia: ", strings.Repeat("1.1 edge, ", maxHops-1), "1.1 edge\r\n\r\n")
	c.want("GET", 508, "*")
}

// TestHTTP10WithoutHost: the origin, which is asked in HTTP/1.1, gets a Host.
func TestHTTP10WithoutHost(t *testing.T) {
	b := grow(t, plot{servers: []string{origin(t, mirror)}})
	c := dial(t, b.addr)
	c.say("GET / HTTP/1.0\r\n\r\n")
	_, head, err := c.answer("GET")
	if host := strings.Join(lines(head, "host"), "|"); err != nil || host != "app" {
		t.Errorf("host %q, %v", host, err)
	}
	c.closed()
}

// TestT34T35T36Local: what is about the server itself is answered here, whatever the routes say.
func TestT34T35T36Local(t *testing.T) {
	for _, c := range []struct {
		name, line, method string
		status             int
		allow              string
	}{
		{"T34 OPTIONS *", "OPTIONS * HTTP/1.1", "OPTIONS", 204, allowed},
		{"T35 CONNECT", "CONNECT a:80 HTTP/1.1", "CONNECT", 405, allowed},
		{"T36 TRACE", "TRACE / HTTP/1.1", "TRACE", 405, allowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := grow(t, plot{servers: []string{origin(t, mirror)}})
			p := dial(t, b.addr)
			host := "a"
			if c.method == "CONNECT" {
				host = "a:80"
			}
			p.say(c.line, "\r\nHost: ", host, "\r\n\r\n")
			if r := p.want(c.method, c.status, "*"); r.Header.Get("Allow") != c.allow {
				t.Errorf("allow %q", r.Header.Get("Allow"))
			}
		})
	}
}

// TestCallFields: a call-out's hop-by-hop and framing fields never reach the upstream (W99).
func TestCallFields(t *testing.T) {
	seen := make(chan string, 1)
	f := &fake{name: "f", wants: filters.OnRequestHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			_, err := x.Call(&filters.Call{Upstream: "app", Method: "POST", Authority: "a", Target: "/call", Body: []byte("hello"),
				Header: [][2]string{{"connection", "close"}, {"Transfer-Encoding", "chunked"}, {"content-length", "99"}, {"upgrade", "x"},
					{"host", "evil"}, {"te", "gzip"}, {"x-ok", "1"}}})
			if err != nil {
				t.Error(err)
			}
			return filters.Pause
		},
		called: func(x filters.Exchange, _ uint32, a *filters.CallAnswer) filters.Action {
			if a != nil {
				seen <- string(a.Body)
			}
			x.Respond(&filters.Reply{Status: 200})
			return filters.Continue
		}}
	o := origin(t, func(c *peer, _ int) {
		head, _ := c.head()
		head += c.take(5)
		c.say("HTTP/1.1 200 OK\r\nContent-Length: ", itoa(len(head)), "\r\n\r\n", head)
	})
	b := grow(t, plot{servers: []string{o}, filters: []filters.Filter{f}})
	c := dial(t, b.addr)
	c.say(get)
	c.want("GET", 200, "")
	want := "POST /call HTTP/1.1\r\nhost: a\r\nx-ok: 1\r\ncontent-length: 5\r\n\r\nhello"
	select {
	case got := <-seen:
		if got != want {
			t.Errorf("the upstream got %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Error("no answer to the call")
	}
}
