package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// units are the unit files in a directory of their own, with the binary under test in place of the one that a package installs.
func units(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"edge.service", "edge.socket"} {
		text, err := os.ReadFile(filepath.Join(rig.Root(t), "contrib", "systemd", name))
		rig.Must(t, err)
		text = []byte(strings.ReplaceAll(string(text), "/usr/bin/edge", rig.Binary(t)))
		rig.Must(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	return dir
}

// analyze runs systemd-analyze, or skips.
func analyze(t *testing.T, dir string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is absent (Debian: systemd)")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestUnits: systemd understands every line of both files, and finds nothing to say about them.
func TestUnits(t *testing.T) {
	if out := analyze(t, units(t), "verify", "./edge.service", "./edge.socket"); out != "" {
		t.Errorf("systemd-analyze verify says\n%s", out)
	}
}

// maxExposure is what the service's rating may be, from 0, harmless, to 10. What it is rated for it needs: to write machine code, the
// network, a low port, and the rights of a service to be a service.
const maxExposure = 2.0

var exposure = regexp.MustCompile(`Overall exposure level for edge.service: ([0-9.]+)`)

func TestHardening(t *testing.T) {
	out := analyze(t, units(t), "security", "--offline=true", "--no-pager", "./edge.service")
	m := exposure.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no rating in\n%s", out)
	}
	if x, err := strconv.ParseFloat(m[1], 64); err != nil || x > maxExposure {
		t.Errorf("rated %s, want at most %v:\n%s", m[1], maxExposure, out)
	}
}

// TestNeverWriteXorExecute: under MemoryDenyWriteExecute= filters would be interpreted, and nobody would know why edge has become slow.
func TestNeverWriteXorExecute(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(rig.Root(t), "contrib", "systemd", "edge.service"))
	rig.Must(t, err)
	if regexp.MustCompile(`(?mi)^\s*MemoryDenyWriteExecute`).Match(text) {
		t.Error("the unit sets MemoryDenyWriteExecute=")
	}
	for _, want := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "NotifyAccess=main", "KillMode=mixed", "FileDescriptorStoreMax="} {
		if !strings.Contains(string(text), "\n"+want) {
			t.Errorf("the unit has no %s", want)
		}
	}
}
