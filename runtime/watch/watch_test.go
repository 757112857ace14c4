package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds what a healthy run never waits for.
const patience = 20 * time.Second

// settle is short for the tests' sake, and long beside a write.
const settle = 80 * time.Millisecond

// never is a poll that does not come: what is seen is seen by the kernel's word.
const never = time.Hour

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func watching(t *testing.T, o Options, paths ...string) *Watcher {
	t.Helper()
	if o.Settle == 0 {
		o.Settle = settle
	}
	w := New(paths, o)
	t.Cleanup(w.Close)
	return w
}

// told waits for one change.
func told(t *testing.T, w *Watcher, want string) {
	t.Helper()
	select {
	case got := <-w.Changes():
		if got != want {
			t.Errorf("%s has changed, not %s", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nobody tells of %s", want)
	}
}

func TestChanges(t *testing.T) {
	swap := func(t *testing.T, link, target string) {
		must(t, os.Symlink(target, link+".new"))
		must(t, os.Rename(link+".new", link))
	}
	for _, c := range []struct {
		name         string
		path         string // watched
		before, then func(t *testing.T)
	}{
		{"written in place", "m/a.wasm", nil, func(t *testing.T) { write(t, "m/a.wasm", "two") }},
		{"renamed over", "m/a.wasm", nil, func(t *testing.T) {
			write(t, "m/.a.wasm.swp", "two")
			must(t, os.Rename("m/.a.wasm.swp", "m/a.wasm"))
		}},
		{"renamed over from another directory", "m/a.wasm", nil, func(t *testing.T) {
			write(t, "else/x", "two")
			must(t, os.Rename("else/x", "m/a.wasm"))
		}},
		{"removed and made again", "m/a.wasm", nil, func(t *testing.T) {
			must(t, os.Remove("m/a.wasm"))
			write(t, "m/a.wasm", "one")
		}},
		{"moved away and written, as vi does", "m/a.wasm", nil, func(t *testing.T) {
			must(t, os.Rename("m/a.wasm", "m/a.wasm~"))
			write(t, "m/a.wasm", "two")
		}},
		{"a link turned elsewhere", "m/link.wasm", func(t *testing.T) {
			must(t, os.Symlink("a.wasm", "m/link.wasm"))
			write(t, "m/b.wasm", "two")
		}, func(t *testing.T) { swap(t, "m/link.wasm", "b.wasm") }},
		{"the file behind a link", "l/link.wasm", func(t *testing.T) {
			must(t, os.Mkdir("l", 0o755))
			must(t, os.Symlink("../m/a.wasm", "l/link.wasm"))
		}, func(t *testing.T) { write(t, "m/a.wasm", "two") }},
		{"a link on the way", "current/a.wasm", func(t *testing.T) {
			must(t, os.Symlink("m", "current"))
			write(t, "m2/a.wasm", "two")
		}, func(t *testing.T) { swap(t, "current", "m2") }},
		{"a ConfigMap", "cm/a.wasm", func(t *testing.T) {
			write(t, "cm/..2026_1/a.wasm", "one")
			must(t, os.Symlink("..2026_1", "cm/..data"))
			must(t, os.Symlink("..data/a.wasm", "cm/a.wasm"))
		}, func(t *testing.T) {
			write(t, "cm/..2026_2/a.wasm", "two")
			swap(t, "cm/..data", "..2026_2")
			must(t, os.RemoveAll("cm/..2026_1"))
		}},
		{"not there at first", "late/er/a.wasm", nil, func(t *testing.T) { write(t, "late/er/a.wasm", "two") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "m/a.wasm", "one")
			if c.before != nil {
				c.before(t)
			}
			w := watching(t, Options{Poll: never}, c.path, "other.wasm")
			c.then(t)
			told(t, w, c.path)
			write(t, filepath.Dir(c.path)+"/unrelated", "x") // wakes it up, and is nobody's change
			write(t, "other.wasm", "x")
			told(t, w, "other.wasm")
		})
	}
}

// What is still being written is not told of.
func TestSettles(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a", "one")
	w := watching(t, Options{Poll: never, Settle: 500 * time.Millisecond}, "a")
	f, err := os.Create("a")
	must(t, err)
	defer f.Close()
	quick := true
	for range 20 {
		began := time.Now()
		if _, err := fmt.Fprint(f, "more "); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.Changes():
			if quick {
				t.Fatal("told of a file that is being written")
			}
		case <-time.After(50 * time.Millisecond):
		}
		quick = quick && time.Since(began) < 200*time.Millisecond // or this machine is too busy to tell
	}
	if quick {
		told(t, w, "a")
	}
}

// A file that never rests is told of in the end.
func TestMaxSettle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "")
	w := &Watcher{files: []*file{{path: path, told: identify(path), seen: identify(path)}}}
	now := time.Now()
	for after := time.Duration(0); ; after += time.Second {
		write(t, path, strings.Repeat("x", int(after.Seconds())+1))
		restless := w.look(now.Add(after))
		if due := len(w.due) > 0; due != (after == MaxSettle) || restless == due {
			t.Fatalf("after %s: due %v, restless %v", after, w.due, restless)
		}
		if after == MaxSettle {
			return
		}
	}
}

// Where the kernel says nothing, the files are looked at.
func TestPoll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m", "a")
	write(t, path, "one")
	said := make(chan string, 10)
	w := watching(t, Options{Poll: settle, Log: func(text string) { said <- text }}, path)
	must(t, os.Rename(filepath.Join(dir, "m"), filepath.Join(dir, "away"))) // the watches go with it
	write(t, path, "two")
	told(t, w, path)
	write(t, path, "three")
	told(t, w, path)
	if len(said) > 0 {
		t.Errorf("said %q", <-said)
	}
}

// While nobody listens, changes of one file become one.
func TestNobodyListens(t *testing.T) {
	t.Chdir(t.TempDir())
	w := &Watcher{}
	for _, path := range []string{"a", "b"} {
		write(t, path, "")
		w.files = append(w.files, &file{path: path, told: identify(path), seen: identify(path)})
	}
	for n := range 3 {
		write(t, "a", strings.Repeat("x", n+1))
		write(t, "b", strings.Repeat("x", n+1))
		if !w.look(time.Now()) || w.look(time.Now()) {
			t.Error("a change is not told of at the second look")
		}
	}
	if want := []string{"a", "b"}; !slices.Equal(w.due, want) {
		t.Errorf("to be told of: %v, want %v", w.due, want)
	}
}

func TestDirectories(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	t.Chdir(dir)
	write(t, "a/b/file", "")
	must(t, os.Symlink("../a", "a/up"))
	must(t, os.Symlink(filepath.Join(dir, "a"), "abs"))
	must(t, os.Symlink("loop", "loop"))
	for path, want := range map[string][]string{
		"a/b/file":      {"a/b"},
		"a/up/b/file":   {"a", "a/b"},
		"abs/b/../b/x":  {"", "a/b"},
		"abs/gone/file": {"", "a"},
		"nothing":       {""},
	} {
		for i, d := range want {
			want[i] = filepath.Join(dir, d)
		}
		if got := directories(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if got := directories("loop"); len(got) != maxLinks+1 {
		t.Errorf("a loop has %d steps", len(got))
	}
}
