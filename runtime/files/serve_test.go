package files

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edge/filters/message"
)

// stamp is the modification time of the files in these tests.
var stamp = time.Date(2024, time.February, 29, 12, 34, 56, 789_000_000, time.UTC)

const lastModified = "Thu, 29 Feb 2024 12:34:56 GMT"

// put writes a file that was last modified at a time.
func put(t testing.TB, path, content string, at time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func digitsFile(t testing.TB) (root, content string) {
	root = t.TempDir()
	content = strings.Repeat("0123456789", 10)
	put(t, filepath.Join(root, "f.txt"), content, stamp)
	return root, content
}

func TestMethods(t *testing.T) {
	root, content := digitsFile(t)
	a := mustOpen(t, Options{Root: root})
	for _, c := range []struct {
		method   string
		status   int
		length   int64
		bodiless bool
		body     string
	}{
		{"GET", 200, 100, false, content},
		{"HEAD", 200, 100, true, ""},
		{"OPTIONS", 204, 0, true, ""},
		{"POST", 405, 0, false, ""},
		{"PUT", 405, 0, false, ""},
		{"DELETE", 405, 0, false, ""},
		{"get", 405, 0, false, ""},
		{"PROPFIND", 405, 0, false, ""},
	} {
		r := ask(t, a, c.method, "/f.txt")
		if r.Status != c.status || r.Length != c.length || r.Bodiless != c.bodiless || r.body != c.body {
			t.Errorf("%s: %d, length %d, bodiless %v, %q", c.method, r.Status, r.Length, r.Bodiless, r.body)
		}
		if got := r.Header.Value("allow"); (c.status == 204 || c.status == 405) != (got == "GET, HEAD, OPTIONS") {
			t.Errorf("%s: allow %q", c.method, got)
		}
	}
	if r := ask(t, a, "HEAD", "/absent"); r.Status != 404 || !r.Bodiless {
		t.Errorf("HEAD of nothing: %d, bodiless %v", r.Status, r.Bodiless)
	}
}

func TestHead(t *testing.T) {
	root, _ := digitsFile(t)
	put(t, filepath.Join(root, "empty.css"), "", stamp)
	a := mustOpen(t, Options{Root: root})
	r := ask(t, a, "GET", "/f.txt")
	want := [][2]string{
		{"content-type", "text/plain; charset=utf-8"},
		{"etag", `"` + strconv.FormatInt(stamp.UnixNano(), 16) + `-64"`},
		{"last-modified", lastModified},
		{"accept-ranges", "bytes"},
	}
	if r.Header.Len() != len(want) {
		t.Errorf("%d fields", r.Header.Len())
	}
	for _, f := range want {
		if got := r.Header.Value(f[0]); got != f[1] {
			t.Errorf("%s: %q, want %q", f[0], got, f[1])
		}
	}
	r = ask(t, a, "GET", "/empty.css")
	if r.Status != 200 || r.Length != 0 || r.body != "" || r.Header.Value("content-type") != "text/css; charset=utf-8" {
		t.Errorf("empty file: %d, length %d, %q", r.Status, r.Length, r.Header.Value("content-type"))
	}
}

func TestETagTellsVersionsApart(t *testing.T) {
	root := t.TempDir()
	a := mustOpen(t, Options{Root: root})
	seen := map[string]string{}
	for name, v := range map[string]struct {
		content string
		at      time.Time
	}{
		"first":              {"one", stamp},
		"other size":         {"three", stamp},
		"a nanosecond later": {"two", stamp.Add(time.Nanosecond)},
		"before 1970":        {"one", time.Unix(-5, 0)},
	} {
		put(t, filepath.Join(root, "f"), v.content, v.at)
		r := ask(t, a, "GET", "/f")
		etag := r.Header.Value("etag")
		if other, ok := seen[etag]; ok {
			t.Errorf("%s and %s have the tag %s", name, other, etag)
		}
		seen[etag] = name
	}
}

// RFC 9110 section 8.8.2.1: no last-modified later than the response.
func TestFutureModification(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "f"), "x", stamp)
	now := stamp.Add(-time.Hour)
	a := mustOpen(t, Options{Root: root, Now: func() time.Time { return now }})
	r := ask(t, a, "GET", "/f", "if-modified-since", lastModified)
	if r.Status != 200 || r.Header.Has("last-modified") || !r.Header.Has("etag") {
		t.Errorf("in the future: %d, last-modified %q", r.Status, r.Header.Value("last-modified"))
	}
	now = stamp
	r = ask(t, a, "GET", "/f")
	if r.Header.Value("last-modified") != lastModified {
		t.Errorf("once it is past: %q", r.Header.Value("last-modified"))
	}
}

