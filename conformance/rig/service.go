package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
)

// Service is an edge as operators have it: a binary that may be replaced, a configuration that may be rewritten, a pid file, and a process
// that another may follow. Its output is in a file, so that it outlives whoever was started first.
type Service struct {
	Dir    string // holds all of the following, and access.log
	Binary string // a copy of the binary under test
	Config string // edge.toml
	Addr   string // of its listener
	Admin  string // path of the admin socket

	t     testing.TB
	first *exec.Cmd
	ended chan struct{} // closed when the first process has ended, with its error in err
	err   error
}

// ServiceConfig is what a test wants other than the default; each part is TOML text.
type ServiceConfig struct {
	Server string                   // lines for [server]
	Listen string                   // lines for [[listen]] beside the address
	Rest   string                   // upstreams, filters, routes
	Env    []string                 // added to the environment
	Wrap   []string                 // a program, with arguments, that runs edge
	Change func(text string) string // the last word on the configuration
	Owner  int                      // the user and group, by number, whose the directory is; 0: the test's own
	Files  []*os.File               // inherited, from descriptor 3 on
}

// StartService starts edge and waits until its admin server says that it is ready. The test's end kills what is left of it.
func StartService(t testing.TB, c ServiceConfig) *Service {
	t.Helper()
	s := &Service{t: t, Dir: shortTempDir(t), ended: make(chan struct{})}
	s.Binary, s.Config, s.Admin = filepath.Join(s.Dir, "edge"), filepath.Join(s.Dir, "edge.toml"), filepath.Join(s.Dir, "a.sock")
	addr, err := proc.FreeAddr()
	Must(t, err)
	s.Addr = addr
	s.Install(Binary(t))
	server := c.Server
	if !strings.Contains(server, "shutdown_timeout") {
		server += "\nshutdown_timeout = \"5s\"\n"
	}
	text := fmt.Sprintf("[server]\nadmin = \"unix:a.sock\"\npid_file = \"edge.pid\"\n%s\n[log]\naccess = \"access.log\"\n[[listen]]\naddress = %q\n%s\n%s\n",
		server, s.Addr, c.Listen, c.Rest)
	if c.Change != nil {
		text = c.Change(text)
	}
	Must(t, os.WriteFile(s.Config, []byte(text), 0o644))
	if c.Owner != 0 {
		for _, path := range []string{s.Dir, s.Binary, s.Config} {
			Must(t, os.Chown(path, c.Owner, c.Owner))
		}
	}
	s.start(&c)
	s.Await("edge is ready", func() bool {
		select {
		case <-s.ended:
			t.Fatalf("edge ended at its start: %v\n%s\nwith\n%s", s.err, s.Log(), text)
		default:
		}
		code, _ := s.Get("/readyz")
		return code == http.StatusOK && s.PID() != 0 // the pid file comes last
	})
	return s
}

func (s *Service) start(c *ServiceConfig) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	Must(s.t, err)
	defer log.Close()
	args := append(c.Wrap[:len(c.Wrap):len(c.Wrap)], s.Binary, "run", "-c", s.Config)
	s.first = exec.Command(args[0], args[1:]...)
	s.first.Dir, s.first.Stdout, s.first.Stderr, s.first.ExtraFiles = s.Dir, log, log, c.Files
	s.first.Env = append(os.Environ(), "EDGE_CACHE=off")
	s.first.Env = append(s.first.Env, c.Env...)
	s.first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // those that follow are of this group
	Must(s.t, s.first.Start())
	go func() {
		s.err = s.first.Wait()
		close(s.ended)
	}()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-s.first.Process.Pid, syscall.SIGKILL) // children end when the control process is gone
		<-s.ended
		if line := Terrible(s.Log()); line != "" {
			s.t.Errorf("edge logged %q", line)
		}
		if s.t.Failed() {
			text := s.Log()
			s.t.Logf("edge's log ends:\n%s", text[max(0, len(text)-6000):])
		}
	})
}

// Install puts a file in the place of the binary, as package managers do: beside, and then over.
func (s *Service) Install(path string) {
	s.t.Helper()
	data, err := os.ReadFile(path)
	Must(s.t, err)
	s.InstallText(string(data), 0o755)
}

// InstallText does so with a text.
func (s *Service) InstallText(text string, mode os.FileMode) {
	s.t.Helper()
	Must(s.t, os.WriteFile(s.Binary+".new", []byte(text), mode))
	Must(s.t, os.Rename(s.Binary+".new", s.Binary))
}

// PID is the process that the pid file names, or 0.
func (s *Service) PID() int {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "edge.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// FirstPID is the process that the service was started with.
func (s *Service) FirstPID() int { return s.first.Process.Pid }

// FirstEnded waits until it has ended, and returns how: nil is status 0.
func (s *Service) FirstEnded(limit time.Duration) error {
	select {
	case <-s.ended:
		return s.err
	case <-time.After(limit):
		return fmt.Errorf("process %d is there yet: %w", s.FirstPID(), proc.ErrTimeout)
	}
}

// Log is what edge, and those that have followed, have said on standard output and error.
func (s *Service) Log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	Must(s.t, err)
	return string(text)
}

// Verb runs the binary under test, not the one that is installed, with a verb and -c, and returns what it printed and its exit status.
func (s *Service) Verb(verb string, args ...string) (out string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(s.t), append([]string{verb, "-c", s.Config}, args...)...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return text.String(), cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the process that the pid file names.
func (s *Service) Signal(sig syscall.Signal) {
	s.t.Helper()
	Must(s.t, syscall.Kill(s.PID(), sig))
}

// Get asks the admin server; 0 is no answer.
func (s *Service) Get(page string) (code int, body string) {
	client := http.Client{Timeout: ioLimit, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.Admin)
		},
	}}
	answer, err := client.Get("http://localhost" + page)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// Await waits for a condition.
func (s *Service) Await(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(startLimit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not in time: %s\n%s", what, s.Log())
		}
	}
}
