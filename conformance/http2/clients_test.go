package http2

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"edge/conformance/rig"
)

// browserLimit bounds what a browser may take to start and to load a page.
const browserLimit = 90 * time.Second

// run runs a program and returns what it says on its standard output.
func run(t *testing.T, limit time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var errors strings.Builder
	cmd.Stderr = &errors
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", program, err, out, errors.String())
	}
	return string(out)
}

// TestCurl: by ALPN, and with prior knowledge.
func TestCurl(t *testing.T) {
	curl := rig.Program(t, "curl")
	clear := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: helloRoute})
	for url, version := range map[string]string{"https://" + startSecure(t).Addr: "--http2", "http://" + clear.Addr: "--http2-prior-knowledge"} {
		got := run(t, ioLimit, curl, "-sSk", version, "-w", "%{http_version} %{http_code}", url+"/hello")
		if want := hello + "2 200"; got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
	// A client that asks to be upgraded from HTTP/1.1 is answered as it asked: RFC 9113 has no upgrade any more.
	if got := run(t, ioLimit, curl, "-sS", "--http2", "-w", "%{http_version}", "http://"+clear.Addr+"/hello"); got != hello+"1.1" {
		t.Errorf("an upgrade is answered with %q", got)
	}
}

// TestNghttp: another make of client, with many streams, padding and priorities of its own.
func TestNghttp(t *testing.T) {
	nghttp := rig.Program(t, "nghttp")
	e := startSecure(t)
	url := "https://" + e.Addr
	for _, args := range [][]string{{"-m", "20"}, {"-m", "20", "-b", "100"}, {"-m", "5", "-w", "8", "-W", "8"}} {
		out := run(t, ioLimit, nghttp, append(args, "-ns", "--no-verify-peer", url+"/hello", url+"/large")...)
		if n := strings.Count(out, " 200 "); n < 10 {
			t.Errorf("nghttp %q: %d answers\n%s", args, n, out)
		}
	}
}

// page asks for 50 other resources and, when all are there, writes by which protocols they came into its title.
const page = `<!doctype html><title>loading</title><body><script>
const all = Array.from({length: 50}, (_, i) => fetch("/sub/" + i).then(r => r.text()));
Promise.all(all).then(bodies => {
	const mine = performance.getEntriesByType("resource").filter(e => e.name.includes("/sub/")); // not the icon it may ask for
	const entries = mine.concat(performance.getEntriesByType("navigation"));
	const h2 = entries.filter(e => e.nextHopProtocol === "h2").length;
	document.title = "bodies " + bodies.filter(b => b.trim() === "hello world").length + " entries " + entries.length + " h2 " + h2;
}).catch(e => { document.title = "failed " + e; });
</script></body>`

// TestBrowser: a page with 50 resources loads in Chromium, over HTTP/2 and nothing else.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes long to start")
	}
	chromium := rig.Program(t, "chromium")
	e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: secure, Rest: selfSigned + fmt.Sprintf(`
[[routes]]
match = { path = "/page" }
respond = { body = %q, headers = { "content-type" = "text/html" } }
[[routes]]
match = { path = "/sub/*" }
respond = { body = %q }
`, page, hello)})
	out := run(t, browserLimit, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--ignore-certificate-errors", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=20000",
		"--dump-dom", "https://"+e.Addr+"/page")
	if want := "<title>bodies 50 entries 51 h2 51</title>"; !strings.Contains(out, want) {
		t.Errorf("no %s in %.300q", want, out)
	}
	m := e.Metrics()
	if n := m.Sum("edge_http_requests_total", `protocol="h2"`); n < 51 || n != m.Sum("edge_http_requests_total") {
		t.Errorf("%v requests came by HTTP/2", n)
	}
	t.Logf("%v connections", m.Sum("edge_listener_connections_total"))
}

// shout takes a WebSocket's handshake and then says what it hears in capitals.
func shout(c *rig.OriginConn) {
	q, err := c.ReadHead()
	if err != nil || q.Header.Get("upgrade") != "websocket" {
		return
	}
	c.Say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		rig.WebSocketAccept(q.Header.Get("sec-websocket-key")) + "\r\n\r\n")
	buffer := make([]byte, 4096)
	for n, err := 0, error(nil); err == nil; n, err = c.R.Read(buffer) {
		c.Say(strings.ToUpper(string(buffer[:n])))
	}
}