func TestConditions(t *testing.T) {
	root, content := digitsFile(t)
	a := mustOpen(t, Options{Root: root})
	first := ask(t, a, "GET", "/f.txt")
	etag := first.Header.Value("etag")
	const before, after = "Thu, 29 Feb 2024 12:34:55 GMT", "Thu, 29 Feb 2024 12:34:57 GMT"
	for _, c := range []struct {
		name   string
		status int
		header []string
	}{
		{"if-none-match ours", 304, []string{"if-none-match", etag}},
		{"if-none-match weak form of ours", 304, []string{"if-none-match", "W/" + etag}},
		{"if-none-match in a list", 304, []string{"if-none-match", `"a", W/"b,c" ,, ` + etag}},
		{"if-none-match in the second line", 304, []string{"if-none-match", `"a"`, "if-none-match", etag}},
		{"if-none-match star", 304, []string{"if-none-match", "*"}},
		{"if-none-match other", 200, []string{"if-none-match", `"a"`}},
		{"if-none-match prefix", 200, []string{"if-none-match", etag[:len(etag)-2] + `"`}},
		{"if-none-match unquoted", 200, []string{"if-none-match", strings.Trim(etag, `"`)}},
		{"if-none-match unclosed", 200, []string{"if-none-match", `"a`}},
		{"if-none-match behind a malformed one", 200, []string{"if-none-match", `a, ` + etag}},
		{"if-none-match empty", 200, []string{"if-none-match", ""}},
		{"if-none-match overrides if-modified-since", 200, []string{"if-none-match", `"a"`, "if-modified-since", after}},
		{"if-modified-since ours", 304, []string{"if-modified-since", lastModified}},
		{"if-modified-since later", 304, []string{"if-modified-since", after}},
		{"if-modified-since earlier", 200, []string{"if-modified-since", before}},
		{"if-modified-since RFC 850", 304, []string{"if-modified-since", "Thursday, 29-Feb-24 12:34:56 GMT"}},
		{"if-modified-since asctime", 304, []string{"if-modified-since", "Thu Feb 29 12:34:56 2024"}},
		{"if-modified-since malformed", 200, []string{"if-modified-since", "yesterday"}},
		{"if-modified-since twice", 200, []string{"if-modified-since", lastModified, "if-modified-since", lastModified}},
		{"if-match ours", 200, []string{"if-match", etag}},
		{"if-match star", 200, []string{"if-match", "*"}},
		{"if-match weak form of ours", 412, []string{"if-match", "W/" + etag}},
		{"if-match other", 412, []string{"if-match", `"a"`}},
		{"if-match goes first", 412, []string{"if-none-match", etag, "if-match", `"a"`}},
		{"if-match overrides if-unmodified-since", 200, []string{"if-match", etag, "if-unmodified-since", before}},
		{"if-unmodified-since ours", 200, []string{"if-unmodified-since", lastModified}},
		{"if-unmodified-since earlier", 412, []string{"if-unmodified-since", before}},
		{"if-unmodified-since malformed", 200, []string{"if-unmodified-since", "x"}},
		{"if-unmodified-since twice", 200, []string{"if-unmodified-since", before, "if-unmodified-since", before}},
		{"both sides hold", 304, []string{"if-unmodified-since", lastModified, "if-none-match", etag}},
		{"304 goes before a range", 304, []string{"if-none-match", etag, "range", "bytes=0-1"}},
		{"412 goes before a bad range", 412, []string{"if-match", `"a"`, "range", "bytes=500-"}},
		{"if-range ours", 206, []string{"if-range", etag, "range", "bytes=0-1"}},
		{"if-range weak form of ours", 200, []string{"if-range", "W/" + etag, "range", "bytes=0-1"}},
		{"if-range other", 200, []string{"if-range", `"a"`, "range", "bytes=500-"}},
		{"if-range date", 206, []string{"if-range", lastModified, "range", "bytes=0-1"}},
		{"if-range later date", 200, []string{"if-range", after, "range", "bytes=0-1"}},
		{"if-range empty", 200, []string{"if-range", "", "range", "bytes=0-1"}},
		{"if-range twice", 200, []string{"if-range", etag, "if-range", etag, "range", "bytes=0-1"}},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			want := c.status
			if method == "HEAD" && want == 206 {
				want = 200
			}
			r := ask(t, a, method, "/f.txt", c.header...)
			if r.Status != want {
				t.Errorf("%s, %s: %d, want %d", method, c.name, r.Status, want)
			}
			if method == "GET" && want == 200 && r.body != content {
				t.Errorf("%s: body %q", c.name, r.body)
			}
			if want == 304 && (!r.Bodiless || r.Length != message.UnknownLength || r.Header.Value("etag") != etag || r.Header.Has("content-type")) {
				t.Errorf("%s: 304 with length %d, etag %q", c.name, r.Length, r.Header.Value("etag"))
			}
		}
	}
}

