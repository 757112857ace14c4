package lifecycle

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// gate is an origin whose /gate answers when the test says so; each other path at once.
type gate struct {
	open    chan struct{} // one is taken by each answer of /gate
	entered chan struct{} // one is put by each request of it
	rest    string        // the configuration of edge in front of it
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{}, 100), entered: make(chan struct{}, 100)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	origin := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gate" {
			g.entered <- struct{}{}
			select {
			case <-g.open:
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintln(w, "hello")
	})}
	go origin.Serve(l)
	t.Cleanup(func() { origin.Close() })
	g.rest = fmt.Sprintf("[upstreams.app]\nservers = [%q]\n[[routes]]\nupstream = \"app\"\n", l.Addr().String())
	return g
}

// through asks for /gate and returns what came of it when it is there.
func (g *gate) through(t *testing.T, addr string) (answer chan string) {
	t.Helper()
	answer = make(chan string, 1)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		a, err := client.Get("http://" + addr + "/gate")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		answer <- fmt.Sprintf("%d %s%v", a.StatusCode, text, err)
	}()
	select {
	case <-g.entered:
	case <-time.After(patience):
		t.Fatal("a request does not come to the origin")
	}
	return answer
}

const wholeAnswer = "200 hello\n<nil>"

// callers ask again and again, each time on a connection of its own, until they are ended.
type callers struct {
	stop   chan struct{}
	all    sync.WaitGroup
	mu     sync.Mutex
	asked  int
	failed []error
}

func newCallers(addr string) *callers {
	l := &callers{stop: make(chan struct{})}
	for range 2 {
		l.all.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				answer, err := client.Get("http://" + addr + "/load")
				if err == nil {
					_, err = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
					if err == nil && answer.StatusCode != 200 {
						err = fmt.Errorf("%s", answer.Status)
					}
				}
				l.mu.Lock()
				if l.asked++; err != nil {
					l.failed = append(l.failed, err)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *callers) end() (asked int, failed []error) {
	close(l.stop)
	l.all.Wait()
	return l.asked, l.failed
}

// exeIs says whether a process runs the file that is at a path now.
func exeIs(t *testing.T, pid int, path string) bool {
	t.Helper()
	runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	rig.Must(t, err)
	there, err := os.Stat(path)
	rig.Must(t, err)
	return os.SameFile(runs, there)
}

// TestUpgrade: a new binary takes over, again and again, and nobody notices: no connection is refused or cut, requests under way are finished,
// idle clients are told, sessions of TLS go on, connection ids stay unique (P9), no line of the access log is lost.
func TestUpgrade(t *testing.T) {
	g := newGate(t)
	secure, err := proc.FreeAddr()
	rig.Must(t, err)
	s := rig.StartService(t, rig.ServiceConfig{Rest: g.rest + fmt.Sprintf(
		"[[listen]]\naddress = %q\ncertificates = [\"main\"]\n[certificates.main]\ncertificate = \"self-signed\"\n", secure)})
	sessions := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if resumed := handshake(t, secure, sessions); resumed {
		t.Error("the first session is resumed")
	}
	socket, err := os.Lstat(s.Admin)
	rig.Must(t, err)
	background := newCallers(s.Addr)
	asked := 1 // of TLS
	for round := range 3 {
		idle := rig.Dial(t, s.Addr)
		if a := idle.Get("/", ""); a.Status != 200 {
			t.Errorf("round %d: %d", round, a.Status)
		}
		underWay := g.through(t, s.Addr)
		before := s.PID()
		s.Install(rig.Binary(t))
		if round == 1 {
			s.Signal(syscall.SIGUSR2)
			s.Await("another process", func() bool { return s.PID() != before && s.PID() != 0 })
		} else if out, code := s.Verb("upgrade"); code != 0 || !strings.Contains(out, fmt.Sprintf("(process %d) has taken over", s.PID())) {
			t.Fatalf("round %d: status %d, %q, process %d", round, code, out, s.PID())
		}
		if pid := s.PID(); pid == before || !exeIs(t, pid, s.Binary) {
			t.Errorf("round %d: process %d follows %d, and runs the new file: %v", round, pid, before, exeIs(t, pid, s.Binary))
		}
		if now, err := os.Lstat(s.Admin); err != nil || !os.SameFile(now, socket) {
			t.Errorf("round %d: the admin socket has been made anew (%v)", round, err)
		}
		asked += lastOnes(t, idle)
		rig.Must(t, idle.Close()) // else the old one waits for that
		g.open <- struct{}{}
		if got := <-underWay; got != wholeAnswer {
			t.Errorf("round %d: what was under way: %s", round, got)
		}
		if !handshake(t, secure, sessions) {
			t.Errorf("round %d: the session is not resumed", round)
		}
		asked += 3 // the first on the idle connection, the gate, TLS
	}
	if err := s.FirstEnded(patience); err != nil {
		t.Errorf("the first process: %v", err)
	}
	counted(t, s, `edge_upgrades_total{result="done"} 3`)
	loads, failed := background.end()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first with: %v", len(failed), loads, failed[0])
	}
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
	for _, gone := range []string{s.Admin, filepath.Join(s.Dir, "edge.pid")} {
		if _, err := os.Lstat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is there yet (%v)", gone, err)
		}
	}
	wholeLog(t, s, asked+loads)
}

