package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"edge/conformance/rig"
)

// load is what h2load says of the requests of a run.
type load struct{ started, succeeded int }

var loadReport = regexp.MustCompile(`(?m)^requests: \d+ total, (\d+) started, \d+ done, (\d+) succeeded, `)

// runLoad runs h2load, which names a run's loss: requests that were started and did not succeed. Its connections' errors do not count
// (H5, T2).
func runLoad(t *testing.T, args ...string) load {
	t.Helper()
	out, err := exec.Command(rig.Program(t, "h2load"), args...).CombinedOutput()
	m := loadReport.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("h2load %q: %v\n%s", args, err, out)
	}
	var l load
	l.started, _ = strconv.Atoi(string(m[1]))
	l.succeeded, _ = strconv.Atoi(string(m[2]))
	if l.started != l.succeeded {
		t.Errorf("h2load %q: %d answers are lost\n%s", args, l.started-l.succeeded, out)
	}
	return l
}

// responder answers every request that has no body with the same bytes, and cheaply: it looks for the ends of heads.
func responder(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go respond(conn, []byte(answer))
		}
	}()
	return l.Addr().String()
}

func respond(conn net.Conn, answer []byte) {
	defer conn.Close()
	end := []byte("\r\n\r\n")
	buffer, have := make([]byte, 16<<10), 0
	for {
		n, err := conn.Read(buffer[have:])
		if err != nil {
			return
		}
		have += n
		rest := buffer[:have]
		for i := bytes.Index(rest, end); i >= 0; i = bytes.Index(rest, end) {
			rest = rest[i+len(end):]
			if _, err := io.Copy(conn, bytes.NewReader(answer)); err != nil {
				return
			}
		}
		have = copy(buffer, rest)
	}
}

// guarded is a configuration in which the auth guest pauses every request while it asks the upstream "auth".
func guarded(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`
[upstreams.auth]
servers = [%q]
keepalive = 64
[upstreams.app]
servers = [%q]
keepalive = 64
[filters.auth]
module = %q
config = '{"upstream": "auth", "path": "/check"}'
allow = { upstreams = ["auth"] }
[[routes]]
filters = ["auth"]
upstream = "app"
`, responder(t, "HTTP/1.1 200 OK\r\nX-Auth-User: somebody\r\nContent-Length: 0\r\n\r\n"), responder(t, rig.OK(hello)),
		filepath.Join(rig.Root(t), "examples", "wasm", "auth", "auth.wasm"))
}

// TestH5Load is the proof as the requirement words it, at info level, over and over: nothing is lost where edge answers at once, and where
// a guest pauses every stream.
func TestH5Load(t *testing.T) {
	rig.Program(t, "h2load")
	for _, c := range []struct {
		name, listen, scheme, rest, streams string
		n, runs                             int
	}{
		{"respond, 1 stream", listen, "http", helloRoute, "1", 30000, load5(20, 2, 2)},
		{"guest, 1 stream", listen, "http", guarded(t), "1", load5(30000, 30000, 3000), load5(20, 1, 1)},
		{"guest, 25 streams", listen, "http", guarded(t), "25", load5(30000, 10000, 3000), load5(5, 1, 1)},
		{"guest over TLS, 25 streams", secure, "https", selfSigned + guarded(t), "25", load5(30000, 10000, 3000), load5(5, 1, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: c.listen, Rest: c.rest})
			for range c.runs {
				if l := runLoad(t, "-n", strconv.Itoa(c.n), "-c", "50", "-m", c.streams, c.scheme+"://"+e.Addr+"/hello"); l.started != c.n {
					t.Fatalf("%d requests were started of %d", l.started, c.n)
				}
			}
			m := e.Metrics()
			calls := func(result ...string) int {
				return int(m.Sum("edge_filter_calls_total", append(result, `phase="call_done"`)...))
			}
			if paused := calls() - calls(`result="wait"`); c.rest != helloRoute && paused != c.n*c.runs {
				t.Errorf("the guest paused %v streams of %d", paused, c.n*c.runs)
			}
			t.Logf("%d runs of %d requests, %v answered with 200", c.runs, c.n, m.Sum("edge_http_requests_total", `code="200"`))
		})
	}
}
