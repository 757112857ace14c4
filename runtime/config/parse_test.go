package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testOptions = Options{Modules: []string{"welcome"}, Natives: []string{"headers"}, Metering: true}

// site makes a directory with what configurations may point at, and returns the path of an edge.toml in it.
func site(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ok.wasm":        "\x00asm\x01\x00\x00\x00",
		"component.wasm": "\x00asm\x0d\x00\x01\x00",
		"future.wasm":    "\x00asm\x02\x00\x00\x00",
		"text.wasm":      "(module)",
		"www/index.html": "hello",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "edge.toml")
}

// told are the problems without the directory in front.
func told(file string, ps Problems) []string {
	var out []string
	for _, p := range ps {
		out = append(out, strings.ReplaceAll(p.String(), filepath.Dir(file)+"/", ""))
	}
	return out
}

// frame is a valid file around the part of a case; it begins with 3 lines of its own.
const frame = `listen = [{ address = "127.0.0.1:8080" }]
routes = [{ upstream = "app" }]
upstreams.app.servers = ["127.0.0.1:9001"]
`

func TestProblems(t *testing.T) {
	file := site(t)
	sum := sha256.Sum256([]byte("\x00asm\x01\x00\x00\x00"))
	cases := []struct {
		name string
		text string
		want []string
	}{
		{"not TOML", "a = [1,\nb = 2\n", []string{
			`edge.toml:2: a: not TOML: expected value but found "b" instead`}},
		{"not UTF-8", "# \xc3\xa9\n# \xef\xbf\xbd\n# \xff\n", []string{`edge.toml:3: not UTF-8; save the file as UTF-8`}},
		{"UTF-16", "\xff\xfea\x00", []string{`edge.toml:1: not UTF-8; save the file as UTF-8`}},
		{"empty file", "", []string{
			`edge.toml:1: listen: there is no listener; add [[listen]] with address = "127.0.0.1:8080"`,
			`edge.toml:1: routes: there is no route; add [[routes]] with an action`}},
		{"unknown table", frame + "[sever]\n", []string{`edge.toml:4: sever: unknown key; did you mean "server"?`}},
		{"unknown key", frame + "[server]\nworker = 3\n", []string{
			`edge.toml:5: server.worker: unknown key; did you mean "workers"?`}},
		{"unknown key, nothing near", frame + "[limits]\nfoo = 3\n", []string{
			"edge.toml:5: limits.foo: unknown key; known here: " +
				"header_bytes, header_count, uri_bytes, request_body, connections, min_rate"}},
		{"wrong types", frame + `[server]
workers = "16"
timeout = 60
admin = 5
trusted_proxies = "10.0.0.0/8"
[limits]
header_bytes = 1024
header_count = 1.5
`, []string{
			`edge.toml:5: server.workers: should be a whole number, is a string`,
			`edge.toml:6: server.timeout: should be a duration, is a number; write a unit: "5s", "100ms"`,
			`edge.toml:7: server.admin: should be a string, is a number`,
			`edge.toml:8: server.trusted_proxies: should be an array, is a string; put it in brackets: [ … ]`,
			`edge.toml:10: limits.header_bytes: should be a size, is a number; write it as "512B", "32KiB", "1MiB", "2GiB"`,
			`edge.toml:11: limits.header_count: should be a whole number, is a number with a fraction`}},
		{"ranges", frame + `[server]
workers = 0
timeout = "-5s"
keepalive_timeout = "48h"
[limits]
header_bytes = "1B"
uri_bytes = "2MiB"
request_body = "5MB"
min_rate = "fast"
`, []string{
			`edge.toml:5: server.workers: 0 is less than 1`,
			`edge.toml:6: server.timeout: -5s is less than 1ms`,
			`edge.toml:7: server.keepalive_timeout: 48h0m0s is more than 24h0m0s`,
			`edge.toml:9: limits.header_bytes: 1B is less than 1KiB`,
			`edge.toml:10: limits.uri_bytes: 2MiB is more than 1MiB`,
			`edge.toml:11: limits.request_body: "5MB" is not a size; write it as "512B", "32KiB", "1MiB", "2GiB" or "unlimited"`,
			`edge.toml:12: limits.min_rate: "fast" is not a rate; write it as "1KiB/5s", or "off"`}},
		{"what this build does not do", frame + `[server]
children = 2
max_connections_per_child = 10
user = "www-data"
group = "www-data"
`, []string{
			`edge.toml:5: server.children: this build runs one process; set children = 1`,
			`edge.toml:6: server.max_connections_per_child: this build does not replace its process; set it to 0`,
			`edge.toml:7: server.user: this build does not change its user; leave it out and start edge as that user`,
			`edge.toml:8: server.group: this build does not change its group; leave it out and start edge with that group`}},
		{"E1 more pollers than workers", frame + "[server]\npollers = 8\nworkers = 4\n", []string{
			`edge.toml:5: server.pollers: 8 pollers are more than 4 workers`}},
		{"proxies", frame + "[server]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"ten\",\n]\n", []string{
			`edge.toml:7: server.trusted_proxies[1]: "ten" is not an address or a prefix; write it as "10.0.0.0/8" or "::1"`}},
		{"admin", frame + "[server]\nadmin = \"9901\"\n", []string{
			`edge.toml:5: server.admin: "9901" is not host:port; ` +
				`write it as "unix:edge.sock" or "127.0.0.1:9901", or "" for none`}},
		{"log", frame + "[log]\naccess = \"\"\nformat = \"JSON\"\nlevel = \"warning\"\n", []string{
			`edge.toml:5: log.access: is empty; write a path, "stdout" or "off"`,
			`edge.toml:6: log.format: "JSON" is not known here; known: "json", "common", "combined"`,
			`edge.toml:7: log.level: "warning" is not known here; known: "trace", "debug", "info", "warn", "error"`}},
		{"listen", `routes = [{ upstream = "app" }]
upstreams.app.servers = ["127.0.0.1:9001"]
[[listen]]
address = "127.0.0.1:8080"
[[listen]]
address = ":8080"
[[listen]]
address = "example.com:80"
[[listen]]
address = "127.0.0.1:99999"
[[listen]]
protocols = ["http/2", "http/1.1", "http/1.1"]
[[listen]]
address = "127.0.0.1:0"
protocols = []
[[listen]]
address = "127.0.0.1:0"
protocols = ["h2c"]
`, []string{
			`edge.toml:6: listen[1].address: :8080 is taken by listen[0] (127.0.0.1:8080)`,
			`edge.toml:8: listen[2].address: "example.com" is not an IP address; ` +
				`write it as "127.0.0.1:8080", "[::1]:8080", or ":8080" for every address`,
			`edge.toml:10: listen[3].address: "99999" is not a port; ` +
				`write it as "127.0.0.1:8080", "[::1]:8080", or ":8080" for every address`,
			`edge.toml:11: listen[4].address: is missing; ` +
				`write it as "127.0.0.1:8080", "[::1]:8080", or ":8080" for every address`,
			`edge.toml:12: listen[4].protocols[0]: "http/2" is not a protocol; known: "http/1.1", "h2c", "h2"`,
			`edge.toml:12: listen[4].protocols[2]: "http/1.1" is there twice`,
			`edge.toml:15: listen[5].protocols: is empty; write ["http/1.1"]`,
			`edge.toml:18: listen[6].protocols: h2c alone: HTTP/2 is not served yet; add "http/1.1"`}},
		{"TLS", frame[strings.Index(frame, "\n")+1:] + `[[listen]]
address = "127.0.0.1:8443"
protocols = ["h2", "http/1.1"]
certificates = ["main", "mian"]
[certificates.main]
certificate = "main.pem"
[certificates.dev]
certificate = "self-signed"
key = "dev.key"
`, []string{
			`edge.toml:5: listen[0].protocols[0]: TLS listeners are not supported by this build; ` +
				`use "http/1.1" and leave out h2 and certificates`,
			`edge.toml:6: listen[0].certificates: TLS listeners are not supported by this build; ` +
				`leave it out, and put a TLS terminator in front`,
			`edge.toml:6: listen[0].certificates[1]: no certificate "mian"; did you mean "main"?`,
			`edge.toml:7: certificates.main.key: is missing; write the path of the private key`,
			`edge.toml:11: certificates.dev.key: a self-signed certificate makes its own key; leave it out`}},
		{"upstreams", `listen = [{ address = "127.0.0.1:8080" }]
routes = [{ upstream = "a" }]
[upstreams.a]
[upstreams.b]
servers = []
[upstreams.c]
servers = [
  "127.0.0.1:9001",
  "https://127.0.0.1:9001",
  "h2c://127.0.0.1:9001",
  { adress = "127.0.0.1:9002", weight = 0 },
  17,
  "127.0.0.1:9001",
  "ftp://x:1",
  "unix:",
  ":80",
  "bad host:80",
]
balance = "least_request"
[upstreams.d]
servers = ["localhost:9001", { address = "unix:a.sock", weight = 2 }]
balance = "hash:x y"
retries = 11
[upstreams."e f"]
servers = ["10.0.0.1:80"]
balance = "hash:cookie"
`, []string{
			`edge.toml:3: upstreams.a.servers: is missing; add servers = ["127.0.0.1:9001"]`,
			`edge.toml:5: upstreams.b.servers: there is no server; ` + serverForms,
			`edge.toml:9: upstreams.c.servers[1]: TLS to upstreams is not supported by this build; ` +
				`use an HTTP/1.1 address such as "127.0.0.1:9001"`,
			`edge.toml:10: upstreams.c.servers[2]: HTTP/2 to upstreams is not supported by this build; ` +
				`use an HTTP/1.1 address such as "127.0.0.1:9001"`,
			`edge.toml:11: upstreams.c.servers[3].address: is missing; ` + serverForms,
			`edge.toml:11: upstreams.c.servers[3].adress: unknown key; did you mean "address"?`,
			`edge.toml:11: upstreams.c.servers[3].weight: 0 is less than 1`,
			`edge.toml:12: upstreams.c.servers[4]: should be a string or a table, is a number; ` + serverForms,
			`edge.toml:13: upstreams.c.servers[5]: 127.0.0.1:9001 is servers[0] already; give it a weight`,
			`edge.toml:14: upstreams.c.servers[6]: ftp:// is not known here; ` + serverForms,
			`edge.toml:15: upstreams.c.servers[7]: the path of a unix socket has 1 to 107 bytes; ` + serverForms,
			`edge.toml:16: upstreams.c.servers[8]: the host is missing; ` + serverForms,
			`edge.toml:17: upstreams.c.servers[9]: "bad host" is not a host name or an address; ` + serverForms,
			`edge.toml:19: upstreams.c.balance: "least_request" is not a way to balance; did you mean "least_requests"?`,
			`edge.toml:22: upstreams.d.balance: "x y" is not a header name`,
			`edge.toml:23: upstreams.d.retries: 11 is more than 10`,
			`edge.toml:24: upstreams."e f": a name has letters, digits, "_", "-" and "." only, and not ' '`}},
		{"filters", frame + `[filters.none]
[filters.both]
module = "ok.wasm"
native = "headers"
[filters.gone]
module = "gone.wasm"
[filters.dir]
module = "www"
[filters.component]
module = "component.wasm"
[filters.future]
module = "future.wasm"
[filters.text]
module = "text.wasm"
[filters.pin]
module = "ok.wasm"
sha256 = "00` + strings.Repeat("ab", 31) + `"
[filters.badpin]
module = "ok.wasm"
sha256 = "xyz"
[filters.config]
module = "ok.wasm"
config = { a = 1 }
on_failure = "opened"
isolation = "streams"
limits = { cpu = "10s1", memory = "1KiB", call_depht = 5 }
allow = { upstreams = ["ap"], paths = [] }
[filters.native]
native = "header"
config = "x"
[filters.builtin]
module = "builtin:welcom"
isolation = "stream"
`, []string{
			`edge.toml:4: filters.none.module: neither module nor native is there; ` +
				`add module = "filter.wasm" or native = "headers"`,
			`edge.toml:7: filters.both.native: module and native are both there; keep one of them`,
			`edge.toml:9: filters.gone.module: gone.wasm: no such file or directory`,
			`edge.toml:11: filters.dir.module: www: not a regular file`,
			`edge.toml:13: filters.component.module: component.wasm is a component, not a module; ` +
				`build it as a core module (target wasm32-wasip1, not wasip2)`,
			`edge.toml:15: filters.future.module: future.wasm has a version of the Wasm format that is not known here`,
			`edge.toml:17: filters.text.module: text.wasm is not WebAssembly; give the .wasm file that the compiler made`,
			`edge.toml:20: filters.pin.sha256: ok.wasm has SHA-256 ` + hex.EncodeToString(sum[:]) +
				`; restore the module, or pin the new one`,
			`edge.toml:23: filters.badpin.sha256: "xyz" is not a SHA-256; 64 hexadecimal digits, as sha256sum prints them`,
			`edge.toml:26: filters.config.config: should be a string for a module, is a table; ` +
				`write the bytes the module is to get: '{"key": "value"}'`,
			`edge.toml:27: filters.config.on_failure: "opened" is not known here; did you mean "open"?`,
			`edge.toml:28: filters.config.isolation: "streams" is not known here; did you mean "stream"?`,
			`edge.toml:29: filters.config.limits.cpu: "10s1" is not a duration; write it as "5s", "100ms", "1m30s"`,
			`edge.toml:29: filters.config.limits.memory: 1KiB is less than 64KiB`,
			`edge.toml:29: filters.config.limits.call_depht: unknown key; did you mean "call_depth"?`,
			`edge.toml:30: filters.config.allow.upstreams[0]: no upstream "ap"; did you mean "app"?`,
			`edge.toml:30: filters.config.allow.paths: unknown key; known here: upstreams`,
			`edge.toml:32: filters.native.native: no native filter "header"; did you mean "headers"?`,
			`edge.toml:33: filters.native.config: should be a table for a native filter, is a string; write a table: { … }`,
			`edge.toml:36: filters.builtin.isolation: this build cannot give each stream memory of its own; use "shared"`,
			`edge.toml:35: filters.builtin.module: no module "welcom" is built in; did you mean "welcome"?`}},
		{"routes", `listen = [{ address = "127.0.0.1:8080" }]
[upstreams.app]
servers = ["127.0.0.1:9001"]
[filters.greeter]
module = "ok.wasm"
[filters.security]
native = "headers"
[[routes]]
name = "one"
upstream = "api"
[[routes]]
name = "one"
filters = ["greter", { name = "greeter", config = 5 }, { name = "security", config = "x", cfg = 1 }, 7]
upstream = "app"
respond = {}
[[routes]]
[[routes]]
name = "two words"
upstreem = "app"
[[routes]]
match = { hosts = ["EXAMPLE.com", "a*.com", "x:80", "-ok", "a..b", "[::1]", "x."], path = "api", methods = ["get", "G T", "PUT", "PUT"] }
upstream = "app"
[[routes]]
match = { path = "/a*b", hosts = [], headers = { "x y" = "1", host = "a", ok = " b", "X-A" = "*" } }
upstream = "app"
[[routes]]
match = { path = "/a/../b" }
files = { root = "gone", strip = "static", index = ["a/b"] }
[[routes]]
match = { path = "/a/*" }
files = { root = "ok.wasm", strip = "/static" }
[[routes]]
files = {}
[[routes]]
redirect = { status = 200 }
[[routes]]
redirect = { to = "//evil/{nope}" }
[[routes]]
respond = { status = 101, headers = { "content-length" = "5", "a\nb" = "x", b = "x\ny" } }
[[routes]]
respond = { status = 204, body = "x" }
`, []string{
			`edge.toml:10: routes[0].upstream: no upstream "api"; did you mean "app"?`,
			`edge.toml:12: routes[1].name: routes[0] has the name "one" already`,
			`edge.toml:13: routes[1].filters[0]: no filter "greter"; did you mean "greeter"?`,
			`edge.toml:13: routes[1].filters[1].config: is a number; a string for a module, a table for a native filter`,
			`edge.toml:13: routes[1].filters[2].config: should be a table for a native filter, is a string; write a table: { … }`,
			`edge.toml:13: routes[1].filters[2].cfg: unknown key; known here: name, config`,
			`edge.toml:13: routes[1].filters[3]: should be a string or a table, is a number; ` +
				`write a name, or { name = "…", config = "…" }`,
			`edge.toml:15: routes[1].respond: a second action beside upstream; keep one`,
			`edge.toml:16: routes[2]: there is no action; add one of upstream, files, respond, redirect`,
			`edge.toml:18: routes[3].name: a name has letters, digits, "_", "-" and "." only, and not ' '`,
			`edge.toml:19: routes[3].upstreem: unknown key; did you mean "upstream"?`,
			`edge.toml:21: routes[4].match.hosts[1]: "a*.com" has a "*" elsewhere than as its first label; ` +
				`write a name, or "*.example.com"`,
			`edge.toml:21: routes[4].match.hosts[2]: "x:80" has a port; ports are not compared; write a name, or "*.example.com"`,
			`edge.toml:21: routes[4].match.hosts[4]: "a..b" has a label that is empty or longer than 63 characters; ` +
				`write a name, or "*.example.com"`,
			`edge.toml:21: routes[4].match.hosts[6]: "x." has a final dot; it is not compared; write a name, or "*.example.com"`,
			`edge.toml:21: routes[4].match.path: "api" does not begin with "/"; write "/exact" or "/prefix/*"`,
			`edge.toml:21: routes[4].match.methods[0]: "get": methods have upper case here; write "GET"`,
			`edge.toml:21: routes[4].match.methods[1]: "G T" is not a method`,
			`edge.toml:21: routes[4].match.methods[3]: "PUT" is there twice`,
			`edge.toml:24: routes[5].match.path: "/a*b" has a "*" elsewhere than at its end; write "/exact" or "/prefix/*"`,
			`edge.toml:24: routes[5].match.hosts: is empty: nothing would match; leave it out to match all`,
			`edge.toml:24: routes[5].match.headers."x y": "x y" is not a header name`,
			`edge.toml:24: routes[5].match.headers.host: host cannot be matched on; ` +
				`use hosts for the host; the others are the connection's own`,
			`edge.toml:24: routes[5].match.headers.ok: " b" is not a header value`,
			`edge.toml:27: routes[6].match.path: "/a/../b" has a dot segment; requests with one are refused; ` +
				`write "/exact" or "/prefix/*"`,
			`edge.toml:28: routes[6].files.root: gone: no such file or directory`,
			`edge.toml:28: routes[6].files.strip: "static" is not the front of a path; write it as "/static"`,
			`edge.toml:28: routes[6].files.index[0]: "a/b" is not a file's name; write a file's name, such as "index.html"`,
			`edge.toml:31: routes[7].files.root: ok.wasm is not a directory`,
			`edge.toml:31: routes[7].files.strip: not every path of the route begins with "/static"; match = { path = "/static/*" }`,
			`edge.toml:33: routes[8].files.root: is missing; add root = "./www"`,
			`edge.toml:35: routes[9].redirect.to: is missing; add to = "/new/"`,
			`edge.toml:35: routes[9].redirect.status: 200 is not a redirect; ` +
				`use 301 or 308 for good, 302, 303 or 307 for now`,
			`edge.toml:37: routes[10].redirect.to: "//evil/{nope}" has a placeholder that is not known; ` +
				`{host}, {path}, {query} and {rest} are; write it as "/new/{rest}" or "https://example.com{path}{query}"`,
			`edge.toml:39: routes[11].respond.status: 101 is less than 200`,
			`edge.toml:39: routes[11].respond.headers.content-length: content-length is the server's to set; leave it out`,
			`edge.toml:39: routes[11].respond.headers."a\nb": "a\nb" is not a header name`,
			`edge.toml:39: routes[11].respond.headers.b: "x\ny" is not a header value`,
			`edge.toml:41: routes[12].respond.body: a response with status 204 has no body; leave it out`}},
		{"arrays of the wrong thing", "listen = [5]\nroutes = 7\nupstreams = []\nfilters = { a = 1 }\nserver = 3\n", []string{
			`edge.toml:1: listen[0]: should be a table, is a number`,
			`edge.toml:2: routes: should be an array, is a number; put it in brackets: [ … ]`,
			`edge.toml:3: upstreams: should be a table, is an array`,
			`edge.toml:4: filters.a: should be a table, is a number`,
			`edge.toml:5: server: should be a table, is a number`}},
		{"too deep", frame + "x = " + strings.Repeat("[", 20) + strings.Repeat("]", 20), []string{
			`edge.toml:4: tables, arrays or dotted keys go too deep; 16 levels are the most`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, problems := Parse(file, []byte(c.text), testOptions)
			got := told(file, problems)
			for _, line := range got {
				if !slices.Contains(c.want, line) {
					t.Errorf("not wanted: %s", line)
				}
			}
			for _, line := range c.want {
				if !slices.Contains(got, line) {
					t.Errorf("missing:    %s", line)
				}
			}
			if !slices.IsSortedFunc(problems, func(a, b Problem) int { return a.Line - b.Line }) {
				t.Errorf("out of order:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	file := site(t)
	cases := []struct{ name, text, want string }{
		{"A4 one worker", "[server]\nworkers = 1\n",
			"edge.toml:5: warning: server.workers: 1 worker: admission will close the door under any load; use at least 4"},
		{"open admin", "[server]\nadmin = \"0.0.0.0:9901\"\n",
			"edge.toml:5: warning: server.admin: anybody who reaches 0.0.0.0:9901 can read the status; use a loopback address or a unix socket"},
		{"h2c", "[[listen]]\naddress = \":0\"\nprotocols = [\"http/1.1\", \"h2c\"]\n",
			"edge.toml:6: warning: listen[0].protocols: h2c: HTTP/2 is not served yet"},
		{"unused upstream", "[upstreams.spare]\nservers = [\"127.0.0.1:1\"]\n",
			"edge.toml:4: warning: upstreams.spare: no route and no filter uses it"},
		{"unused filter", "[filters.spare]\nnative = \"headers\"\n", "edge.toml:4: warning: filters.spare: no route uses it"},
		{"limits of a native filter", "[filters.spare]\nnative = \"headers\"\nlimits = { cpu = \"1s\" }\n",
			"edge.toml:6: warning: filters.spare.limits: has no effect on a native filter\nedge.toml:4: warning: filters.spare: no route uses it"},
		{"nothing", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := frame + c.text
			if strings.Contains(c.text, "[[listen]]") {
				text = strings.Replace(text, `listen = [{ address = "127.0.0.1:8080" }]`, "", 1)
			}
			cfg, problems := Parse(file, []byte(text), testOptions)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got, want := told(file, cfg.Warnings), strings.Split(c.want, "\n")
			slices.Sort(got)
			slices.Sort(want)
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestWithoutMetering(t *testing.T) {
	text := "listen = [{ address = \":0\" }]\nroutes = [{ respond = {}, filters = [\"f\"] }]\n[filters.f]\nmodule = \"ok.wasm\"\n" +
		"limits.cpu = \"1ms\"\n"
	cfg, problems := Parse(site(t), []byte(text), Options{})
	if len(problems) > 0 || len(cfg.Warnings) != 1 || cfg.Warnings[0].Line != 5 || cfg.Warnings[0].Path != "filters.f.limits.cpu" {
		t.Errorf("%v, warnings %v", problems, cfg.Warnings)
	}
}

func TestDefaults(t *testing.T) {
	file := site(t)
	cfg, problems := Parse(file, []byte(frame+"filters.f.module = 'ok.wasm'\n"), testOptions)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%+v", cfg.Server, cfg.Limits, cfg.Log, cfg.Listen, cfg.Upstreams, cfg.Filters)
	want := "{Children:1 Pollers:0 Workers:16 MaxConnectionsPerChild:0 HeaderTimeout:10s Timeout:1m0s KeepaliveTimeout:15s " +
		"LingerTimeout:30s ShutdownTimeout:30s PidFile: User: Group: Admin:unix:DIR/edge.sock TrustedProxies:[]}\n" +
		"{HeaderBytes:32KiB HeaderCount:128 URIBytes:16KiB RequestBody:unlimited MinRate:1KiB/5s Connections:100000}\n" +
		"{Access:stdout Format:json Level:info}\n" +
		"[{Address:127.0.0.1:8080 AddrPort:127.0.0.1:8080 Protocols:[http/1.1] Certificates:[]}]\n" +
		"[{Name:app Servers:[{Address:127.0.0.1:9001 Weight:1}] Balance:{Kind:least_requests Header:} Keepalive:64 ConnectTimeout:2s " +
		"ResponseTimeout:30s Retries:1}]\n" +
		"[{Name:f Module:DIR/ok.wasm Native: SHA256: Config:[] Settings:map[] FailOpen:false IsolateStreams:false " +
		"Limits:{CPU:10ms Memory:32MiB CallDepth:512 Pause:10s Body:1MiB} AllowUpstreams:[]}]"
	if want = strings.ReplaceAll(want, "DIR", filepath.Dir(file)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRouteShapes(t *testing.T) {
	file := site(t)
	cfg, problems := Parse(file, []byte(frame[:strings.Index(frame, "\n")+1]+`
[upstreams.app]
servers = [{ address = "unix:app.sock", weight = 3 }, "http://[::1]:9001/", "unix:@abstract"]
balance = "hash:X-User"
[filters.wasm]
module = "ok.wasm"
config = "first"
on_failure = "open"
allow.upstreams = ["app"]
[filters.security]
native = "headers"
config.response.set = { "x-content-type-options" = "nosniff" }
[[routes]]
name = "api"
match = { hosts = ["Example.COM", "*.example.com"], path = "/api/*", methods = ["GET"], headers = { "X-Beta" = "1" } }
filters = ["security", { name = "wasm", config = "second" }, { name = "security", config = { request = {} } }]
upstream = "app"
[[routes]]
match.path = "/static/*"
files = { root = "www", strip = "/static", precompressed = false, index = [] }
[[routes]]
redirect = { to = "https://{host}{path}{query}" }
[[routes]]
respond.body = "hi"
respond.headers = { B = "2", a = "1" }
`), testOptions)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprintf("%+v\n%+v\n%+v", cfg.Upstreams[0].Servers, cfg.Upstreams[0].Balance, cfg.Filters[1].Settings)
	for _, r := range cfg.Routes {
		got += fmt.Sprintf("\n%s %s %+v", r.Name, r.Action(), r.Match)
	}
	got += fmt.Sprintf("\n%q %v\n%+v\n%+v\n%+v",
		cfg.Routes[0].Filters[1].Config, cfg.Routes[0].Filters[2].Settings, *cfg.Routes[1].Files, *cfg.Routes[2].Redirect, *cfg.Routes[3].Respond)
	want := `[{Address:unix:DIR/app.sock Weight:3} {Address:[::1]:9001 Weight:1} {Address:unix:@abstract Weight:1}]
{Kind:hash Header:x-user}
map[response:map[set:map[x-content-type-options:nosniff]]]
api upstream {Hosts:[example.com *.example.com] Path:/api/* Methods:[GET] Headers:map[x-beta:1]}
routes[1] files {Hosts:[] Path:/static/* Methods:[] Headers:map[]}
routes[2] redirect {Hosts:[] Path: Methods:[] Headers:map[]}
routes[3] respond {Hosts:[] Path: Methods:[] Headers:map[]}
"second" map[request:map[]]
{Root:DIR/www Strip:/static Index:[] Precompressed:false}
{To:https://{host}{path}{query} Status:307}
{Status:200 Headers:[[a 1] [b 2]] Body:[104 105]}`
	if want = strings.ReplaceAll(want, "DIR", filepath.Dir(file)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLoad(t *testing.T) {
	file := site(t)
	if _, err := Load(file, testOptions); err == nil || err.Error() != file+": no such file or directory" {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte(frame), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.File != file || cfg.Upstream("app") == nil || cfg.Upstream("none") != nil || cfg.Filter("none") != nil {
		t.Errorf("%+v", cfg)
	}
	large := frame + "#" + strings.Repeat("x", MaxFileBytes)
	if err := os.WriteFile(file, []byte(large), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file, testOptions); err == nil || err.Error() != file+":1: the file is larger than 1MiB" {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	_, problems := Parse("edge.toml", []byte(frame+"[server]\n"+numbered("x%d = 1\n", 300)), testOptions)
	if len(problems) != maxProblems+1 || problems[maxProblems].Message != "and 200 more problems" {
		t.Errorf("%d problems, last: %v", len(problems), problems[len(problems)-1])
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestProblemOf(t *testing.T) {
	cfg, problems := Parse("edge.toml", []byte(frame+"[filters.f]\nnative = \"headers\"\nconfig = {\n  a = [1,\n    2] }\n"), testOptions)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		path []any
		want string
	}{
		{[]any{"filters", "f", "config", "a", 1}, "edge.toml:8: filters.f.config.a[1]: bad; fix it"},
		{[]any{"filters", "f", "config", "b", "c"}, "edge.toml:6: filters.f.config.b.c: bad; fix it"},
		{[]any{"routes", 0, "match", "path"}, "edge.toml:2: routes[0].match.path: bad; fix it"},
		{nil, "edge.toml:1: bad; fix it"},
	} {
		if got := cfg.Problem(c.path, "fix it", "bad").String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.path, got, c.want)
		}
	}
}

func TestBuiltin(t *testing.T) {
	cfg := Builtin()
	if len(cfg.Warnings) > 0 || cfg.Server.Admin != (Address{}) || cfg.Listen[0].Address != "127.0.0.1:8080" ||
		cfg.Routes[0].Filters[0].Name != "welcome" || cfg.Filters[0].Module != "builtin:welcome" {
		t.Errorf("%+v", cfg)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "512B": 512, "1KiB": 1024, "3MiB": 3 << 20, "2GiB": 2 << 30, "unlimited": Unlimited,
		"8589934591GiB": 8589934591 << 30,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseSize(%q) = %v (%q), %v", text, int64(got), got, err)
		}
	}
	for _, text := range []string{"", "1", "B", "-1B", "1kb", "1 KiB", "8589934592GiB", "99999999999999999999B", "1.5MiB", "1KiBB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %v", text, got)
		}
	}
	for text, want := range map[string]Rate{"off": {}, "1KiB/5s": {1024, 5 * time.Second}, "10MiB/1s": {10 << 20, time.Second}} {
		got, err := ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseRate(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1KiB", "1KiB/", "/5s", "0B/5s", "unlimited/5s", "1KiB/5", "1KiB/1ms", "1KiB/-5s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v", text, got)
		}
	}
}

func TestRedirectTargets(t *testing.T) {
	for to, ok := range map[string]bool{
		"/":                                 true,
		"/new/{rest}":                       true,
		"{path}":                            true,
		"{path}{query}":                     true,
		"https://example.com":               true,
		"https://example.com{path}":         true,
		"https://example.com/{rest}{query}": true,
		"https://{host}{path}":              true,
		"https://{host}/{rest}":             true,
		"http://[::1]:80/":                  true,
		"https://example.com{rest}":         false, // example.com.evil.example
		"https://{host}{rest}":              false,
		"https://{rest}":                    false,
		"{rest}":                            false, // https://evil.example
		"//evil.example":                    false,
		"javascript:alert(1)":               false,
		"https://user@example.com/":         false,
		"https:///x":                        false,
		"/a b":                              false,
		"/a\r\nset-cookie: x":               false,
		"/{unknown}":                        false,
		"/{rest":                            false,
		"":                                  false,
	} {
		if why := targetProblem(to); (why == "") != ok {
			t.Errorf("%q: %q", to, why)
		}
	}
}
