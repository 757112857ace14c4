package http2

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/conformance/rig"
)

// large is a body of 200 KB.
var large = bytes.Repeat([]byte("0123456789abcdef"), 200<<10/16)

// startSecure starts an edge over TLS with the greeting and a large file.
func startSecure(t *testing.T) *rig.Edge {
	t.Helper()
	root := t.TempDir()
	rig.Must(t, os.WriteFile(filepath.Join(root, "large"), large, 0o644))
	return rig.Start(t, rig.Config{Log: `level = "info"`, Listen: secure, Rest: selfSigned + helloRoute +
		fmt.Sprintf("[[routes]]\nmatch = { path = \"/large\" }\nfiles = { root = %q }\n", root)})
}

// TestT1ALPN: a client gets the protocol it prefers of those the listener has.
func TestT1ALPN(t *testing.T) {
	e := startSecure(t)
	for _, c := range []struct {
		offers []string
		want   string
	}{
		{[]string{"h2"}, "h2"}, {[]string{"h2", "http/1.1"}, "h2"}, {[]string{"http/1.1"}, "http/1.1"}, {nil, ""},
	} {
		conn, err := tls.Dial("tcp", e.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: c.offers})
		rig.Must(t, err)
		if got := conn.ConnectionState().NegotiatedProtocol; got != c.want {
			t.Errorf("%q is offered: %q, want %q", c.offers, got, c.want)
		}
		conn.Close()
	}
	if conn, err := tls.Dial("tcp", e.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"spdy/3"}}); err == nil {
		conn.Close()
		t.Error("R78: a client that speaks nothing of ours is let in")
	}
}

// TestT1Streams: ten streams on one connection, and a body of many frames, none of them longer than a client's bound.
func TestT1Streams(t *testing.T) {
	e := startSecure(t)
	c, err := dialTLS(e.Addr, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 20})
	rig.Must(t, err)
	defer c.Close()
	c.framer.WriteWindowUpdate(0, 1<<24)
	for i := range uint32(10) {
		path := "/hello"
		if i%2 == 1 {
			path = "/large"
		}
		c.ask(2*i+1, true, "GET", path)
	}
	rig.Must(t, c.flush())
	c.framer.SetMaxReadFrameSize(16 << 10)
	o, err := c.read(func(o *outcome) bool { return len(o.ended) == 10 && o.all(10) })
	rig.Must(t, err)
	for i := range uint32(10) {
		want := hello
		if i%2 == 1 {
			want = string(large)
		}
		if id := 2*i + 1; o.status(id) != "200" || o.bodies[id] != want {
			t.Errorf("stream %d: %s with %d bytes, want %d", id, o.status(id), len(o.bodies[id]), len(want))
		}
	}
}

// all says whether the first n streams have ended.
func (o *outcome) all(n uint32) bool {
	for i := range n {
		if !o.ended[2*i+1] {
			return false
		}
	}
	return true
}

// TestT1Load: the loads that the requirement names, over TLS and in the clear; nothing fails. The last one opens its connections bit by
// bit, so that edge rests in between.
func TestT1Load(t *testing.T) {
	e := startSecure(t)
	for _, c := range []struct {
		path string
		args []string
	}{
		{"/hello", []string{"-n", "5000", "-c", "20", "-m", "25"}},
		{"/large", []string{"-n", "1000", "-c", "10", "-m", "50"}},
		{"/hello", []string{"-n", "40", "-c", "8", "-m", "1", "-r", "2", "--rate-period", "300ms"}},
	} {
		if l := runLoad(t, append(c.args, "https://"+e.Addr+c.path)...); fmt.Sprint(l.started) != c.args[1] {
			t.Errorf("%q: %d requests were started", c.args, l.started)
		}
	}
	if m := e.Metrics(); m.Sum("edge_http_requests_total", `protocol="h2"`) != m.Sum("edge_http_requests_total", `code="200"`) {
		t.Errorf("not all requests came by HTTP/2, or not all are answered with 200")
	}
}

// TestT1Reload: a connection stays when the configuration is taken anew, and newcomers still get HTTP/2.
func TestT1Reload(t *testing.T) {
	e := startSecure(t)
	stays, err := dialTLS(e.Addr)
	rig.Must(t, err)
	defer stays.Close()
	for i := range uint32(3) {
		stays.ask(2*i+1, true, "GET", "/hello")
		rig.Must(t, stays.flush())
		o, err := stays.read(func(o *outcome) bool { return o.over(2*i + 1) })
		rig.Must(t, err)
		rig.Must(t, o.whole(2*i+1))
		rig.Must(t, leave(dialTLS, e.Addr, false))
		rig.Must(t, e.Signal(syscall.SIGHUP))
		e.WaitMetric("the reload", func(m rig.Metrics) bool { return m.Sum("edge_reloads_total", `result="done"`) == float64(i+1) })
	}
}

// TestT1Restart: where children are replaced, connections of those before are told (H3: GOAWAY without an error, after which nothing is
// lost), and newcomers get HTTP/2 from those after.
func TestT1Restart(t *testing.T) {
	e := startSecure(t)
	path := filepath.Join(e.Dir, "edge.toml")
	for i := range 3 {
		stays, err := dialTLS(e.Addr)
		rig.Must(t, err)
		defer stays.Close()
		stays.ask(1, true, "GET", "/hello")
		rig.Must(t, stays.flush())
		o, err := stays.read(func(o *outcome) bool { return o.over(1) })
		rig.Must(t, err)
		rig.Must(t, o.whole(1))

		text, err := os.ReadFile(path)
		rig.Must(t, err)
		rig.Must(t, os.WriteFile(path, regexp.MustCompile(`(?m)^\[server\]$(\nworkers = \d+)?`).
			ReplaceAll(text, fmt.Appendf(nil, "[server]\nworkers = %d", 20+i)), 0o644))
		rig.Must(t, e.Signal(syscall.SIGHUP))
		o, err = stays.read(func(o *outcome) bool { return o.goaway != nil })
		rig.Must(t, err)
		if o.goaway == nil || o.goaway.ErrCode != 0 {
			t.Errorf("restart %d: the connection is told %v", i, o.goaway)
		}
		rig.Must(t, leave(dialTLS, e.Addr, false))
		if l := runLoad(t, "-n", "200", "-c", "5", "-m", "10", "https://"+e.Addr+"/hello"); l.started != 200 {
			t.Errorf("restart %d: %d requests were started", i, l.started)
		}
	}
}
