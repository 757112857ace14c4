package server

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"edge/filters"
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/files"
)

// TestPausedResponseKeepsItsBody: a filter pauses on the response's head while the body lies right behind it; nothing of it is lost,
// whoever lets it go: another goroutine, a call-out's answer, or nobody needing to.
func TestPausedResponseKeepsItsBody(t *testing.T) {
	big := strings.Repeat("b", 300<<10)
	other := func(x filters.Exchange) { go x.Continue(filters.Response) }
	call := func(x filters.Exchange) {
		if _, err := x.Call(&filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"}); err != nil {
			t.Error(err)
		}
	}
	for _, release := range []struct {
		name string
		do   func(filters.Exchange)
	}{{"goroutine", other}, {"call-out", call}} {
		for _, body := range []struct{ name, say, want string }{
			{"none", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
			{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
			{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"},
			{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", "hello"},
			{"large", "HTTP/1.1 200 OK\r\nContent-Length: 307200\r\n\r\n" + big, big},
		} {
			t.Run(release.name+" "+body.name, func(t *testing.T) {
				f := &fake{name: "f", wants: filters.OnResponseHead,
					head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
						release.do(x)
						return filters.Pause
					},
					called: func(x filters.Exchange, _ uint32, _ *filters.CallAnswer) filters.Action {
						x.Continue(filters.Response)
						return 0
					},
				}
				b := grow(t, plot{servers: []string{origin(t, says(body.say))}, filters: []filters.Filter{f}})
				c := dial(t, b.addr)
				for range 2 {
					c.say(get)
					c.want("GET", 200, body.want)
				}
			})
		}
	}
}

// TestLargeCallOut: an answer of more than a turn's share reaches the filter whole.
func TestLargeCallOut(t *testing.T) {
	const size = 900 << 10
	var got atomic.Int64
	f := &fake{name: "f", wants: filters.OnRequestHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			x.Call(&filters.Call{Upstream: "app", Method: "GET", Authority: "a", Target: "/call"})
			return filters.Pause
		},
		called: func(x filters.Exchange, _ uint32, a *filters.CallAnswer) filters.Action {
			if a != nil {
				got.Store(int64(len(a.Body)))
			}
			x.Respond(&filters.Reply{Status: 200, Body: []byte("done")})
			return filters.Continue
		},
	}
	o := origin(t, func(c *peer, _ int) {
		for {
			if _, err := c.head(); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 921600\r\n\r\n")
			io.WriteString(c, strings.Repeat("x", size))
		}
	})
	b := grow(t, plot{servers: []string{o}, filters: []filters.Filter{f}})
	c := dial(t, b.addr)
	c.say(get)
	c.want("GET", 200, "done")
	if got.Load() != size {
		t.Errorf("the filter got %d bytes of %d", got.Load(), size)
	}
}

// TestFileThroughPausingFilter: a filter that holds more of a file than one turn reads gets the rest all the same.
func TestFileThroughPausingFilter(t *testing.T) {
	const size = 3 << 20
	f := &fake{name: "f", wants: filters.OnResponseBody, limits: filters.Limits{Body: 2 * size},
		body: func(_ filters.Exchange, _ filters.Direction, _ *message.Body, _ []byte, end bool) filters.Action {
			if end {
				return filters.Continue
			}
			return filters.Pause
		}}
	b := grow(t, plot{routes: []Route{fileRoute(t, size, f)}})
	c := dial(t, b.addr)
	c.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 200 || len(body) != size {
		t.Errorf("%v, %d bytes, %v", r, len(body), err)
	}
}

// fileRoute serves a directory with one file, "big".
func fileRoute(t testing.TB, size int, list ...filters.Filter) Route {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), []byte(strings.Repeat("f", size)), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := files.Open(files.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return Route{Name: "files", Filters: list, Action: Action{Files: a}}
}

// TestFileToSlowClient: sending goes on when the client has made room (C2), though nothing is pending in user space.
func TestFileToSlowClient(t *testing.T) {
	const size = 24 << 20
	b := grow(t, plot{routes: []Route{fileRoute(t, size)}})
	c := dial(t, b.addr)
	c.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseWriting] == 1 }) { // the socket is full
		t.Fatalf("phases %v", b.engine.Load().Phases)
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	if r, err = http.ReadResponse(c.in, nil); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
}

// TestCloseWhileLaneIsBusy: a client that goes away while a stream's Close must wait keeps its exchange until the lane wakes it (E10).
func TestCloseWhileLaneIsBusy(t *testing.T) {
	var asked, closed atomic.Int32
	var free atomic.Bool
	wake := make(chan filters.Exchange, 8)
	f := &fake{name: "f", wants: filters.OnRequestHead,
		head: func(filters.Exchange, filters.Direction, bool) filters.Action { return filters.Pause },
		close: func(x filters.Exchange) bool {
			asked.Add(1)
			if !free.Load() {
				wake <- x
				return false
			}
			closed.Add(1)
			return true
		}}
	b := grow(t, plot{routes: []Route{{Name: "r", Filters: []filters.Filter{f}, Action: fixed("x").Action}}})
	c := dial(t, b.addr)
	c.say(get)
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseSuspended] == 1 }) { // C4
		t.Fatalf("phases %v", b.engine.Load().Phases)
	}
	resetConn(c)
	x := <-wake
	if closed.Load() != 0 || b.engine.Load().Connections != 1 {
		t.Error("the connection has not waited for its lane")
	}
	free.Store(true)
	x.Wake()
	if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) || closed.Load() != 1 {
		t.Errorf("closed %d times after %d askings", closed.Load(), asked.Load())
	}
}

// TestReplyWhileLaneIsBusy: the body of a fixed answer waits behind its head, while that waits for a filter's lane.
func TestReplyWhileLaneIsBusy(t *testing.T) {
	var busy atomic.Bool
	wake := make(chan filters.Exchange, 8)
	f := &fake{name: "f", wants: filters.OnResponseHead, head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		if busy.Load() {
			wake <- x
			return filters.Wait
		}
		return filters.Continue
	}}
	b := grow(t, plot{routes: []Route{{Name: "r", Filters: []filters.Filter{f}, Action: fixed("hello").Action}}})
	c := dial(t, b.addr)
	for range 3 {
		busy.Store(true)
		c.say(get)
		x := <-wake
		busy.Store(false)
		x.Wake()
		c.want("GET", 200, "hello")
	}
}
