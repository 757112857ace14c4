package http1

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

// site is an edge that serves a small tree under /s/.
func site(t *testing.T) (*rig.Edge, string) {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"a.txt": "0123456789", "index.html": "<p>root", "sub/index.html": "<p>sub", "empty": "", "page.html": "<p>plain",
		"page.html.gz": "GZIP", "page.html.br": "BROTLI", "page.html.zst": "ZSTD", "x y.txt": "space", "noindex/z": "z",
	} {
		full := filepath.Join(dir, path)
		rig.Must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		rig.Must(t, os.WriteFile(full, []byte(text), 0o644))
		rig.Must(t, os.Chtimes(full, time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)))
	}
	return start(t, "", fmt.Sprintf("[[routes]]\nmatch = { path = \"/s/*\" }\nfiles = { root = %q, strip = \"/s\" }\n", dir)), dir
}

const lastModified = "Fri, 02 Jan 2026 03:04:05 GMT"

// TestFiles: names, types, directories, methods.
func TestFiles(t *testing.T) {
	e, _ := site(t)
	c := rig.Dial(t, e.Addr)
	for _, k := range []struct {
		path, body, kind string
		status           int
	}{
		{"/s/a.txt", "0123456789", "text/plain", 200},
		{"/s/a.txt?x=y", "0123456789", "text/plain", 200},
		{"/s/", "<p>root", "text/html", 200},
		{"/s/sub/", "<p>sub", "text/html", 200},
		{"/s/empty", "", "", 200},
		{"/s/x%20y.txt", "space", "text/plain", 200},
		{"/s/%61.txt", "0123456789", "text/plain", 200},
		{"/s/none", "", "", 404},
		{"/s/noindex/", "", "", 404},
	} {
		p := c.Get(k.path, "")
		if p.Status != k.status || (k.status == 200 && string(p.Body) != k.body) || !strings.HasPrefix(p.Header.Get("content-type"), k.kind) {
			t.Errorf("%s: %+v", k.path, p)
		}
		if k.status == 200 && (p.Header.Get("last-modified") != lastModified || !strings.HasPrefix(p.Header.Get("etag"), `"`) || p.Framing != strict.Length) {
			t.Errorf("%s: %+v", k.path, p.Header)
		}
	}
	if p := c.Get("/s/sub?q", ""); p.Status/100 != 3 || !strings.HasSuffix(p.Header.Get("location"), "/s/sub/?q") {
		t.Errorf("directory without a slash: %+v", p)
	}
	c.Send("POST /s/a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	if p := c.Response("POST"); p.Status != 405 || !strings.Contains(p.Header.Get("allow"), "GET") {
		t.Errorf("POST to a file: %+v", p)
	}
}

// TestFilesConditions: RFC 9110 section 13.2.2, in its order.
func TestFilesConditions(t *testing.T) {
	e, _ := site(t)
	c := rig.Dial(t, e.Addr)
	tag := c.Get("/s/a.txt", "").Header.Get("etag")
	for _, k := range []struct {
		fields string
		status int
	}{
		{"If-None-Match: " + tag, 304},
		{"If-None-Match: \"x\", " + tag, 304},
		{"If-None-Match: W/" + tag, 304},
		{"If-None-Match: *", 304},
		{"If-None-Match: \"x\"", 200},
		{"If-Match: " + tag, 200},
		{"If-Match: *", 200},
		{"If-Match: \"x\"", 412},
		{"If-Match: W/" + tag, 412},
		{"If-Modified-Since: " + lastModified, 304},
		{"If-Modified-Since: Sat, 03 Jan 2026 03:04:05 GMT", 304},
		{"If-Modified-Since: Thu, 01 Jan 2026 03:04:05 GMT", 200},
		{"If-Modified-Since: nonsense", 200},
		{"If-Unmodified-Since: " + lastModified, 200},
		{"If-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT", 412},
		{"If-None-Match: \"x\"\r\nIf-Modified-Since: " + lastModified, 200},
		{"If-Match: " + tag + "\r\nIf-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT", 200},
		{"If-Match: \"x\"\r\nIf-None-Match: " + tag, 412},
	} {
		p := c.Get("/s/a.txt", k.fields+"\r\n")
		if p.Status != k.status {
			t.Errorf("%s: %d, want %d", k.fields, p.Status, k.status)
		}
		if p.Status == 304 && p.Header.Get("etag") != tag {
			t.Errorf("%s: 304 without the etag", k.fields)
		}
	}
}

// TestFilesRanges: RFC 9110 section 14.
func TestFilesRanges(t *testing.T) {
	e, _ := site(t)
	c := rig.Dial(t, e.Addr)
	tag := c.Get("/s/a.txt", "").Header.Get("etag")
	for _, k := range []struct {
		fields, body, contentRange string
		status                     int
	}{
		{"Range: bytes=0-3", "0123", "bytes 0-3/10", 206},
		{"Range: bytes=5-", "56789", "bytes 5-9/10", 206},
		{"Range: bytes=-3", "789", "bytes 7-9/10", 206},
		{"Range: bytes=-100", "0123456789", "bytes 0-9/10", 206},
		{"Range: bytes=0-100", "0123456789", "bytes 0-9/10", 206},
		{"Range: bytes=9-9", "9", "bytes 9-9/10", 206},
		{"Range: bytes=10-", "", "bytes */10", 416},
		{"Range: bytes=-0", "", "bytes */10", 416},
		{"Range: bytes=5-3", "0123456789", "", 200},
		{"Range: lines=0-3", "0123456789", "", 200},
		{"Range: bytes=a-b", "0123456789", "", 200},
		{"Range: bytes=0-3\r\nIf-Range: " + tag, "0123", "bytes 0-3/10", 206},
		{"Range: bytes=0-3\r\nIf-Range: \"x\"", "0123456789", "", 200},
		{"Range: bytes=0-3\r\nIf-Range: " + lastModified, "0123", "bytes 0-3/10", 206},
	} {
		p := c.Get("/s/a.txt", k.fields+"\r\n")
		// A range whose end lies before its start is not valid: RFC 9110 section 14.1.1 lets a server ignore it or refuse it.
		if p.Status == 416 && k.status == 200 {
			continue
		}
		if p.Status != k.status || p.Header.Get("content-range") != k.contentRange || (k.status != 416 && string(p.Body) != k.body) {
			t.Errorf("%s: %d %q %q, want %d %q %q", k.fields, p.Status, p.Header.Get("content-range"), p.Body, k.status, k.contentRange, k.body)
		}
	}
}

