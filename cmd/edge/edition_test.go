package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/wasmhost"
)

const editionFile = `[[listen]]
address = "127.0.0.1:8080"
[upstreams.app]
servers = ["127.0.0.1:9001"]
[upstreams.other]
servers = ["127.0.0.1:9002"]
[filters.greeter]
module = "greeter.wasm"
[filters.twin]
module = "greeter.wasm"
config = '{"greeting": "twin"}'
[filters.security]
native = "headers"
config = { response = { set = { a = "b" } } }
[[routes]]
match = { path = "/a" }
filters = ["greeter", "twin", "security"]
upstream = "app"
[[routes]]
match = { path = "/b" }
filters = [{ name = "greeter", config = '{"greeting": "own"}' }]
upstream = "other"
[[routes]]
match = { path = "/c" }
filters = [{ name = "greeter", config = '{"greeting": "own"}' }]
files = { root = "www" }
`

// builder is a process that builds editions and serves nobody.
func builder(t *testing.T) (*process, *config.Config) {
	t.Helper()
	inSite(t, "edge.toml", editionFile, "greeter.wasm", wasm, "www/index.html", "hello")
	host, err := wasmhost.New(wasmhost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := loaded(t)
	return &process{cfg: cfg, host: host, metrics: metrics.New("test")}, cfg
}

func loaded(t *testing.T) *config.Config {
	t.Helper()
	cfg, problems := loadConfig("edge.toml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg
}

func built(t *testing.T, p *process, cfg *config.Config, old *edition, fresh ...string) *edition {
	t.Helper()
	g, problems := p.build(cfg, old, func(name string) bool { return strings.Contains(strings.Join(fresh, " "), name) })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return g
}

// rewrite changes a file: from, to.
func rewrite(t *testing.T, name, from, to string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s has no %q", name, from)
	}
	if err := os.WriteFile(name, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kept counts what the editions have in common: filters, pools, roots.
func kept(a, b *edition) (n [3]int) {
	for key, f := range b.filters.made {
		if a.filters.made[key] == f {
			n[0]++
		}
	}
	for key, p := range b.site.pools {
		if a.site.pools[key] == p {
			n[1]++
		}
	}
	for key, r := range b.site.roots {
		if a.site.roots[key].Action == r.Action {
			n[2]++
		}
	}
	return n
}

// TestEditionsShare: what is made of the same stuff is the same thing, whatever asks for it.
func TestEditionsShare(t *testing.T) {
	p, cfg := builder(t)
	first := built(t, p, cfg, nil)
	if n := len(first.filters.guests); n != 3 || len(first.filters.made) != 4 {
		t.Errorf("%d guests of %d filters; the two routes with the same settings share one", n, len(first.filters.made))
	}
	if c := first.filters.chains; c[1][0] != c[2][0] || c[0][0] == c[1][0] || c[0][0] == c[0][1] {
		t.Errorf("the chains are %v", c)
	}
	for _, c := range []struct {
		name string
		do   func() (*config.Config, []string)
		want [3]int
	}{
		{"nothing has changed", func() (*config.Config, []string) { return cfg, []string{"greeter", "twin"} }, [3]int{4, 2, 1}},
		{"the file is read again", func() (*config.Config, []string) { return loaded(t), []string{"greeter", "twin"} }, [3]int{4, 2, 1}},
		{"a module, for one filter", func() (*config.Config, []string) {
			rewrite(t, "greeter.wasm", "hello from the edge", "hello version 00002")
			return cfg, []string{"twin"}
		}, [3]int{3, 2, 1}},
		{"the same for the other, in all its routes", func() (*config.Config, []string) { return cfg, []string{"greeter"} }, [3]int{2, 2, 1}},
		{"a route's settings", func() (*config.Config, []string) {
			rewrite(t, "edge.toml", `"own"`, `"owned"`)
			return loaded(t), []string{"greeter", "twin"}
		}, [3]int{3, 2, 1}},
		{"a native filter's settings", func() (*config.Config, []string) {
			rewrite(t, "edge.toml", `a = "b"`, `a = "c"`)
			return loaded(t), []string{"greeter", "twin"}
		}, [3]int{3, 2, 1}},
		{"an upstream", func() (*config.Config, []string) {
			rewrite(t, "edge.toml", "9002", "9003")
			return loaded(t), []string{"greeter", "twin"}
		}, [3]int{4, 1, 1}},
		{"another directory by that name", func() (*config.Config, []string) {
			if err := os.Rename("www", "old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir("www", 0o755); err != nil {
				t.Fatal(err)
			}
			return loaded(t), []string{"greeter", "twin"}
		}, [3]int{4, 2, 0}},
	} {
		cfg2, fresh := c.do()
		next := built(t, p, cfg2, first, fresh...)
		if got := kept(first, next); got != c.want {
			t.Errorf("%s: filters, pools, roots kept %v, want %v", c.name, got, c.want)
		}
		retireAll(first.filters.beyond(next.filters))
		first.site.closeBeyond(next.site)
		first, cfg = next, cfg2
	}
	first.close()
	for _, g := range first.filters.guests {
		<-g.Closed()
	}
	if n := p.host.Modules(); n != 0 {
		t.Errorf("%d modules are left", n)
	}
}

// TestEditionThatFails: where something is wrong nothing is left of it, and the old one is as it was.
func TestEditionThatFails(t *testing.T) {
	p, cfg := builder(t)
	first := built(t, p, cfg, nil)
	defer first.close()
	modules := p.host.Modules()
	for _, c := range []struct{ name, file, from, to, want string }{
		{"a guest refuses its settings", "edge.toml", `'{"greeting": "own"}'`, "'{}'", "refuses its configuration"},
		{"an upstream has no address", "edge.toml", "127.0.0.1:9001", "no-such-host.invalid:1", "no-such-host.invalid"},
		{"the module is none", "greeter.wasm", "\x00asm\x01", "\x00asm\x02", "binary version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			cfg2 := cfg
			rewrite(t, c.file, c.from, c.to)
			if c.file == "edge.toml" {
				cfg2 = loaded(t)
			}
			_, problems := p.build(cfg2, first, func(string) bool { return true })
			if len(problems) == 0 || !strings.Contains(problems.Error(), c.want) {
				t.Errorf("problems %v, want %q", problems, c.want)
			}
			if err := os.WriteFile(c.file, before, 0o644); err != nil {
				t.Fatal(err)
			}
			if got := p.host.Modules(); got != modules {
				t.Errorf("%d modules, %d before", got, modules)
			}
			for _, f := range first.filters.guests {
				if n := f.Stats().Instances; n != f.Lanes() {
					t.Errorf("%s has %d instances", f.Name(), n)
				}
			}
		})
	}
}
