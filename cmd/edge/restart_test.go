package main

import (
	"strings"
	"testing"

	"edge/runtime/config"
)

// TestNeedRestart: each key that a running process does not change is named with its line; all others are not.
func TestNeedRestart(t *testing.T) {
	const rest = "[[routes]]\nrespond = {}\n"
	parse := func(text string) *config.Config {
		t.Helper()
		cfg, problems := config.Parse("edge.toml", []byte(text+rest), builtIn)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return cfg
	}
	one, two := "[[listen]]\naddress = \"127.0.0.1:1\"\n", "[[listen]]\naddress = \"127.0.0.1:2\"\n"
	before := parse(one)
	for _, c := range []struct{ name, text, want string }{
		{"the same", one, ""},
		{"workers", "[server]\nworkers = 5\n" + one, "edge.toml:2: warning: server.workers: needs a restart, until then 16 counts"},
		{"pollers", "[server]\npollers = 1\n" + one, "server.pollers: needs a restart, until then 0 counts"},
		{"admin", "[server]\nadmin = \"\"\n" + one, "server.admin: needs a restart, until then unix:edge.sock counts"},
		{"cache", "[server]\ncache = \"off\"\n" + one, "server.cache: needs a restart, until then auto counts"},
		{"pid_file", "[server]\npid_file = \"a\"\n" + one, `server.pid_file: needs a restart, until then "" counts`},
		{"connections", "[limits]\nconnections = 9\n" + one, "limits.connections: needs a restart, until then 100000 counts"},
		{"a listener more", one + two, "edge.toml:4: warning: listen[1].address: needs a restart, until then nobody listens on 127.0.0.1:2"},
		{"another listener", two, "listen: needs a restart, until then 127.0.0.1:1 goes on"},
		{"what counts at once", "[server]\ntimeout = \"1s\"\nwatch = false\n[limits]\nuri_bytes = \"1KiB\"\n[log]\naccess = \"off\"\n" + one +
			"protocols = [\"h2c\"]\n", ""},
	} {
		var lines []string
		for _, w := range needRestart(before, parse(c.text)) {
			lines = append(lines, w.String())
		}
		got := strings.Join(lines, "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestClosable: what a replaced site stands on is closed once, when the last site that has it is over, and not while it is live.
func TestClosable(t *testing.T) {
	p, cfg := builder(t)
	first := built(t, p, cfg, nil)
	rewrite(t, "edge.toml", "9002", "9003")
	second := built(t, p, loaded(t), first, "greeter")
	rewrite(t, "edge.toml", "9001", "9004")
	third := built(t, p, loaded(t), second, "greeter")
	defer third.close()
	r := &p.retired
	live := func() *site { return third.site }
	r.keep(first.site)
	r.keep(second.site)
	for _, c := range []struct {
		name  string
		ended *site
		want  int
	}{
		{"the second: 9003 is live, and the first has 9001 yet", second.site, 0},
		{"the first: 9001 and 9002 have nobody now", first.site, 2},
	} {
		if got := len(r.closable(c.ended, live)); got != c.want {
			t.Errorf("%s: %d are to be closed, want %d", c.name, got, c.want)
		}
	}
	if len(r.sites) != 0 {
		t.Errorf("%d sites are kept", len(r.sites))
	}
}
