package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"edge/conformance/proc"
)

const nginxCommon = `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr warn;
%[2]s
events { worker_connections 8192; }
http {
	access_log off;
	sendfile on;
	default_type text/plain;
	keepalive_requests 1000000000;
	keepalive_timeout 75s;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
`

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// nginx makes the Spec of an nginx with the given main-level and http-level directives.
func nginx(b *bench, s *server, top, inside string) (proc.Spec, error) {
	path, err := proc.Find("nginx")
	if err != nil {
		return proc.Spec{}, err
	}
	s.version = versionNumber.FindString(output(path, "-v"))
	if os.Geteuid() == 0 {
		top += "\nuser root;"
	}
	dir := filepath.Join(b.dir, s.name)
	_, conf, err := b.write(s.name, "nginx.conf", fmt.Sprintf(nginxCommon, dir, top)+inside+"}\n")
	return proc.Spec{Path: path, Args: []string{"-e", "stderr", "-p", dir, "-c", conf}}, err
}

func nginxOrigin(b *bench, s *server) (proc.Spec, error) {
	return nginx(b, s, "", fmt.Sprintf("server { listen %s; location / { return 200 \"hello world\\n\"; } }\n", s.addr))
}

const nginxRoutes = `
	upstream origin { server %[1]s; keepalive 2048; keepalive_requests 1000000000; }
	server {
		listen %[2]s backlog=4096;
		listen %[5]s ssl http2 backlog=4096;
		ssl_certificate %[3]s/cert.pem;
		ssl_certificate_key %[3]s/cert.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		location = /hello { return 200 "hello world\n"; }
		location /files/ { alias %[3]s/files/; }
		location /proxy/ { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
		%[4]s
	}
`

// The Lua counterpart of examples/wasm/two-headers: it reads one request field, and refuses the request, or sets one in the
// request and one in the response.
const nginxLua = `location /filter/ {
			proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
			access_by_lua_block {
				local agent = ngx.var.http_user_agent or "unknown"
				if agent == "blocked" then return ngx.exit(403) end
				ngx.req.set_header("X-Client", agent)
			}
			header_filter_by_lua_block { ngx.header["X-Served-By"] = "nginx" }
		}`

func nginxServer(b *bench, s *server) (proc.Spec, error) {
	lua, module := "", nginxModule("ngx_http_lua_module.so")
	if module == "" {
		s.without = append(s.without, "filter")
		b.absent = append(b.absent, "nginx Lua module: not installed")
	} else {
		lua, module = nginxLua, nginxModule("ndk_http_module.so")+module
	}
	return nginx(b, s, module, fmt.Sprintf(nginxRoutes, b.origin.addr, s.addr, b.dir, lua, s.secure))
}

// The njs counterpart. A subrequest for the refusal would cost njs more than a variable that a condition reads.
const (
	njsScript = `function agent(r) { return r.headersIn["User-Agent"] || "unknown"; }
function serve(r) { r.headersOut["X-Served-By"] = "nginx"; }
export default { agent, serve };
`
	njsRoutes = `
	js_path %[2]s;
	js_import filter from filter.js;
	js_set $agent filter.agent;
	upstream origin { server %[1]s; keepalive 2048; keepalive_requests 1000000000; }
	server {
		listen %[3]s backlog=4096;
		location /filter/ {
			if ($agent = blocked) { return 403; }
			proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Client $agent;
			js_header_filter filter.serve;
		}
	}
`
)

// njsServer is nginx with njs in Lua's place.
func njsServer(b *bench, s *server) (proc.Spec, error) {
	s.secure = ""
	module := nginxModule("ngx_http_js_module.so")
	if module == "" {
		return proc.Spec{}, errors.New("the module is not installed")
	}
	for _, w := range workloads {
		if w.name != "filter" {
			s.without = append(s.without, w.name)
		}
	}
	dir, _, err := b.write(s.name, "filter.js", njsScript)
	if err != nil {
		return proc.Spec{}, err
	}
	return nginx(b, s, module, fmt.Sprintf(njsRoutes, b.origin.addr, dir, s.addr))
}

// nginxModule is the directive that loads a module, or "" where it is not installed.
func nginxModule(file string) string {
	for _, dir := range []string{"/usr/lib/nginx/modules/", "/usr/lib64/nginx/modules/"} {
		if _, err := os.Stat(dir + file); err == nil {
			return "load_module " + dir + file + ";\n"
		}
	}
	return ""
}

const apacheConf = `
ServerRoot %[1]s
ServerName localhost
PidFile %[1]s/pid
ErrorLog %[1]s/error.log
LogLevel warn
Listen %[2]s
%[3]s
StartServers 1
ServerLimit 1
ThreadsPerChild 128
ThreadLimit 128
MaxRequestWorkers 128
AsyncRequestWorkerFactor 8
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 75
EnableSendfile On
EnableMMAP Off
DocumentRoot %[4]s
<Directory %[4]s>
	AllowOverride None
	Require all granted
</Directory>
ProxyPass /proxy/ http://%[5]s/ keepalive=On max=128
`

