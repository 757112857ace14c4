package threats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edge/conformance/rig"
)

func target(v string) string { return "GET " + v + " HTTP/1.1\r\nHost: edge.test\r\n\r\n" }

func host(v string) string { return "GET /victim HTTP/1.1\r\nHost:" + v + "\r\n\r\n" }

// TestTargetsRefused holds the targets and hosts of T32 to T41 that nothing may be made of.
func TestTargetsRefused(t *testing.T) {
	b := newBed(t, rig.Config{})
	refuse(t, b, []refusal{
		{name: "T32 no host", in: "GET /victim HTTP/1.1\r\nX: y\r\n\r\n", status: bad400},
		{name: "T32 two hosts, the same", in: "GET /victim HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", status: bad400},
		{name: "T32 two hosts, differing", in: "GET /victim HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", status: bad400},
		{name: "T34 GET with an asterisk", in: target("*"), status: bad400},
		{name: "T34 OPTIONS with an asterisk and more", in: "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", status: bad400},
		{name: "T41 target above 16 KB", in: target("/" + strings.Repeat("a", 17<<10)), status: []int{414}},
	})
	refuse(t, b, heads("T32 host", host, "", " ", " a, b", " a,b", " user@a", " user:pw@a", " a/b", " a?b", " a#b", " a:port", " a:99999", " a:-1", " a:80:80", " [::1", " ::1",
		" [::1]x", " [g]", " a\x00b", " a b", " a\\b", " http://a", " \xc3\xa9", " a%", " %zz"))
	refuse(t, b, heads("T33 target", target, "http:///victim", "http://user@a/victim", "http://a:port/victim", "http://a b/", "ftp://a/victim", "http:victim",
		"victim", "edge.test/victim", "edge.test:80"))
	refuse(t, b, heads("T37 target", target, "/a/../victim", "/..", "/../victim", "/a/..", "/./victim", "/a/.", "/a/%2e%2e/victim", "/%2E%2e/victim", "/a/.%2e/victim", "/%2e/victim",
		"/a/..;/victim", "/a/..;x=y/victim", "/a/%2e%2e;/victim", "/a\\victim", "/a\\..\\victim", "/a/..%2fvictim", "/a%2f..%2fvictim", "/a%5c..%5cvictim", "/a/..%5cvictim", "/a%2f%2e%2e/victim"))
	refuse(t, b, heads("T38 target", target, "/a%00b", "/a%0d%0aX:%20y", "/a%0ab", "/a%0d", "/%c0%af", "/%c0%ae%c0%ae/", "/%e0%80%af", "/%zz", "/%", "/a%2", "/%g0", "/%u0041"))
	refuse(t, b, heads("T39 target", target, "/victim#a", "/#", "/?a#b"))
	refuse(t, b, heads("T40 target", target, "/\xc3\xa9", "/\xff", "/a\tb", "/a b", "/a\x01", "/a\x7f", "/a\x00b", "/a\vb"))
}

// TestTargetsForwarded: the origin sees the very bytes that the client sent.
func TestTargetsForwarded(t *testing.T) {
	b := newBed(t, rig.Config{})
	for _, c := range []struct{ name, target string }{
		{"T37 double slash", "/a//b"},
		{"T37 leading double slash", "//a/b"},
		{"T37 encoded slash", "/a%2fb"},
		{"T37 case of escapes", "/a%2Fb%41%7e"},
		{"T37 dots within a name", "/a..b/...c/d."},
		{"T38 sound escapes", "/%c3%a9?q=%20"},
		{"T41 target of 8,000 bytes", "/" + strings.Repeat("a", 7999)},
		{"U90 semicolons", "/a;b=c?d;e=f"},
		{"U90 escapes, plus signs and empty pairs", "/?a=%41&b=+&&c"},
		{"U90 empty query", "/a?"},
		{"U90 question marks", "/a??b?"},
		{"U90 dots in the query", "/a?x=../../etc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(b.seen())
			k := rig.Dial(t, b.Addr)
			k.Send(target(c.target))
			if p := k.Response("GET"); p.Status != 200 {
				t.Fatalf("answer is %d %q", p.Status, p.Body)
			}
			if got := b.seen()[before:]; len(got) != 1 || got[0].Target != c.target {
				t.Errorf("the origin saw %d requests: %+v", len(got), got)
			}
		})
	}
}

