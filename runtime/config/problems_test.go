package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

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
		{"background", `listen = [{ address = "127.0.0.1:8080" }]
routes = [{ filters = ["f"], respond = { status = 200 } }]
[filters.f]
module = "builtin:welcome"
background = true
lanes = 2
isolation = "stream"
`, []string{
			`edge.toml:2: routes[0].filters[0]: filter "f" is a background filter, which sees no requests; ` +
				`take it out of the route; it is started without one, or take background out of the filter`,
			`edge.toml:6: filters.f.lanes: a background filter has one lane; take it out`,
			`edge.toml:7: filters.f.isolation: a background filter has no requests that could be isolated; take it out`}},
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
		{"children", frame + "[server]\nchildren = 0\nmax_connections_per_child = -1\n", []string{
			`edge.toml:5: server.children: 0 is less than 1`,
			`edge.toml:6: server.max_connections_per_child: -1 is less than 0`}},
		{"E1 more pollers than workers", frame + "[server]\npollers = 8\nworkers = 4\n", []string{
			`edge.toml:5: server.pollers: 8 pollers are more than 4 workers`}},
		{"proxies", frame + "[server]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"ten\",\n]\n", []string{
			`edge.toml:7: server.trusted_proxies[1]: "ten" is not an address or a prefix; write it as "10.0.0.0/8" or "::1"`}},
		{"admin", frame + "[server]\nadmin = \"9901\"\n", []string{
			`edge.toml:5: server.admin: "9901" is not host:port; ` +
				`write it as "unix:edge.sock" or "127.0.0.1:9901", or "" for none`}},
		{"open admin", frame + "[server]\nadmin = \"0.0.0.0:9901\"\n", []string{
			`edge.toml:5: server.admin: 0.0.0.0:9901 is not loopback, and the admin server has no passwords; ` +
				`use a loopback address or a unix socket`}},
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
			`edge.toml:15: listen[5].protocols: is empty; write ["http/1.1"]`}},
		{"TLS", frame[strings.Index(frame, "\n")+1:] + `[[listen]]
address = "127.0.0.1:8443"
protocols = ["h2", "http/1.1"]
certificates = ["main", "mian"]
[certificates.main]
certificate = "main.pem"
[certificates.dev]
certificate = "self-signed"
key = "dev.key"
[certificates.who]
certificate = "self-signed"
client_auth = "required"
[certificates.how]
certificate = "self-signed"
client_ca = "ca.pem"
client_auth = "always"
[[listen]]
address = "127.0.0.1:8444"
protocols = ["h2"]
[[listen]]
address = "127.0.0.1:8445"
protocols = ["h2c", "h2"]
certificates = ["dev"]
min_tls = "1.1"
`, []string{
			`edge.toml:14: certificates.who.client_auth: there is no client_ca to check clients against; add client_ca = "ca.pem"`,
			`edge.toml:18: certificates.how.client_auth: "always" is not known here; known: "required", "optional"`,
			`edge.toml:21: listen[1].protocols[0]: h2 is HTTP/2 over TLS, and there is no certificate; ` +
				`add certificates = ["…"], or write "h2c"`,
			`edge.toml:24: listen[2].protocols[0]: h2c is HTTP/2 without TLS, and there are certificates; write "h2"`,
			`edge.toml:26: listen[2].min_tls: "1.1" is not known here; did you mean "1.2"?`,
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
  "https://unix:a.sock",
  "h2c://127.0.0.1",
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
[upstreams.t]
servers = ["https://a.test"]
tls.certificate = "a.pem"
tls.server_name = "a b"
tls.sni = "a"
[upstreams."e f"]
servers = ["10.0.0.1:80"]
balance = "hash:cookie"
`, []string{
			`edge.toml:3: upstreams.a.servers: is missing; add servers = ["127.0.0.1:9001"]`,
			`edge.toml:5: upstreams.b.servers: there is no server; ` + serverForms,
			`edge.toml:9: upstreams.c.servers[1]: TLS over a unix socket is not supported; ` + serverForms,
			`edge.toml:26: upstreams.t.tls.key: is missing; write the path of the private key`,
			`edge.toml:27: upstreams.t.tls.server_name: "a b" has ' ' in it`,
			`edge.toml:28: upstreams.t.tls.sni: unknown key; known here: ca, certificate, key, server_name, insecure`,
			`edge.toml:10: upstreams.c.servers[2]: "127.0.0.1" is not host:port; ` + serverForms,
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
			`edge.toml:29: upstreams."e f": a name has letters, digits, "_", "-" and "." only, and not ' '`}},
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
files = { root = "ok.wasm", strip = "/static", index = ["1", "2", "3", "4", "5", "6", "7", "8", "9"] }
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
			`edge.toml:31: routes[7].files.index: 9 names are more than 8`,
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
