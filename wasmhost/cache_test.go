package wasmhost

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// cached is a host with a cache at dir.
func cached(t *testing.T, dir string, o Options) *Host {
	t.Helper()
	o.CacheDir = dir
	return testHost(t, o)
}

// greets starts a greeter, has it greet, and ends it.
func greets(t *testing.T, h *Host, wasm []byte) {
	t.Helper()
	f := testFilter(t, h, Spec{Name: "g", Wasm: wasm, Lanes: 1, Config: []byte(`{"greeting": "hi"}`)})
	x := fake.New()
	s := begin(t, f, x)
	if s.Head(filters.Response, true) != filters.Continue || x.Resp.Header.Value("x-greeting") != "hi" {
		t.Errorf("greeting %q", x.Resp.Header.Value("x-greeting"))
	}
	s.Close()
	f.Retire()
	<-f.Closed()
}

func cacheStats(t *testing.T, h *Host, want CacheStats) {
	t.Helper()
	if got := h.CacheStats(); got != want {
		t.Errorf("the cache has counted %+v, want %+v", got, want)
	}
}

// files are the files of a cache, by their paths in it.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	for _, name := range append(all, more...) {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

func TestCacheKeepsCompiledCode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	wasm := example(t, "greeter")
	h := cached(t, dir, Options{})
	greets(t, h, wasm)
	greets(t, h, wasm)
	cacheStats(t, h, CacheStats{Hits: 1, Misses: 1})
	kept := files(t, dir)
	if len(kept) != 2 {
		t.Fatalf("the cache has %v, want a seal and a file of code", kept)
	}
	for _, name := range append(kept, dir, filepath.Dir(kept[0]), filepath.Dir(kept[1])) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, error %v", name, info.Mode(), err)
		}
	}
	h = cached(t, dir, Options{})
	greets(t, h, wasm)
	cacheStats(t, h, CacheStats{Hits: 1})
	for name, h := range map[string]*Host{
		"another version of edge": cached(t, dir, Options{Version: "2"}),
		"without metering":        cached(t, dir, Options{Unmetered: true}), // the module is compiled as it came
	} {
		t.Run(name, func(t *testing.T) {
			greets(t, h, wasm)
			cacheStats(t, h, CacheStats{Misses: 1})
		})
	}
	if left, _ := filepath.Glob(filepath.Join(dir, stagePrefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Nothing but what was written is ever run: every byte of an entry counts. wazero alone takes a changed table of functions
// for good, and a changed checksum for a failure.
func TestCacheRunsNothingDamaged(t *testing.T) {
	wasm := example(t, "greeter")
	dir := filepath.Join(t.TempDir(), "cache")
	greets(t, cached(t, dir, Options{}), wasm)
	rename := func(t *testing.T, name string) {
		if err := os.Rename(name, name+"x"); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at float64) func(*testing.T, string) {
		return edit(func(b []byte) []byte { b[int(at*float64(len(b)-1))] ^= 0x10; return b })
	}
	damages := map[string]func(t *testing.T, name string){
		"first byte":         flip(0),
		"a function's place": edit(func(b []byte) []byte { b[24] ^= 0x40; return b }),
		"middle":             flip(0.5),
		"near the end":       flip(0.97),
		"last byte":          flip(1),
		"truncated":          edit(func(b []byte) []byte { return b[:len(b)/2] }),
		"empty":              edit(func([]byte) []byte { return nil }),
		"longer":             edit(func(b []byte) []byte { return append(b, 0) }),
		"another name":       rename,
		"gone":               func(t *testing.T, name string) { os.Remove(name) },
		"a link":             func(t *testing.T, name string) { rename(t, name); os.Symlink(name+"x", name) },
		"one more": func(t *testing.T, name string) {
			os.WriteFile(filepath.Join(filepath.Dir(name), "more"), []byte("x"), 0o600)
		},
	}
	for _, what := range []string{sealFile, "wazero-*/*"} {
		for name, damage := range damages {
			t.Run(what+" "+name, func(t *testing.T) {
				found, err := filepath.Glob(filepath.Join(dir, "*", what))
				if err != nil || len(found) != 1 {
					t.Fatalf("found %v, error %v", found, err)
				}
				damage(t, found[0])
				h := cached(t, dir, Options{})
				greets(t, h, wasm)
				cacheStats(t, h, CacheStats{Misses: 1, Damaged: 1})
				greets(t, h, wasm)
				cacheStats(t, h, CacheStats{Hits: 1, Misses: 1, Damaged: 1})
			})
		}
	}
}

func TestCacheHasBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	now := time.Now()
	h := cached(t, dir, Options{Now: func() time.Time { return now }})
	h.cache.entries = 3
	var versions [][]byte
	for n := range 5 {
		versions = append(versions, greeterVersion(t, n))
	}
	use := func(n int) {
		now = now.Add(time.Minute)
		greets(t, h, versions[n])
	}
	for n := range 3 {
		use(n)
	}
	use(0)
	use(3) // 1 is what was used longest ago
	cacheStats(t, h, CacheStats{Hits: 1, Misses: 4, Evicted: 1})
	use(0)
	use(2)
	cacheStats(t, h, CacheStats{Hits: 3, Misses: 4, Evicted: 1})
	h.cache.bytes = 1 // only the newest stays, however large
	use(4)
	cacheStats(t, h, CacheStats{Hits: 3, Misses: 5, Evicted: 4})
	use(4)
	cacheStats(t, h, CacheStats{Hits: 4, Misses: 5, Evicted: 4})

	old, fresh := filepath.Join(dir, stagePrefix+"old"), filepath.Join(dir, stagePrefix+"fresh")
	for path, age := range map[string]time.Duration{old: 2 * stageTime, fresh: 0} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	use(1)
	if _, err := os.Stat(old); err == nil {
		t.Error("what was left half done is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("what another process may be at work on: %v", err)
	}
}

// A cache that fails later costs compilations, and nothing else.
func TestCacheThatFails(t *testing.T) {
	wasm := example(t, "greeter")
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"is gone": func(t *testing.T, dir string) {
			os.RemoveAll(dir)
		},
		"is a file": func(t *testing.T, dir string) {
			os.RemoveAll(dir)
			os.WriteFile(dir, nil, 0o600)
		},
		"has a file where wazero makes its directory": func(t *testing.T, dir string) {
			code, _ := filepath.Glob(filepath.Join(dir, "*", "wazero-*"))
			for _, name := range code {
				os.RemoveAll(name)
				os.WriteFile(name, nil, 0o600)
				entry := filepath.Dir(name)
				lines, _ := contents(entry)
				os.WriteFile(filepath.Join(entry, sealFile), lines, 0o600)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			warned := ""
			h := cached(t, dir, Options{Log: func(_ string, level filters.Level, text string) {
				if level >= filters.Warn {
					warned += text
				}
			}})
			greets(t, h, wasm)
			spoil(t, dir)
			greets(t, h, wasm)
			cacheStats(t, h, CacheStats{Misses: 1, Failed: 1})
			if !strings.Contains(warned, dir) {
				t.Errorf("warned of %q", warned)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "cache")
	h := cached(t, dir, Options{})
	if _, err := h.NewFilter(Spec{Name: "bad", Wasm: []byte("\x00asm\x01\x00\x00\x00\x0a\x01\x01")}); err == nil {
		t.Error("a module that is none is taken")
	}
	cacheStats(t, h, CacheStats{})
}

func TestCacheIsRefusedWhereOthersCanWrite(t *testing.T) {
	base := t.TempDir()
	make := func(name string, mode os.FileMode) string {
		dir := filepath.Join(base, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	safe := make("safe", 0o700)
	link := filepath.Join(base, "link")
	if err := os.Symlink(safe, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, want string }{
		{safe, ""},
		{filepath.Join(safe, "new", "cache"), ""},
		{make("open", 0o755), "0755"},
		{make("group", 0o770), "0770"},
		{link, "not a directory"},
		{file, "not a directory"},
		{filepath.Join(make("shared", 0o777), "cache"), "everybody may write to"},
		{filepath.Join(make("sticky", 0o777|os.ModeSticky), "cache"), ""},
	} {
		_, err := New(Options{CacheDir: c.dir})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.want)
		}
	}
}

// greeterVersion is a greeter that greets, unless configured, with a number: another module, which does the same.
func greeterVersion(t testing.TB, n int) []byte {
	t.Helper()
	wasm := bytes.Replace(example(t, "greeter"), []byte("hello from the edge"), fmt.Appendf(nil, "hello version %05d", n), 1)
	if bytes.Equal(wasm, example(t, "greeter")) {
		t.Fatal("the greeter has another greeting")
	}
	return wasm
}
