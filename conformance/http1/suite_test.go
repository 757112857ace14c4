package http1

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

const helloRoute = `
[[routes]]
match = { path = "/hello" }
respond = { status = 200, body = "hello world\n", headers = { "content-type" = "text/plain", "x-a" = "b" } }
`

// only answers 404 to everything but the routes given: nothing matches the rest.
func start(t *testing.T, server, rest string) *rig.Edge {
	t.Helper()
	return rig.Start(t, rig.Config{Server: server, Rest: rest})
}

// TestT1FiveOnOneConnection: one connection serves five requests.
func TestT1FiveOnOneConnection(t *testing.T) {
	e := start(t, "", helloRoute)
	c := rig.Dial(t, e.Addr)
	for i := range 5 {
		p := c.Get("/hello", "")
		if p.Status != 200 || string(p.Body) != "hello world\n" || p.Header.Get("x-a") != "b" || p.Header.Get("content-type") != "text/plain" {
			t.Fatalf("request %d: %+v", i, p)
		}
		if v := p.Header.Values("content-length"); len(v) != 1 || v[0] != "12" {
			t.Errorf("content-length is %q", v)
		}
		if v := p.Header.Values("date"); len(v) != 1 {
			t.Errorf("date is %q (RFC 9110 section 6.6.1)", v)
		} else if at, err := time.Parse(time.RFC1123, v[0]); err != nil || time.Since(at).Abs() > 5*time.Second {
			t.Errorf("date is %q, %v", v[0], err)
		}
	}
	if p := c.Get("/hello", "Connection: close\r\n"); p.Status != 200 || !strings.EqualFold(p.Header.Get("connection"), "close") {
		t.Errorf("the last answer is %+v", p)
	}
	c.Closed()
}

// TestT1NotFound: no route is 404, and the connection goes on.
func TestT1NotFound(t *testing.T) {
	e := start(t, "", helloRoute)
	c := rig.Dial(t, e.Addr)
	for range 2 {
		if p := c.Get("/nothing", ""); p.Status != 404 {
			t.Errorf("answer is %d", p.Status)
		}
	}
	if p := c.Get("/hello", ""); p.Status != 200 {
		t.Errorf("after a 404: %d", p.Status)
	}
}

