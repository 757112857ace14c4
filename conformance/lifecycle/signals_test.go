package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// held is an upload of which half has come.
type held struct {
	t testing.TB
	c *rig.Client
}

const half = "half of it, "

// hold begins an upload, and returns when edge has it.
func (h *house) hold() *held {
	h.t.Helper()
	flying := func() int { return int(h.Metrics().Sum("edge_http_requests_in_flight")) }
	before := flying()
	c := rig.Dial(h.t, h.Addr)
	c.Send(fmt.Sprintf("POST /up/held HTTP/1.1\r\nHost: edge.test\r\nContent-Length: %d\r\n\r\n%s", 2*len(half), half))
	within(h.t, "the upload is under way", func() bool { return flying() > before })
	return &held{h.t, c}
}

// finish sends the other half, and holds the answer to be whole.
func (u *held) finish() {
	u.t.Helper()
	u.c.Send(half)
	if p := u.c.Response("POST"); p.Status != 200 || string(p.Body) != fmt.Sprint(2*len(half)) {
		u.t.Errorf("the upload gets %d %q", p.Status, p.Body)
	}
}

// deaf waits until nobody accepts connections any more.
func (h *house) deaf() {
	h.t.Helper()
	within(h.t, "connections are refused", func() bool {
		c, err := net.Dial("tcp", h.Addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// exit is the exit status, within a time.
func (h *house) exit(limit time.Duration) int {
	h.t.Helper()
	err := h.Wait(limit)
	code := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	h.Ended(nil)
	return code
}

// TestP5Signals is the manual's table of what ends edge: what is under way is finished, or cut off, and the exit status says which; idle
// connections end, no new ones are taken, and no process is left.
func TestP5Signals(t *testing.T) {
	const long, short = "shutdown_timeout = \"120s\"\n", "shutdown_timeout = \"700ms\"\n"
	for _, c := range []struct {
		name    string
		server  string
		signals []syscall.Signal
		code    int
		finish  bool // what is under way is let through
		outlast bool // it goes on for longer than shutdown_timeout
	}{
		{"TERM", long, []syscall.Signal{syscall.SIGTERM}, 0, true, false},
		{"INT", long, []syscall.Signal{syscall.SIGINT}, 0, true, false},
		{"QUIT waits for as long as it takes", short, []syscall.Signal{syscall.SIGQUIT}, 0, true, true},
		{"P4 TERM has a deadline", short, []syscall.Signal{syscall.SIGTERM}, 3, false, false},
		{"TERM, and TERM again", long, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 3, false, false},
		{"TERM, and INT", long, []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 3, false, false},
		{"QUIT, and TERM", long, []syscall.Signal{syscall.SIGQUIT, syscall.SIGTERM}, 3, false, false},
	} {
		for _, children := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d children", c.name, children), func(t *testing.T) {
				h := newHouse(t, rig.Config{Server: fmt.Sprintf("children = %d\npid_file = \"pid\"\n%s", children, c.server)})
				own := proc.Children(h.Child.PID())
				idle := rig.Dial(t, h.Addr)
				if p := idle.Get("/", ""); p.Status != 200 {
					t.Errorf("status %d", p.Status)
				}
				u := h.hold()
				if text, err := os.ReadFile(filepath.Join(h.Dir, "pid")); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(h.Child.PID()) {
					t.Errorf("the pid file has %q, %v", text, err)
				}
				for k, s := range c.signals {
					rig.Must(t, h.Signal(s))
					if k == 0 {
						h.deaf()
						idle.Closed()
					}
				}
				if c.outlast {
					if err := h.Wait(1500 * time.Millisecond); !errors.Is(err, proc.ErrTimeout) {
						t.Errorf("edge has ended with what is under way: %v", err)
					}
				}
				if c.finish {
					u.finish()
				}
				if code := h.exit(20 * time.Second); code != c.code {
					t.Errorf("exit status %d, want %d", code, c.code)
				}
				gone(t, own)
				for _, name := range []string{"pid", filepath.Base(h.Admin)} {
					if _, err := os.Stat(filepath.Join(h.Dir, name)); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s is left: %v", name, err)
					}
				}
			})
		}
	}
}

