package lifecycle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/conformance/proc"
	"edge/conformance/rig"
)

// reloadsUnderLoad is how many times the configuration is replaced under load.
func reloadsUnderLoad() int {
	if testing.Short() || rig.Race {
		return 25
	}
	return 100
}

// house is an edge whose configuration changes: each version stands in a guest's setting, in a native filter's, and in an answer.
type house struct {
	*rig.Edge
	t      testing.TB
	head   string // of the file: what comes before the versions
	origin string
}

func newHouse(t testing.TB, c rig.Config) *house {
	t.Helper()
	h := &house{t: t, origin: echoOrigin(t)}
	more := c.Rest
	c.Rest = more + h.text(0)
	if c.Log == "" {
		c.Log = "level = \"info\"\n"
	}
	h.Edge = rig.Start(t, c)
	h.head = strings.TrimSuffix(h.read(), h.text(0)+"\n")
	return h
}

// text is all that differs between versions: guests and native filters, an upstream with its pool, limits of a filter, routes.
func (h *house) text(n int) string {
	return fmt.Sprintf(`
[upstreams.app]
servers = [%q]
keepalive = %d
[filters.greeter]
module = "builtin:welcome"
config = '{"greeting": "v%d"}'
[filters.header]
native = "headers"
config = { response = { set = { x-version = "v%d" } } }
[[routes]]
match = { path = "/up/*" }
upstream = "app"
[[routes]]
name = "version%d"
filters = ["header", "greeter"]
respond = { body = "v%d" }
`, h.origin, 1+n%2, n, n, n%3, n)
}

func (h *house) read() string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Dir, "edge.toml"))
	rig.Must(h.t, err)
	return string(text)
}

// write puts a file in the configuration's place.
func (h *house) write(text string) {
	h.t.Helper()
	path := filepath.Join(h.Dir, "edge.toml")
	rig.Must(h.t, os.WriteFile(path+".new", []byte(text), 0o644))
	rig.Must(h.t, os.Rename(path+".new", path))
}

// reload is edge reload: its status, and what it says.
func (h *house) reload() (status int, said string) {
	h.t.Helper()
	out, err := exec.Command(rig.Binary(h.t), "reload", "-c", filepath.Join(h.Dir, "edge.toml")).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return status, string(out)
}

// become has a version serve.
func (h *house) become(n int) {
	h.t.Helper()
	h.write(h.head + h.text(n))
	if status, said := h.reload(); status != 0 || !strings.Contains(said, "has been reloaded") {
		h.t.Errorf("version %d: status %d, %s", n, status, said)
	}
}

// get asks once and returns the version that all parts of the answer agree on.
func (h *house) get(c *http.Client) (version string, err error) {
	answer, err := c.Get("http://" + h.Addr + "/")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	version = answer.Header.Get("X-Version")
	if answer.StatusCode != 200 || string(body) != version || answer.Header.Get("X-Greeting") != version {
		return "", fmt.Errorf("%s: the header says %q, the guest %q, the body %q", answer.Status, version, answer.Header.Get("X-Greeting"), body)
	}
	return version, nil
}

