// Package rig runs edge as a black box for the conformance suites: it builds the binary once, starts it with a
// configuration on addresses of its own, and after every test looks at how it ended and at what it logged. It also has the
// two other ends: a client that sends exact bytes and an origin that sees and says exact bytes.
package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
)

// Times that a test waits at most. A healthy run comes nowhere near them; they bound a failing one.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
	ioLimit    = 20 * time.Second
)

// Config is a configuration file in parts; each is TOML text. Addresses, the admin socket and the logs are the rig's.
type Config struct {
	Server string   // lines for [server]
	Limits string   // lines for [limits]
	Log    string   // lines for [log], in place of the default level
	Listen string   // lines for [[listen]] beside the address
	Rest   string   // upstreams, filters, routes
	Files  int      // limit of open descriptors, 0 for none
	Binary string   // what is run, in place of Binary's
	Args   []string // more of run's arguments
}

// Edge is a running edge.
type Edge struct {
	*proc.Child
	Addr  string // of its listener
	Dir   string // holds edge.toml, access.log and the admin socket
	Admin string // path of the admin socket

	t       testing.TB
	stopped bool
}

var (
	buildOnce sync.Once
	buildDir  string
	binary    string
	buildErr  error
)

// Main is a package's TestMain. It waits while the machine is another suite's.
func Main(m *testing.M) {
	done, err := takeTurn(os.TempDir(), turns())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	done()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// Binary builds ./cmd/edge, once per test process, and returns its path. Under the race detector it is built with it. The
// variable EDGE_BINARY names a binary to test in its place.
func Binary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		if binary = os.Getenv("EDGE_BINARY"); binary != "" {
			return
		}
		if buildDir, buildErr = os.MkdirTemp("", "edge-conformance-"); buildErr != nil {
			return
		}
		binary = filepath.Join(buildDir, "edge")
		args := []string{"build", "-o", binary}
		if Race {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, "edge/cmd/edge")...).CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("go build edge/cmd/edge: %w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return binary
}

// Full says whether the suites are to run at full size: with EDGE_FULL in the environment, as make conform has it.
func Full() bool { return os.Getenv("EDGE_FULL") != "" && !testing.Short() }

// Root is the module's root directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test's directory")
	return ""
}

// Start starts edge and waits until it listens, at its address and at its admin socket. The test's end stops it with SIGTERM and checks how it ended.
func Start(t testing.TB, c Config) *Edge {
	t.Helper()
	e := &Edge{t: t, Dir: shortTempDir(t)}
	e.Admin = filepath.Join(e.Dir, "a.sock")
	addr, err := proc.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	e.Addr = addr
	server := c.Server
	if !strings.Contains(server, "shutdown_timeout") {
		server += "\nshutdown_timeout = \"5s\"\n"
	}
	log := c.Log
	if log == "" {
		log = "level = \"debug\"\n"
	}
	path := filepath.Join(e.Dir, "edge.toml")
	text := fmt.Sprintf("[server]\nadmin = %q\n%s\n[limits]\n%s\n[log]\naccess = %q\n%s\n[[listen]]\naddress = %q\n%s\n%s\n",
		"unix:"+e.Admin, server, c.Limits, filepath.Join(e.Dir, "access.log"), log, e.Addr, c.Listen, c.Rest)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Child, err = proc.Start(proc.Spec{Name: "edge", Path: cmp.Or(c.Binary, Binary(t)), Args: append([]string{"run", "-c", path}, c.Args...), Dir: e.Dir,
		Files: c.Files, Env: []string{"GORACE=halt_on_error=0", "EDGE_CACHE=off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	if err := proc.WaitListening(e.Child, e.Addr, startLimit); err != nil {
		t.Fatalf("%v\nwith\n%s", err, text)
	}
	if err := proc.WaitListening(e.Child, "unix:"+e.Admin, startLimit); err != nil {
		t.Fatal(err)
	}
	if !Eventually(startLimit, func() bool { return !e.Running() || e.ready() }) || !e.Running() {
		t.Fatalf("edge is not ready\n%s", e.Log.Tail(4000))
	}
	return e
}

// PID is the process that serves: the control process's first child. That of the control process itself is e.Child.PID().
func (e *Edge) PID() int {
	e.t.Helper()
	if children := proc.Children(e.Child.PID()); len(children) > 0 {
		return children[0]
	}
	return e.Child.PID()
}

// shortTempDir is a temporary directory whose path is short enough for a unix socket (108 bytes), whatever the test's name.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Stop ends edge with SIGTERM, once, and checks that it ended well and logged nothing terrible.
func (e *Edge) Stop() {
	e.t.Helper()
	if e.stopped {
		return
	}
	e.stopped = true
	if e.t.Failed() {
		e.t.Logf("edge's status:\n%s", e.status())
	}
	if !e.Running() {
		e.t.Errorf("edge had ended before it was stopped: %v", e.Wait(0))
	}
	err := e.Child.Stop(syscall.SIGTERM, stopLimit)
	e.Ended(err)
}

// Ended checks an end: status 0, no child left behind, a clean log. The log's tail is shown where a check or the test failed.
func (e *Edge) Ended(err error) {
	e.t.Helper()
	e.stopped = true
	if err != nil {
		e.t.Errorf("edge ended with %v, want status 0", err)
	}
	if e.Leftover() {
		e.t.Error("edge left a child behind")
	}
	if line := Terrible(e.Log.String()); line != "" {
		e.t.Errorf("edge logged %q", line)
	}
	if e.t.Failed() {
		e.t.Logf("edge's log ends:\n%s", e.Log.Tail(6000))
	}
}

var terrible = regexp.MustCompile(`(?mi)^.*(\bpanic|\bfatal\b|DATA RACE|SIGSEGV|all goroutines are asleep|unexpected fault address|goroutine \d+ \[).*$`)

// Terrible finds the first line of a log that no test may cause (T1's log scan), or "".
func Terrible(log string) string { return terrible.FindString(log) }

// AccessLog is the access log so far.
func (e *Edge) AccessLog() string {
	text, err := os.ReadFile(filepath.Join(e.Dir, "access.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		e.t.Fatal(err)
	}
	return string(text)
}

// status is what edge says of itself, or why it says nothing.
func (e *Edge) status() string {
	answer, err := e.AdminClient().Get("http://localhost/status.json")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 20<<10))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (e *Edge) ready() bool {
	answer, err := e.AdminClient().Get("http://localhost/readyz")
	if err == nil {
		answer.Body.Close()
	}
	return err == nil && answer.StatusCode == http.StatusOK
}

// AdminClient speaks to the admin socket.
func (e *Edge) AdminClient() *http.Client {
	return &http.Client{Timeout: ioLimit, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.Admin)
		},
	}}
}
