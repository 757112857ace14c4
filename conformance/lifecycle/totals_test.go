package lifecycle

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/conformance/rig"
)

// told is what /status.json says, as far as these tests look.
type told struct {
	Requests uint64 `json:"-"`
	PID      int
	Workers  int
	Routes   []struct {
		Codes     map[string]uint64
		Durations struct{ Counts []uint64 }
	}
	Listeners []struct{ Accepted uint64 }
	Children  []struct {
		Number, PID, Generation, Connections int
		State                                string
		Accepted                             uint64
		Workers                              map[string]int
		Heartbeat                            float64 `json:"heartbeat_age_seconds"`
		Silent                               bool
	}
}

func tell(t *testing.T, e *rig.Edge) (s told) {
	t.Helper()
	answer, err := e.AdminClient().Get("http://localhost/status.json")
	rig.Must(t, err)
	defer answer.Body.Close()
	rig.Must(t, json.NewDecoder(answer.Body).Decode(&s))
	for _, r := range s.Routes {
		for _, n := range r.Codes {
			s.Requests += n
		}
	}
	return s
}

// TestP8Totals: with several children metrics and status are those of all of them, agree, and never fall: not when a child is killed, and not
// when a new generation takes the place of one. The scoreboards tell of the processes there are.
func TestP8Totals(t *testing.T) {
	const children, each, atOnce = 4, 100, 10
	rest := "[[routes]]\nname = \"hello\"\nrespond = { body = \"hello\" }\n"
	e := rig.Start(t, rig.Config{Server: fmt.Sprintf("children = %d\nworkers = 4\n", children), Rest: rest})
	sent, probes := 0, int(tell(t, e).Listeners[0].Accepted) // of the rig, which waits for edge to serve
	ask := func() {
		t.Helper()
		var all sync.WaitGroup
		for range atOnce { // and each over a connection of its own, so that several children get some
			all.Go(func() {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				for range each / atOnce {
					answer, err := client.Get("http://" + e.Addr)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := io.Copy(io.Discard, answer.Body); err != nil {
						t.Error(err)
					}
					answer.Body.Close()
				}
			})
		}
		all.Wait()
		sent += each
	}
	agree := func(what string) {
		t.Helper()
		within(t, what+": all requests are counted", func() bool {
			m := e.Metrics()
			return int(m.Sum("edge_http_requests_total")) == sent && m.Sum("edge_http_requests_in_flight") == 0
		})
		m, s := e.Metrics(), tell(t, e)
		if int(s.Requests) != sent || int(m.Sum("edge_http_request_duration_seconds_count")) != sent {
			t.Errorf("%s: %d requests in the status, %v durations, %d were sent", what, s.Requests, m.Sum("edge_http_request_duration_seconds_count"), sent)
		}
		if n := m.Sum("edge_listener_connections_total"); len(s.Listeners) != 1 || float64(s.Listeners[0].Accepted) != n || int(n) != sent+probes {
			t.Errorf("%s: the listeners are %+v, %v connections in the metrics, %d were made", what, s.Listeners, n, sent+probes)
		}
	}
	settled := func(what string, want int) (s told) {
		t.Helper()
		within(t, what+": the children have told their figures", func() bool {
			s = tell(t, e)
			for _, c := range s.Children {
				if c.State != "ready" || c.Heartbeat < 0 || c.Heartbeat > 2 || c.Silent || c.Workers["idle"] != want {
					return false
				}
			}
			return len(s.Children) == children && s.Workers == children*want // one that has just begun was not asked
		})
		if int(e.Metrics().Sum("edge_workers_idle")) != children*want {
			t.Errorf("%s: other workers are idle in the metrics, want %d", what, children*want)
		}
		for _, c := range s.Children {
			if parent := parentOf(t, c.PID); parent != e.Child.PID() || s.PID != parent {
				t.Errorf("%s: child %d with process %d has the parent %d", what, c.Number, c.PID, parent)
			}
		}
		return s
	}
	ask()
	agree("at first")
	settled("at first", 4)
	var victim int // the one that has served most; who that is is the kernel's to say
	within(t, "the scoreboards tell of all connections", func() bool {
		accepted, most := 0, uint64(0)
		for _, c := range tell(t, e).Children {
			accepted += int(c.Accepted)
			if c.Accepted > most {
				most, victim = c.Accepted, c.PID
			}
		}
		return accepted == sent+probes
	})
	rig.Must(t, syscall.Kill(victim, syscall.SIGKILL))
	within(t, "the child is replaced", func() bool { return e.Metrics().Sum("edge_child_restarts_total", `reason="died"`) == 1 })
	ask()
	agree("after a kill")
	within(t, "the log says how the child died, and what its workers were at", func() bool {
		log := e.Log.String()
		return strings.Contains(log, `how="killed by SIGKILL"`) && strings.Contains(log, ` of 4 busy`)
	})
	settled("after a kill", 4)

	file := filepath.Join(e.Dir, "edge.toml")
	text, err := os.ReadFile(file)
	rig.Must(t, err)
	rig.Must(t, os.WriteFile(file, []byte(strings.Replace(string(text), "workers = 4", "workers = 5", 1)), 0o644))
	rig.Must(t, e.Child.Signal(syscall.SIGHUP))
	within(t, "another generation", func() bool {
		m := e.Metrics()
		return m.Sum("edge_generation") == 2 && m.Sum("edge_children", `state="retiring"`) == 0
	})
	agree("in another generation, before its first request")
	ask()
	agree("in another generation")
	for _, c := range settled("in another generation", 5).Children {
		if c.Generation != 2 {
			t.Errorf("a child of generation %d", c.Generation)
		}
	}
	if m := e.Metrics(); m.Sum("edge_metrics_lost_total") != 0 || m.Sum("edge_children_unanswered_total") != 0 {
		t.Error("something was lost, or not answered")
	}
}

