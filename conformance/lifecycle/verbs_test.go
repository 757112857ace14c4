package lifecycle

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// verb is a verb that runs.
type verb struct {
	*exec.Cmd
	out  *proc.Log
	done chan struct{}
}

// begin starts a verb, where Service.Verb would wait for its end.
func begin(t *testing.T, s *rig.Service, args ...string) *verb {
	t.Helper()
	v := &verb{Cmd: exec.Command(rig.Binary(t), append(args, "-c", s.Config)...), out: proc.NewLog(), done: make(chan struct{})}
	v.Stdout, v.Stderr = v.out, v.out
	rig.Must(t, v.Start())
	go func() {
		v.Wait()
		close(v.done)
	}()
	t.Cleanup(func() {
		v.Process.Kill()
		<-v.done
	})
	return v
}

// ended waits for its end and returns its exit status.
func (v *verb) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-v.done:
		return v.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("edge %v does not end: %s", v.Args[1:], v.out)
		return 0
	}
}

func (v *verb) running() bool {
	select {
	case <-v.done:
		return false
	default:
		return true
	}
}

// TestStopVerb: it ends when edge has, and says whether everything was finished.
func TestStopVerb(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		open   bool // what is under way is let through
		code   int
		want   string
		status string // of edge
	}{
		{"everything is finished", nil, true, 0, "has stopped\n", "<nil>"},
		{"something is cut off", nil, false, 3, "has stopped before everything was finished\n", "exit status 3"},
		{"now", []string{"--now"}, false, 3, "has stopped before everything was finished\n", "exit status 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t)
			s := rig.StartService(t, rig.ServiceConfig{Server: "shutdown_timeout = \"1500ms\"\n", Rest: g.rest})
			answer := g.through(t, s.Addr)
			v := begin(t, s, append([]string{"stop"}, c.args...)...)
			if c.open {
				s.Await("edge stops", func() bool { return strings.Contains(s.Log(), " stopping") })
				if !v.running() {
					t.Errorf("stop has not waited: %s", v.out)
				}
				g.open <- struct{}{}
			}
			if code := v.ended(t); code != c.code || !strings.HasSuffix(v.out.String(), c.want) {
				t.Errorf("status %d, %q; want %d, %q", code, v.out, c.code, c.want)
			}
			if got := <-answer; (got == wholeAnswer) != c.open {
				t.Errorf("what was under way: %s", got)
			}
			if err := s.FirstEnded(time.Second); fmt.Sprint(err) != c.status {
				t.Errorf("edge ended with %v, want %s", err, c.status)
			}
			if out, code := s.Verb("stop"); code != 1 || !strings.Contains(out, "is edge running?") {
				t.Errorf("once more: status %d, %q", code, out)
			}
		})
	}
}

// TestDrainVerb: not ready at once; connections are accepted for the delay and then by no child; what is open goes on; edge stays.
func TestDrainVerb(t *testing.T) {
	g := newGate(t)
	s := rig.StartService(t, rig.ServiceConfig{Server: "children = 2\n", Rest: g.rest})
	answer := g.through(t, s.Addr)
	idle := rig.Dial(t, s.Addr)
	if a := idle.Get("/", ""); a.Status != 200 {
		t.Errorf("%d", a.Status)
	}
	v := begin(t, s, "drain", "--delay", "1500ms")
	s.Await("edge is not ready", func() bool {
		code, body := s.Get("/readyz")
		return code == http.StatusServiceUnavailable && body == "draining\n"
	})
	late := rig.Dial(t, s.Addr)
	if a := late.Get("/", ""); a.Status != 200 {
		t.Errorf("in the delay: %d", a.Status)
	}
	rig.Must(t, late.Close())
	s.Await("a refusal", func() bool {
		c, err := net.DialTimeout("tcp", s.Addr, patience)
		if err != nil {
			return strings.Contains(err.Error(), "refused")
		}
		c.Close()
		return false
	})
	lastOnes(t, idle)
	rig.Must(t, idle.Close())
	s.Await("one connection is left", func() bool { return strings.HasSuffix(v.out.String(), "\n1 connections left\n") })
	if out, code := s.Verb("drain", "--timeout", "300ms"); code != 3 || !strings.Contains(out, "nobody waits for") {
		t.Errorf("with a timeout: status %d, %q", code, out)
	}
	for verb, want := range map[string]string{"upgrade": "edge drains", "reload": "edge is draining"} {
		if out, code := s.Verb(verb); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s while it drains: status %d, %q; want %q", verb, code, out, want)
		}
	}
	g.open <- struct{}{}
	if got := <-answer; got != wholeAnswer {
		t.Errorf("what was under way: %s", got)
	}
	if code := v.ended(t); code != 0 || !strings.HasPrefix(v.out.String(), "connections are accepted for 1.5s yet\n") ||
		!strings.HasSuffix(v.out.String(), "\ndrained\n") {
		t.Errorf("status %d, %q", code, v.out)
	}
	if code, body := s.Get("/healthz"); code != 200 {
		t.Errorf("edge is gone: %d %q", code, body)
	}
	if out, code := s.Verb("drain"); code != 0 || out != "drained\n" {
		t.Errorf("once more: status %d, %q", code, out)
	}
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: status %d, %q", code, out)
	}
	if err := s.FirstEnded(time.Second); err != nil {
		t.Error(err)
	}
}

// TestVerbsWithoutEdge: each says that nothing answers.
func TestVerbsWithoutEdge(t *testing.T) {
	s := rig.StartService(t, rig.ServiceConfig{Rest: newGate(t).rest})
	if out, code := s.Verb("stop"); code != 0 {
		t.Fatalf("stop: status %d, %q", code, out)
	}
	for _, verb := range []string{"reload", "upgrade", "drain", "stop", "status"} {
		if out, code := s.Verb(verb); code != 1 || out != "edge: nothing answers at unix:"+s.Admin+"; is edge running?\n" {
			t.Errorf("%s: status %d, %q", verb, code, out)
		}
	}
	if out, code := s.Verb("drain", "--delay", "2h"); code != 2 || !strings.Contains(out, "--delay is between 0s and 1h") {
		t.Errorf("a delay beyond the bound: status %d, %q", code, out)
	}
}