// TestFilesPrecompressed: a sidecar is sent where the client takes its coding (RFC 9110 section 12.5.3).
func TestFilesPrecompressed(t *testing.T) {
	e, _ := site(t)
	c := rig.Dial(t, e.Addr)
	plain := c.Get("/s/page.html", "")
	if plain.Status != 200 || string(plain.Body) != "<p>plain" || plain.Header.Has("content-encoding") {
		t.Errorf("without accept-encoding: %+v", plain)
	}
	for accept, k := range map[string]struct{ body, coding string }{
		"gzip":                     {"GZIP", "gzip"},
		"br":                       {"BROTLI", "br"},
		"zstd":                     {"ZSTD", "zstd"},
		"gzip;q=0.5, br;q=0.1":     {"GZIP", "gzip"},
		"gzip;q=0, br;q=0":         {"<p>plain", ""},
		"identity":                 {"<p>plain", ""},
		"compress":                 {"<p>plain", ""},
		"gzip;q=0.2, identity;q=1": {"<p>plain", ""},
	} {
		p := c.Get("/s/page.html", "Accept-Encoding: "+accept+"\r\n")
		if p.Status != 200 || string(p.Body) != k.body || p.Header.Get("content-encoding") != k.coding || !strings.HasPrefix(p.Header.Get("content-type"), "text/html") {
			t.Errorf("accept-encoding %s: %+v", accept, p)
		}
		if !strings.Contains(strings.ToLower(p.Header.Get("vary")), "accept-encoding") {
			t.Errorf("accept-encoding %s: vary is %q", accept, p.Header.Get("vary"))
		}
		if k.coding != "" && p.Header.Get("etag") == plain.Header.Get("etag") {
			t.Errorf("%s has the plain file's etag", k.coding)
		}
	}
	if p := c.Get("/s/a.txt", "Accept-Encoding: gzip, br\r\n"); p.Status != 200 || p.Header.Has("content-encoding") {
		t.Errorf("no sidecar: %+v", p)
	}
}

// TestFilesBig: a file far above any buffer comes whole, also in ranges, and while other requests are pipelined behind it.
func TestFilesBig(t *testing.T) {
	e, dir := site(t)
	data := make([]byte, 24<<20)
	for i := range data {
		data[i] = byte(i * 13 >> 5)
	}
	rig.Must(t, os.WriteFile(filepath.Join(dir, "big.bin"), data, 0o644))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /s/big.bin HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /s/big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1000000-20000000\r\n\r\n" + "GET /s/a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
	if p := c.Response("GET"); p.Status != 200 || string(p.Body) != string(data) {
		t.Errorf("whole: %d, %d bytes", p.Status, len(p.Body))
	}
	if p := c.Response("GET"); p.Status != 206 || string(p.Body) != string(data[1000000:20000001]) {
		t.Errorf("range: %d, %d bytes", p.Status, len(p.Body))
	}
	if p := c.Response("GET"); p.Status != 200 || string(p.Body) != "0123456789" {
		t.Errorf("behind it: %+v", p)
	}
}

// TestFilesShrink: a file that becomes shorter while it is sent cuts the answer off; it is not padded and not ended cleanly.
func TestFilesShrink(t *testing.T) {
	e, dir := site(t)
	path := filepath.Join(dir, "shrinks.bin")
	rig.Must(t, os.WriteFile(path, make([]byte, 64<<20), 0o644))
	c := rig.Dial(t, e.Addr)
	c.Send("GET /s/shrinks.bin HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := c.R.Peek(1); err != nil {
		t.Fatal(err)
	}
	rig.Must(t, os.Truncate(path, 1000))
	if p, err := c.TryNext("GET"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a file cut short: %v, head %+v; want the answer cut off", err, p)
	}
}

// TestFilesAsNetHTTP compares heads with net/http's client and server, the oracle for the fields of a plain GET.
func TestFilesAsNetHTTP(t *testing.T) {
	e, dir := site(t)
	answer, err := http.Get("http://" + e.Addr + "/s/a.txt")
	rig.Must(t, err)
	answer.Body.Close()
	want := http.FileServer(http.Dir(dir))
	w := &recorder{header: http.Header{}}
	q, err := http.NewRequest("GET", "/a.txt", nil)
	rig.Must(t, err)
	want.ServeHTTP(w, q)
	for _, name := range []string{"Content-Type", "Last-Modified", "Accept-Ranges", "Content-Length"} {
		if got := answer.Header.Get(name); !strings.EqualFold(got, w.header.Get(name)) {
			t.Errorf("%s is %q, net/http says %q", name, got, w.header.Get(name))
		}
	}
}

// recorder keeps the head of an answer.
type recorder struct{ header http.Header }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
