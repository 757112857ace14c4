package manual

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// family is a metric as a scrape shows it.
type family struct {
	kind   string
	labels []string
}

var (
	typeLine = regexp.MustCompile(`^# TYPE (edge_\w+) (\w+)$`)
	sample   = regexp.MustCompile(`^(edge_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `)
	label    = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
)

// scraped are the families of a running edge that has done a bit of everything, and its access log.
func scraped(t *testing.T) (families map[string]*family, accessLog string) {
	e := rig.Start(t, rig.Config{Listen: `protocols = ["http/1.1", "h2c"]`, Rest: fmt.Sprintf(`
[upstreams.gone]
servers = ["127.0.0.1:1"]
[upstreams.odd]
servers = ["h2c://%s"]
[filters.greeter]
module = "%s/examples/wasm/greeter/greeter.wasm"
[certificates.main]
certificate = "self-signed"
[[routes]]
match = { path = "/gone" }
upstream = "gone"
[[routes]]
match = { path = "/odd" }
upstream = "odd"
[[routes]]
filters = ["greeter"]
respond = { body = "hello" }
`, oddServer(t), rig.Root(t))})
	for _, path := range []string{"/?q=1", "/gone", "/odd"} {
		req, err := http.NewRequest("GET", "http://"+e.Addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Referer", "http://a.example/")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get("http://" + e.Addr + "/../")
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Fatalf("a path with dots gets %d, want 400", resp.StatusCode)
		}
	}
	badHTTP2(t, e.Addr)
	resp, err = e.AdminClient().Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	families = map[string]*family{}
	for line := range strings.Lines(string(text)) {
		if m := typeLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			families[m[1]] = &family{kind: m[2]}
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f := families[m[1]]
		if f == nil {
			f = families[strings.SplitN(line, "{", 2)[0]]
		}
		if f == nil {
			continue
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && !slices.Contains(f.labels, l[1]) {
				f.labels = append(f.labels, l[1])
			}
		}
	}
	e.Stop()
	return families, e.AccessLog()
}

// badHTTP2 is a client whose first frame is not what it must be.
func badHTTP2(t *testing.T, addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678")
	io.Copy(io.Discard, c)
}

var metricName = regexp.MustCompile(`^edge_[a-z0-9_]+$`)

// checkMetrics holds metrics.md against the names in the source and the families of a scrape.
func checkMetrics(t *testing.T, families map[string]*family) func(page string) []string {
	var exist []string
	for _, text := range load(t, "runtime/metrics").literals() {
		if metricName.MatchString(text) {
			exist = append(exist, text)
		}
	}
	var paths []string
	for _, text := range load(t, "runtime/admin").literals() {
		if method, path, ok := strings.Cut(text, " /"); ok && (method == "GET" || method == "POST") {
			paths = append(paths, "/"+path)
		}
	}
	results := load(t, "wasmhost").literals("result.go")
	fields := load(t, "runtime/admin").jsonFields("Status")
	return func(page string) (complaints []string) {
		complaints = append(complaints, differ("result of a callback", names(under(page, "Callbacks")), results)...)
		filled, empty := under(page, "edge's own"), under(page, "Not filled in this build")
		complaints = append(complaints, differ("metric", names(append(slices.Clone(filled), empty...)), exist)...)
		complaints = append(complaints, differ("admin path", names(under(page, "Metrics, status and health")), paths)...)
		var described []string
		for _, r := range under(page, "status.json") {
			described = append(described, codes(r.cells[0])...)
		}
		complaints = append(complaints, differ("field of the status", described, fields)...)
		var shown []string
		for name := range families {
			shown = append(shown, name)
		}
		complaints = append(complaints, differ("metric of a running edge", names(filled), shown)...)
		for _, r := range filled {
			f := families[r.name()]
			if f == nil {
				continue
			}
			if r.cells[1] != f.kind {
				complaints = append(complaints, fmt.Sprintf("metric %s is a %s, the manual says %s", r.name(), f.kind, r.cells[1]))
			}
			var labels []string
			if r.cells[2] != "" {
				labels = strings.Split(r.cells[2], ", ")
			}
			complaints = append(complaints, differ("label of "+r.name(), labels, f.labels)...)
		}
		return complaints
	}
}

// oddServer is an HTTP/2 server whose first PING has seven bytes, which ends the connection (RFC 9113 section 6.7).
func oddServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				io.WriteString(c, "\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x07\x06\x00\x00\x00\x00\x00"+"1234567")
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}
