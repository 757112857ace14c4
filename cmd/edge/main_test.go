package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"edge/examples/wasm/greeter"
)

// inSite changes to a new directory with these files in it: name, text, name, text …
func inSite(t *testing.T, files ...string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for i := 0; i < len(files); i += 2 {
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// edge runs one command line. What it wrote comes with a line before it for each stream that has anything.
func edge(args ...string) (said string, code int) {
	var out, errs strings.Builder
	code = execute(args, &out, &errs)
	if errs.Len() > 0 {
		return out.String() + "--- stderr\n" + errs.String(), code
	}
	return out.String(), code
}

func expect(t *testing.T, wantCode int, want string, args ...string) {
	t.Helper()
	said, code := edge(args...)
	if said != want || code != wantCode {
		t.Errorf("edge %s: exit %d, want %d; said\n%s\nwant\n%s", strings.Join(args, " "), code, wantCode, said, want)
	}
}

const siteFile = `[[listen]]
address = "127.0.0.1:8080"

[upstreams.app]
servers = ["127.0.0.1:9001", { address = "unix:app.sock", weight = 2 }]
balance = "hash:client_ip"

[filters.greeter]
module = "greeter.wasm"
on_failure = "open"

[filters.security]
native = "headers"
config = { response = { set = { "x-content-type-options" = "nosniff" } } }

[[routes]]
name = "api"
match = { hosts = ["example.com", "*.example.com"], path = "/api/*", methods = ["GET", "POST"], headers = { "x-beta" = "1" } }
filters = [{ name = "greeter", config = '{"greeting": "hi"}' }, "security"]
upstream = "app"

[[routes]]
match = { path = "/static/*" }
files = { root = "www", strip = "/static" }

[[routes]]
match = { path = "/old/*" }
redirect = { to = "/api/{rest}", status = 308 }

[[routes]]
match = { path = "/hello", methods = ["GET"] }
respond = { body = "hello\n" }
`

var wasm = string(greeter.Wasm)

func TestCheck(t *testing.T) {
	inSite(t, "edge.toml", siteFile, "greeter.wasm", wasm, "www/index.html", "hello",
		"bad.toml", "[[listen]]\naddress = \"127.0.0.1:8080\"\n[server]\nworkers = 1\n[[routes]]\nupstream = \"api\"\n"+
			"[upstreams.app]\nserver = 1\n",
		"shadow.toml", "[[listen]]\naddress = \"127.0.0.1:8080\"\n[server]\nworkers = 2\n[[routes]]\nname = \"all\"\nrespond = {}\n"+
			"[[routes]]\nmatch.path = \"/a\"\nrespond = {}\n")
	valid := "edge.toml is valid: 1 listener, 4 routes, 2 filters, 1 upstream\n"
	expect(t, exitOK, valid, "check")
	expect(t, exitOK, valid, "validate", "-c", "edge.toml")
	expect(t, exitFailed, `bad.toml:6: routes[0].upstream: no upstream "api"; did you mean "app"?
bad.toml:7: upstreams.app.servers: is missing; add servers = ["127.0.0.1:9001"]
bad.toml:8: upstreams.app.server: unknown key; did you mean "servers"?
bad.toml:4: warning: server.workers: 1 worker: admission will close the door under any load; use at least 4
bad.toml:7: warning: upstreams.app: no route and no filter uses it
bad.toml is not valid: 3 problems
`, "check", "--config", "bad.toml")
	expect(t, exitOK, `shadow.toml:4: warning: server.workers: 2 workers: admission will close the door under any load; use at least 4
shadow.toml:8: warning: routes[1]: no request reaches it: all (line 5) takes them all; move it up, or take it out
shadow.toml is valid: 1 listener, 2 routes, 0 filters, 0 upstreams
`, "check", "-c", "shadow.toml")
	expect(t, exitFailed, "none.toml: no such file or directory\nnone.toml is not valid: 1 problem\n", "check", "-c", "none.toml")
}

func TestCheckStartsTheFilters(t *testing.T) {
	inSite(t, "greeter.wasm", wasm, "empty.wasm", "\x00asm\x01\x00\x00\x00", "edge.toml", `[[listen]]
address = "127.0.0.1:8080"
[filters.greeter]
module = "greeter.wasm"
[filters.empty]
module = "empty.wasm"
[filters.security]
native = "headers"
config.response.set = { connection = "close", server = 5 }
config.respons = {}
[[routes]]
filters = ["security", { name = "greeter", config = "{}" }]
respond = {}
`)
	said, code := edge("check")
	for _, want := range []string{
		"edge.toml:5: filters.empty: the module's ABI is unknown: ",
		"edge.toml:9: filters.security.config.response.set: \"connection\" belongs to the connection or ",
		"edge.toml:9: filters.security.config.response.set: server: the value is not a string\n",
		"string\nedge.toml:10: filters.security.config.respons: unknown key; there are request and response\n",
		"edge.toml:12: routes[0].filters[1]: the filter refuses its configuration",
		"edge.toml:5: warning: filters.empty: no route uses it\nedge.toml is not valid: 5 problems\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if code != exitFailed || t.Failed() {
		t.Errorf("exit %d, said\n%s", code, said)
	}
}

func TestWithoutAFile(t *testing.T) {
	inSite(t)
	expect(t, exitOK, "(built-in) is valid: 1 listener, 1 route, 1 filter, 0 upstreams\n", "check")
	expect(t, exitOK, `GET http://127.0.0.1:8080/ with (built-in)
  welcome  line 11: matches
route: welcome
filters, in the order of the request:
  1. welcome (module builtin:welcome)
action: respond with 200 and 314 bytes
`, "explain", "GET", "http://127.0.0.1:8080")
}

func TestExplain(t *testing.T) {
	inSite(t, "edge.toml", siteFile, "greeter.wasm", wasm, "www/index.html", "hello", "bad.toml", "x = 1\n")
	expect(t, exitOK, `GET http://www.example.com/api/users?id=1 with edge.toml
  api  line 16: matches
route: api
filters, in the order of the request:
  1. greeter (module greeter.wasm, configured by the route, skipped if it fails)
  2. security (native headers)
action: upstream app: hash:client_ip of 127.0.0.1:9001, unix:app.sock
`, "explain", "GET", "http://www.example.com/api/users?id=1", "-H", "X-Beta: 1")
	expect(t, exitOK, `GET https://example.com/old/x with edge.toml
  api        line 16: path "/old/x" is not below "/api/*"
  routes[1]  line 22: path "/old/x" is not below "/static/*"
  routes[2]  line 26: matches
route: routes[2]
filters: none
action: redirect with 308 to /api/x
`, "explain", "GET", "https://example.com/old/x")
	expect(t, exitOK, `GET http://localhost/static/a with edge.toml
  api        line 16: host "localhost" is not any of "example.com", "*.example.com"
  routes[1]  line 22: matches
route: routes[1]
filters: none
action: files below www, without /static
`, "explain", "GET", "/static/a")
	expect(t, exitOK, `GET http://example.com/hello with edge.toml
  api        line 16: path "/hello" is not below "/api/*"
  routes[1]  line 22: path "/hello" is not below "/static/*"
  routes[2]  line 26: path "/hello" is not below "/old/*"
  routes[3]  line 30: matches
route: routes[3]
filters: none
action: respond with 200 and 6 bytes
`, "explain", "GET", "/hello", "-H", "host: example.com")
	expect(t, exitOK, `TRACE http://localhost/hello with edge.toml
  api        line 16: host "localhost" is not any of "example.com", "*.example.com"
  routes[1]  line 22: path "/hello" is not below "/static/*"
  routes[2]  line 26: path "/hello" is not below "/old/*"
  routes[3]  line 30: method TRACE is not "GET"
no route: the answer is 405, with allow: GET
`, "explain", "TRACE", "/hello")
	said, code := edge("explain", "GET", "http://example.com/none")
	if !strings.HasSuffix(said, "no route: the answer is 404\n") || code != exitOK {
		t.Errorf("exit %d, said\n%s", code, said)
	}
	expect(t, exitFailed, `--- stderr
bad.toml:1: listen: there is no listener; add [[listen]] with address = "127.0.0.1:8080"
bad.toml:1: routes: there is no route; add [[routes]] with an action
bad.toml:1: x: unknown key; known here: server, limits, log, certificates, upstreams, filters, listen, routes
`, "explain", "GET", "/", "-c", "bad.toml")
}

func TestExplainReadsLikeTheServer(t *testing.T) {
	inSite(t, "edge.toml", "limits.header_count = 2\n"+siteFile, "greeter.wasm", wasm, "www/index.html", "hello")
	for _, c := range []struct{ name, args, want string }{
		{"T37", "GET /a/../b", "GET /a/../b with edge.toml\nrefused before any route: the answer is 400, dot segment in the request target\n"},
		{"T39", "GET /a#b", "GET /a#b with edge.toml\nrefused before any route: the answer is 400, invalid byte in the request target\n"},
		{"T32", "GET http://a@b/x", "GET /x with edge.toml\nrefused before any route: the answer is 400, invalid host\n"},
		{"T32 two hosts", "GET http://a/ -H host:b", "GET / with edge.toml\nrefused before any route: the answer is 400, more than one host\n"},
		{"R75", "GET / -H a:1 -H b:2", "GET / with edge.toml\nrefused before any route: the answer is 431, too many header fields\n"},
		{"T34", "OPTIONS *", "OPTIONS http://localhost * with edge.toml\nanswered by edge itself: it is about the server, not a resource\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, exitOK, c.want, append([]string{"explain"}, strings.Fields(c.args)...)...)
		})
	}
	said, code := edge("explain", "CONNECT", "example.com:443")
	if code != exitOK || !strings.HasPrefix(said, "CONNECT http://example.com:443/ with edge.toml\n") {
		t.Errorf("T35: exit %d, said\n%s", code, said)
	}
}

func TestUsage(t *testing.T) {
	inSite(t)
	for _, c := range []struct{ args, want string }{
		{"serve", `unknown command "serve" for "edge"`},
		{"check extra", `unknown command "extra" for "edge check"`},
		{"check --file x", "unknown flag: --file"},
		{"check -c", "flag needs an argument: 'c' in -c"},
		{"explain GET", "accepts 2 arg(s), received 1"},
		{"explain G(T /", `"G(T" is not a method`},
		{"explain GET example.com/", `"example.com/": a URL begins with http://, https:// or /`},
		{"explain GET ftp://example.com/", `"ftp://example.com/": a URL begins with http://, https:// or /`},
		{"explain GET http:///x", `"http:///x": there is no host`},
		{"explain GET /\x01", `"/\x01" is not a URL`},
		{"explain GET / -H x", `"x" is not a field: write it as 'name: value'`},
	} {
		args := strings.Fields(c.args)
		verb := "edge"
		if args[0] != "serve" {
			verb += " " + args[0]
		}
		expect(t, exitUsage, "--- stderr\nedge: "+c.want+"\nTry \""+verb+" --help\".\n", args...)
	}
	if said, code := edge(); code != exitOK || !strings.Contains(said, "explain") {
		t.Errorf("edge alone: exit %d, said\n%s", code, said)
	}
}

func TestVersion(t *testing.T) {
	said, code := edge("version")
	fields := strings.Fields(said)
	if code != exitOK || len(fields) != 4 || fields[0] != "edge" || fields[2] != runtime.Version() ||
		fields[3] != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("exit %d, said %q", code, said)
	}
}
