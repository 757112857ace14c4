package lifecycle

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/conformance/proc"
	"edge/conformance/rig"
)

// estate is a house with an address for TLS too, whose configuration may differ in what children begin with.
type estate struct {
	*house
	secure road
	plain  road
	more   string // an address that only some configurations have
	binary string // its own, which may be replaced
	pids   []int  // of the control processes that there have been, the last one serves
}

// form is what a configuration of an estate has other than the first one.
type form struct {
	version  int
	children int  // 0: one
	workers  int  // 0: 16
	more     bool // the other address is listened on too
	server   string
	rest     string
}

// bounds of an estate: nobody who speaks up within them may be cut off.
const estateServer = "keepalive_timeout = \"60s\"\nshutdown_timeout = \"120s\"\n"

func newEstate(t testing.TB, children int, server string) *estate {
	t.Helper()
	dir := t.TempDir()
	rig.Must(t, os.Chmod(dir, 0o755))
	ca := pki.New(t, "ca")
	cert, key := ca.Leaf("edge.test").Write(t, dir, "main")
	rig.Must(t, os.WriteFile(filepath.Join(dir, "large"), large, 0o644))
	secure, err := proc.FreeAddr()
	rig.Must(t, err)
	more, err := proc.FreeAddr()
	rig.Must(t, err)
	if !strings.Contains(server, "shutdown_timeout") {
		server += estateServer
	}
	rest := fmt.Sprintf(`protocols = ["http/1.1", "h2c"]
[[listen]]
address = %q
protocols = ["h2", "http/1.1"]
certificates = ["main"]
[certificates.main]
certificate = %q
key = %q
[[routes]]
match = { path = "/files/*" }
files = { root = %q, strip = "/files" }
`, secure, cert, key, dir)
	e := &estate{more: more, binary: filepath.Join(dir, "edge")}
	e.install(t, rig.Binary(t))
	e.house = newHouse(t, rig.Config{Server: fmt.Sprintf("children = %d\nworkers = 16\n", children) + server, Listen: rest, Binary: e.binary})
	e.head = strings.Replace(e.head, fmt.Sprintf("children = %d\n", children), "children = 1\n", 1)
	e.pids = []int{e.Child.PID()}
	t.Cleanup(e.end)
	within(t, "all children serve", func() bool { return e.ready() == children })
	e.plain = road{addr: e.Addr}
	e.secure = road{secure, &tls.Config{RootCAs: ca.Pool(), ServerName: "edge.test"}}
	return e
}

// config is the file's text in that form.
func (e *estate) config(f form) string {
	head := strings.Replace(e.head, "children = 1\n", fmt.Sprintf("children = %d\n%s", max(1, f.children), f.server), 1)
	if f.workers != 0 {
		head = strings.Replace(head, "workers = 16\n", fmt.Sprintf("workers = %d\n", f.workers), 1)
	}
	if f.more {
		head = strings.Replace(head, "[[listen]]\n", fmt.Sprintf("[[listen]]\naddress = %q\n[[listen]]\n", e.more), 1)
	}
	return head + f.rest + e.text(f.version)
}

// take has a configuration serve, which is to work.
func (e *estate) take(f form) {
	e.t.Helper()
	e.write(e.config(f))
	if status, said := e.reload(); status != 0 || !strings.Contains(said, "has been reloaded") {
		e.t.Errorf("version %d: status %d, %s", f.version, status, said)
	}
}

// served is the version that a new connection gets.
func (e *estate) served() string {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	version, err := e.get(c)
	if err != nil {
		e.t.Error(err)
	}
	return version
}

// control is the process that has the children that serve.
func (e *estate) control() int { return e.pids[len(e.pids)-1] }

// children are the processes that serve, and those that finish what they have.
func (e *estate) children() []int { return proc.Children(e.control()) }

// ready is how many children serve.
func (e *estate) ready() int { return int(e.Metrics().Sum("edge_children", `state="ready"`)) }

// install puts a copy of a binary in the place of the one that is there, as package managers do: beside, and then over.
func (e *estate) install(t testing.TB, path string) {
	data, err := os.ReadFile(path)
	rig.Must(t, err)
	syscall.ForkLock.RLock() // a process that is forked now would have the file open for a moment, and nobody could run it: "text file busy"
	err = os.WriteFile(e.binary+".new", data, 0o755)
	syscall.ForkLock.RUnlock()
	rig.Must(t, err)
	rig.Must(t, os.Rename(e.binary+".new", e.binary))
}