// apacheServer is httpd with the event MPM. It has no directive that answers by itself, so it takes part with files and proxy.
func apacheServer(b *bench, s *server) (proc.Spec, error) {
	s.secure = ""
	path, err := proc.Find("apache2")
	if err != nil {
		return proc.Spec{}, err
	}
	s.version = versionNumber.FindString(output(path, "-v"))
	s.without = []string{"respond", "close", "filter"}
	var modules strings.Builder
	for _, m := range []string{"mpm_event", "authz_core", "proxy", "proxy_http"} {
		fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	if os.Geteuid() == 0 {
		modules.WriteString("User www-data\nGroup www-data\n")
	}
	dir := filepath.Join(b.dir, s.name)
	_, conf, err := b.write(s.name, "httpd.conf", fmt.Sprintf(apacheConf, dir, s.addr, modules.String(), b.dir, b.origin.addr))
	return proc.Spec{Path: path, Args: []string{"-D", "FOREGROUND", "-f", conf}}, err
}

const caddyfile = `{
	admin off
	auto_https off
	persist_config off
	log default {
		level ERROR
	}
	servers {
		protocols h1
	}
}
http://:%[2]s {
	bind %[1]s
	handle /hello {
		respond "hello world
" 200
	}
	handle /files/* {
		root * %[3]s
		file_server
	}
	handle /proxy/* {
		reverse_proxy %[4]s {
			transport http {
				keepalive 75s
				keepalive_idle_conns 256
				keepalive_idle_conns_per_host 64
				compression off
			}
		}
	}
}
`

// caddyServer finds or builds Caddy. What it builds stays in the user's cache.
func caddyServer(ctx context.Context) func(*bench, *server) (proc.Spec, error) {
	return func(b *bench, s *server) (proc.Spec, error) {
		s.secure = ""
		path, err := findCaddy(ctx, b.caddy)
		if err != nil {
			return proc.Spec{}, err
		}
		s.version = caddyVersion(path)
		s.without = []string{"filter"}
		host, port, err := net.SplitHostPort(s.addr)
		if err != nil {
			return proc.Spec{}, err
		}
		dir, conf, err := b.write(s.name, "Caddyfile", fmt.Sprintf(caddyfile, host, port, b.dir, b.origin.addr))
		return proc.Spec{Path: path, Args: []string{"run", "--config", conf, "--adapter", "caddyfile"},
			Env: []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}}, err
	}
}

const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy"

func findCaddy(ctx context.Context, want string) (string, error) {
	if want == "off" {
		return "", fmt.Errorf("left out")
	}
	if want != "" && want != "build" {
		return want, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "edge-bench")
	built := filepath.Join(dir, "caddy")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	if want == "" {
		return exec.LookPath("caddy")
	}
	cmd := exec.CommandContext(ctx, "go", "install", caddyModule+"@latest")
	cmd.Dir, cmd.Stderr = os.TempDir(), os.Stderr // outside this module, whose go.mod it must not touch
	cmd.Env = append(os.Environ(), "GOBIN="+dir)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go install %s: %w", caddyModule, err)
	}
	return built, nil
}

// caddyVersion asks the binary; one that "go install" made knows its version only as a module.
func caddyVersion(path string) string {
	if v := versionNumber.FindString(output(path, "version")); v != "" {
		return v
	}
	for line := range strings.Lines(output("go", "version", "-m", path)) {
		if strings.Contains(line, "github.com/caddyserver/caddy/v2\t") {
			return versionNumber.FindString(line)
		}
	}
	return "unknown"
}

const edgeConf = `
[server]
workers = 16
keepalive_timeout = "75s"
admin = ""

[log]
access = "off"
level = "warn"

[[listen]]
address = %[1]q

[[listen]]
address = %[5]q
certificates = ["main"]

[certificates.main]
certificate = %[6]q
key = %[7]q

[upstreams.origin]
servers = [%[2]q]
keepalive = 2048

[filters.two]
module = %[4]q

[[routes]]
match = { path = "/hello" }
respond = { status = 200, body = "hello world\n", headers = { "content-type" = "text/plain" } }

[[routes]]
match = { path = "/files/*" }
files = { root = %[3]q, strip = "/files" }

[[routes]]
match = { path = "/filter/*" }
filters = ["two"]
upstream = "origin"

[[routes]]
upstream = "origin"
`

// edgeServer builds edge, unless a binary is given, and runs it.
func edgeServer(ctx context.Context) func(*bench, *server) (proc.Spec, error) {
	return func(b *bench, s *server) (proc.Spec, error) {
		path := b.edge
		if path == "" {
			path = filepath.Join(b.dir, "edge")
			cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "edge/cmd/edge")
			if out, err := cmd.CombinedOutput(); err != nil {
				return proc.Spec{}, fmt.Errorf("go build edge/cmd/edge: %w\n%s", err, out)
			}
		}
		root := strings.TrimSpace(output("go", "list", "-m", "-f", "{{.Dir}}"))
		guest := filepath.Join(root, "examples", "wasm", "two-headers", "two-headers.wasm")
		s.version = strings.TrimSpace(output(path, "version"))
		_, conf, err := b.write("edge-server", "edge.toml", fmt.Sprintf(edgeConf, s.addr, b.origin.addr, filepath.Join(b.dir, "files"), guest,
			s.secure, filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "cert.key")))
		return proc.Spec{Path: path, Args: []string{"run", "-c", conf}}, err
	}
}
