package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/runtime/upstream"
)

// canary is a request that must work, whatever has happened before.
func (b *bed) canary(t *testing.T) {
	t.Helper()
	p := dial(t, b.addr)
	p.say("GET /canary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	p.want("GET", 200, "*")
	p.Close()
}

var faultAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world",
	"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\nx-t: 1\r\n\r\n",
}

// TestU82EveryPrefix: an origin that closes, or resets, behind any byte of its response gets the client an answer that is whole or
// unsound or a 502: never a sound one that is not what the origin would have said.
func TestU82EveryPrefix(t *testing.T) {
	for i, answer := range faultAnswers {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("answer %d, reset %v", i, reset), func(t *testing.T) {
				var mu sync.Mutex
				cut := -1
				b := grow(t, plot{servers: []string{origin(t, func(c *peer, _ int) {
					for {
						if _, err := c.head(); err != nil {
							return
						}
						mu.Lock()
						n := cut
						mu.Unlock()
						if n < 0 {
							c.say(answer)
							continue
						}
						c.say(answer[:n])
						if reset {
							resetConn(c)
						}
						return
					}
				})}})
				for n := range len(answer) {
					mu.Lock()
					cut = n
					mu.Unlock()
					p := dial(t, b.addr)
					p.say(get)
					for {
						r, body, err := p.answer("GET")
						if err == nil && r.StatusCode == 103 {
							continue
						}
						if err == nil && r.StatusCode != 502 {
							t.Fatalf("cut at %d of %d: a sound %d %q", n, len(answer), r.StatusCode, body)
						}
						break
					}
					p.Close()
				}
				mu.Lock()
				cut = -1
				mu.Unlock()
				p := dial(t, b.addr)
				p.say(get)
				for r, body, err := p.answer("GET"); ; r, body, err = p.answer("GET") {
					if err != nil || r.StatusCode != 103 && body != "hello world" {
						t.Fatalf("%v %q %v", r, body, err)
					}
					if r.StatusCode == 200 {
						break
					}
				}
			})
		}
	}
}

// TestSplitAnswer: a response that comes byte by byte reads the same, with a filter that looks at its body and without.
func TestSplitAnswer(t *testing.T) {
	f := &fake{name: "f", wants: filters.OnResponseHead | filters.OnResponseBody | filters.OnResponseTrailers,
		body: func(_ filters.Exchange, _ filters.Direction, _ *message.Body, _ []byte, _ bool) filters.Action {
			return filters.Continue
		}}
	for i, answer := range faultAnswers {
		for _, list := range [][]filters.Filter{nil, {f}} {
			t.Run(fmt.Sprintf("answer %d, %d filters", i, len(list)), func(t *testing.T) {
				b := grow(t, plot{filters: list, servers: []string{origin(t, func(c *peer, _ int) {
					tcp(c.Conn).SetNoDelay(true)
					for {
						if _, err := c.head(); err != nil {
							return
						}
						for at := range len(answer) {
							c.say(answer[at : at+1])
						}
					}
				})}})
				p := dial(t, b.addr)
				for range 3 {
					p.say(get)
					for {
						r, body, err := p.answer("GET")
						if err == nil && r.StatusCode == 103 {
							continue
						}
						if err != nil || body != "hello world" {
							t.Fatalf("%v %q %v", r, body, err)
						}
						break
					}
				}
			})
		}
	}
}

// TestR74EveryPrefix: a client that goes away behind any byte of its request leaves nothing behind.
func TestR74EveryPrefix(t *testing.T) {
	for _, ask := range []string{
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get,
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
	} {
		b := grow(t, plot{servers: []string{origin(t, echo)}})
		for n := range len(ask) + 1 {
			for how := range 3 {
				p := dial(t, b.addr)
				p.say(ask[:n])
				switch how {
				case 0:
					p.Close()
				case 1:
					resetConn(p)
				case 2: // half-closed: it is answered, or told off, and closed
					closeWrite(p.Conn)
					io.Copy(io.Discard, p.in)
					p.Close()
				}
			}
		}
		b.canary(t)
		if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
			t.Errorf("phases %v", b.engine.Load().Phases)
		}
	}
}

