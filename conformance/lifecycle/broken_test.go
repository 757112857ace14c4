package lifecycle

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"edge/conformance/rig"
)

// TestP4BrokenUnderLoad: whatever is wrong with a configuration, what runs goes on and loses nothing. Where it is wrong, and what to do, is
// told to who has asked, in the log and by a metric; the same children serve as before.
func TestP4BrokenUnderLoad(t *testing.T) {
	e := newEstate(t, 2, "")
	rig.Must(t, os.WriteFile(filepath.Join(e.Dir, "trap.wasm"), trap, 0o644))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	defer taken.Close()
	j := newJudge(t)
	e.load(j)
	children := e.children()
	good := e.config(form{version: 1, children: 2})
	more := fmt.Sprintf("[[listen]]\naddress = %q\n", taken.Addr())
	failed := 0
	for _, c := range []struct {
		name, text, line, why, remedy string
	}{
		{"a key that is none", strings.Replace(good, "workers", "wrokers", 1), "wrokers", "unknown key", `did you mean "workers"`},
		{"a certificate that is not there", strings.Replace(good, "main.pem", "gone.pem", 1), "certificate = ", "no such file", "it should be PEM"},
		{"a guest that traps", strings.Replace(good, "builtin:welcome", "trap.wasm", 1), "[filters.greeter]", "unreachable", ""},
		{"a guest that traps, in a new generation", strings.NewReplacer("builtin:welcome", "trap.wasm", "workers = 16", "workers = 17").Replace(good),
			"[filters.greeter]", "unreachable", ""},
		{"an address that is taken", good + more, taken.Addr().String(), "address already in use", "stop what listens there, or choose another address"},
		{"a user that does not exist", strings.Replace(good, "[server]\n", "[server]\nuser = \"nobody-of-this-name\"\n", 1),
			"user = ", "nobody-of-this-name", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			j.more("uploads in chunks")
			e.write(c.text)
			failed++
			code, said := e.reload()
			line := 1 + strings.Count(c.text[:strings.Index(c.text, c.line)], "\n")
			where := fmt.Sprintf("edge.toml:%d: ", line)
			for _, want := range []string{where, c.why, c.remedy} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in %q", want, said)
				}
			}
			if code != 1 {
				t.Errorf("edge reload ends with status %d, want 1", code)
			}
			rig.Must(t, e.Signal(syscall.SIGHUP))
			failed++
			within(t, "both are counted", func() bool { return int(e.Metrics().Sum("edge_reloads_total", `result="failed"`)) == failed })
			within(t, "both are in the log", func() bool { return strings.Count(e.Log.String(), "the configuration is not used") == failed })
			logged(t, e.Edge, where, c.why)
			if version := e.served(); version != "v0" {
				t.Errorf("%s is served, want v0", version)
			}
			within(t, "no other child is left", func() bool { return slices.Equal(e.children(), children) })
		})
	}
	t.Run("no TOML", func(t *testing.T) {
		e.write(good + "[[routes\n")
		where := fmt.Sprintf("edge.toml:%d: ", 1+strings.Count(good, "\n"))
		if code, said := e.reload(); code != 1 || !strings.Contains(said, where) {
			t.Errorf("status %d, %q", code, said)
		}
		rig.Must(t, e.Signal(syscall.SIGHUP)) // the one that is counted: the verb does not even learn whom to ask
		failed++
		within(t, "it is counted", func() bool { return int(e.Metrics().Sum("edge_reloads_total", `result="failed"`)) == failed })
		logged(t, e.Edge, where, "not TOML")
	})
	for _, c := range []struct{ name, text, why string }{
		{"a binary that exits", "#!/bin/sh\necho 'no such luck' >&2\nexit 7\n", "7"},
		{"a binary that is none", "neither fish nor flesh", "exec format error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j.more("uploads in chunks")
			e.write(good)
			rig.Must(t, os.WriteFile(e.binary+".new", []byte(c.text), 0o755))
			rig.Must(t, os.Rename(e.binary+".new", e.binary))
			if code, said := e.verb("upgrade"); code != 1 || !strings.Contains(said, c.why) || !strings.Contains(said, e.binary) {
				t.Errorf("status %d, %q; want %q, %q", code, said, c.why, e.binary)
			}
			if version := e.served(); version != "v0" {
				t.Errorf("%s is served, want v0", version)
			}
			if now := e.children(); !slices.Equal(now, children) {
				t.Errorf("the children are %d, they were %d", now, children)
			}
		})
	}
	if n := e.Metrics().Sum("edge_upgrades_total", `result="failed"`); n != 2 {
		t.Errorf("%v upgrades are counted as failed, want 2", n)
	}
	j.check(kinds...)
	e.take(form{version: 1, children: 2})
	if version := e.served(); version != "v1" {
		t.Errorf("%s is served, want v1", version)
	}
}
