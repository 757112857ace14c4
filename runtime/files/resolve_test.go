package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"edge/filters/message"
)

// secret stands in every file outside the root, and public in every file inside.
const (
	secret = "SECRET"
	public = "public"
)

// tree makes a directory with the root in it, full of what an attacker would like to find, and returns the root's path.
func tree(t testing.TB) string {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "www")
	for _, dir := range []string{"sub/deep", "empty", ".git", ".well-known", "dir.html", "outside-dir-target"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(top, "www-other"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"a.txt", "index.html", "sub/index.html", "sub/deep/b.css", "sp ace.txt", "ü.txt", "plus+.txt", "per%cent.txt", "dot.", ".env", ".git/config",
		".well-known/x", "..foo", "q?.txt", "back\\slash", "semi;colon", "a.txt.gz",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(public), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"secret.txt", "www-other/secret.txt", "index.html"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(secret), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"in":           "a.txt",
		"in-dir":       "sub",
		"in-up":        "sub/../a.txt",
		"out":          "../secret.txt",
		"out-abs":      filepath.Join(top, "secret.txt"),
		"out-dir":      "..",
		"out-dir-abs":  top,
		"out-deep":     "sub/deep/../../../secret.txt",
		"in-abs":       filepath.Join(root, "a.txt"),
		"sub/out":      "../../secret.txt",
		"loop":         "loop",
		"dangling":     "nothing",
		"proc":         "/proc/self/root",
		"proc-fd":      "/proc/self/fd/0",
		"out-chain":    "out-dir-abs/secret.txt",
		"etc":          "/etc",
		"sub/up-twice": "../..",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(root, "sock")}); err != nil {
		t.Fatal(err)
	}
	return root
}

