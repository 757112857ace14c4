package http2

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/conformance/rig"
)

// scale is n, or small where the tests are to be short or run under the race detector.
func scale(n, small int) int {
	if testing.Short() || rig.Race {
		return small
	}
	return n
}

// TestH5Churn: connections of one request each, the client's GOAWAY right behind it, in one packet; some close their side at once too.
// No answer is lost, and each connection ends with our GOAWAY.
func TestH5Churn(t *testing.T) {
	n := scale(30000, 3000)
	origin := rig.NewOrigin(t, rig.Script(rig.OK(hello)))
	auth := rig.NewOrigin(t, rig.Script("HTTP/1.1 200 OK\r\nX-Auth-User: somebody\r\nContent-Length: 0\r\n\r\n"))
	for name, route := range map[string]string{"respond": helloRoute, "upstream": rig.Upstream("", origin), "paused": guarded(t, auth)} {
		t.Run(name, func(t *testing.T) {
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: route})
			var lost atomic.Int64
			var next atomic.Int64
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					for i := next.Add(1); i <= int64(n); i = next.Add(1) {
						if err := visit(e.Addr, i%2 == 0); err != nil {
							if lost.Add(1) < 5 {
								t.Errorf("connection %d: %v", i, err)
							}
						}
					}
				})
			}
			all.Wait()
			if lost.Load() > 0 {
				t.Errorf("H5: %d of %d answers are lost", lost.Load(), n)
			}
		})
	}
}

// guarded has the auth guest pause every request until the upstream "auth" has answered.
func guarded(t *testing.T, auth *rig.Origin) string {
	return fmt.Sprintf(`
[upstreams.auth]
servers = [%q]
[filters.auth]
module = "%s/examples/wasm/auth/auth.wasm"
config = '{"upstream": "auth", "path": "/check"}'
allow = { upstreams = ["auth"] }
[[routes]]
filters = ["auth"]
respond = { body = %q }
`, auth.Addr, rig.Root(t), hello)
}

func visit(addr string, half bool) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.ask(1, true, "GET", "/hello")
	c.framer.WriteGoAway(0, h2.ErrCodeNo, nil)
	if err := c.flush(); err != nil {
		return err
	}
	if half {
		if raw, err := c.Conn.(syscall.Conn).SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_WR) })
		}
	}
	o, err := c.read(nil)
	if err != nil {
		return err
	}
	if err := o.whole(1); err != nil {
		return err
	}
	if o.goaway == nil || o.goaway.ErrCode != h2.ErrCodeNo || o.goaway.LastStreamID != 1 {
		return errLost
	}
	return nil
}

// TestH5Load is the proof as the requirement words it.
func TestH5Load(t *testing.T) {
	path, err := exec.LookPath("h2load")
	if err != nil {
		t.Skip("h2load is not installed")
	}
	e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: listen, Rest: helloRoute})
	for range scale(20, 3) {
		out, err := exec.Command(path, "-n", "30000", "-c", "50", "-m", "1", "http://"+e.Addr+"/hello").CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 30000 started, 30000 done, 30000 succeeded, ") {
			t.Fatalf("H5: %v\n%s", err, out)
		}
	}
}
