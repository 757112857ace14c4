package threats

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

// reading is a request as one parser understands it.
type reading struct {
	method, target, host, body string
}

// nodeMirror answers with what llhttp, node's parser, made of the request.
const nodeMirror = `
const [host, port] = process.argv[1].split(":");
require("http").createServer((q, s) => {
	const body = [];
	q.on("data", (d) => body.push(d));
	q.on("end", () => s.end(JSON.stringify([q.method, q.url, q.headers.host, Buffer.concat(body).toString("latin1")])));
}).listen(port, host);
`

// variety is what the origin's readings are compared for: every shape of request edge forwards.
func variety() (all []string) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"} {
		all = append(all,
			method+" /a?b=c HTTP/1.1\r\nHost: edge.test\r\n\r\n",
			method+" /length HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\nhello",
			method+" /chunked HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n")
	}
	return append(all,
		"GET /old HTTP/1.0\r\n\r\n",
		"GET /old HTTP/1.0\r\nHost: edge.test\r\nConnection: keep-alive\r\n\r\n",
		"POST /old HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
		"GET http://in.target:80/absolute?x HTTP/1.1\r\nHost: edge.test\r\n\r\n",
		"GET http://in.target HTTP/1.1\r\nHost: in.target\r\n\r\n",
		"POST /zero HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n\r\n",
		"POST /zeros HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0005\r\n\r\nhello",
		"POST /empty-chunked HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /expect HTTP/1.1\r\nHost: edge.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
		"GET /hop HTTP/1.1\r\nHost: edge.test\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: foo\r\n\r\n",
		"GET /obs HTTP/1.1\r\nHost: edge.test\r\nX: \xe4\xf6\r\nEmpty:\r\nTabs:\ta\t\r\n\r\n",
		"GET //double//slash/%2f%41;p=1?a=b?c&&d HTTP/1.1\r\nHost: edge.test\r\n\r\n",
		"POST /big HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 300000\r\n\r\n"+strings.Repeat("0123456789", 30000),
		"POST /in-body HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 43\r\n\r\n"+smuggled,
		"POST /in-chunk HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n2b\r\n"+smuggled+"\r\n0\r\n\r\n",
		"GET /long HTTP/1.1\r\nHost: edge.test\r\n"+strings.Repeat("X-Long: "+strings.Repeat("v", 300)+"\r\n", 60)+"\r\n",
	)
}

// TestForwardedReadAlike: what edge forwards is one request to net/http, to nginx, to node and to the strict parser, and the
// same one.
func TestForwardedReadAlike(t *testing.T) {
	b := newBed(t, rig.Config{})
	for _, in := range variety() {
		method, _, _ := strings.Cut(in, " ")
		c := rig.Dial(t, b.Addr)
		c.Send(in)
		if p := c.Response(method); p.Status != 200 {
			t.Errorf("%.80q is answered %d", in, p.Status)
		}
	}
	var raws []string
	var want [][]reading
	sum := 0
	for _, c := range b.origin.Conns() {
		raw := c.Received()
		all, err := strict.ParseRequests([]byte(raw))
		if err != nil {
			t.Errorf("strict: %v in %.300q", err, raw)
			continue
		}
		var readings []reading
		for _, q := range all {
			readings = append(readings, reading{q.Method, q.Target, q.Header.Get("host"), string(q.Body)})
		}
		raws, want, sum = append(raws, raw), append(want, readings), sum+len(readings)
	}
	if n := len(variety()); sum != n {
		t.Fatalf("the origin saw %d requests of %d", sum, n)
	}
	t.Run("net-http", func(t *testing.T) {
		for i, raw := range raws {
			r := bufio.NewReader(strings.NewReader(raw))
			for _, w := range want[i] {
				q, err := http.ReadRequest(r)
				if err != nil {
					t.Fatalf("%v for %+v", err, w)
				}
				body, err := io.ReadAll(q.Body)
				if got := (reading{q.Method, q.RequestURI, q.Host, string(body)}); err != nil || got != w {
					t.Errorf("net/http reads %+v, %v; strict reads %+v", got, err, w)
				}
			}
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				t.Errorf("net/http leaves %.200q", rest)
			}
		}
	})
	t.Run("nginx", func(t *testing.T) {
		addr := rig.Nginx(t, `location / { return 200 "$request_method $request_uri $http_host"; }`)
		for i, raw := range raws {
			reread(t, addr, raw, want[i], func(w reading, body []byte) string {
				if mine := fmt.Sprintf("%s %s %s", w.method, w.target, w.host); string(body) != mine {
					return fmt.Sprintf("nginx reads %q, strict reads %q", body, mine)
				}
				return ""
			})
		}
	})
	t.Run("node", func(t *testing.T) {
		addr := rig.Node(t, nodeMirror)
		for i, raw := range raws {
			reread(t, addr, raw, want[i], func(w reading, body []byte) string {
				if mine := jsonList(w.method, w.target, w.host, w.body); !bytes.Equal(body, mine) {
					return fmt.Sprintf("node reads %.200q, strict reads %.200q", body, mine)
				}
				return ""
			})
		}
	})
}

// reread sends an origin connection's bytes to a real server, with one more request behind them, and compares its answers. An
// answer too few or too many shows that it found another end of a body.
func reread(t *testing.T, addr, raw string, want []reading, compare func(reading, []byte) string) {
	t.Helper()
	c := rig.Dial(t, addr)
	go func() { _ = c.TrySend(raw + "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n") }()
	for _, w := range append(want[:len(want):len(want)], reading{"GET", "/sentinel", "sentinel", ""}) {
		p, err := c.TryNext(w.method)
		for err == nil && p.Status < 200 {
			p, err = c.TryNext(w.method)
		}
		if err != nil {
			t.Errorf("no answer to %s %s: %v", w.method, w.target, err)
			return
		}
		if p.Status != 200 {
			t.Errorf("%s %s is answered %d", w.method, w.target, p.Status)
		} else if w.method != "HEAD" {
			if d := compare(w, p.Body); d != "" {
				t.Error(d)
			}
		}
	}
	c.Closed()
}

// jsonList is what JSON.stringify makes of strings of Latin-1 without control characters but CR, LF.
func jsonList(parts ...string) []byte {
	b := []byte("[")
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for j := range len(p) {
			switch c := p[j]; {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\r':
				b = append(b, `\r`...)
			case c == '\n':
				b = append(b, `\n`...)
			case c >= 0x80:
				b = append(b, 0xc0|c>>6, 0x80|c&0x3f)
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
	}
	return append(b, ']')
}