func TestRanges(t *testing.T) {
	root, content := digitsFile(t)
	put(t, filepath.Join(root, "empty"), "", stamp)
	a := mustOpen(t, Options{Root: root})
	many := "bytes=0-" + strings.Repeat(",0-", 999)
	for _, c := range []struct {
		value         string
		status        int
		body, content string
	}{
		{"bytes=0-0", 206, "0", "bytes 0-0/100"},
		{"bytes=0-9", 206, "0123456789", "bytes 0-9/100"},
		{"bytes=95-", 206, "56789", "bytes 95-99/100"},
		{"bytes=95-200", 206, "56789", "bytes 95-99/100"},
		{"bytes=95-99999999999999999999999999", 206, "56789", "bytes 95-99/100"},
		{"bytes=-3", 206, "789", "bytes 97-99/100"},
		{"bytes=-200", 206, content, "bytes 0-99/100"},
		{"bytes=-99999999999999999999999999", 206, content, "bytes 0-99/100"},
		{"bytes=0-", 206, content, "bytes 0-99/100"},
		{"BYTES=0-1", 206, "01", "bytes 0-1/100"},
		{"bytes= 0-1", 206, "01", "bytes 0-1/100"},
		{"bytes=,0-1,", 206, "01", "bytes 0-1/100"},
		{"bytes=100-", 416, "", "bytes */100"},
		{"bytes=100-200", 416, "", "bytes */100"},
		{"bytes=99999999999999999999999999-", 416, "", "bytes */100"},
		{"bytes=-0", 416, "", "bytes */100"},
		{"bytes=5-4", 200, content, ""},
		{"bytes=", 200, content, ""},
		{"bytes=-", 200, content, ""},
		{"bytes=a-b", 200, content, ""},
		{"bytes=+1-2", 200, content, ""},
		{"bytes=1-2-3", 200, content, ""},
		{"bytes=--1", 200, content, ""},
		{"bytes=0x1-2", 200, content, ""},
		{"bytes 0-1", 200, content, ""},
		{"lines=0-1", 200, content, ""},
		{"", 200, content, ""},
		{"bytes=0-1,3-4", 200, content, ""},
		{many, 200, content, ""}, // threat T44
	} {
		r := ask(t, a, "GET", "/f.txt", "range", c.value)
		if r.Status != c.status || r.body != c.body || r.Header.Value("content-range") != c.content {
			t.Errorf("%.40q: %d %q %q", c.value, r.Status, r.Header.Value("content-range"), r.body)
		}
		if r.Header.Value("accept-ranges") != "bytes" {
			t.Errorf("%.40q: accept-ranges %q", c.value, r.Header.Value("accept-ranges"))
		}
		if h := ask(t, a, "HEAD", "/f.txt", "range", c.value); h.Status != 200 || h.Length != 100 {
			t.Errorf("HEAD %.40q: %d, length %d", c.value, h.Status, h.Length)
		}
		if e := ask(t, a, "GET", "/empty", "range", c.value); e.Status != 200 || e.Length != 0 {
			t.Errorf("empty file, %.40q: %d, length %d", c.value, e.Status, e.Length)
		}
	}
	if r := ask(t, a, "GET", "/f.txt", "range", "bytes=0-1", "range", "bytes=0-1"); r.Status != 200 {
		t.Errorf("two range lines: %d", r.Status)
	}
}

// FuzzRange checks what holds for any Range value: a part lies within the file and is never longer than it.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=9-", "bytes=-0", "bytes=0-1,2-3", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		size = max(size, 0)
		p, o := parseRange(s, size)
		if o == partial && (p.start < 0 || p.length < 1 || p.length > size || p.start > size-p.length) {
			t.Fatalf("%q of %d bytes: %+v", s, size, p)
		}
		if o != partial && p != (part{}) {
			t.Fatalf("%q: %+v without being partial", s, p)
		}
	})
}