// TestHosts holds what T33, T34 and T93 say of authority: one value, from the target if it has one, and never an address to
// connect to.
func TestHosts(t *testing.T) {
	b := newBed(t, rig.Config{})
	other := rig.NewOrigin(t, rig.Echo) // what nobody configured
	for _, c := range []struct{ name, in, host, target string }{
		{"T33 absolute-form replaces Host", "GET http://in.target/p?q HTTP/1.1\r\nHost: in.field\r\n\r\n", "in.target", "/p?q"},
		{"T33 absolute-form without a path", "GET http://in.target HTTP/1.1\r\nHost: in.target\r\n\r\n", "in.target", "/"},
		{"T33 absolute-form with a query only", "GET http://in.target?q HTTP/1.1\r\nHost: in.target\r\n\r\n", "in.target", "/?q"},
		{"T33 scheme in capitals", "GET HTTP://in.target/p HTTP/1.1\r\nHost: in.target\r\n\r\n", "in.target", "/p"},
		{"T32 port", "GET /p HTTP/1.1\r\nHost: a:8080\r\n\r\n", "a:8080", "/p"},
		{"T32 IPv6", "GET /p HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80", "/p"},
		{"U93 Host names another server", "GET /p HTTP/1.1\r\nHost: " + other.Addr + "\r\n\r\n", other.Addr, "/p"},
		{"U93 absolute-form names another server", "GET http://" + other.Addr + "/p HTTP/1.1\r\nHost: a\r\n\r\n", other.Addr, "/p"},
		{"U93 metadata address", "GET http://169.254.169.254/p HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "169.254.169.254", "/p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(b.seen())
			k := rig.Dial(t, b.Addr)
			k.Send(c.in)
			if p := k.Response("GET"); p.Status != 200 && p.Status != 400 { // T33: a mismatch may be refused instead
				t.Fatalf("answer is %d %q", p.Status, p.Body)
			} else if p.Status == 400 && !strings.HasPrefix(c.name, "T33 absolute-form replaces") && !strings.HasPrefix(c.name, "U93 abs") {
				t.Fatalf("answer is %d %q", p.Status, p.Body)
			} else if p.Status == 400 {
				return
			}
			got := b.seen()[before:]
			if len(got) != 1 {
				t.Fatalf("the origin saw %d requests", len(got))
			}
			if hosts := got[0].Header.Values("host"); len(hosts) != 1 || hosts[0] != c.host || got[0].Target != c.target {
				t.Errorf("the origin saw target %q, hosts %q; want %q and %q", got[0].Target, hosts, c.target, c.host)
			}
		})
	}
	if n := len(other.Conns()); n > 0 {
		t.Errorf("U93: edge connected %d times to a server that the client named", n)
	}
}

// TestMethods holds T34, T35 and T36.
func TestMethods(t *testing.T) {
	b := newBed(t, rig.Config{})
	for _, c := range []struct {
		name, in, method string
		status           string
	}{
		{"T34 OPTIONS with an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "OPTIONS", "200 204"},
		{"T35 CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n", "GET", "405 501"},
		{"T35 CONNECT with a path", "CONNECT /victim HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET", "400 405 501"},
		{"T36 TRACE", "TRACE /victim HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET", "405"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := rig.Dial(t, b.Addr)
			k.Send(c.in)
			p := k.Response(c.method)
			if !strings.Contains(c.status, fmt.Sprint(p.Status)) {
				t.Errorf("answer is %d, want one of %s", p.Status, c.status)
			}
			if p.Status == 405 && !p.Header.Has("allow") {
				t.Error("405 without allow (RFC 9110 section 15.5.6)")
			}
			if strings.Contains(string(p.Body), "TRACE /victim") {
				t.Error("TRACE is echoed")
			}
			k.Closed()
		})
	}
	b.fence(t)
	if got := b.seen(); len(got) > 0 {
		t.Errorf("the origin saw %s %s", got[0].Method, got[0].Target)
	}
}