// TestP5WindowChange: edge accepts nothing more, on WINCH, and finishes what it has, however long that takes. It ends when told to.
func TestP5WindowChange(t *testing.T) {
	h := newHouse(t, rig.Config{Server: "children = 2\nshutdown_timeout = \"500ms\"\n"})
	idle := rig.Dial(t, h.Addr)
	idle.Get("/", "")
	u := h.hold()
	rig.Must(t, h.Signal(syscall.SIGWINCH))
	h.deaf()
	within(t, "readiness is false", func() bool {
		answer, err := h.AdminClient().Get("http://localhost/readyz")
		rig.Must(t, err)
		answer.Body.Close()
		return answer.StatusCode == http.StatusServiceUnavailable
	})
	if err := h.Wait(time.Second); !errors.Is(err, proc.ErrTimeout) {
		t.Errorf("edge has ended: %v", err)
	}
	if p := idle.Get("/", ""); p.Status != 200 || p.Header.Get("Connection") != "close" {
		t.Errorf("the idle connection gets %d, Connection: %q", p.Status, p.Header.Get("Connection"))
	}
	u.finish()
}

// TestP5ChildSignals: a child that is told to end finishes what it has, and another takes its place; nobody is refused meanwhile.
func TestP5ChildSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			h := newHouse(t, rig.Config{})
			u := h.hold()
			old := h.PID()
			rig.Must(t, syscall.Kill(old, s))
			within(t, "another child serves", func() bool {
				m := h.Metrics()
				return m.Sum("edge_children", `state="ready"`) == 1 && m.Sum("edge_children", `state="retiring"`) == 1
			})
			if version, err := h.get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}); version != "v0" {
				t.Errorf("%q, %v is served", version, err)
			}
			u.finish()
			gone(t, []int{old})
			if now := proc.Children(h.Child.PID()); len(now) != 1 || now[0] == old {
				t.Errorf("the children are %d", now)
			}
		})
	}
}

// TestP6Single: one process does all of it: it serves, reloads what can be swapped in place, and ends with what is under way finished.
func TestP6Single(t *testing.T) {
	h := newHouse(t, rig.Config{Server: "children = 4\n", Args: []string{"--single"}})
	if children := proc.Children(h.Child.PID()); len(children) > 0 {
		t.Errorf("it has the children %d", children)
	}
	h.become(1)
	if version, err := h.get(client); version != "v1" {
		t.Errorf("%q, %v is served, want v1", version, err)
	}
	h.write(strings.Replace(h.head+h.text(2), "[server]", "[server]\nworkers = 17", 1))
	if code, said := h.reload(); code != 0 || !strings.Contains(said, "server.workers: needs a restart") {
		t.Errorf("status %d, %s", code, said)
	}
	if h.Metrics().Has("edge_children") {
		t.Error("it has metrics of children")
	}
	u := h.hold()
	rig.Must(t, h.Signal(syscall.SIGTERM))
	h.deaf()
	u.finish()
	if code := h.exit(20 * time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestP7LogsLast: every request that was answered is in the access log, when edge has been told to stop while many came.
func TestP7LogsLast(t *testing.T) {
	h := newHouse(t, rig.Config{Server: "children = 3\n"})
	answered := make(chan int)
	for k := range 8 {
		go func() {
			n := 0
			defer func() { answered <- n }()
			c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: k%2 == 0}}
			defer c.CloseIdleConnections()
			for {
				answer, err := c.Get("http://" + h.Addr + "/")
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, answer.Body); err == nil && answer.StatusCode == 200 {
					n++
				}
				answer.Body.Close()
			}
		}()
	}
	within(t, "many requests", func() bool { return h.Metrics().Sum("edge_http_requests_total") > 500 })
	h.Stop()
	total := 0
	for range 8 {
		total += <-answered
	}
	text := h.AccessLog()
	if lines := strings.Count(text, `"status":200`); lines < total || total < 500 {
		t.Errorf("%d answers came, the log has %d", total, lines)
	}
	if !strings.HasSuffix(text, "}\n") {
		t.Errorf("the log's last line is not whole: %q", text[max(0, len(text)-200):])
	}
}