func TestSidecars(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"all.css": "plain", "all.css.br": "brotli", "all.css.zst": "zstd", "all.css.gz": "gzip",
		"gz.js": "plain", "gz.js.gz": "gzip",
		"none.txt": "plain",
		"p.png":    "plain", "p.png.gz": "gzip",
		"only.txt.gz":    "gzip",
		"dir/index.html": "plain", "dir/index.html.br": "brotli",
	} {
		put(t, filepath.Join(root, name), content, stamp)
	}
	put(t, filepath.Join(root, "stale.css"), "plain", stamp)
	put(t, filepath.Join(root, "stale.css.br"), "old", stamp.Add(-time.Minute))
	put(t, filepath.Join(root, "second.css"), "plain", stamp)
	put(t, filepath.Join(root, "second.css.br"), "brotli", stamp.Truncate(time.Second))
	put(t, filepath.Join(root, "trap.css"), "plain", stamp)
	if err := os.Mkdir(filepath.Join(root, "trap.css.br"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(filepath.Dir(root), filepath.Base(root)+"-secret"), secret, stamp)
	if err := os.Symlink("../"+filepath.Base(root)+"-secret", filepath.Join(root, "trap.css.gz")); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, Options{Root: root, Precompressed: true})
	const all = "gzip, deflate, br, zstd"
	for _, c := range []struct{ path, accept, coding, body string }{
		{"/all.css", all, "br", "brotli"},
		{"/all.css", "gzip", "gzip", "gzip"},
		{"/all.css", "x-gzip", "gzip", "gzip"},
		{"/all.css", "GZIP", "gzip", "gzip"},
		{"/all.css", "gzip, zstd", "zstd", "zstd"},
		{"/all.css", "br;q=0.5, gzip;q=0.8", "gzip", "gzip"},
		{"/all.css", "br;q=0, gzip;q=0.001", "gzip", "gzip"},
		{"/all.css", "br;q=0", "", "plain"},
		{"/all.css", "*", "br", "brotli"},
		{"/all.css", "*;q=0.5, br;q=0", "zstd", "zstd"},
		{"/all.css", "*;q=0", "", "plain"},
		{"/all.css", "identity, br;q=0.5", "", "plain"},
		{"/all.css", "identity;q=0.5, br", "br", "brotli"},
		{"/all.css", "identity;q=0", "", "plain"},
		{"/all.css", "deflate", "", "plain"},
		{"/all.css", "", "", "plain"},
		{"/all.css", "br;q=2", "", "plain"},
		{"/all.css", "br;q=1.001", "", "plain"},
		{"/all.css", "br;q=", "", "plain"},
		{"/all.css", "br;q=.5", "", "plain"},
		{"/all.css", "br;Q=1.000", "br", "brotli"},
		{"/all.css", " br ; q=0.25 , gzip ; q=0.2", "br", "brotli"},
		{"/all.css", "brotli, gz", "", "plain"},
		{"/gz.js", all, "gzip", "gzip"},
		{"/gz.js", "br", "", "plain"},
		{"/none.txt", all, "", "plain"},
		{"/p.png", all, "", "plain"},
		{"/only.txt.gz", all, "", "gzip"},
		{"/dir/", all, "br", "brotli"},
		{"/stale.css", all, "", "plain"},
		{"/second.css", all, "br", "brotli"},
		{"/trap.css", all, "", "plain"},
	} {
		r := ask(t, a, "GET", c.path, "accept-encoding", c.accept)
		if r.Status != 200 || r.body != c.body || r.Header.Value("content-encoding") != c.coding {
			t.Errorf("%s, %q: %d %q %q", c.path, c.accept, r.Status, r.Header.Value("content-encoding"), r.body)
		}
		if r.Header.Value("vary") != "accept-encoding" {
			t.Errorf("%s, %q: vary %q", c.path, c.accept, r.Header.Value("vary"))
		}
		plain := ask(t, a, "GET", c.path)
		if plain.Header.Value("content-type") != r.Header.Value("content-type") {
			t.Errorf("%s: type %q, without coding %q", c.path, r.Header.Value("content-type"), plain.Header.Value("content-type"))
		}
		if (plain.Header.Value("etag") == r.Header.Value("etag")) != (c.coding == "") {
			t.Errorf("%s, %q: etag %s, without coding %s", c.path, c.accept, r.Header.Value("etag"), plain.Header.Value("etag"))
		}
		if again := ask(t, a, "GET", c.path, "accept-encoding", c.accept, "if-none-match", r.Header.Value("etag")); again.Status != 304 ||
			again.Header.Value("vary") != "accept-encoding" {
			t.Errorf("%s, %q: revalidated with %d", c.path, c.accept, again.Status)
		}
	}
	if r := ask(t, a, "GET", "/all.css", "accept-encoding", "br;q=0", "accept-encoding", "gzip"); r.body != "gzip" {
		t.Errorf("two lines: %q", r.body)
	}
	if r := ask(t, a, "GET", "/all.css", "accept-encoding", "br", "range", "bytes=0-1"); r.Status != 206 || r.body != "br" {
		t.Errorf("a range of a coding: %d %q", r.Status, r.body)
	}
	if r := ask(t, a, "GET", "/only.txt", "accept-encoding", "gzip"); r.Status != 404 {
		t.Errorf("a sidecar without its file: %d", r.Status)
	}
	off := mustOpen(t, Options{Root: root})
	if r := ask(t, off, "GET", "/all.css", "accept-encoding", all); r.body != "plain" || r.Header.Has("vary") {
		t.Errorf("switched off: %q, vary %q", r.body, r.Header.Value("vary"))
	}
}

