package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edge/filters"
)

// TestMain keeps these tests out of the user's cache.
func TestMain(m *testing.M) {
	os.Setenv("EDGE_CACHE", "off")
	os.Exit(m.Run())
}

func TestCacheDir(t *testing.T) {
	for _, c := range []struct {
		configured, env string
		root            bool
		want            string
	}{
		{"/a", "EDGE_CACHE=/b", true, "/a"},
		{"", "EDGE_CACHE=/b HOME=/h", true, ""},
		{"auto", "EDGE_CACHE=/b HOME=/h", false, "/b"},
		{"auto", "EDGE_CACHE=off HOME=/h", true, ""},
		{"auto", "CACHE_DIRECTORY=/var/cache/x:/var/cache/y HOME=/h", false, "/var/cache/x/modules"},
		{"auto", "XDG_CACHE_HOME=/x HOME=/h", false, "/x/edge"},
		{"auto", "XDG_CACHE_HOME=x HOME=/h", false, "/h/.cache/edge"}, // the specification: a relative path is ignored
		{"auto", "HOME=/h", true, "/h/.cache/edge"},
		{"auto", "", true, "/var/cache/edge"},
		{"auto", "", false, ""},
	} {
		env := func(name string) string {
			for pair := range strings.FieldsSeq(c.env) {
				if value, ok := strings.CutPrefix(pair, name+"="); ok {
					return value
				}
			}
			return ""
		}
		if got := cacheDir(c.configured, env, c.root); got != c.want {
			t.Errorf("%q with %q, root %v: %q, want %q", c.configured, c.env, c.root, got, c.want)
		}
	}
}

func TestUnsafeCacheIsLeftOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	said := ""
	host, err := newHost(dir, func(_ string, level filters.Level, text string) {
		if level == filters.Warn {
			said += text
		}
	}, nil, nil)
	if err != nil || host == nil {
		t.Fatalf("no host: %v", err)
	}
	if !strings.Contains(said, dir) || !strings.Contains(said, "0755") {
		t.Errorf("said %q", said)
	}
}