// echoOrigin counts the bytes of requests' bodies, or says their sum, has a large body, and echoes what comes through a tunnel.
func echoOrigin(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
		case r.URL.Path == "/up/large":
			w.Write(large)
			return
		case r.URL.Path == "/up/sum":
			h := sha256.New()
			if _, err := io.Copy(h, r.Body); err == nil {
				fmt.Fprintf(w, "%x", h.Sum(nil))
			}
			return
		default:
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// tunnel is a connection with an upgraded protocol.
func (h *house) tunnel() (echo func(line string)) {
	h.t.Helper()
	c := rig.Dial(h.t, h.Addr)
	c.Send("GET /up/ws HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	if p := c.Response("GET"); p.Status != 101 {
		h.t.Fatalf("the tunnel gets %d", p.Status)
	}
	return func(line string) {
		h.t.Helper()
		c.Send(line + "\n")
		rig.Must(h.t, c.SetReadDeadline(time.Now().Add(patience)))
		if got, err := c.R.ReadString('\n'); got != line+"\n" {
			h.t.Fatalf("the tunnel says %q, %v, want %q", got, err, line)
		}
	}
}

// upload sends a body that takes its time, over a connection of its own client.
func upload(c *http.Client, addr string) error {
	const pieces, piece = 20, 2048
	r, w := io.Pipe()
	go func() {
		for range pieces {
			if _, err := w.Write(make([]byte, piece)); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // the client's pace
		}
		w.Close()
	}()
	answer, err := c.Post("http://"+addr+"/up/load", "", r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || string(got) != fmt.Sprint(pieces*piece) {
		return fmt.Errorf("%s %q, %v", answer.Status, got, err)
	}
	return nil
}

// faithful is a client over one kept connection, and how often edge has ended that, or said that it will. A client that makes another of
// its own accord, as net/http does when it is slow to see that it has sent a request, is not edge's doing.
func faithful() (*http.Client, *atomic.Int64) {
	left := new(atomic.Int64)
	return &http.Client{Timeout: patience, Transport: &heeding{left, &http.Transport{
		MaxConnsPerHost: 1,
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := net.Dial(network, addr)
			return &watched{c, left}, err
		},
	}}}, left
}

// heeding counts the answers that are the last of their connection.
type heeding struct {
	left *atomic.Int64
	*http.Transport
}

func (h *heeding) RoundTrip(q *http.Request) (*http.Response, error) {
	answer, err := h.Transport.RoundTrip(q)
	if err == nil && answer.Close {
		h.left.Add(1)
	}
	return answer, err
}

// watched counts its end, unless that is its owner's.
type watched struct {
	net.Conn
	left *atomic.Int64
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.left.Add(1)
	}
	return n, err
}

// size is what a process holds.
type size struct {
	descriptors int
	goroutines  float64
	resident    int64
}

func (h *house) size() size {
	h.t.Helper()
	fds, err := proc.Descriptors(h.PID())
	rig.Must(h.t, err)
	rss, err := proc.RSS(h.PID())
	rig.Must(h.t, err)
	return size{fds, h.Metrics().Sum("go_goroutines"), rss}
}

// TestReloadUnderLoad: the configuration is replaced again and again. No request is refused, reset, cut short or mixed, no kept
// connection is closed, a tunnel lives through all of it, and nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	h := newHouse(t, rig.Config{Server: "keepalive_timeout = \"5m\"\n"})
	var stop atomic.Bool
	var requests, uploads atomic.Int64
	var wg sync.WaitGroup
	var left []*atomic.Int64
	for range 3 {
		c, n := faithful()
		left = append(left, n)
		wg.Go(func() {
			defer c.CloseIdleConnections()
			for !stop.Load() && !t.Failed() {
				if _, err := h.get(c); err != nil {
					t.Error(err)
				}
				requests.Add(1)
			}
		})
	}
	for range 2 {
		c, n := faithful()
		left = append(left, n)
		wg.Go(func() {
			defer c.CloseIdleConnections()
			for !stop.Load() && !t.Failed() {
				if err := upload(c, h.Addr); err != nil {
					t.Errorf("upload: %v", err)
				}
				uploads.Add(1)
			}
		})
	}
	idle := rig.Dial(t, h.Addr)
	echo := h.tunnel()
	wrk := startWrk(t, h.Addr)
	reloads, began := reloadsUnderLoad(), time.Now()
	var early size
	for n := 1; n <= reloads && !t.Failed(); n++ {
		h.become(n)
		if p := idle.Get("/", ""); string(p.Body) != fmt.Sprintf("v%d", n) {
			t.Errorf("after reload %d the kept connection gets %q", n, p.Body)
		}
		echo(fmt.Sprint("reload ", n))
		if n == 20 {
			early = h.size()
		}
	}
	late, took := h.size(), time.Since(began)
	stop.Store(true)
	wg.Wait()
	wrk.check()
	for _, n := range left {
		if got := n.Load(); got != 0 {
			t.Errorf("edge has ended %d connections of a client", got)
		}
	}
	if uploads.Load() == 0 || requests.Load() == 0 {
		t.Errorf("%d requests, %d uploads: the load was none", requests.Load(), uploads.Load())
	}
	m := h.Metrics()
	if done, failed := m.Sum("edge_reloads_total", `result="done"`), m.Sum("edge_reloads_total", `result="failed"`); done != float64(reloads) || failed != 0 {
		t.Errorf("%v reloads are counted, and %v that failed", done, failed)
	}
	if late.descriptors > early.descriptors+16 || late.goroutines > early.goroutines+20 {
		t.Errorf("after 20 reloads %+v, after all %+v", early, late)
	}
	if grown := late.resident - early.resident; grown > 32<<20 && !rig.Race {
		t.Errorf("%d bytes more are resident", grown)
	}
	t.Logf("%d reloads in %s, %d requests, %d uploads, %s; after 20: %+v, at the end: %+v",
		reloads, took.Round(time.Millisecond), requests.Load(), uploads.Load(), wrk.said, early, late)
}

