package lifecycle

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// TestP1ChildrenAreReplaced: a killed child costs what was under way in it and nothing else, and another takes its place within a second.
// The log says how it has died.
func TestP1ChildrenAreReplaced(t *testing.T) {
	for _, n := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d children", n), func(t *testing.T) {
			e := newEstate(t, n, "")
			j := newJudge(t)
			e.load(j)
			var took []time.Duration
			for k := range 5 {
				j.more("uploads in chunks")
				before := e.children()
				victim := before[k%n]
				began := time.Now()
				j.kill(victim)
				within(t, "another child", func() bool {
					now := e.children()
					return len(now) == n && !slices.Contains(now, victim) && e.ready() == n
				})
				e.served()
				took = append(took, time.Since(began))
				logged(t, e.Edge, " error a child has died", fmt.Sprintf("pid=\"%d\"", victim), "SIGKILL")
				if now := e.children(); len(now) != n {
					t.Errorf("%d are the children after %d, want %d", now, before, n)
				}
			}
			j.check(kinds...)
			if got := e.Metrics().Sum("edge_child_restarts_total", `reason="died"`); got != 5 {
				t.Errorf("%v deaths are counted, want 5", got)
			}
			most := 5 * time.Second // beside other suites, on what they leave of the machine
			if rig.Full() {
				most = time.Second
			}
			if best := slices.Min(took); best > most {
				t.Errorf("the quickest of %v took more than %v", took, most)
			}
			t.Logf("replaced after %v; %s; %d went down with their child", took, j.summary(), j.excused)
		})
	}
}

// TestP1WithoutControl: where the control process is killed its children finish what they have, and go. Nobody is left.
func TestP1WithoutControl(t *testing.T) {
	e := newEstate(t, 2, "")
	children := e.children()
	t.Cleanup(func() {
		for _, pid := range children {
			if proc.Alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	j := newJudge(t)
	l := &line{j: j, road: e.plain}
	defer l.close()
	begun, finish := make(chan struct{}), make(chan struct{})
	a := upward(64<<10, 2, 0, false)
	body := a.body
	a.body = func(w io.Writer) error {
		return body(writerFunc(func(p []byte) (int, error) {
			n, err := w.Write(p)
			if begun != nil {
				close(begun)
				begun = nil
				<-finish
			}
			return n, err
		}))
	}
	started := begun
	done := make(chan bool, 1)
	go func() { done <- l.do(a) }()
	<-started
	within(t, "the upload is with a child", func() bool { return e.inFlight() == 1 })
	rig.Must(t, e.Signal(syscall.SIGKILL))
	_ = e.Wait(patience)
	within(t, "the child without work has gone", func() bool { return proc.Alive(children[0]) != proc.Alive(children[1]) })
	close(finish)
	if !<-done {
		j.check()
	}
	gone(t, children)
	e.Ended(nil)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// inFlight is how many requests are under way.
func (e *estate) inFlight() int { return int(e.Metrics().Sum("edge_http_requests_in_flight")) }

// TestP1CrashLoop: children that die at their start are tried again with growing pauses, which costs little, and as soon as what they die of is
// repaired they serve again. Those that live serve all the while.
func TestP1CrashLoop(t *testing.T) {
	for _, c := range []struct {
		name     string
		children int
		breaks   func(t *testing.T, module string)
		why      string
	}{
		{"a guest that traps", 1, func(t *testing.T, module string) { rig.Must(t, os.WriteFile(module, trap, 0o644)) }, "unreachable"},
		{"a module that is gone, and one child of two", 2, func(t *testing.T, module string) { rig.Must(t, os.Remove(module)) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			module := filepath.Join(t.TempDir(), "guest.wasm")
			good := versionModule(t, 0)
			rig.Must(t, os.WriteFile(module, good, 0o644))
			e := rig.Start(t, rig.Config{Server: fmt.Sprintf("children = %d\nwatch = false\n", c.children), Log: "level = \"info\"\n",
				Rest: fmt.Sprintf("[filters.guest]\nmodule = %q\n[[routes]]\nfilters = [\"guest\"]\nrespond = { body = \"up\" }\n", module)})
			up := func() bool {
				answer, err := client.Get("http://" + e.Addr)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				return answer.StatusCode == 200
			}
			if !up() {
				t.Fatal("it does not serve at first")
			}
			client.CloseIdleConnections()
			c.breaks(t, module)
			rig.Must(t, syscall.Kill(e.PID(), syscall.SIGKILL))
			failures := func() int { return strings.Count(e.Log.String(), "a child could not be replaced") }
			within(t, "four tries", func() bool { return failures() >= 4 })
			if text := e.Log.String(); !strings.Contains(text, c.why) || !strings.Contains(text, "edge.toml:") {
				t.Errorf("the log does not say %q, and where", c.why)
			}
			before, _ := proc.GroupCPUNanos(e.Child.PID())
			tries, began := failures(), time.Now()
			within(t, "two more tries", func() bool { return failures() >= tries+2 })
			after, _ := proc.GroupCPUNanos(e.Child.PID())
			took := time.Since(began)
			if took < 800*time.Millisecond { // 400 ms, and 800 ms or more
				t.Errorf("two more tries came within %v", took)
			}
			if c.children > 1 && !up() {
				t.Error("the other child does not serve")
			}
			rig.Must(t, os.WriteFile(module, good, 0o644))
			within(t, "all children serve", func() bool {
				return int(e.Metrics().Sum("edge_children", `state="ready"`)) == c.children
			})
			if !up() {
				t.Error("it does not serve again")
			}
			t.Logf("%d tries failed; two of them took %v and %v of the processors", failures(), took, time.Duration(after-before))
		})
	}
}