func mustOpen(t testing.TB, o Options) *Action {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// both runs a test with openat2 and with the way round it.
func both(t *testing.T, o Options, test func(t *testing.T, a *Action)) {
	t.Run("openat2", func(t *testing.T) {
		a := mustOpen(t, o)
		if a.walker != nil {
			t.Skip("the kernel has no openat2")
		}
		test(t, a)
	})
	t.Run("os.Root", func(t *testing.T) {
		a := mustOpen(t, o)
		if err := a.walk(o.Root); err != nil {
			t.Fatal(err)
		}
		test(t, a)
	})
}

// answer is what a request came to.
type answer struct {
	message.Response
	body string
}

// ask serves one request; header holds names and values in turn.
func ask(t testing.TB, a *Action, method, target string, header ...string) (r answer) {
	t.Helper()
	req := message.Request{Method: method, Target: target}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	var f File
	a.Serve(&req, &r.Response, &f)
	defer f.Close()
	if f.FD() >= 0 {
		if f.Length <= 0 || f.Length != r.Length || r.Bodiless {
			t.Fatalf("%s %s: a body of %d bytes, length %d, bodiless %v", method, target, f.Length, r.Length, r.Bodiless)
		}
		b := make([]byte, f.Length)
		if n, err := f.ReadAt(b, f.Offset); err != nil || int64(n) != f.Length {
			t.Fatalf("%s %s: read %d, %v", method, target, n, err)
		}
		r.body = string(b)
	} else if r.Length > 0 && !r.Bodiless {
		t.Fatalf("%s %s: length %d and no body", method, target, r.Length)
	}
	return r
}

func TestPaths(t *testing.T) {
	both(t, Options{Root: tree(t)}, func(t *testing.T, a *Action) {
		for _, c := range []struct {
			path   string
			status int
		}{
			{"/a.txt", 200},
			{"/%61.txt", 200},
			{"/sub/deep/b.css", 200},
			{"/", 200},
			{"/sub/", 200},
			{"/sub", 308},
			{"/empty/", 404},
			{"/empty", 308},
			{"/dir.html", 308},
			{"/sp%20ace.txt", 200},
			{"/%c3%bc.txt", 200},
			{"/plus+.txt", 200},
			{"/plus%2b.txt", 200},
			{"/per%25cent.txt", 200},
			{"/q%3f.txt", 200},
			{"/semi;colon", 200},
			{"/a.txt?x=1", 200},
			{"/A.TXT", 404},
			{"/a.txt/", 404},
			{"/a.txt/b", 404},
			{"/a.txt.gz", 200},
			{"/nothing", 404},
			{"/in", 200},
			{"/in-up", 200},
			{"/in-dir/", 200},
			{"/in-dir", 308},

			// Threat T37: nothing that another reader might resolve differently.
			{"/sub/../a.txt", 404},
			{"/./a.txt", 404},
			{"//a.txt", 404},
			{"/sub//index.html", 404},
			{"/sub/.", 404},
			{"/sub/..", 404},
			{"/..;/a.txt", 404},
			{"/sub/..;/a.txt", 404},
			{"/back\\slash", 404},
			{"/back%5cslash", 404},

			// Threat T38: not a path at all.
			{"/a.txt%00", 400},
			{"/a.txt%00.html", 400},
			{"/%0d%0aset-cookie:x", 400},
			{"/%7f", 400},
			{"/%c0%af..", 400},
			{"/%c0%ae%c0%ae/secret.txt", 400},
			{"/%e0%80%af", 400},
			{"/%ff", 400},
			{"/%zz", 400},
			{"/%", 400},
			{"/%4", 400},
			{"/a b", 400},
			{"/\xc3\xbc.txt", 400},
			{"/\x00", 400},

			// Threat T43: never outside the root.
			{"/../secret.txt", 404},
			{"/..", 404},
			{"/%2e%2e/secret.txt", 404},
			{"/.%2e/secret.txt", 404},
			{"/%2e%2e%2fsecret.txt", 404},
			{"/sub/%2e%2e/%2e%2e/secret.txt", 404},
			{"/..%2fsecret.txt", 404},
			{"/..%5csecret.txt", 404},
			{"/..\\secret.txt", 404},
			{"/%252e%252e/secret.txt", 404},
			{"/%252e%252e%252fsecret.txt", 404},
			{"/sub%2fdeep%2fb.css", 404},
			{"/%2fetc/passwd", 404},
			{"/../www-other/secret.txt", 404},
			{"/out", 404},
			{"/out-abs", 404},
			{"/out-dir/secret.txt", 404},
			{"/out-dir", 404},
			{"/out-dir/", 404},
			{"/out-dir-abs/secret.txt", 404},
			{"/out-deep", 404},
			{"/out-chain", 404},
			{"/sub/out", 404},
			{"/sub/up-twice/secret.txt", 404},
			{"/in-abs", 404},
			{"/loop", 404},
			{"/dangling", 404},
			{"/proc/etc/passwd", 404},
			{"/proc-fd", 404},
			{"/etc/passwd", 404},
			{"/.env", 404},
			{"/%2eenv", 404},
			{"/.git/config", 404},
			{"/.git", 404},
			{"/.well-known/x", 404},
			{"/..foo", 404},
			{"/dot.", 404},
			{"/a.txt.", 404},
			{"/a.txt%2e", 404},
			{"/fifo", 404},
			{"/sock", 404},
			{"/" + strings.Repeat("a", 300), 404},
			{"/" + strings.Repeat("a", 5000), 404},
			{"/" + strings.Repeat("a/", 1900), 404},
			{"/" + strings.Repeat("%61", MaxPath), 404},
		} {
			r := ask(t, a, "GET", c.path)
			if r.Status != c.status {
				t.Errorf("%.80q: %d, want %d", c.path, r.Status, c.status)
			}
			if r.Status == 200 && r.body != public {
				t.Errorf("%.80q: body %q", c.path, r.body)
			}
		}
	})
}

func TestDotfiles(t *testing.T) {
	a := mustOpen(t, Options{Root: tree(t), Dotfiles: true})
	for path, want := range map[string]int{
		"/.env": 200, "/.well-known/x": 200, "/..foo": 200, "/../secret.txt": 404, "/%2e%2e/secret.txt": 404, "/.": 404, "/..": 404, "/sub/./index.html": 404,
	} {
		if r := ask(t, a, "GET", path); r.Status != want {
			t.Errorf("%s: %d, want %d", path, r.Status, want)
		}
	}
}

func TestStrip(t *testing.T) {
	root := tree(t)
	for _, strip := range []string{"/static", "/static/"} {
		a := mustOpen(t, Options{Root: root, Strip: strip})
		for path, want := range map[string]int{
			"/static/a.txt":                       200,
			"/static/":                            200,
			"/static":                             308,
			"/st%61tic/a.txt":                     200,
			"/static/%2e%2e/secret.txt":           404,
			"/static/../secret.txt":               404,
			"/static//a.txt":                      404,
			"/statica.txt":                        404,
			"/static-other/secret.txt":            404,
			"/static%2fa.txt":                     404,
			"/a.txt":                              404,
			"/":                                   404,
			"//static/a.txt":                      404,
			"/static/../../" + "www-other/secret": 404,
		} {
			if r := ask(t, a, "GET", path); r.Status != want {
				t.Errorf("strip %s, %s: %d, want %d", strip, path, r.Status, want)
			}
		}
	}
}

func TestRedirect(t *testing.T) {
	root := tree(t)
	if err := os.MkdirAll(filepath.Join(root, "evil.example"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, Options{Root: root})
	stripping := mustOpen(t, Options{Root: root, Strip: "/s"})
	for _, c := range []struct {
		a            *Action
		target, want string
	}{
		{a, "/sub", "/sub/"},
		{a, "/sub?a=b&c=%20", "/sub/?a=b&c=%20"},
		{a, "/sub?", "/sub/?"},
		{a, "/s%75b?x?y", "/s%75b/?x?y"},
		{a, "/sub/deep", "/sub/deep/"},
		{stripping, "/s", "/s/"},
		{stripping, "/s?q", "/s/?q"},
		{stripping, "/s/sub", "/s/sub/"},
		{a, "/sub?" + strings.Repeat("q", 4000), "/sub/?" + strings.Repeat("q", 4000)},
	} {
		r := ask(t, c.a, "GET", c.target)
		if got := r.Header.Value("location"); r.Status != 308 || got != c.want {
			t.Errorf("%.40s: %d %.40q, want %.40q", c.target, r.Status, got, c.want)
		}
	}
	for target, want := range map[string]int{"//evil.example": 404, "/%2fevil.example": 404, "/\\evil.example": 404, "/sub?\r\nx: y": 400} {
		if r := ask(t, a, "GET", target); r.Status != want || r.Header.Has("location") {
			t.Errorf("%q: %d, location %q", target, r.Status, r.Header.Value("location"))
		}
	}
}

func TestIndex(t *testing.T) {
	root := tree(t)
	for _, name := range []string{"empty/second.txt", "sub/second.txt"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("second"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "empty/index.html"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, Options{Root: root, Index: []string{"index.html", "second.txt"}})
	for path, want := range map[string]string{"/sub/": public, "/empty/": "second"} {
		if r := ask(t, a, "GET", path); r.Status != 200 || r.body != want {
			t.Errorf("%s: %d %q", path, r.Status, r.body)
		}
	}
	if r := ask(t, a, "GET", "/empty/"); r.Header.Value("content-type") != "text/plain; charset=utf-8" {
		t.Errorf("type of the index: %q", r.Header.Value("content-type"))
	}
	none := mustOpen(t, Options{Root: root, Index: []string{}})
	if r := ask(t, none, "GET", "/sub/"); r.Status != 404 {
		t.Errorf("without index: %d", r.Status)
	}
}

func TestOpenRefuses(t *testing.T) {
	root := tree(t)
	for name, o := range map[string]Options{
		"no root":        {},
		"absent root":    {Root: filepath.Join(root, "absent")},
		"a file":         {Root: filepath.Join(root, "a.txt")},
		"relative strip": {Root: root, Strip: "static"},
		"index path":     {Root: root, Index: []string{"../secret.txt"}},
		"index up":       {Root: root, Index: []string{".."}},
		"index empty":    {Root: root, Index: []string{""}},
		"index many":     {Root: root, Index: strings.Split(strings.Repeat("x,", MaxIndex)+"x", ",")},
	} {
		if a, err := Open(o); err == nil {
			a.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.HasPrefix(err.Error(), "files: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for errno, want := range map[unix.Errno]int{
		unix.ENOENT: 404, unix.ENOTDIR: 404, unix.ELOOP: 404, unix.EXDEV: 404, unix.ENAMETOOLONG: 404, unix.ENXIO: 404,
		unix.EACCES: 403, unix.EMFILE: 503, unix.ENFILE: 503, unix.EAGAIN: 503, unix.EIO: 500,
	} {
		if got := statusOf(errno); got != want {
			t.Errorf("%v: %d, want %d", errno, got, want)
		}
	}
}

// descriptors counts the process's open descriptors.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd")
	}
	return len(entries)
}

func TestNoDescriptorLeaks(t *testing.T) {
	both(t, Options{Root: tree(t), Precompressed: true}, func(t *testing.T, a *Action) {
		before := descriptors(t)
		for range 20 {
			for _, path := range []string{"/a.txt", "/sub", "/sub/", "/empty/", "/fifo", "/sock", "/out", "/nothing", "/dir.html"} {
				ask(t, a, "GET", path)
				ask(t, a, "HEAD", path, "accept-encoding", "gzip")
				ask(t, a, "GET", path, "accept-encoding", "gzip", "range", "bytes=0-1")
				ask(t, a, "GET", path, "range", "bytes=99-")
				ask(t, a, "GET", path, "if-match", `"x"`)
				ask(t, a, "GET", path, "if-none-match", "*")
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

// FuzzResolve asks for any path in a tree full of traps: no answer may hold a byte from outside the root, and what the
// two ways of looking up answer must be the same.
func FuzzResolve(f *testing.F) {
	root := tree(f)
	kernel := mustOpen(f, Options{Root: root, Dotfiles: true, Index: []string{"index.html", "secret.txt"}})
	walking := mustOpen(f, Options{Root: root, Dotfiles: true, Index: []string{"index.html", "secret.txt"}})
	if err := walking.walk(root); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"/a.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/out", "/out-dir/secret.txt", "/out-dir/", "/sub/up-twice/secret.txt", "/proc/etc/passwd",
		"/..%2fsecret.txt", "/%252e%252e/secret.txt", "/in-dir/deep/b.css", "/out-chain", "//secret.txt", "/sub/..;/a.txt", "/%c0%ae/", "/in-abs",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		one := ask(t, kernel, "GET", path)
		two := ask(t, walking, "GET", path)
		if strings.Contains(one.body, secret) || strings.Contains(two.body, secret) {
			t.Fatalf("%q leads outside the root", path)
		}
		if one.Status == 200 && one.body != public {
			t.Fatalf("%q: %q", path, one.body)
		}
		if one.Status != two.Status {
			t.Fatalf("%q: %d with openat2, %d without", path, one.Status, two.Status)
		}
		if to, ok := one.Header.Get("location"); ok && (strings.HasPrefix(to, "//") || !strings.HasPrefix(to, "/")) {
			t.Fatalf("%q redirects to %q", path, to)
		}
	})
}
