package tls

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/conformance/proc"
	"edge/conformance/rig"
)

// serial is the serial number of the certificate that a name gets.
func (w *world) serial(t *testing.T, name string) string {
	t.Helper()
	c, err := tls.Dial("tcp", w.Addr, &tls.Config{ServerName: name, RootCAs: w.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestRenewal: a certificate whose files are replaced is taken for new handshakes, one that does not fit its key is not; connections stay.
func TestRenewal(t *testing.T) {
	w := start(t, "keepalive_timeout = \"1m\"\n", "", "")
	stays, err := tls.Dial("tcp", w.Addr, &tls.Config{ServerName: "a.test", RootCAs: w.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	old := w.serial(t, "a.test")
	next := w.ca.Leaf("a.test")
	pki.Put(t, filepath.Join(w.dir, "a.pem"), next.Certificate)
	w.WaitMetric("the misfit", func(m rig.Metrics) bool {
		return m.Sum("edge_certificate_reloads_total", `certificate="a"`, `result="failed"`) == 1
	})
	if got := w.serial(t, "a.test"); got != old {
		t.Error("a certificate without its key is used")
	}
	pki.Put(t, filepath.Join(w.dir, "a.key"), next.Key)
	w.WaitMetric("the renewal", func(m rig.Metrics) bool {
		return m.Sum("edge_certificate_reloads_total", `certificate="a"`, `result="renewed"`) == 1
	})
	if got := w.serial(t, "a.test"); got == old {
		t.Error("the old one is still used")
	}
	fmt.Fprint(stays, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	stays.SetDeadline(time.Now().Add(limit))
	buf := make([]byte, 1000)
	if n, err := stays.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200 ") {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if !w.Log.WaitFor(func(text string) bool {
		return strings.Contains(text, "a changed certificate is not used") && strings.Contains(text, "a certificate was renewed")
	}, limit) {
		t.Error("the log does not tell")
	}
}

// TestCheck: what is wrong with a file stands behind the line that names it.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	ca := pki.New(t, "ca")
	cert, _ := ca.Leaf("a.test").Write(t, dir, "a")
	_, key := ca.Leaf("b.test").Write(t, dir, "b")
	late, lateKey := ca.LeafUntil(time.Now().Add(-time.Hour), "late.test").Write(t, dir, "late")
	check := func(text string) string {
		path := filepath.Join(dir, "edge.toml")
		pki.Put(t, path, []byte(text))
		out, _ := run(t, "", rig.Binary(t), "check", "-c", path)
		return strings.ReplaceAll(out, dir+"/", "")
	}
	const frame = "listen = [{ address = \"127.0.0.1:8443\", certificates = [\"a\"] }]\nroutes = [{ respond = { body = \"x\" } }]\n"
	for _, c := range []struct{ text, want string }{
		{fmt.Sprintf("[certificates.a]\ncertificate = %q\nkey = %q\n", cert, key),
			"edge.toml:5: certificates.a.key: private key does not match public key; it should be"},
		{fmt.Sprintf("[certificates.a]\ncertificate = %q\nkey = %q\n", dir+"/gone.pem", key), "edge.toml:4: certificates.a.certificate: open gone.pem: no such file"},
		{fmt.Sprintf("[certificates.a]\ncertificate = %q\nkey = %q\n", late, lateKey),
			"edge.toml:4: warning: certificates.a.certificate: expired on "},
		{"[certificates.a]\ncertificate = \"self-signed\"\n[upstreams.u]\nservers = [\"https://127.0.0.1\"]\n[upstreams.u.tls]\nca = \"gone.pem\"\n",
			"edge.toml:8: upstreams.u.tls.ca: open gone.pem: no such file"},
	} {
		if out := check(frame + c.text); !strings.Contains(out, c.want) {
			t.Errorf("want %s, got %s", c.want, out)
		}
	}
}

// TestR78LeftHandshakes: clients that begin handshakes and go, or begin and stay silent, cost a bounded number of goroutines, and in the
// end nothing.
func TestR78LeftHandshakes(t *testing.T) {
	w := start(t, "handshake_timeout = \"1s\"\n", "", "")
	hello := firstFlight(t)
	before := w.Metrics().Sum("go_goroutines")
	const many = 1500
	conns := make([]net.Conn, 0, many)
	for i := range many {
		c, err := net.Dial("tcp", w.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(hello)
		if i%3 == 0 {
			c.Close()
			continue
		}
		conns = append(conns, c)
	}
	most := 0.0
	w.WaitMetric("all gone", func(m rig.Metrics) bool {
		most = max(most, m.Sum("go_goroutines"))
		var over float64
		for _, result := range []string{"timeout", "closed", "crowded"} {
			over += m.Sum("edge_tls_handshakes_total", fmt.Sprintf("result=%q", result))
		}
		return over >= many && m.Sum("edge_tls_handshakes_in_progress") == 0
	})
	if most > before+many+50 {
		t.Errorf("%v goroutines", most)
	}
	w.WaitMetric("goroutines as before", func(m rig.Metrics) bool { return m.Sum("go_goroutines") <= before+10 })
	for _, c := range conns {
		c.Close()
	}
	if out, err := w.curl(t, "a.test", "/"); err != nil || out != "hello\n" {
		t.Errorf("afterwards: %v: %s", err, out)
	}
}

func firstFlight(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Client(near, &tls.Config{ServerName: "a.test"}).Handshake()
	buf := make([]byte, 4096)
	n, err := far.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// TestUpstreamNginx: requests and bodies reach another make of server over TLS, connections are kept, and one whose name is wrong is not
// spoken to.
func TestUpstreamNginx(t *testing.T) {
	nginx := find(t, "nginx")
	dir := t.TempDir()
	ca := pki.New(t, "ca")
	pki.Put(t, dir+"/ca.pem", ca.PEM())
	cert, key := ca.Leaf("origin.test").Write(t, dir, "origin")
	big := strings.Repeat("0123456789abcdef", 1<<17)
	rig.Must(t, os.MkdirAll(dir+"/www", 0o755))
	rig.Must(t, os.Chmod(dir, 0o755))
	rig.Must(t, os.WriteFile(dir+"/www/big", []byte(big), 0o644))
	addr, err := proc.FreeAddr()
	rig.Must(t, err)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; %[5]s
events {}
http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen %[2]s ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %[3]s; ssl_certificate_key %[4]s; client_max_body_size 100m;
location /big { root %[1]s/www; } location / { return 200 "$ssl_server_name $ssl_protocol $connection_requests\n"; } } }
`, dir, addr, cert, key, user)
	pki.Put(t, dir+"/nginx.conf", []byte(conf))
	child, err := proc.Start(proc.Spec{Name: "nginx", Path: nginx, Args: []string{"-e", "stderr", "-p", dir, "-c", dir + "/nginx.conf"}, Dir: dir})
	rig.Must(t, err)
	t.Cleanup(func() { child.Kill() })
	rig.Must(t, proc.WaitListening(child, addr, limit))
	e := rig.Start(t, rig.Config{Rest: fmt.Sprintf(`
[upstreams.good]
servers = ["https://%[1]s"]
tls = { ca = %[2]q, server_name = "origin.test" }
[upstreams.wrong]
servers = ["https://%[1]s"]
tls = { ca = %[2]q }
[upstreams.untrusted]
servers = ["https://%[1]s"]
tls = { server_name = "origin.test" }
[[routes]]
match = { path = "/wrong" }
upstream = "wrong"
[[routes]]
match = { path = "/untrusted" }
upstream = "untrusted"
[[routes]]
upstream = "good"
`, addr, dir+"/ca.pem")})
	c := rig.Dial(t, e.Addr)
	for i := range 5 {
		if r := c.Get("/", ""); r.Status != 200 || string(r.Body) != fmt.Sprintf("origin.test TLSv1.3 %d\n", i+1) {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	if r := c.Get("/big", ""); r.Status != 200 || string(r.Body) != big {
		t.Errorf("%d, %d bytes", r.Status, len(r.Body))
	}
	for _, path := range []string{"/wrong", "/untrusted"} {
		if r := c.Get(path, ""); r.Status != 502 {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	if !e.Log.WaitFor(func(text string) bool {
		return strings.Contains(text, "unknown authority") && strings.Contains(text, "doesn't contain any IP SANs")
	}, limit) {
		t.Error("the log does not say why")
	}
}

// TestDevelopment: the self-signed certificate serves at once, and plain HTTP on its port is told what it is.
func TestDevelopment(t *testing.T) {
	e := rig.Start(t, rig.Config{Listen: "certificates = [\"dev\"]\n", Rest: "[certificates.dev]\ncertificate = \"self-signed\"\n" +
		"[[routes]]\nrespond = { body = \"hello\\n\" }\n"})
	c, err := tls.Dial("tcp", e.Addr, &tls.Config{InsecureSkipVerify: true})
	rig.Must(t, err)
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	if text, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(text), "\r\n\r\nhello\n") {
		t.Errorf("%q, %v", text, err)
	}
	if r := rig.Dial(t, e.Addr).Get("/", ""); r.Status != 400 || !strings.Contains(string(r.Body), "TLS only") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestChildren: children show the same certificate that edge has made itself, also those that come after, and resume each other's sessions.
func TestChildren(t *testing.T) {
	e := rig.Start(t, rig.Config{Server: "children = 3", Listen: `certificates = ["main"]`,
		Rest: "[certificates.main]\ncertificate = \"self-signed\"\n[[routes]]\nrespond = { body = \"hello\\n\" }\n"})
	shown, cache := map[string]bool{}, tls.NewLRUClientSessionCache(1)
	ask := func() (resumed bool) {
		t.Helper()
		c, err := tls.Dial("tcp", e.Addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: cache})
		rig.Must(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(limit))
		fmt.Fprint(c, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if text, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(text), "hello\n") {
			t.Errorf("the answer is %q, %v", text, err)
		}
		shown[c.ConnectionState().PeerCertificates[0].SerialNumber.String()] = true
		return c.ConnectionState().DidResume
	}
	ask()
	for n := range 40 {
		if n == 20 { // all of them are replaced
			for _, pid := range proc.Children(e.Child.PID()) {
				rig.Must(t, syscall.Kill(pid, syscall.SIGTERM))
			}
		}
		if !ask() {
			t.Errorf("session %d is not resumed", n)
		}
	}
	if len(shown) != 1 {
		t.Errorf("%d certificates are shown", len(shown))
	}
}
