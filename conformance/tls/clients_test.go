package tls

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/conformance/proc"
	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// limit bounds what a healthy run does at once.
const limit = 30 * time.Second

// find is a program's path; the test is skipped where there is none.
func find(t *testing.T, program string) string {
	t.Helper()
	path, err := proc.Find(program)
	if err != nil {
		t.Skip("no " + program)
	}
	return path
}

// run runs a program and returns what it says.
func run(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// world is an authority, a directory, and an edge with certificates for a.test, *.b.test and guarded.test.
type world struct {
	*rig.Edge
	dir         string
	host, port  string // of Addr
	ca, clients *pki.Authority
}

func start(t *testing.T, server, listen, rest string) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), ca: pki.New(t, "ca"), clients: pki.New(t, "clients")}
	pki.Put(t, w.dir+"/ca.pem", w.ca.PEM())
	pki.Put(t, w.dir+"/clients.pem", w.clients.PEM())
	var text strings.Builder
	for name, list := range map[string][]string{"a": {"a.test"}, "b": {"*.b.test", "b.test"}, "guarded": {"guarded.test"}} {
		cert, key := w.ca.Leaf(list...).Write(t, w.dir, name)
		fmt.Fprintf(&text, "[certificates.%s]\ncertificate = %q\nkey = %q\n", name, cert, key)
		if name == "guarded" {
			fmt.Fprintf(&text, "client_ca = %q\n", w.dir+"/clients.pem")
		}
	}
	if rest == "" {
		rest = "[[routes]]\nrespond = { body = \"hello\\n\" }\n"
	}
	w.Edge = rig.Start(t, rig.Config{Server: server, Listen: "certificates = [\"a\", \"b\", \"guarded\"]\n" + listen, Rest: text.String() + rest})
	w.host, w.port, _ = net.SplitHostPort(w.Addr)
	return w
}

// curl asks for a path of a host.
func (w *world) curl(t *testing.T, host, path string, args ...string) (string, error) {
	t.Helper()
	return run(t, "", find(t, "curl"), append([]string{"-sS", "--http1.1", "--max-time", "20", "--cacert", w.dir + "/ca.pem",
		"--resolve", host + ":" + w.port + ":" + w.host, "https://" + host + ":" + w.port + path}, args...)...)
}

// TestCurl: both versions, certificates by name, clients' certificates, large bodies both ways.
func TestCurl(t *testing.T) {
	data := make([]byte, 3<<20)
	rand.Read(data)
	root := t.TempDir()
	pki.Put(t, root+"/data", data)
	w := start(t, "", "", fmt.Sprintf("[[routes]]\nmatch = { path = \"/files/*\" }\nfiles = { root = %q, strip = \"/files\" }\n"+
		"[[routes]]\nrespond = { body = \"hello\\n\" }\n", root))
	for _, version := range []string{"1.2", "1.3"} {
		args := []string{"--tlsv" + version, "--tls-max", version}
		for _, host := range []string{"a.test", "b.test", "www.b.test"} {
			if out, err := w.curl(t, host, "/", args...); err != nil || out != "hello\n" {
				t.Errorf("TLS %s, %s: %v: %s", version, host, err, out)
			}
		}
		got := filepath.Join(t.TempDir(), "got")
		out, err := w.curl(t, "a.test", "/files/data", append(args, "-o", got)...)
		if back, _ := os.ReadFile(got); err != nil || !bytes.Equal(back, data) {
			t.Errorf("TLS %s: %d bytes came: %v: %s", version, len(back), err, out)
		}
		if out, err := w.curl(t, "guarded.test", "/", args...); err == nil {
			t.Errorf("TLS %s: a client without a certificate is let in: %s", version, out)
		}
		cert, key := w.clients.Leaf("alice").Write(t, t.TempDir(), "alice")
		if out, err := w.curl(t, "guarded.test", "/", append(args, "--cert", cert, "--key", key)...); err != nil || out != "hello\n" {
			t.Errorf("TLS %s: alice: %v: %s", version, err, out)
		}
		cert, key = pki.New(t, "strangers").Leaf("alice").Write(t, t.TempDir(), "alice")
		if out, err := w.curl(t, "guarded.test", "/", append(args, "--cert", cert, "--key", key)...); err == nil {
			t.Errorf("TLS %s: a stranger is let in: %s", version, out)
		}
	}
	if out, err := w.curl(t, "a.test", "/", "-H", "Host: guarded.test", "-w", "%{http_code}", "-o", "/dev/null"); err != nil || out != "421" {
		t.Errorf("T42: %v: %s", err, out) // the connection is a.test's
	}
	if out, err := w.curl(t, "a.test", "/", "--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"); err == nil {
		t.Errorf("TLS 1.1 is spoken: %s", out)
	}
	if log := w.AccessLog(); !strings.Contains(log, `"tls_version":"TLSv1.3","sni":"www.b.test"`) || !strings.Contains(log, `"scheme":"https"`) {
		t.Errorf("the access log does not tell: %s", log)
	}
}

// TestMinTLS: the least version is held.
func TestMinTLS(t *testing.T) {
	w := start(t, "", "min_tls = \"1.3\"\n", "")
	if out, err := w.curl(t, "a.test", "/", "--tls-max", "1.2"); err == nil {
		t.Errorf("TLS 1.2 is spoken: %s", out)
	}
	if out, err := w.curl(t, "a.test", "/"); err != nil || out != "hello\n" {
		t.Errorf("%v: %s", err, out)
	}
	w.WaitMetric("a refused handshake", func(m rig.Metrics) bool { return m.Sum("edge_tls_handshakes_total", `result="refused"`) == 1 })
}

// TestR78Renegotiation: a client that wants to shake hands again is refused, and costs its connection at most.
func TestR78Renegotiation(t *testing.T) {
	w := start(t, "", "", "")
	openssl := find(t, "openssl")
	out, _ := run(t, "HEAD / HTTP/1.1\nR\n", openssl, "s_client", "-connect", w.Addr, "-servername", "a.test", "-tls1_2", "-crlf")
	if !strings.Contains(out, "RENEGOTIATING") {
		t.Skip("this openssl does not renegotiate")
	}
	if !strings.Contains(out, "alert") && !strings.Contains(out, "error") {
		t.Errorf("it was not refused: %s", out)
	}
	if out, err := w.curl(t, "a.test", "/"); err != nil || out != "hello\n" {
		t.Errorf("afterwards: %v: %s", err, out)
	}
}

// TestTickets: sessions are resumed, in both versions.
func TestTickets(t *testing.T) {
	w := start(t, "", "", "")
	openssl := find(t, "openssl")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(t.TempDir(), "session")
		for _, flag := range []string{"-sess_out", "-sess_in"} {
			out, err := run(t, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", openssl, "s_client", "-connect", w.Addr, "-servername", "a.test",
				version, flag, session, "-ign_eof")
			if reused := strings.Contains(out, "Reused, TLS"); err != nil || !strings.Contains(out, "hello") || reused != (flag == "-sess_in") {
				t.Errorf("%s %s: %v, reused is %v: %s", version, flag, err, reused, out)
			}
		}
	}
}
