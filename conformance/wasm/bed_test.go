package wasm

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

func TestMain(m *testing.M) { rig.Main(m) }

// bed is an edge with the guest probe in front of an origin, on every path below /probe/.
type bed struct {
	*rig.Edge
	origin *rig.Origin
}

// probeFilter is the TOML text of a filter that is a probe of that version of the ABI, with a script for its root context and more
// keys.
func probeFilter(t testing.TB, name, version, script, more string) string {
	return filterOf(name, guest(t, "probe-"+strings.ReplaceAll(version, ".", "_")), script, more)
}

func filterOf(name, module, config, more string) string {
	if config != "" {
		config = fmt.Sprintf("config = %q\n", config)
	}
	return fmt.Sprintf("[filters.%s]\nmodule = %q\n%s%s\n", name, module, config, more)
}

// guest is the path of a guest of this folder.
func guest(t testing.TB, name string) string {
	path, err := filepath.Abs(filepath.Join("guests", name+".wasm"))
	rig.Must(t, err)
	return path
}

// example is the path of one of the example guests.
func example(t testing.TB, name string) string {
	return filepath.Join(rig.Root(t), "examples", "wasm", name, name+".wasm")
}

// route is the TOML text of a route with filters to the upstream app.
func route(path string, filters ...string) string {
	return fmt.Sprintf("[[routes]]\nname = %q\nmatch = { path = %q }\nfilters = [%s]\nupstream = \"app\"\n",
		strings.ReplaceAll(strings.Trim(path, "/*"), "/", "-"), path, quoted(filters))
}

func quoted(names []string) string {
	var list []string
	for _, n := range names {
		list = append(list, fmt.Sprintf("%q", n))
	}
	return strings.Join(list, ", ")
}

func app(o *rig.Origin) string { return fmt.Sprintf("[upstreams.app]\nservers = [%q]\n", o.Addr) }

// newBed starts an edge with one probe of that version.
func newBed(t testing.TB, version, script, more string) *bed {
	t.Helper()
	b := &bed{origin: rig.NewOrigin(t, talk)}
	b.Edge = rig.Start(t, rig.Config{
		Log: "level = \"debug\"\n",
		Rest: app(b.origin) + "[upstreams.secret]\nservers = [\"127.0.0.1:1\"]\n" +
			probeFilter(t, "probe", version, script, more) + route("/probe/*", "probe"),
	})
	return b
}

// talk answers a request with its body, with its method, target and x-report in fields; on targets that hold "trailers" chunked
// and with trailers, on those that hold "call" with a secret of their own.
func talk(c *rig.OriginConn) {
	for {
		q, err := c.ReadRequest()
		if err != nil {
			return
		}
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Origin: %s %s\r\nX-Dup: one\r\nX-Dup: two\r\nX-Seen: %s\r\nX-Secret: %s\r\n",
			q.Method, q.Target, q.Header.Get("x-report"), q.Header.Get("x-secret"))
		body := string(q.Body)
		switch {
		case strings.Contains(q.Target, "trailers"):
			if body != "" {
				body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			head += "Transfer-Encoding: chunked\r\n\r\n" + body + "0\r\nX-Sum: from the origin\r\n\r\n"
		case q.Method == "HEAD":
			head += "Content-Length: 0\r\n\r\n"
		default:
			head += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		}
		if c.Say(head) != nil {
			return
		}
	}
}

// exchange is a request to a probe, and what must and must not stand in the answer and in what the origin sees of it. Both are
// compared as text: a line with status or method and target, lines of fields with names in lower case, an empty line, the body, and
// a line for each trailer.
type exchange struct {
	name   string
	do     string // x-do
	method string // default GET
	path   string // below /probe/; default "a"
	fields string // more field lines, each with its CRLF
	body   string // sent in one chunk where there are trailers
	pieces []string
	want   []string
	never  []string
	origin []string // what the origin must see; "" means that it must not see the request
}

// bytes is the request as it is sent.
func (x *exchange) bytes() string {
	method, path := x.method, x.path
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "a"
	}
	head := fmt.Sprintf("%s /probe/%s HTTP/1.1\r\nHost: edge.test\r\nUser-Agent: suite\r\nX-Do: %s\r\n%s", method, path, x.do, x.fields)
	switch {
	case x.pieces != nil:
		var b bytes.Buffer
		for _, p := range x.pieces {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
		}
		return head + "Transfer-Encoding: chunked\r\n\r\n" + b.String() + "0\r\nX-Req-Sum: from the client\r\n\r\n"
	case x.body != "":
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(x.body), x.body)
	}
	return head + "\r\n"
}

// run makes the exchange and compares.
func (b *bed) run(t *testing.T, x exchange) {
	t.Helper()
	before := len(b.origin.Requests())
	c := rig.Dial(t, b.Addr)
	c.Send(x.bytes())
	method := x.method
	if method == "" {
		method = "GET"
	}
	answer := responseText(c.Response(method))
	for _, want := range x.want {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in the answer:\n%s", want, answer)
		}
	}
	for _, never := range x.never {
		if strings.Contains(answer, never) {
			t.Errorf("%q in the answer:\n%s", never, answer)
		}
	}
	var seen string
	for _, q := range b.origin.Requests()[before:] {
		seen += requestText(q)
	}
	for _, want := range x.origin {
		if want == "" && seen != "" {
			t.Errorf("the origin saw\n%s", seen)
		}
		if !strings.Contains(seen, want) {
			t.Errorf("no %q in what the origin saw:\n%s", want, seen)
		}
	}
}

func fieldsText(f strict.Fields) string {
	var lines []string
	for _, line := range f {
		lines = append(lines, strings.ToLower(line.Name)+": "+line.Value+"\n")
	}
	return strings.Join(lines, "")
}

func responseText(p *strict.Response) string {
	return fmt.Sprintf("%d\n%s\n%s\n%s", p.Status, fieldsText(p.Header), p.Body, fieldsText(p.Trailer))
}

func requestText(q *strict.Request) string {
	return fmt.Sprintf("%s %s\n%s\n%s\n%s", q.Method, q.Target, fieldsText(q.Header), q.Body, fieldsText(q.Trailer))
}

// names are the words of exchanges' scripts that are followed by a status in what is wanted of the answer: the host calls that the
// exchanges are about.
func names(all []exchange) (list []string) {
	for _, x := range all {
		for _, word := range strings.FieldsFunc(x.do, func(r rune) bool { return strings.ContainsRune(" ;|:", r) }) {
			short := strings.TrimPrefix(word, "proxy_") + "="
			if slices.ContainsFunc(append(x.want, x.origin...), func(w string) bool { return strings.Contains(w, short) }) {
				list = append(list, word)
			}
		}
	}
	return list
}
