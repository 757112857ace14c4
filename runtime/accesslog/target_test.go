package accesslog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestSwitch: each line goes to the target of its time, however many switches come before the first write.
func TestSwitch(t *testing.T) {
	dir := t.TempDir()
	one, two, three := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "three")
	target := func(name string) *Target {
		t.Helper()
		made, err := OpenTarget(name)
		must(t, err)
		return made
	}
	w, err := Open(one, Limits{})
	must(t, err)
	w.Write([]byte("1\n"))
	must(t, w.Switch(target(two)))
	w.Write([]byte("2\n"))
	must(t, w.Flush(within(t)))
	must(t, w.Switch(target("off")))
	w.Write([]byte("lost\n"))
	must(t, w.Reopen()) // nothing to reopen
	must(t, w.Flush(within(t)))
	must(t, w.Switch(target(two)))
	must(t, w.Switch(target(three)))
	w.Write([]byte("3\n"))
	must(t, os.Rename(three, three+".1"))
	must(t, w.Flush(within(t)))
	must(t, w.Reopen())
	w.Write([]byte("4\n"))
	must(t, w.Close(within(t)))
	for name, want := range map[string]string{one: "1\n", two: "2\n", three + ".1": "3\n", three: "4\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if w.Dropped() != 0 || w.Failed() != 0 {
		t.Errorf("%d dropped, %d failed", w.Dropped(), w.Failed())
	}
	late := target(one)
	if err := w.Switch(late); !errors.Is(err, ErrClosed) {
		t.Errorf("switch after close: %v", err)
	}
	if _, err := late.file.Stat(); err == nil {
		t.Error("the target of a closed writer is left open")
	}
	if _, err := OpenTarget(filepath.Join(dir, "absent", "x")); err == nil {
		t.Error("a file in no directory was opened")
	}
}