// lastOnes asks on a connection whose child is about to retire until the answer says that it was the last one, and how often that was.
func lastOnes(t *testing.T, c *rig.Client) (asked int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		a := c.Get("/", "")
		if asked++; a.Status != 200 {
			t.Errorf("an idle client got %d", a.Status)
		}
		if strings.EqualFold(a.Header.Get("Connection"), "close") {
			c.Closed()
			return asked
		}
	}
	t.Error("an idle client is not told that it was the last answer")
	return asked
}

// counted holds the metrics to have a line.
func counted(t *testing.T, s *rig.Service, line string) {
	t.Helper()
	if _, text := s.Get("/metrics"); !strings.Contains(text, "\n"+line+"\n") {
		t.Errorf("the metrics do not have %s", line)
	}
}

// handshake asks once over TLS and says whether the session was resumed.
func handshake(t *testing.T, addr string, c *tls.Config) (resumed bool) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, c)
	rig.Must(t, err)
	defer conn.Close()
	rig.Must(t, conn.SetDeadline(time.Now().Add(patience)))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(conn) // the ticket comes with it
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200 ") {
		t.Errorf("over TLS: %q, %v", text, err)
	}
	return conn.ConnectionState().DidResume
}

// wholeLog holds the access log to have a whole line for each request, and an id for each connection.
func wholeLog(t *testing.T, s *rig.Service, want int) {
	t.Helper()
	f, err := os.Open(filepath.Join(s.Dir, "access.log"))
	rig.Must(t, err)
	defer f.Close()
	lines, ids := 0, map[uint64]string{}
	for in := bufio.NewScanner(f); in.Scan(); lines++ {
		var l struct {
			Connection uint64 `json:"connection_id"`
			IP         string `json:"remote_ip"`
			Port       int    `json:"remote_port"`
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil || l.Connection == 0 {
			t.Errorf("the access log has the line %q: %v", in.Text(), err)
			continue
		}
		peer := fmt.Sprintf("%s:%d", l.IP, l.Port)
		if had, ok := ids[l.Connection]; ok && had != peer {
			t.Errorf("connection %d is of %s and of %s", l.Connection, had, peer)
		}
		ids[l.Connection] = peer
	}
	if lines != want {
		t.Errorf("the access log has %d lines of %d requests", lines, want)
	}
}

// TestStopAfterUpgrade: a stop is one of the processes whose place was taken too, as long as they have something to finish.
func TestStopAfterUpgrade(t *testing.T) {
	for _, c := range []struct {
		name string
		open bool // what is under way is let through
		args []string
		code int
	}{{"finished", true, nil, 0}, {"cut off in time", false, nil, 3}, {"now", false, []string{"--now"}, 3}} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t)
			s := rig.StartService(t, rig.ServiceConfig{Server: "shutdown_timeout = \"2s\"\n", Rest: g.rest})
			var answers []chan string
			var pids []int
			for range 2 {
				answers, pids = append(answers, g.through(t, s.Addr)), append(pids, s.PID())
				if out, code := s.Verb("upgrade"); code != 0 {
					t.Fatalf("%d %s", code, out)
				}
			}
			v := begin(t, s, append([]string{"stop"}, c.args...)...)
			if c.open {
				s.Await("all stop", func() bool { return strings.Count(s.Log(), "info stopping") == 3 })
				if !v.running() {
					t.Errorf("stop has not waited for the old processes: %s", v.out)
				}
				g.open <- struct{}{}
				g.open <- struct{}{}
			}
			if code := v.ended(t); code != c.code {
				t.Errorf("status %d: %s", code, v.out)
			}
			for _, answer := range answers {
				if got := <-answer; (got == wholeAnswer) != c.open {
					t.Errorf("what was under way: %s", got)
				}
			}
			s.Await("the old processes have gone", func() bool {
				for _, pid := range pids {
					if syscall.Kill(pid, 0) == nil {
						return false
					}
				}
				return true
			})
		})
	}
}

