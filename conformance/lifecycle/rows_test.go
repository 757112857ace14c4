package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
	"edge/runtime/admin"
)

// TestP1FixedNumber: there are as many children as the file says, whatever the load.
func TestP1FixedNumber(t *testing.T) {
	e := newEstate(t, 3, "")
	before := e.children()
	j := newJudge(t)
	e.load(j)
	for range 3 {
		j.more("uploads in chunks")
		if now := e.children(); !slices.Equal(now, before) {
			t.Errorf("the children are %d, they were %d", now, before)
		}
	}
	j.check(kinds...)
}

// TestP3ConnectionsPerChild: a child that has taken its share of connections is replaced, again and again, and nobody notices.
func TestP3ConnectionsPerChild(t *testing.T) {
	e := newEstate(t, 2, "max_connections_per_child = 100\n")
	first := e.children()
	j := newJudge(t)
	e.load(j)
	full := func() float64 { return e.Metrics().Sum("edge_child_restarts_total", `reason="full"`) }
	within(t, "six replacements", func() bool { return full() >= 6 || j.losses() > 0 })
	j.check("answers", "answers to strangers", "streams")
	gone(t, first)
	if died := e.Metrics().Sum("edge_child_restarts_total", `reason="died"`); died != 0 {
		t.Errorf("%v children have died", died)
	}
	t.Logf("%v replacements; %s", full(), j.summary())
}

// TestP4Deadline: what children of an earlier generation have not finished at shutdown_timeout is cut off, and they go.
func TestP4Deadline(t *testing.T) {
	e := newEstate(t, 1, "shutdown_timeout = \"1s\"\nkeepalive_timeout = \"60s\"\n")
	old := e.children()
	u := e.hold()
	c := rig.Dial(t, e.Addr)
	c.Send("GET /up/ws HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	if p := c.Response("GET"); p.Status != 101 {
		t.Fatalf("the tunnel gets %d", p.Status)
	}
	began := time.Now()
	e.take(form{version: 1, workers: 20})
	c.Send("still there?\n")
	if line, err := c.R.ReadString('\n'); line != "still there?\n" {
		t.Errorf("before the deadline the tunnel says %q, %v", line, err)
	}
	gone(t, old)
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("the old child has gone after %v", took)
	}
	c.Closed()
	if rest := u.c.Rest(); strings.Contains(rest, " 200 ") {
		t.Errorf("the upload that never ended gets %q", rest)
	}
	if version := e.served(); version != "v1" {
		t.Errorf("%s is served", version)
	}
	within(t, "one child is left", func() bool { return len(e.children()) == 1 })
}

// TestP8Scoreboard: what the kernel says of the processes, the status and the metrics agree on is one, in rest and while generations change.
func TestP8Scoreboard(t *testing.T) {
	e := newEstate(t, 3, "")
	var idle []*rig.Client
	for range 12 {
		c := rig.Dial(t, e.Addr)
		c.Get("/", "")
		idle = append(idle, c)
	}
	u := e.hold()
	agree := func(generation, connections int) {
		t.Helper()
		var wrong []string
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // none of them is looked at at the same moment
			if wrong = e.disagreements(generation, connections); len(wrong) == 0 || time.Now().After(end) {
				break
			}
		}
		for _, line := range wrong {
			t.Error(line)
		}
	}
	agree(1, len(idle)+1)
	e.take(form{version: 1, children: 3, workers: 20})
	agree(2, len(idle)+1)
	for _, c := range idle {
		if p := c.Get("/", ""); p.Status != 200 || p.Header.Get("Connection") != "close" {
			t.Errorf("an idle connection of the first generation gets %d, Connection: %q", p.Status, p.Header.Get("Connection"))
		}
		c.Closed()
	}
	u.finish()
	within(t, "the first generation has gone", func() bool { return len(e.children()) == 3 })
	agree(2, 0)
}

// disagreements are what is wrong in the status, or other than the kernel and the metrics say, where three children of the generation are to
// be ready and all have so many connections.
func (e *estate) disagreements(generation, connections int) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	var s admin.Status
	e.status(&s)
	var pids []int
	sum, ready := 0, 0
	states := map[string]float64{}
	for _, c := range s.Children {
		pids = append(pids, c.PID)
		states[c.State]++
		sum += c.Connections
		if c.State == "ready" && c.Generation == generation {
			ready++
		}
		workers := 0
		for _, n := range c.Workers {
			workers += n
		}
		if c.Number < 1 || c.Silent || c.State == "ready" && (c.NotAccepting || workers < 16) {
			wrong("child %+v", c)
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.PID))
		if err != nil || !strings.HasPrefix(string(name), "edge") {
			wrong("process %d is called %q, %v", c.PID, name, err)
		}
		ports, err := proc.PeerPorts(c.PID)
		if err != nil || len(ports) < c.Connections {
			wrong("child %d has %d connections, the kernel knows of %d, %v", c.Number, c.Connections, len(ports), err)
		}
	}
	if sum != connections || ready != 3 {
		wrong("%d connections, %d children of generation %d ready, want %d and 3", sum, ready, generation, connections)
	}
	slices.Sort(pids)
	if known := e.children(); !slices.Equal(pids, known) {
		wrong("the status has processes %d, the kernel %d", pids, known)
	}
	m := e.Metrics()
	for _, state := range []string{"ready", "retiring"} {
		if got := m.Sum("edge_children", fmt.Sprintf("state=%q", state)); got != states[state] {
			wrong("%v children are %s for the metrics, %v for the status", got, state, states[state])
		}
	}
	if got := m.Sum("edge_generation"); got != float64(generation) {
		wrong("generation %v, want %d", got, generation)
	}
	return list
}

// TestP9UniqueConnections: no two connections have the same id, over children at a time and in succession, generations and an upgrade.
func TestP9UniqueConnections(t *testing.T) {
	e := newEstate(t, 4, "max_connections_per_child = 150\n")
	j := newJudge(t)
	var made atomic.Int64
	for range 4 {
		j.repeat(e.plain, false, always(0), func() *ask { made.Add(1); return strangers() })
	}
	wait := func(n int64) {
		t.Helper()
		goal := made.Load() + n
		within(t, "more connections", func() bool { return made.Load() > goal || j.losses() > 0 })
	}
	wait(1000)
	e.take(form{version: 1, children: 4, workers: 20})
	wait(500)
	e.upgrade()
	wait(500)
	j.check("answers to strangers")
	ids, children := map[uint64]bool{}, map[uint64]bool{}
	within(t, "all are in the log", func() bool {
		return strings.Count(e.AccessLog(), "\n") >= int(made.Load())
	})
	text, err := os.ReadFile(filepath.Join(e.Dir, "access.log"))
	rig.Must(t, err)
	for line := range strings.Lines(string(text)) {
		var entry struct {
			ID any `json:"connection_id"`
		}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		rig.Must(t, decoder.Decode(&entry))
		id, err := strconv.ParseUint(fmt.Sprint(entry.ID), 10, 64)
		rig.Must(t, err)
		if id == 0 || ids[id] {
			t.Fatalf("the id %d is there twice, or none: %s", id, line)
		}
		ids[id] = true
		children[id>>44] = true // the number of the child
	}
	if len(children) < 12 {
		t.Errorf("%d connections were of %d children", len(ids), len(children))
	}
	t.Logf("%d connections of %d children", len(ids), len(children))
}