// TestT1Body200KB: a body of 200 KB comes whole, from a file and through a proxy, both ways.
func TestT1Body200KB(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef\n"), 12048)[:200<<10]
	dir := t.TempDir()
	rig.Must(t, os.WriteFile(filepath.Join(dir, "big"), body, 0o644))
	o := rig.NewOrigin(t, rig.Echo)
	e := start(t, "", fmt.Sprintf("[[routes]]\nmatch = { path = \"/f/*\" }\nfiles = { root = %q, strip = \"/f\" }\n", dir)+rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	if p := c.Get("/f/big", ""); p.Status != 200 || !bytes.Equal(p.Body, body) {
		t.Errorf("from a file: %d, %d bytes", p.Status, len(p.Body))
	}
	c.Send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 204800\r\n\r\n", string(body))
	if p := c.Response("POST"); p.Status != 200 || !bytes.Equal(p.Body, body) {
		t.Errorf("through a proxy: %d, %d bytes", p.Status, len(p.Body))
	}
}

// TestT1ThreeThousandReused: 3,000 requests on few connections are all 200.
func TestT1ThreeThousandReused(t *testing.T) {
	o := rig.NewOrigin(t, rig.Echo)
	e := start(t, "", helloRoute+rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for i := range 3000 {
		path, want := "/hello", "hello world\n"
		if i%3 == 0 {
			path, want = "/proxied", ""
		}
		if p := c.Get(path, ""); p.Status != 200 || string(p.Body) != want {
			t.Fatalf("request %d: %+v", i, p)
		}
	}
	if n := len(o.Conns()); n > 4 {
		t.Errorf("1,000 proxied requests took %d upstream connections", n)
	}
}

// TestT1PartialRequestLine: a request line finished after a pause is a request like any other.
func TestT1PartialRequestLine(t *testing.T) {
	e := start(t, "", helloRoute)
	c := rig.Dial(t, e.Addr)
	c.Send("GET /he")
	if !c.Silent(300 * time.Millisecond) {
		t.Fatal("half a request line was answered")
	}
	c.Send("llo HTTP/1.1\r\nHo")
	if !c.Silent(300 * time.Millisecond) {
		t.Fatal("half a head was answered")
	}
	c.Send("st: a\r\n\r\n")
	if p := c.Response("GET"); p.Status != 200 {
		t.Errorf("answer is %d", p.Status)
	}
	in := "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
	for i := range len(in) {
		c.Send(in[i : i+1])
	}
	if p := c.Response("GET"); p.Status != 200 {
		t.Errorf("byte by byte: %d", p.Status)
	}
}

// TestKeepAliveTimeout: an idle connection is closed after keepalive_timeout without a word (C3, C6).
func TestKeepAliveTimeout(t *testing.T) {
	e := start(t, "keepalive_timeout = \"1s\"", helloRoute)
	c := rig.Dial(t, e.Addr)
	c.Get("/hello", "")
	began := time.Now()
	c.Closed()
	if took := time.Since(began); took < 700*time.Millisecond || took > 4*time.Second {
		t.Errorf("closed after %v, want 1 s", took)
	}
}

// TestPipelining: pipelined requests are answered in order, also across actions, and with back-pressure while the client
// does not read.
func TestPipelining(t *testing.T) {
	o := rig.NewOrigin(t, rig.Echo)
	e := start(t, "", helloRoute+rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	const one = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nPOST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n"
	n := 2000
	if testing.Short() {
		n = 100
	}
	sent := make(chan error, 1)
	go func() {
		for range n {
			if err := c.TrySend(one); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		if p := c.Response("GET"); p.Status != 200 || string(p.Body) != "hello world\n" {
			t.Fatalf("round %d: %+v", i, p)
		}
		for _, want := range []string{"abc", "def", ""} {
			if p := c.Response("POST"); p.Status != 200 || string(p.Body) != want {
				t.Fatalf("round %d: %+v, want %q", i, p, want)
			}
		}
	}
	rig.Must(t, <-sent)
}

// TestPipeliningBackPressure: a client that pipelines and does not read is not read for ever either.
func TestPipeliningBackPressure(t *testing.T) {
	e := start(t, "timeout = \"2s\"", helloRoute)
	c := rig.Dial(t, e.Addr)
	rig.Must(t, c.SetReadBuffer(4<<10))
	batch := strings.Repeat("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 1000)
	sum := 0
	rig.Must(t, c.SetWriteDeadline(time.Now().Add(5*time.Second)))
	for sum < 256<<20 {
		n, err := c.TCPConn.Write([]byte(batch))
		sum += n
		if err != nil {
			break
		}
	}
	if sum >= 256<<20 {
		t.Errorf("edge took %d bytes of requests from a client that reads no answer", sum)
	}
}

// TestHTTP10: an HTTP/1.0 client gets no chunks and a close, or keep-alive where it asks for it.
func TestHTTP10(t *testing.T) {
	chunks := rig.NewOrigin(t, rig.Script("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"))
	e := start(t, "", helloRoute+rig.Upstream("", chunks))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /hello HTTP/1.0\r\n\r\n")
	if p := c.Response("GET"); p.Status != 200 || string(p.Body) != "hello world\n" {
		t.Errorf("answer is %+v", p)
	}
	c.Closed()

	c = rig.Dial(t, e.Addr)
	c.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if p := c.Response("GET"); p.Status != 200 || !strings.EqualFold(p.Header.Get("connection"), "keep-alive") {
		t.Errorf("answer to keep-alive is %+v", p)
	}
	c.Send("GET /proxied HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
	if p := c.Response("GET"); p.Status != 200 || p.Framing != "close" || string(p.Body) != "abcdef" {
		t.Errorf("chunks for HTTP/1.0: %+v", p)
	}
	c.Closed()
}

// TestHead: HEAD has the head of GET and no body, whatever makes the answer.
func TestHead(t *testing.T) {
	dir := t.TempDir()
	rig.Must(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello"), 0o644))
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			if q.Target == "/chunked" {
				_ = c.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			} else {
				_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
			}
		}
	})
	e := start(t, "", helloRoute+fmt.Sprintf("[[routes]]\nmatch = { path = \"/f/*\" }\nfiles = { root = %q, strip = \"/f\" }\n", dir)+rig.Upstream("", o))
	c := rig.Dial(t, e.Addr)
	for path, length := range map[string]string{"/hello": "12", "/f/a.txt": "5", "/length": "77", "/chunked": ""} {
		c.Send("HEAD " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if p := c.Response("HEAD"); p.Status != 200 || p.Header.Get("content-length") != length {
			t.Errorf("HEAD %s: %+v", path, p)
		}
	}
	if p := c.Get("/hello", ""); p.Status != 200 {
		t.Errorf("after HEAD: %d", p.Status)
	}
}

// TestOptionsAsterisk: OPTIONS * is answered by edge itself (T34), and so is a ping.
func TestOptionsAsterisk(t *testing.T) {
	e := start(t, "", helloRoute)
	c := rig.Dial(t, e.Addr)
	c.Send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	if p := c.Response("OPTIONS"); p.Status/100 != 2 || len(p.Body) != 0 {
		t.Errorf("answer is %+v", p)
	}
	if p := c.Get("/hello", ""); p.Status != 200 {
		t.Errorf("after OPTIONS: %d", p.Status)
	}
}

// TestRedirectAndRespond: the actions without an origin, with a request body to get rid of.
func TestRedirectAndRespond(t *testing.T) {
	e := start(t, "", helloRoute+`
[[routes]]
match = { path = "/old/*" }
redirect = { to = "/api/", status = 308 }

[[routes]]
match = { path = "/gone" }
respond = { status = 410 }

[[routes]]
match = { path = "/nothing" }
respond = { status = 204 }

[[routes]]
match = { hosts = ["*.example.com"], path = "/host" }
respond = { status = 200, body = "by host" }

[[routes]]
match = { path = "/method", methods = ["PUT"] }
respond = { status = 200, body = "by method" }
`)
	c := rig.Dial(t, e.Addr)
	if p := c.Get("/old/x?y", ""); p.Status != 308 || p.Header.Get("location") != "/api/" {
		t.Errorf("redirect: %+v", p)
	}
	if p := c.Get("/gone", ""); p.Status != 410 {
		t.Errorf("gone: %+v", p)
	}
	if p := c.Get("/nothing", ""); p.Status != 204 || p.Header.Has("content-length") {
		t.Errorf("204: %+v", p)
	}
	for host, want := range map[string]int{"a.example.com": 200, "A.B.EXAMPLE.com:80": 200, "example.com": 404, "example.org": 404} {
		c.Send("GET /host HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if p := c.Response("GET"); p.Status != want {
			t.Errorf("host %s: %d, want %d", host, p.Status, want)
		}
	}
	c.Send("PUT /method HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	if p := c.Response("PUT"); p.Status != 200 {
		t.Errorf("PUT: %d", p.Status)
	}
	if p := c.Get("/method", ""); p.Status != 405 || !strings.Contains(p.Header.Get("allow"), "PUT") {
		t.Errorf("GET where PUT is allowed: %+v", p)
	}
	c.Send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 500), strings.Repeat("x", 500)+"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
	if p := c.Response("POST"); p.Status != 200 {
		t.Errorf("respond to a POST: %d", p.Status)
	} else if !strings.EqualFold(p.Header.Get("connection"), "close") {
		if p := c.Response("GET"); p.Status != 200 {
			t.Errorf("after a body nobody wanted: %d", p.Status)
		}
	}
}

// TestStopFinishesWhatIsUnderWay (P4, P5): SIGTERM closes the listener and idle connections; a request under way gets its
// whole answer first.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	release := make(chan struct{})
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err != nil {
			return
		}
		_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
		<-release
		_ = c.Say("after")
	})
	e := start(t, "shutdown_timeout = \"20s\"\nlinger_timeout = \"1s\"", helloRoute+rig.Upstream("", o))
	idle := rig.Dial(t, e.Addr)
	idle.Get("/hello", "")
	busy := rig.Dial(t, e.Addr)
	busy.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	if !rig.Eventually(10*time.Second, func() bool { return len(o.Requests()) == 1 }) {
		t.Fatal("the request did not reach the origin")
	}
	rig.Must(t, e.Signal(syscall.SIGTERM))
	idle.Closed() // only after the stop has begun
	close(release)
	if p := busy.Response("GET"); p.Status != 200 || string(p.Body) != "firstafter" {
		t.Errorf("the answer under way at the stop: %+v", p)
	}
	busy.Closed()
	e.Ended(e.Wait(15 * time.Second))
}

// TestStopTwice (P5): a second SIGTERM stops now.
func TestStopTwice(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			_, _ = c.R.ReadByte() // never answers
		}
	})
	e := start(t, "shutdown_timeout = \"60s\"", rig.Upstream("response_timeout = \"60s\"", o))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
	if !rig.Eventually(10*time.Second, func() bool { return len(o.Requests()) == 1 }) {
		t.Fatal("the request did not reach the origin")
	}
	rig.Must(t, e.Signal(syscall.SIGTERM))
	if !rig.Eventually(10*time.Second, func() bool { return refused(e.Addr) }) {
		t.Error("after SIGTERM edge still accepts connections")
	}
	rig.Must(t, e.Signal(syscall.SIGTERM))
	began := time.Now()
	if err := e.Wait(10 * time.Second); err != nil && !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("after the second SIGTERM: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the second SIGTERM took %v", took)
	}
	e.Ended(nil)
}

// TestStopDeadline (P4): shutdown_timeout ends what does not end by itself.
func TestStopDeadline(t *testing.T) {
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			_, _ = c.R.ReadByte()
		}
	})
	e := start(t, "shutdown_timeout = \"1s\"", rig.Upstream("response_timeout = \"60s\"", o))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
	if !rig.Eventually(10*time.Second, func() bool { return len(o.Requests()) == 1 }) {
		t.Fatal("the request did not reach the origin")
	}
	began := time.Now()
	rig.Must(t, e.Signal(syscall.SIGTERM))
	if err := e.Wait(15 * time.Second); err != nil && !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("edge ended with %v", err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > 10*time.Second {
		t.Errorf("stopped after %v, want 1 s", took)
	}
	e.Ended(nil)
}
