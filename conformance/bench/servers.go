package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"edge/conformance/proc"
)

// The processors: one for the server, the other for load and origin.
const (
	serverCPU = "0"
	loadCPU   = "1"
)

// server is one of the servers measured.
type server struct {
	name    string
	version string
	addr    string
	secure  string   // its address for TLS, or "" where it has none
	without []string // workloads it has no counterpart for
	child   *proc.Child
}

// bench is one run of the command.
type bench struct {
	options
	dir     string
	origin  *server
	servers []*server // nginx first
	absent  []string  // why a peer has no row
}

// start starts the origin and every server that is there.
func (b *bench) start(ctx context.Context) error {
	var err error
	if b.origin, err = b.launch("origin", loadCPU, nginxOrigin); err != nil {
		return err
	}
	peers := []struct {
		name   string
		needed bool
		make   func(*bench, *server) (proc.Spec, error)
	}{
		{"nginx", true, nginxServer}, {"njs", false, njsServer}, {"apache", false, apacheServer},
		{"caddy", false, caddyServer(ctx)}, {"edge", false, edgeServer(ctx)},
	}
	for _, p := range peers {
		s, err := b.launch(p.name, serverCPU, p.make)
		switch {
		case err == nil:
			b.servers = append(b.servers, s)
		case p.needed:
			return err
		default:
			b.absent = append(b.absent, fmt.Sprintf("%s: %v", p.name, err))
		}
	}
	return nil
}

// launch starts one server and waits until it listens.
func (b *bench) launch(name, cpu string, spec func(*bench, *server) (proc.Spec, error)) (*server, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	secure, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	s := &server{name: name, addr: addr, secure: secure}
	sp, err := spec(b, s)
	if err != nil {
		return nil, err
	}
	sp.Name, sp.CPU = name, cpu
	if s.child, err = proc.Start(sp); err != nil {
		return nil, err
	}
	if err := proc.WaitListening(s.child, addr, 30*time.Second); err != nil {
		s.child.Kill()
		return nil, err
	}
	return s, nil
}

// stop stops everything; a server that did not end well is an error.
func (b *bench) stop() error {
	var errs []error
	for _, s := range append(slices.Clone(b.servers), b.origin) {
		if s == nil {
			continue
		}
		if err := s.child.Stop(syscall.SIGTERM, 20*time.Second); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w\n%s", s.name, err, s.child.Log.Tail(2000)))
		}
	}
	return errors.Join(errs...)
}

// check asks a server once and says whether the answer is the workload's.
func (s *server) check(w workload) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: w.h2 == 0, ForceAttemptHTTP2: w.h2 > 0,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get(s.url(w))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	want := hello
	if w.large {
		want = large
	}
	if answer.StatusCode != http.StatusOK || string(body) != want || (w.h2 > 0) != (answer.ProtoMajor == 2) {
		return fmt.Errorf("%s answers %s with %s %s and %.60q", s.name, w.path, answer.Proto, answer.Status, body)
	}
	if w.name != "filter" {
		return nil
	}
	if answer.Header.Get("X-Served-By") == "" {
		return fmt.Errorf("%s: the filter did not set its field: %v", s.name, answer.Header)
	}
	ask, err := http.NewRequest(http.MethodGet, "http://"+s.addr+w.path, nil)
	if err != nil {
		return err
	}
	ask.Header.Set("User-Agent", "blocked")
	refused, err := client.Do(ask)
	if err != nil {
		return err
	}
	refused.Body.Close()
	if refused.StatusCode != http.StatusForbidden {
		return fmt.Errorf("%s: the filter did not refuse: %s", s.name, refused.Status)
	}
	return nil
}

// takesPart says whether the server has a counterpart of the workload.
func (s *server) takesPart(w workload) bool {
	return !slices.Contains(s.without, w.name) && !(w.secure && s.secure == "")
}

// url is a workload's.
func (s *server) url(w workload) string {
	if w.secure {
		return "https://" + s.secure + w.path
	}
	return "http://" + s.addr + w.path
}

// write puts a configuration file of a server into a directory of its own and returns both.
func (b *bench) write(name, file, text string) (dir, path string, err error) {
	dir = filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, file)
	return dir, path, os.WriteFile(path, []byte(text), 0o644)
}

// output runs a program and returns what it prints, both streams.
func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).CombinedOutput()
	return string(out)
}