// trap is a guest whose start function traps.
var trap = []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
	"\x07\x24\x02\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x00" + "\x08\x01\x00" + "\x0a\x05\x01\x03\x00\x00\x0b")

// TestReloadRefused: a configuration that cannot be used changes nothing, and whoever asked is told where and why.
func TestReloadRefused(t *testing.T) {
	h := newHouse(t, rig.Config{})
	rig.Must(t, os.WriteFile(filepath.Join(h.Dir, "trap.wasm"), trap, 0o644))
	refused := 0
	for _, c := range []struct{ name, text, line, why string }{
		{"no TOML", h.head + "[[routes\n", "[[routes", "not TOML"},
		{"an unknown key", h.head + strings.Replace(h.text(1), "keepalive", "keepalove", 1), "keepalove", `did you mean "keepalive"`},
		{"an unknown upstream", h.head + strings.Replace(h.text(1), `upstream = "app"`, `upstream = "ap"`, 1), `upstream = "ap"`, `did you mean "app"`},
		{"a server that has no address", h.head + strings.Replace(h.text(1), h.origin, "no-such-host.invalid:1", 1), "no-such-host", "check the name"},
		{"a certificate that is not there", h.head + h.text(1) + "[certificates.main]\ncertificate = \"gone.pem\"\nkey = \"gone.key\"\n",
			"certificate = \"gone.pem\"", "no such file"},
		{"a guest that traps", h.head + strings.Replace(h.text(1), "builtin:welcome", "trap.wasm", 1), "[filters.greeter]", "unreachable"},
		{"a directory that is not there", h.head + h.text(1) + "[[routes]]\nmatch = { path = \"/none\" }\nfiles = { root = \"none\" }\n",
			"files = ", "no such file"},
		{"a log that cannot be opened", strings.Replace(h.head, "access.log", "none/access.log", 1) + h.text(1), "access = ", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := h.size().descriptors
			h.write(c.text)
			status, said := h.reload()
			line := 1 + strings.Count(c.text[:strings.Index(c.text, c.line)], "\n")
			want := fmt.Sprintf("edge.toml:%d: ", line)
			if status != 1 || !strings.Contains(said, want) || !strings.Contains(said, c.why) {
				t.Errorf("status %d, want 1; want %q, %q in\n%s", status, want, c.why, said)
			}
			if version, err := h.get(client); version != "v0" {
				t.Errorf("%q, %v is served, want v0", version, err)
			}
			if c.name != "no TOML" { // of that not even whom to ask is known
				refused++
				within(t, "it is in the log", func() bool {
					text := h.Log.String()
					return strings.Count(text, "the configuration is not used") == refused && strings.Contains(text, want)
				})
			}
			m := h.Metrics()
			if n := m.Sum("edge_reloads_total", `result="failed"`); n != float64(refused) {
				t.Errorf("%v failures are counted, want %d", n, refused)
			}
			if refused > 0 && m.Sum("edge_config_last_reload_successful") != 0 {
				t.Error("the last reload counts as successful")
			}
			within(t, "its descriptors are closed", func() bool { return h.size().descriptors <= before+2 })
		})
	}
	h.become(1)
	if version, err := h.get(client); version != "v1" {
		t.Errorf("%q, %v is served, want v1", version, err)
	}
	if h.Metrics().Sum("edge_config_last_reload_successful") != 1 {
		t.Error("the last reload does not count as successful")
	}
}

