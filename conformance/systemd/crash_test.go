package systemd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// TestCrash: what ends edge in a crash, and the watchdog's ABRT, is no exit status after which the unit has it stay down; its children go too.
func TestCrash(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(rig.Root(t), "contrib", "systemd", "edge.service"))
	rig.Must(t, err)
	if !regexp.MustCompile(`(?m)^RestartPreventExitStatus=1 2$`).Match(unit) || !regexp.MustCompile(`(?m)^Restart=on-failure$`).Match(unit) {
		t.Error("the unit restarts after other ends than this test knows")
	}
	addr, err := proc.FreeAddr()
	rig.Must(t, err)
	path := filepath.Join(t.TempDir(), "edge.toml")
	rig.Must(t, os.WriteFile(path, []byte(fmt.Sprintf("[server]\nadmin = \"\"\n[[listen]]\naddress = %q\n%s", addr, hello)), 0o644))
	e, err := proc.Start(proc.Spec{Name: "edge", Path: rig.Binary(t), Args: []string{"run", "-c", path}, Env: []string{"EDGE_CACHE=off"}})
	rig.Must(t, err)
	rig.Must(t, proc.WaitListening(e, addr, patience))
	var children []int
	if !rig.Eventually(patience, func() bool { children = proc.Children(e.PID()); return len(children) > 0 }) {
		t.Fatal("there are no children")
	}
	rig.Must(t, e.Signal(syscall.SIGABRT))
	var how *exec.ExitError
	if err := e.Wait(patience); !errors.As(err, &how) {
		t.Fatalf("it ends with %v", err)
	}
	if s := how.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGABRT {
		t.Errorf("it ends with %v, want a signal", how)
	}
	if log := e.Log.String(); !strings.Contains(log, "goroutine ") {
		t.Errorf("nothing is told of what it did: %.300q", log)
	}
	if !rig.Eventually(patience, func() bool {
		for _, pid := range children {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	}) {
		t.Errorf("the children %d are left", children)
	}
}