// TestWebSocket: RFC 8441. The origin sees a handshake of HTTP/1.1, the client a stream; bytes pass both ways, beside other streams.
func TestWebSocket(t *testing.T) {
	origin := rig.NewOrigin(t, shout)
	e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: secure, Rest: selfSigned + helloRoute + rig.Upstream("", origin)})
	c, err := dialTLS(e.Addr)
	rig.Must(t, err)
	defer c.Close()
	c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: c.fields(":method", "CONNECT",
		":protocol", "websocket", ":scheme", "https", ":authority", "edge.test", ":path", "/chat", "sec-websocket-version", "13")})
	c.ask(3, true, "GET", "/hello")
	rig.Must(t, c.flush())
	o, err := c.read(func(o *outcome) bool { return o.over(3) && o.status(1) != "" })
	rig.Must(t, err)
	if rig.Must(t, o.whole(3)); o.status(1) != "200" || o.ended[1] {
		t.Fatalf("the tunnel is answered with %v", o.heads[1])
	}
	for _, word := range []string{"ping", "pong"} {
		c.framer.WriteData(1, false, []byte(word))
		rig.Must(t, c.flush())
		o, err := c.read(func(o *outcome) bool { return len(o.bodies[1]) >= len(word) || o.over(1) })
		if rig.Must(t, err); o.bodies[1] != strings.ToUpper(word) {
			t.Errorf("%q comes back as %q", word, o.bodies[1])
		}
	}
	c.framer.WriteData(1, true, nil)
	rig.Must(t, c.flush())
	if o, err = c.read(func(o *outcome) bool { return o.over(1) }); err != nil || !o.ended[1] {
		t.Errorf("the tunnel does not end: %v, %v", o, err)
	}
	if q := origin.Requests(); len(q) != 1 || q[0].Method != "GET" || q[0].Target != "/chat" || q[0].Version != "HTTP/1.1" {
		t.Errorf("the origin got %+v", q)
	}
}

// TestWebSocketUpstream: RFC 8441 in both roles. One edge asks another by HTTP/2 in the clear, which asks an origin by HTTP/1.1: what a
// client of HTTP/1.1 says reaches it, and so does a client's of HTTP/2.
func TestWebSocketUpstream(t *testing.T) {
	origin := rig.NewOrigin(t, shout)
	inner := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: rig.Upstream("", origin)})
	outer := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: secure, Rest: selfSigned +
		fmt.Sprintf("[upstreams.app]\nservers = [\"h2c://%s\"]\n[[routes]]\nupstream = \"app\"\n", inner.Addr)})
	c, err := dialTLS(outer.Addr)
	rig.Must(t, err)
	defer c.Close()
	c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: c.fields(":method", "CONNECT",
		":protocol", "websocket", ":scheme", "https", ":authority", "edge.test", ":path", "/chat", "sec-websocket-version", "13")})
	c.framer.WriteData(1, true, []byte("ping"))
	rig.Must(t, c.flush())
	o, err := c.read(func(o *outcome) bool { return o.over(1) })
	if rig.Must(t, err); o.status(1) != "200" || o.bodies[1] != "PING" || !o.ended[1] {
		t.Errorf("%v %q", o.heads[1], o.bodies[1])
	}
	h, err := dialHTTP1(outer.Addr)
	rig.Must(t, err)
	defer h.Close()
	conn := h.(http1Client)
	conn.SetDeadline(time.Now().Add(ioLimit))
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: "+key+"\r\n\r\nping")
	conn.CloseWrite()
	all, err := io.ReadAll(conn)
	rig.Must(t, err)
	head, rest, _ := strings.Cut(string(all), "\r\n\r\n")
	accept := "\r\nsec-websocket-accept: " + rig.WebSocketAccept(key)
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, accept) || rest != "PING" {
		t.Errorf("%q", all)
	}
}