// parentOf is the parent of a process.
func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	var state string
	if _, err := fmt.Sscan(after, &state, &parent); err != nil {
		t.Fatal(err)
	}
	return parent
}

// TestStatusWatched: edge status --watch on a terminal of its own shows all children, and ctrl-c ends it and leaves the terminal as it was.
func TestStatusWatched(t *testing.T) {
	e := rig.Start(t, rig.Config{Server: "children = 2\n", Rest: "[[routes]]\nrespond = { body = \"hello\" }\n"})
	side, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudoterminal: %v", err)
	}
	defer side.Close()
	number, err := unix.IoctlGetInt(int(side.Fd()), unix.TIOCGPTN)
	rig.Must(t, err)
	rig.Must(t, unix.IoctlSetPointerInt(int(side.Fd()), unix.TIOCSPTLCK, 0))
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	rig.Must(t, err)
	defer user.Close()
	rig.Must(t, unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 132, Row: 40}))
	was, err := unix.IoctlGetTermios(int(user.Fd()), unix.TCGETS)
	rig.Must(t, err)

	c := exec.Command(rig.Binary(t), "status", "--watch", "-c", filepath.Join(e.Dir, "edge.toml"))
	c.Stdin, c.Stdout, c.Stderr = user, user, user
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	rig.Must(t, c.Start())
	seen := make(chan string)
	go func() {
		defer close(seen)
		b := make([]byte, 64<<10)
		for {
			n, err := side.Read(b)
			if err != nil {
				return
			}
			seen <- string(b[:n])
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	const back = "\x1b[?25h\x1b[?1049l"
	text, typed, late := "", false, time.After(patience)
	for !strings.HasSuffix(text, back) {
		select {
		case more := <-seen:
			text += more
		case <-late:
			_ = c.Process.Kill()
			t.Fatalf("it has not ended; it shows %q", text)
		}
		if !typed && strings.Count(text, "\x1b[H") >= 3 {
			typed = true
			_, err := side.WriteString("\x03") // ctrl-c
			rig.Must(t, err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, want := range []string{"\x1b[?1049h\x1b[?25l\x1b[H", "serving, up ", "CHILD  PID", "ready", "idle 16"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if now, err := unix.IoctlGetTermios(int(user.Fd()), unix.TCGETS); err != nil || *now != *was {
		t.Errorf("the terminal's modes are %+v, they were %+v, %v", now, was, err)
	}
}