func TestTypes(t *testing.T) {
	for name, want := range map[string]string{
		"index.html":      "text/html; charset=utf-8",
		"INDEX.HTML":      "text/html; charset=utf-8",
		"a.min.js":        "text/javascript; charset=utf-8",
		"a/b.c/d":         "application/octet-stream",
		"a.js/b":          "application/octet-stream",
		"noext":           "application/octet-stream",
		"trailing.":       "application/octet-stream",
		"x.unknown":       "application/octet-stream",
		"m.webmanifest":   "application/manifest+json",
		"f.wasm":          "application/wasm",
		"i.svg":           "image/svg+xml",
		"i.JPeG":          "image/jpeg",
		"f.woff2":         "font/woff2",
		"a.tar.gz":        "application/gzip",
		"x.webmanifestss": "application/octet-stream",
		".html":           "text/html; charset=utf-8",
		"":                "application/octet-stream",
	} {
		if got := typeOf([]byte(name)).value; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for e := range contentTypes {
		if len(e) > maxExtension || e != strings.ToLower(e) {
			t.Errorf("extension %q can never match", e)
		}
	}
}

func TestDates(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		sec := random.Int64N(1 << 34)
		text := string(appendDate(nil, sec))
		if want := time.Unix(sec, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"); text != want {
			t.Fatalf("%d: %q, want %q", sec, text, want)
		}
		if got, ok := parseDate(text, nil, 0); !ok || got != sec {
			t.Fatalf("%q: %d, %v", text, got, ok)
		}
	}
}

// The path of a small file must not allocate: what every request costs, the collector pays too.
func TestNoAllocations(t *testing.T) {
	root, _ := digitsFile(t)
	put(t, filepath.Join(root, "f.txt.gz"), "gzip", stamp)
	put(t, filepath.Join(root, "d/index.html"), "x", stamp)
	a := mustOpen(t, Options{Root: root, Precompressed: true})
	if a.walker != nil {
		t.Skip("the kernel has no openat2")
	}
	first := ask(t, a, "GET", "/f.txt")
	etag := first.Header.Value("etag")
	for name, header := range map[string][]string{
		"/f.txt plain":    {"user-agent", "x", "accept", "*/*"},
		"/f.txt sidecar":  {"accept-encoding", "gzip, br, zstd"},
		"/f.txt 304":      {"if-none-match", etag},
		"/f.txt date":     {"if-modified-since", lastModified},
		"/f.txt range":    {"range", "bytes=5-10", "if-range", etag},
		"/absent":         {},
		"/d/ index":       {},
		"/d redirect":     {},
		"/%2e%2e/refused": {},
	} {
		target, _, _ := strings.Cut(name, " ")
		req := message.Request{Method: "GET", Target: target}
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		var resp message.Response
		var small [256]byte
		if n := testing.AllocsPerRun(200, func() {
			resp.Reset()
			var f File
			a.Serve(&req, &resp, &f)
			if f.FD() >= 0 {
				f.ReadAt(small[:f.Length], f.Offset)
				f.Close()
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkSmallFile(b *testing.B) {
	root, _ := digitsFile(b)
	a := mustOpen(b, Options{Root: root})
	req := message.Request{Method: "GET", Target: "/f.txt"}
	req.Header.Add("user-agent", "bench")
	req.Header.Add("accept", "*/*")
	var resp message.Response
	var small [256]byte
	b.ReportAllocs()
	for b.Loop() {
		resp.Reset()
		var f File
		a.Serve(&req, &resp, &f)
		f.ReadAt(small[:f.Length], f.Offset)
		f.Close()
	}
}
