package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edge/runtime/control/confine"
)

// TestReachOfConfiguration: children reach the directories of modules and files, and the cache; not those of what they are handed.
func TestReachOfConfiguration(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range [...]string{"modules", "releases", "www", "tls"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	module, err := os.ReadFile("../../examples/wasm/greeter/greeter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/releases/7.wasm", module, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../releases/7.wasm", dir+"/modules/a.wasm"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, server string
		abstract     bool
	}{
		{"tcp", "127.0.0.1:9001", false},
		{"unix", "unix:app.sock", false},
		{"abstract", "unix:@app", true},
	} {
		path := writeConfig(t, dir, `
[[listen]]
address = "127.0.0.1:8080"
[upstreams.app]
servers = ["`+c.server+`"]
[filters.a]
module = "modules/a.wasm"
[filters.b]
module = "builtin:welcome"
[filters.c]
native = "headers"
config = { response = { set = { x = "y" } } }
[[routes]]
match = { path = "/www/*" }
files = { root = "www" }
filters = ["a", "b", "c"]
[[routes]]
upstream = "app"
`)
		_, cfg, problems := readConfig(path)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		p := reach(cfg, "/var/cache/edge")
		system := confine.Profile{}.System()
		if !slices.Equal(p.Exec, system.Exec) || !slices.Equal(p.Write, []string{"/var/cache/edge"}) || p.Abstract != c.abstract {
			t.Errorf("%s: executes %q, writes %q, abstract %t", c.name, p.Exec, p.Write, p.Abstract)
		}
		own := slices.DeleteFunc(slices.Clone(p.Read), func(path string) bool { return !strings.HasPrefix(path, dir) })
		if want := []string{dir + "/modules", dir + "/releases", dir + "/www"}; !slices.Equal(own, want) || len(p.Read) != len(want)+len(system.Read) {
			t.Errorf("%s: reads %q, want %q and what every child does", c.name, own, want)
		}
	}
}

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "edge.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