// filesBed is an edge that serves a directory which has neighbours that nobody may see.
func filesBed(t *testing.T) *rig.Edge {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for path, text := range map[string]string{
		"root/a.txt": "public", "root/sub/b.txt": "below", "root/.env": "SECRET", "root/.git/config": "SECRET",
		"root-other/c.txt": "SECRET", "secret.txt": "SECRET",
	} {
		full := filepath.Join(dir, path)
		rig.Must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		rig.Must(t, os.WriteFile(full, []byte(text), 0o644))
	}
	rig.Must(t, os.WriteFile(filepath.Join(root, "big.bin"), make([]byte, 1<<20), 0o644))
	rig.Must(t, os.Symlink("../secret.txt", filepath.Join(root, "link.txt")))
	rig.Must(t, os.Symlink("/etc", filepath.Join(root, "etc")))
	rig.Must(t, os.Symlink("..", filepath.Join(root, "up")))
	rig.Must(t, os.Symlink("a.txt", filepath.Join(root, "inside.txt")))
	return rig.Start(t, rig.Config{Server: quick, Rest: fmt.Sprintf("[[routes]]\nmatch = { path = \"/f/*\" }\nfiles = { root = %q, strip = \"/f\" }\n", root)})
}

// TestT43Files: no path leads out of the root or to a hidden file.
func TestT43Files(t *testing.T) {
	e := filesBed(t)
	for _, path := range []string{
		"/f/../secret.txt", "/f/%2e%2e/secret.txt", "/f/..%2fsecret.txt", "/f/%2e%2e%2fsecret.txt", "/f/..%5csecret.txt", "/f/sub/../../secret.txt",
		"/f//../secret.txt", "/f/./../secret.txt", "/f/.%2e/secret.txt", "/f/%252e%252e/secret.txt", "/f/..;/secret.txt", "/f/..\\secret.txt",
		"/f/link.txt", "/f/etc/passwd", "/f/up/secret.txt", "/f/up/root-other/c.txt", "/f/../root-other/c.txt", "/f-other/c.txt",
		"/f/.env", "/f/.git/config", "/f/%2eenv", "/f/sub/../.env", "/f//.env", "/f/a.txt/", "/f/a.txt/..", "/f/a.txt.", "/f/a.txt%20", "/f/a.txt%00", "/f/a.txt%00.png",
		"/f/%2fetc%2fpasswd", "/f//etc/passwd", "/f/c:%5cwindows", "/f/~root", "/f/proc/self/environ", "/f/" + strings.Repeat("a", 5000), "/f/" + strings.Repeat("a/", 3000),
	} {
		name := "T43 " + visible(path)
		t.Run(name, func(t *testing.T) {
			c := rig.Dial(t, e.Addr)
			c.Send("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			p := c.Response("GET")
			if p.Status != 400 && p.Status != 403 && p.Status != 404 {
				t.Errorf("answer is %d %.60q", p.Status, p.Body)
			}
			if strings.Contains(string(p.Body), "SECRET") || strings.Contains(string(p.Body), "root:") {
				t.Errorf("%s leaks %.60q", path, p.Body)
			}
		})
	}
	c := rig.Dial(t, e.Addr)
	for path, want := range map[string]string{"/f/a.txt": "public", "/f/sub/b.txt": "below", "/f/inside.txt": "public"} {
		if p := c.Get(path, ""); p.Status != 200 || string(p.Body) != want {
			t.Errorf("T43 %s answers %d %q, want %q", path, p.Status, p.Body, want)
		}
	}
}

// TestT44Ranges: many ranges cost no more than the file once.
func TestT44Ranges(t *testing.T) {
	e := filesBed(t)
	for name, ranges := range map[string]string{
		"1,000 overlapping": "0-" + strings.Repeat(",0-", 999),
		"1,000 the same":    "0-1048575" + strings.Repeat(",0-1048575", 999),
		"1,300 of one byte": "0-0" + strings.Repeat(",2-2", 1299),
		"descending":        "9-,8-,7-,6-,5-,4-,3-,2-,1-,0-",
	} {
		t.Run("T44 "+name, func(t *testing.T) {
			c := rig.Dial(t, e.Addr)
			p := c.Get("/f/big.bin", "Range: bytes="+ranges+"\r\nConnection: close\r\n")
			if p.Status != 200 && p.Status != 416 && p.Status != 206 || len(p.Body) > 1<<20+64<<10 {
				t.Errorf("answer is %d with %d bytes", p.Status, len(p.Body))
			}
		})
	}
}