// TestHammer has clients and origins misbehave at random, with filters that pause, for a while; then a request works and nothing is left.
func TestHammer(t *testing.T) {
	length := 4 * time.Second
	if testing.Short() {
		length = time.Second / 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	wild := func(c *peer, n int) {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		for {
			req, err := http.ReadRequest(c.in)
			if err != nil {
				return
			}
			if req.RequestURI == "/canary" {
				c.Conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
				continue
			}
			if r.IntN(4) > 0 {
				io.Copy(io.Discard, req.Body)
			}
			answer := faultAnswers[r.IntN(len(faultAnswers))]
			if req.Header.Get("Upgrade") != "" && r.IntN(3) > 0 {
				answer = switching + strings.Repeat("t", r.IntN(200_000))
			}
			if r.IntN(6) == 0 {
				answer = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000)
			}
			if r.IntN(5) == 0 {
				answer = answer[:r.IntN(len(answer))]
			}
			for answer != "" {
				k := min(len(answer), 1+r.IntN(1<<r.IntN(20)))
				if _, err := io.WriteString(c.Conn, answer[:k]); err != nil {
					return
				}
				answer = answer[k:]
			}
			switch r.IntN(8) {
			case 0:
				resetConn(c)
				return
			case 1:
				return
			case 2:
				io.WriteString(c.Conn, "EVIL")
			}
		}
	}
	var mu sync.Mutex
	fr := rand.New(rand.NewPCG(seed, 1<<40))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return fr.IntN(n)
	}
	// A stream is let go by others only while it lives, as the contract has it.
	paused := map[filters.Exchange]*bool{}
	release := func(x filters.Exchange, d filters.Direction) func() {
		lives := new(bool)
		*lives = true
		mu.Lock()
		defer mu.Unlock()
		paused[x] = lives
		return func() {
			mu.Lock()
			defer mu.Unlock()
			if *lives {
				x.Continue(d)
			}
		}
	}
	f := &fake{name: "f", wants: filters.OnRequestHead | filters.OnResponseHead | filters.OnRequestBody,
		close: func(x filters.Exchange) bool {
			mu.Lock()
			defer mu.Unlock()
			if lives := paused[x]; lives != nil {
				*lives = false
			}
			return true
		},
		head: func(x filters.Exchange, d filters.Direction, _ bool) filters.Action {
			if x.Request().Target == "/canary" {
				return filters.Continue
			}
			switch roll(8) {
			case 0:
				go release(x, d)()
				return filters.Pause
			case 1:
				time.AfterFunc(time.Duration(roll(3000))*time.Microsecond, release(x, d))
				return filters.Pause
			case 2:
				if _, err := x.Call(&filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"}); err != nil {
					return filters.Continue
				}
				return filters.Pause
			case 3:
				x.Respond(&filters.Reply{Status: 403, Body: []byte("no")})
			case 4:
				if roll(4) == 0 {
					x.Abort()
				}
			}
			return filters.Continue
		},
		called: func(x filters.Exchange, _ uint32, _ *filters.CallAnswer) filters.Action {
			x.Continue(filters.Request)
			x.Continue(filters.Response)
			return filters.Continue
		}}
	b := grow(t, plot{servers: []string{origin(t, wild), origin(t, wild)}, filters: []filters.Filter{f}, options: func(o *Options) {
		o.Timeout, o.HeaderTimeout = 300*time.Millisecond, 300*time.Millisecond
	}, pool: func(o *upstream.Options) {
		o.BodyTimeout, o.ResponseTimeout = 300*time.Millisecond, 300*time.Millisecond
	}})
	var wg sync.WaitGroup
	end := time.Now().Add(length)
	asks := []string{get, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", upgrade, "GET / HTTP/1.0\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("b", 100_000),
		"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "\x00garbage\r\n\r\n"}
	for k := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1<<32+uint64(k)))
			for time.Now().Before(end) {
				c, err := net.Dial("tcp", b.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(time.Duration(1+r.IntN(200)) * time.Millisecond))
				var ask strings.Builder
				for range 1 + r.IntN(4) {
					ask.WriteString(asks[r.IntN(len(asks))])
				}
				say := ask.String()
				if r.IntN(3) == 0 {
					say = say[:r.IntN(len(say))]
				}
				for say != "" {
					n := min(len(say), 1+r.IntN(1<<r.IntN(18)))
					if _, err := io.WriteString(c, say[:n]); err != nil {
						break
					}
					say = say[n:]
				}
				switch r.IntN(4) {
				case 0:
					tcp(c).SetLinger(0)
				case 1:
					closeWrite(c)
					io.Copy(io.Discard, c)
				case 2:
					io.CopyN(io.Discard, c, int64(r.IntN(1000)))
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	b.canary(t)
	if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
		t.Errorf("seed %d: phases %v", seed, b.engine.Load().Phases)
	}
	t.Logf("%d connections, %d panics", b.engine.Stats().Accepted.Load(), b.engine.Stats().Panics.Load())
}