// verb is what a verb prints, and its status.
func (e *estate) verb(args ...string) (status int, said string) {
	e.t.Helper()
	args = append(args, "-c", filepath.Join(e.Dir, "edge.toml"))
	out, err := exec.Command(rig.Binary(e.t), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return status, string(out)
}

// upgrade has another copy of the binary take over.
func (e *estate) upgrade() {
	e.t.Helper()
	e.install(e.t, rig.Binary(e.t))
	if status, said := e.verb("upgrade"); status != 0 || !strings.Contains(said, "has taken over") {
		e.t.Errorf("edge upgrade: status %d, %s", status, said)
	}
	var s struct{ PID int }
	e.status(&s)
	if s.PID == e.control() || s.PID == 0 {
		e.t.Fatalf("process %d serves after process %d", s.PID, e.control())
	}
	e.pids = append(e.pids, s.PID)
}

// end waits until no connection is left, and stops an edge that others have taken the place of; that of the first process is the rig's.
func (e *estate) end() {
	if proc.Alive(e.control()) && !rig.Eventually(patience/2, func() bool { return e.Metrics().Sum("edge_connections") == 0 }) {
		e.t.Errorf("all clients have gone, and there are connections yet: %v", connectionsOf(e.Metrics()))
	}
	if len(e.pids) == 1 {
		return
	}
	if status, said := e.verb("stop"); status != 0 {
		e.t.Errorf("edge stop: status %d, %s", status, said)
	}
	deadline := time.Now().Add(patience)
	for slices.ContainsFunc(e.pids, proc.Alive) {
		if time.Now().After(deadline) {
			e.t.Errorf("of %d some are there yet", e.pids)
			for _, pid := range e.pids[1:] {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	e.Ended(e.Wait(patience))
}

// status is what /status.json says.
func (e *estate) status(into any) {
	e.t.Helper()
	answer, err := e.AdminClient().Get("http://localhost/status.json")
	rig.Must(e.t, err)
	defer answer.Body.Close()
	rig.Must(e.t, json.NewDecoder(answer.Body).Decode(into))
}

// load has clients of every kind at work.
func (e *estate) load(j *judge) {
	for range 2 {
		j.repeat(e.plain, true, between(0, 2*time.Millisecond), little)
		j.repeat(e.secure, true, between(0, 2*time.Millisecond), little)
	}
	j.repeat(e.plain, false, always(5*time.Millisecond), strangers)
	j.repeat(e.secure, false, always(20*time.Millisecond), strangers)
	for _, chunked := range []bool{false, true} {
		next := func() *ask { return upward(128<<10, 32, 20*time.Millisecond, chunked) }
		j.repeat(e.plain, true, always(0), next)
		j.repeat(e.plain, false, always(0), next)
		j.repeat(e.secure, true, always(0), next)
	}
	j.repeat(e.plain, true, always(0), func() *ask { return downward("/up/large", time.Millisecond) })
	j.repeat(e.secure, true, always(0), func() *ask { return downward("/files/large", time.Millisecond) })
	for range 4 {
		j.repeat(e.plain, true, between(100*time.Millisecond, 3*time.Second), idlers)
		j.repeat(e.secure, true, between(100*time.Millisecond, 3*time.Second), idlers)
	}
	j.streams(e.secure, 8, 2*time.Millisecond)
	j.streams(e.plain, 4, 2*time.Millisecond)
	j.idle(e.secure, between(100*time.Millisecond, 3*time.Second))
	j.idle(e.plain, between(100*time.Millisecond, 3*time.Second))
}

// kinds are those that a load does.
var kinds = []string{"answers", "answers to strangers", "answers after a rest", "uploads of a length", "uploads in chunks", "downloads of /up/large",
	"downloads of /files/large", "streams", "streams of uploads", "streams of downloads", "streams after a rest"}

func strangers() *ask { a := little(); a.kind += " to strangers"; return a }
func idlers() *ask    { a := little(); a.kind += " after a rest"; return a }

// connectionsOf are those that there are, by what they do.
func connectionsOf(m rig.Metrics) map[string]float64 {
	left := map[string]float64{}
	for line, n := range m {
		if strings.HasPrefix(line, "edge_connections{") && n > 0 {
			left[line] = n
		}
	}
	return left
}

// gone waits until processes have ended.
func gone(t testing.TB, pids []int) {
	t.Helper()
	within(t, fmt.Sprintf("%d are gone", pids), func() bool {
		return !slices.ContainsFunc(pids, proc.Alive)
	})
}