// TestUpgradeMovesAdmin: where the new configuration has the admin server elsewhere, it is there, and the old socket is gone.
func TestUpgradeMovesAdmin(t *testing.T) {
	s := rig.StartService(t, rig.ServiceConfig{Rest: newGate(t).rest})
	text, err := os.ReadFile(s.Config)
	rig.Must(t, err)
	rig.Must(t, os.WriteFile(s.Config, []byte(strings.Replace(string(text), "unix:a.sock", "unix:b.sock", 1)), 0o644))
	if out, code := s.Verb("upgrade", "--admin", "unix:"+s.Admin); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	s.Await("the old socket is gone", func() bool {
		_, err := os.Lstat(s.Admin)
		return os.IsNotExist(err)
	})
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
}

// TestUpgradeFails: whatever is wrong with the new binary, the old one goes on, and tells what was wrong and what to do.
func TestUpgradeFails(t *testing.T) {
	g := newGate(t)
	s := rig.StartService(t, rig.ServiceConfig{Rest: g.rest})
	config, err := os.ReadFile(s.Config)
	rig.Must(t, err)
	pid := s.PID()
	background := newCallers(s.Addr)
	underWay := g.through(t, s.Addr)
	for i, c := range []struct {
		name  string
		spoil func()
		want  string
	}{
		{"it exits at once", func() { s.InstallText("#!/bin/sh\nexit 7\n", 0o755) }, "exit status 7 before it served; what it said is on the standard error of edge"},
		{"it is not executable", func() { s.InstallText("#!/bin/sh\n", 0o644) }, "permission denied; this edge goes on; repair the file"},
		{"it is not there", func() { rig.Must(t, os.Remove(s.Binary)) }, "no such file or directory; this edge goes on"},
		{"it is another program", func() { s.InstallText("#!/bin/sh\nexec sleep 60\n", 0o755) }, "does not say in 10s that it is an edge that can take over"},
		{"its configuration is broken", func() {
			s.Install(rig.Binary(t))
			rig.Must(t, os.WriteFile(s.Config, append([]byte("x = 1\n"), config...), 0o644))
		}, "edge.toml:1: "},
		{"its children cannot start", func() {
			module := filepath.Join(s.Dir, "none.wasm")
			rig.Must(t, os.WriteFile(module, []byte("\x00asm\x01\x00\x00\x00"), 0o644))
			rig.Must(t, os.WriteFile(s.Config, append(config, []byte("[[routes]]\nfilters = [\"none\"]\nrespond = {}\n[filters.none]\nmodule = \"none.wasm\"\n")...), 0o644))
		}, "filters.none: the module's ABI is unknown"},
	} {
		c.spoil()
		out, code := s.Verb("upgrade", "--admin", "unix:"+s.Admin)
		if code != 1 || !strings.Contains(out, c.want) || !strings.Contains(out, "has not taken over (failed), the edge before goes on") {
			t.Errorf("%s: status %d, %q; want %q", c.name, code, out, c.want)
		}
		s.Await(c.name+" in the log", func() bool {
			log := s.Log()
			return strings.Count(log, "error the new binary does not take over, this edge goes on") == i+1 && strings.Contains(log, c.want)
		})
		if s.PID() != pid {
			t.Errorf("%s: the pid file has %d, want %d", c.name, s.PID(), pid)
		}
		if code, body := s.Get("/readyz"); code != 200 {
			t.Errorf("%s: not ready: %d %s", c.name, code, body)
		}
	}
	counted(t, s, `edge_upgrades_total{result="failed"} 6`)
	g.open <- struct{}{}
	if got := <-underWay; got != wholeAnswer {
		t.Errorf("what was under way all the time: %s", got)
	}
	if loads, failed := background.end(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first with: %v", len(failed), loads, failed[0])
	}
	rig.Must(t, os.WriteFile(s.Config, config, 0o644))
	s.Install(rig.Binary(t))
	if out, code := s.Verb("upgrade"); code != 0 {
		t.Errorf("when all is repaired: status %d, %q", code, out)
	}
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
}

// TestUpgradeOfProcessOne: where the end of the process is that of its container, an upgrade is refused with what to do instead.
func TestUpgradeOfProcessOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make a process namespace")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("unshare is absent (Debian: util-linux)")
	}
	s := rig.StartService(t, rig.ServiceConfig{Rest: newGate(t).rest, Wrap: []string{unshare, "--pid", "--fork", "--kill-child"}})
	if pid := s.PID(); pid != 1 {
		t.Fatalf("edge is process %d, want 1", pid)
	}
	out, code := s.Verb("upgrade")
	if code != 1 || !strings.Contains(out, "start a container with the new binary, and drain this one") || !strings.Contains(out, "(refused)") {
		t.Errorf("status %d, %q", code, out)
	}
	counted(t, s, `edge_upgrades_total{result="refused"} 1`)
	if out, code := s.Verb("stop"); code != 0 || out != "edge (process 1) has stopped\n" {
		t.Errorf("status %d, %q", code, out)
	}
	if err := s.FirstEnded(patience); err != nil {
		t.Error(err)
	}
}
