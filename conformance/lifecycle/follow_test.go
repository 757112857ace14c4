package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// TestRunWatch: with --watch a changed file is taken up, one that is broken is not, with children and without.
func TestRunWatch(t *testing.T) {
	for _, flag := range []string{"", "--single"} {
		t.Run(flag, func(t *testing.T) {
			addr, err := proc.FreeAddr()
			rig.Must(t, err)
			path := filepath.Join(t.TempDir(), "edge.toml")
			write := func(body, more string) {
				text := fmt.Sprintf("[server]\nadmin = \"\"\n[[listen]]\naddress = %q\n[log]\naccess = \"off\"\n[[routes]]\nrespond = { body = %q }\n%s", addr, body, more)
				rig.Must(t, os.WriteFile(path, []byte(text), 0o600))
			}
			write("one", "")
			args := append([]string{"run", "--watch", "-c", path}, strings.Fields(flag)...)
			e, err := proc.Start(proc.Spec{Name: "edge", Path: rig.Binary(t), Args: args, Env: []string{"EDGE_CACHE=off"}})
			rig.Must(t, err)
			t.Cleanup(e.Kill)
			rig.Must(t, proc.WaitListening(e, addr, 30*time.Second))
			get := func() string {
				c := rig.Dial(t, addr)
				defer c.Close()
				return string(c.Get("/", "Connection: close\r\n").Body)
			}
			if got := get(); got != "one" {
				t.Errorf("it begins with %q", got)
			}
			write("two", "")
			if !rig.Eventually(30*time.Second, func() bool { return get() == "two" }) {
				t.Error("a changed file is not taken up")
			}
			write("three", "nonsense = 1\n")
			if !e.Log.WaitFor(func(text string) bool { return strings.Contains(text, "edge.toml:9: routes[0].nonsense: unknown key") }, 30*time.Second) {
				t.Errorf("nothing is said of a broken file: %s", e.Log.Tail(2000))
			}
			if got := get(); got != "two" {
				t.Errorf("with a broken file it serves %q", got)
			}
			if err := e.Stop(syscall.SIGTERM, 30*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}