// TestReloadTogether: of many that are asked for at once each gets its turn or a clear no, while modules are swapped too.
func TestReloadTogether(t *testing.T) {
	h := newHouse(t, rig.Config{})
	var done, refused atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			answer, err := h.AdminClient().Post("http://localhost/reload", "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			var o struct {
				Result   string
				Problems []string
			}
			rig.Must(t, json.NewDecoder(answer.Body).Decode(&o))
			switch {
			case o.Result == "done" && answer.StatusCode == 200:
				done.Add(1)
			case o.Result == "refused" && answer.StatusCode == 503 && len(o.Problems) == 1:
				refused.Add(1)
			default:
				t.Errorf("%s: %+v", answer.Status, o)
			}
		})
	}
	wg.Wait()
	if done.Load() == 0 {
		t.Error("none is done")
	}
	m := h.Metrics()
	if a, b := m.Sum("edge_reloads_total", `result="done"`), m.Sum("edge_reloads_total", `result="refused"`); a != float64(done.Load()) || b != float64(refused.Load()) {
		t.Errorf("%v done and %v refused are counted, want %d and %d", a, b, done.Load(), refused.Load())
	}
}

// TestReloadSettings: what the server itself goes by changes in place: limits for the next request of a connection, the log's path and
// format, certificates for the next handshake. A pid file takes a restart, and a warning says so.
func TestReloadSettings(t *testing.T) {
	ca := pki.New(t, "ca")
	dir := t.TempDir()
	oldCert, oldKey := ca.Leaf("old.test").Write(t, dir, "old")
	newCert, newKey := ca.Leaf("new.test").Write(t, dir, "new")
	h := newHouse(t, rig.Config{Listen: `certificates = ["main"]`,
		Rest: fmt.Sprintf("[certificates.main]\ncertificate = %q\nkey = %q\n", oldCert, oldKey)})
	dial := func() (*tls.Conn, string) {
		c, err := tls.Dial("tcp", h.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		rig.Must(t, err)
		t.Cleanup(func() { c.Close() })
		return c, c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	ask := func(c *tls.Conn, target string) int {
		fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: old.test\r\n\r\n", target)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		rig.Must(t, err)
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	long := strings.Repeat("x", 400)
	kept, name := dial()
	if status := ask(kept, long); status != 200 || name != "old.test" {
		t.Errorf("status %d from %s", status, name)
	}
	text := h.head + h.text(1)
	for from, to := range map[string]string{
		oldCert: newCert, oldKey: newKey, "access.log": "other.log", "level = \"info\"": "level = \"info\"\nformat = \"common\"",
		"[limits]": "[limits]\nuri_bytes = 256", "[server]": "[server]\npid_file = \"pid\"",
	} {
		text = strings.Replace(text, from, to, 1)
	}
	text = strings.Replace(text, "uri_bytes = 256", "uri_bytes = \"256B\"", 1)
	h.write(text)
	status, said := h.reload()
	if status != 0 || !strings.Contains(said, "server.pid_file: needs a restart") {
		t.Errorf("status %d, %s", status, said)
	}
	if status := ask(kept, "short"); status != 200 {
		t.Errorf("the kept connection gets %d", status)
	}
	if status := ask(kept, long); status != 414 {
		t.Errorf("the kept connection gets %d, want 414", status)
	}
	if _, name := dial(); name != "new.test" {
		t.Errorf("the next handshake shows %s", name)
	}
	other := filepath.Join(h.Dir, "other.log")
	within(t, "the other log has lines of the other format", func() bool {
		text, _ := os.ReadFile(other)
		return bytes.Contains(text, []byte(`"GET /short HTTP/1.1" 200`))
	})
	rig.Must(t, os.Rename(other, other+".1"))
	mark := len(h.Log.String())
	rig.Must(t, h.Signal(syscall.SIGUSR1))
	within(t, "the log is open again", func() bool { return strings.Contains(h.Log.String()[mark:], "the logs are open again") })
	again, _ := dial()
	ask(again, "rotated")
	within(t, "the next line is in a new file", func() bool {
		text, _ := os.ReadFile(other)
		return bytes.Contains(text, []byte("/rotated"))
	})
	h.write(strings.Replace(text, "v1", "v2", 1))
	rig.Must(t, h.Signal(syscall.SIGHUP))
	within(t, "a hang-up reloads", func() bool { return h.Metrics().Sum("edge_reloads_total", `result="done"`) == 2 })
}
