package engine

import (
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/rig"
)

// guarded is a configuration whose default route asks the upstream "auth" through the auth guest before it goes on to "app".
func guarded(t *testing.T, pause string, auth, app *rig.Origin) string {
	t.Helper()
	module := filepath.Join(rig.Root(t), "examples", "wasm", "auth", "auth.wasm")
	return fmt.Sprintf(`
[upstreams.auth]
servers = [%q]
response_timeout = "120s"
keepalive = 64

[upstreams.app]
servers = [%q]

[filters.auth]
module = %q
config = '{"upstream": "auth", "path": "/check"}'
limits = { pause = %q }
allow = { upstreams = ["auth"] }
%s
[[routes]]
filters = ["auth"]
upstream = "app"
`, auth.Addr, app.Addr, module, pause, helloRoute)
}

// TestC4Suspend: 6,000 requests that wait in the auth guest hold no worker; released, each goes on.
func TestC4Suspend(t *testing.T) {
	// In this process each costs a client and a call-out's connection; in edge the same.
	n := scale(t, 6000, 300, 3)
	release := make(chan struct{})
	var asked, passed atomic.Int64
	auth := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			if _, err := c.ReadRequest(); err != nil {
				return
			}
			asked.Add(1)
			<-release
			if c.Say("HTTP/1.1 200 OK\r\nX-Auth-User: somebody\r\nContent-Length: 0\r\n\r\n") != nil {
				return
			}
		}
	})
	app := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			if q.Header.Get("x-auth-user") == "somebody" {
				passed.Add(1)
			}
			if c.Say(rig.OK("in")) != nil {
				return
			}
		}
	})
	e := rig.Start(t, rig.Config{Server: "workers = 4", Log: "level = \"info\"", Rest: guarded(t, "60s", auth, app)})
	c := gather(t, e.Addr, n, "GET /private HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nX-Auth-User: forged\r\n\r\n")
	if !rig.Eventually(30*time.Second, func() bool { return asked.Load() == int64(n) }) {
		t.Fatalf("%d of %d requests were asked about", asked.Load(), n)
	}
	median, slowest := newcomers(t, e.Addr, helloRequest, 100)
	t.Logf("%d suspended; newcomers: median %v, slowest %v", n, median, slowest)
	if slowest > promptly {
		t.Errorf("a newcomer waited %v beside %d suspended requests", slowest, n)
	}
	close(release)
	c.each(t, 64, func(i int) error { return c.answered(i, 200, 60*time.Second) })
	if passed.Load() != int64(n) {
		t.Errorf("%d of %d requests reached the origin with the name that auth gave", passed.Load(), n)
	}
}

// TestC4SuspendDeadline: a pause that nobody ends, ends at its deadline with 504.
func TestC4SuspendDeadline(t *testing.T) {
	n := scale(t, 6000, 300, 3)
	release := make(chan struct{})
	auth := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			<-release
		}
	})
	t.Cleanup(func() { close(release) }) // runs before the origin's own end
	app := rig.NewOrigin(t, rig.Echo)
	e := rig.Start(t, rig.Config{Server: "workers = 4", Log: "level = \"info\"", Rest: guarded(t, "2s", auth, app)})
	began := time.Now()
	c := gather(t, e.Addr, n, "GET /private HTTP/1.1\r\nHost: a\r\n\r\n")
	c.each(t, 64, func(i int) error { return c.answered(i, 504, 30*time.Second) })
	if took := time.Since(began); took < 1500*time.Millisecond || took > 15*time.Second {
		t.Errorf("all were answered after %v, want 2 s", took)
	}
	if len(app.Conns()) > 0 {
		t.Error("a request that nobody let pass reached the origin")
	}
	if _, err := askOnce(e.Addr, helloRequest); err != nil {
		t.Error(err)
	}
}

// TestC4Denied: what the auth upstream refuses is refused with its status, and a client that leaves while it waits is forgotten.
func TestC4Denied(t *testing.T) {
	auth := rig.NewOrigin(t, rig.Script("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"))
	app := rig.NewOrigin(t, rig.Echo)
	e := rig.Start(t, rig.Config{Server: "workers = 4", Rest: guarded(t, "5s", auth, app)})
	c := gather(t, e.Addr, 50, "GET /private HTTP/1.1\r\nHost: a\r\n\r\n")
	c.each(t, 8, func(i int) error { return c.answered(i, 401, 30*time.Second) })
	if len(app.Conns()) > 0 {
		t.Error("a refused request reached the origin")
	}
}

// TestC4ClientLeavesSuspended: clients that leave while their requests are suspended leave nothing behind (threat 102).
func TestC4ClientLeavesSuspended(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	auth := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			asked.Add(1)
			<-release
			_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	app := rig.NewOrigin(t, rig.Echo)
	e := rig.Start(t, rig.Config{Server: "workers = 4", Rest: guarded(t, "60s", auth, app)})
	const n = 100
	c := gather(t, e.Addr, n, "GET /private HTTP/1.1\r\nHost: a\r\n\r\n")
	if !rig.Eventually(20*time.Second, func() bool { return asked.Load() == n }) {
		t.Fatalf("%d of %d requests were asked about", asked.Load(), n)
	}
	for _, conn := range c.conns { // a FIN alone could be a half-close, whose request is still answered (R74)
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	c.disperse()
	began := time.Now()
	gone := rig.Eventually(20*time.Second, func() bool { return e.Metrics().Sum("edge_http_requests_in_flight") == 0 })
	close(release)
	if took := time.Since(began); !gone || took > 3*time.Second {
		t.Errorf("requests of clients that have left stay in flight for %v (gone: %v)", took, gone)
	}
	if n := len(app.Conns()); n > 0 {
		t.Errorf("%d requests of clients that had left reached the origin", n)
	}
}
