package systemd

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// setting is what the unit has for a key, all lines of it.
func setting(t *testing.T, key string) (values []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Root(t), "contrib", "systemd", "edge.service"))
	rig.Must(t, err)
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		values = append(values, strings.Fields(m[1])...)
	}
	if len(values) == 0 {
		t.Fatalf("the unit has no %s=", key)
	}
	return values
}

// allowed are the system calls of SystemCallFilter=, groups resolved.
func allowed(t *testing.T, names []string, into map[string]bool) {
	t.Helper()
	for _, name := range names {
		if !strings.HasPrefix(name, "@") {
			into[name] = true
			continue
		}
		var members []string
		for line := range strings.Lines(analyze(t, t.TempDir(), "--no-pager", "syscall-filter", name)) {
			if line = strings.TrimSpace(line); line != name && line != "" && line[0] != '#' {
				members = append(members, line)
			}
		}
		allowed(t, members, into)
	}
}

// guest is a configuration with a filter, beside which everything is tried: compiling it, a reload, a change of generation, an upgrade.
func guest(t *testing.T) string {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(rig.Root(t), "examples", "wasm", "greeter", "greeter.wasm"))
	rig.Must(t, err)
	dir, err := os.MkdirTemp("", "edge-") // for everybody, which those of the test are not
	rig.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	rig.Must(t, os.Chmod(dir, 0o755))
	module := filepath.Join(dir, "greeter.wasm")
	rig.Must(t, os.WriteFile(module, wasm, 0o644))
	return fmt.Sprintf("[filters.greeter]\nmodule = %q\n[[routes]]\nfilters = [\"greeter\"]\nrespond = { body = \"hello\\n\" }\n", module)
}

// live has a service do what services do.
func live(t *testing.T, s *rig.Service) {
	t.Helper()
	for _, do := range []func() (string, int){
		func() (string, int) { return s.Verb("reload") },
		func() (string, int) {
			text, err := os.ReadFile(s.Config)
			rig.Must(t, err)
			rig.Must(t, os.WriteFile(s.Config, []byte(strings.Replace(string(text), "[server]\n", "[server]\nworkers = 20\n", 1)), 0o644))
			return s.Verb("reload")
		},
		func() (string, int) { return s.Verb("upgrade") },
		func() (string, int) { return "", 0 },
	} {
		if out, code := do(); code != 0 {
			t.Errorf("status %d: %s", code, out)
		}
		if err := ask(http.DefaultClient, s.Addr); err != nil {
			t.Error(err)
		}
	}
	if code, text := s.Get("/status.json"); code != 200 || !strings.Contains(text, `"engine":"compiler"`) {
		t.Errorf("filters are not compiled: %d", code)
	}
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
	rig.Must(t, s.FirstEnded(patience))
}

// TestSystemCalls: the unit forbids no system call, and no family of sockets, that edge or its children use.
func TestSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is absent (Debian: strace)")
	}
	may := map[string]bool{}
	allowed(t, setting(t, "SystemCallFilter"), may)
	families := setting(t, "RestrictAddressFamilies")
	trace := filepath.Join(t.TempDir(), "trace")
	s := rig.StartService(t, rig.ServiceConfig{Rest: guest(t), Wrap: []string{strace, "-f", "-qq", "-o", trace}, Env: []string{"EDGE_CACHE=" + t.TempDir()}})
	live(t, s)
	f, err := os.Open(trace)
	rig.Must(t, err)
	defer f.Close()
	call, family := regexp.MustCompile(`^\d+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]`), regexp.MustCompile(`\bsocket(?:pair)?\((AF_[A-Z0-9]+)`)
	used := map[string]int{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if m := call.FindStringSubmatch(in.Text()); m != nil {
			used[m[1]]++
		}
		if m := family.FindStringSubmatch(in.Text()); m != nil && !slices.Contains(families, m[1]) {
			t.Errorf("a socket of %s is asked for, which the unit forbids: %.200s", m[1], in.Text())
		}
	}
	if used["execve"] == 0 || used["epoll_ctl"] == 0 || used["seccomp"] == 0 || len(used) < 50 {
		t.Errorf("only %d system calls were seen: %v", len(used), used)
	}
	for name, n := range used {
		if !may[name] {
			t.Errorf("%s, which the unit forbids, is called %d times", name, n)
		}
	}
}

// TestRights: edge does all of that with the unit's rights, a user that is not root and may bind low ports, and no way to more.
func TestRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give rights up")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv is absent (Debian: util-linux)")
	}
	const nobody = 65534
	low, err := proc.FreeAddr()
	rig.Must(t, err)
	low = low[:strings.LastIndexByte(low, ':')] + ":83"
	s := rig.StartService(t, rig.ServiceConfig{
		Owner: nobody, Rest: listenAt(low) + guest(t),
		Wrap: []string{setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all,+net_bind_service",
			"--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"},
	})
	if err := ask(http.DefaultClient, low); err != nil {
		t.Errorf("at a low port: %v", err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	rig.Must(t, err)
	for _, want := range []string{"NoNewPrivs:\t1\n", "Uid:\t65534\t65534\t65534\t65534\n", "CapEff:\t0000000000000400\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the control process is not %q:\n%s", want, text)
		}
	}
	live(t, s)
}
