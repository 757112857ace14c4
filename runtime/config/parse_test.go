package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

func TestWarnings(t *testing.T) {
	file := site(t)
	cases := []struct{ name, text, want string }{
		{"A4 one worker", "[server]\nworkers = 1\n",
			"edge.toml:5: warning: server.workers: 1 worker: admission will close the door under any load; use at least 4"},
		{"min_tls without TLS", "[[listen]]\naddress = \":0\"\nmin_tls = \"1.3\"\n",
			"edge.toml:6: warning: listen[0].min_tls: has no effect without certificates"},
		{"unused certificate", "[certificates.spare]\ncertificate = \"self-signed\"\n",
			"edge.toml:4: warning: certificates.spare: no listener uses it"},
		{"unused upstream", "[upstreams.spare]\nservers = [\"127.0.0.1:1\"]\n",
			"edge.toml:4: warning: upstreams.spare: no route and no filter uses it"},
		{"tls without a TLS server", "upstreams.app.tls.insecure = true\n",
			"edge.toml:4: warning: upstreams.app.tls: has no effect: no server speaks TLS; write a server as \"https://…\""},
		{"tls that checks nothing", "[upstreams.spare]\nservers = [\"https://a.test\"]\ntls = { insecure = true, ca = \"ca.pem\" }\n",
			"edge.toml:6: warning: upstreams.spare.tls.insecure: nothing is checked: ca and server_name have no effect on whom edge talks to\n" +
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

func TestGroupsOfFilters(t *testing.T) {
	text := frame + "[filters.f]\nmodule = 'ok.wasm'\nroot_id = 'second'\nvm_id = 'team'\nvm_config = '{}'\n" +
		"[filters.spare]\nnative = 'headers'\nvm_id = 'team'\n"
	cfg, problems := Parse(site(t), []byte(text), testOptions)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if f := cfg.Filter("f"); f.RootID != "second" || f.VMID != "team" || f.VMConfig != "{}" {
		t.Errorf("%+v", *f)
	}
	if !slices.ContainsFunc(cfg.Warnings, func(p Problem) bool { return p.Path == "filters.spare.vm_id" }) {
		t.Errorf("a native filter's vm_id: warnings %v", cfg.Warnings)
	}
}

func TestDefaults(t *testing.T) {
	file := site(t)
	cfg, problems := Parse(file, []byte(frame+"filters.f.module = 'ok.wasm'\n"), testOptions)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%+v", cfg.Server, cfg.Limits, cfg.Log, cfg.Listen, cfg.Upstreams, cfg.Filters)
	want := "{Children:1 Pollers:0 Workers:16 MaxConnectionsPerChild:0 HandshakeTimeout:10s HeaderTimeout:10s Timeout:1m0s KeepaliveTimeout:15s " +
		"LingerTimeout:30s ShutdownTimeout:30s Cache:auto Watch:true PidFile: User: Group: Sandbox:true Admin:unix:DIR/edge.sock TrustedProxies:[]}\n" +
		"{HeaderBytes:32KiB HeaderCount:128 URIBytes:16KiB RequestBody:unlimited MinRate:1KiB/5s Connections:100000}\n" +
		"{Access:stdout Format:json Level:info}\n" +
		"[{Address:127.0.0.1:8080 AddrPort:127.0.0.1:8080 Protocols:[http/1.1] Certificates:[] MinTLS:1.2}]\n" +
		"[{Name:app Servers:[{Address:127.0.0.1:9001 Weight:1}] Balance:{Kind:least_requests Header:} Keepalive:64 ConnectTimeout:2s " +
		"ResponseTimeout:30s StreamTimeout:5m0s Retries:1 TLS:{CA: Certificate: Key: ServerName: Insecure:false} HTTP2:true}]\n" +
		"[{Name:f Module:DIR/ok.wasm Native: SHA256: Config:[] Settings:map[] RootID: VMID: VMConfig: Lanes:0 Instances:128 LogLevel: Background:false FailOpen:false IsolateStreams:false " +
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
