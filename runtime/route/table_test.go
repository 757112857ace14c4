package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"edge/filters/message"
)

func request(method, authority, target string, headers ...string) *message.Request {
	r := &message.Request{Method: method, Authority: authority, Target: target}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestFind(t *testing.T) {
	table := NewTable([]Route{
		{Name: "api", Match: Match{
			Hosts: []string{"example.com", "*.example.com"}, Path: "/api/*", Methods: []string{"GET", "POST"},
			Headers: map[string]string{"X-Beta": "1"},
		}},
		{Name: "api2", Match: Match{Hosts: []string{"Example.com"}, Path: "/api/v2/*"}},
		{Name: "exact", Match: Match{Path: "/exact"}},
		{Name: "trace", Match: Match{Path: "/trace", Methods: []string{"TRACE", "GET"}}},
		{Name: "connect", Match: Match{Path: "/trace", Methods: []string{"CONNECT"}}},
		{Name: "present", Match: Match{Path: "/p*", Headers: map[string]string{"cookie": "*"}}},
		{Name: "six", Match: Match{Hosts: []string{"[::1]"}}},
		{Name: "wild", Match: Match{Hosts: []string{"*.example.org"}, Path: "/"}},
		{Name: "late exact", Match: Match{Hosts: []string{"www.example.org"}}},
		{Name: "star", Match: Match{Path: "*", Methods: []string{"OPTIONS"}}},
	})
	cases := []struct {
		name  string
		req   *message.Request
		want  string
		allow string
	}{
		{"first of two", request("GET", "example.com", "/api/v2/x", "x-beta", "1"), "api", ""},
		{"header differs", request("GET", "example.com", "/api/v2/x", "x-beta", "2"), "api2", ""},
		{"header in another line", request("GET", "example.com", "/api/x", "x-beta", "2", "x-beta", "1"), "api", ""},
		{"header's case", request("GET", "a.example.com", "/api/x", "X-BETA", "1"), "api", ""},
		{"several labels", request("GET", "a.b.example.com", "/api/x", "x-beta", "1"), "api", ""},
		{"host's case and port", request("GET", "EXAMPLE.COM:8080", "/api/v2/", "x", "y"), "api2", ""},
		{"host's final dot", request("GET", "example.com.:80", "/api/v2/", "x", "y"), "api2", ""},
		{"not a label", request("GET", "notexample.com", "/api/x", "x-beta", "1"), "", "OPTIONS"},
		{"empty label", request("GET", ".example.com", "/api/x", "x-beta", "1"), "", "OPTIONS"},
		{"prefix without its slash", request("GET", "example.com", "/api", "x-beta", "1"), "", "OPTIONS"},
		{"405", request("DELETE", "example.com", "/api/x", "x-beta", "1"), "", "OPTIONS, GET, POST"},
		{"query", request("GET", "", "/exact?a=b"), "exact", ""},
		{"exact and more", request("GET", "", "/exact/"), "", "OPTIONS"},
		{"case of a path", request("GET", "", "/Exact"), "", "OPTIONS"},
		{"T36 TRACE", request("TRACE", "", "/exact"), "", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"T36 TRACE where named", request("TRACE", "", "/trace"), "trace", ""},
		{"T35 CONNECT", request("CONNECT", "", "/exact"), "", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"T35 CONNECT where named", request("CONNECT", "", "/trace"), "connect", ""},
		{"405 of two routes", request("PUT", "", "/trace"), "", "TRACE, GET, CONNECT, OPTIONS"},
		{"method's case", request("get", "", "/trace"), "", "TRACE, GET, CONNECT, OPTIONS"},
		{"present", request("GET", "", "/p", "cookie", ""), "present", ""},
		{"not present", request("GET", "", "/p"), "", "OPTIONS"},
		{"IPv6 with a port", request("GET", "[::1]:80", "/"), "six", ""},
		{"IPv6", request("GET", "[::1]", "/"), "six", ""},
		{"wildcard before exact", request("GET", "www.example.org", "/"), "wild", ""},
		{"exact behind wildcard", request("GET", "www.example.org", "/x"), "late exact", ""},
		{"no host", request("GET", "", "/"), "", "OPTIONS"},
		{"host too long", request("GET", strings.Repeat("a.", 300)+"example.org", "/"), "", "OPTIONS"},
		{"OPTIONS *", request("OPTIONS", "example.com", "*"), "star", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := table.Find(c.req)
			if name(got) != c.want {
				t.Errorf("found %q, want %q", name(got), c.want)
			}
			if allow := ""; got == nil {
				if allow = string(table.Allow(nil, c.req)); allow != c.allow {
					t.Errorf("allow %q, want %q", allow, c.allow)
				}
			}
		})
	}
}

func name(r *Route) string {
	if r == nil {
		return ""
	}
	return r.Name
}

func TestEmptyTable(t *testing.T) {
	table := NewTable(nil)
	req := request("GET", "a", "/")
	if table.Find(req) != nil || len(table.Allow(nil, req)) > 0 || len(table.Explain(req)) > 0 || table.Unreachable() != nil {
		t.Error("an empty table finds something")
	}
}

func TestIndexOfRoute(t *testing.T) {
	table := NewTable(make([]Route, 3))
	if i := table.Index(&table.Routes()[2]); i != 2 {
		t.Errorf("index %d, want 2", i)
	}
	if i := table.Index(&Route{}); i != -1 {
		t.Errorf("index %d of a stranger, want -1", i)
	}
}

// The parts of random tables and requests: few and alike, so that they meet often.
var (
	somePatterns = []string{
		"", "", "a.test", "b.test", "A.test", "*.test", "*.a.test", "x.a.test", "*.x.a.test", "test", "[::1]",
	}
	somePaths = []string{
		"", "*", "/", "/*", "/a", "/a*", "/a/", "/a/*", "/ab", "/ab*", "/a/b", "/a/b/*", "/b/*", "/abc/d*", "/%41*",
	}
	someMethods = []string{"GET", "POST", "TRACE", "CONNECT", "OPTIONS", "X"}
	someHosts   = []string{
		"", "a.test", "B.TEST", "a.test:80", "x.a.test", "y.x.a.test.", "test", "other", "[::1]:8080", ".a.test", ".", "..test",
	}
	someTargets = []string{
		"/", "/a", "/a?x", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/abc/de", "/b", "/b/", "/A", "/%41b", "*", "/?/a",
	}
	someValues = []string{"1", "2", "*"}
)

func randomTable(rng *rand.Rand) []Route {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	routes := make([]Route, rng.IntN(12))
	for i := range routes {
		m := &routes[i].Match
		routes[i].Name = fmt.Sprint(i)
		for range rng.IntN(3) {
			if h := pick(somePatterns); h != "" {
				m.Hosts = append(m.Hosts, h)
			}
		}
		m.Path = pick(somePaths)
		for rng.IntN(3) == 0 {
			m.Methods = append(m.Methods, pick(someMethods))
		}
		for rng.IntN(4) == 0 {
			if m.Headers == nil {
				m.Headers = map[string]string{}
			}
			m.Headers[pick([]string{"k", "l"})] = pick(someValues)
		}
	}
	return routes
}

func randomRequest(rng *rand.Rand) *message.Request {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	req := request(pick(someMethods), pick(someHosts), pick(someTargets))
	for range rng.IntN(3) {
		req.Header.Add(pick([]string{"k", "l"}), pick(someValues[:2]))
	}
	return req
}

// plainly is the definition of a match, written without any of the code under test.
func plainly(m *Match, req *message.Request) (host, path, method, header bool) {
	name := strings.ToLower(req.Authority)
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	name = strings.TrimSuffix(name, ".")
	host = len(m.Hosts) == 0
	for _, h := range m.Hosts {
		h = strings.ToLower(h)
		if h == name || h[0] == '*' && strings.HasSuffix(name, h[1:]) && len(name) >= len(h) {
			host = true
		}
	}
	target, _, _ := strings.Cut(req.Target, "?")
	path = m.Path == "" || m.Path == target ||
		strings.HasSuffix(m.Path, "*") && strings.HasPrefix(target, strings.TrimSuffix(m.Path, "*"))
	method = len(m.Methods) == 0 && req.Method != "TRACE" && req.Method != "CONNECT"
	for _, want := range m.Methods {
		method = method || want == req.Method
	}
	header = true
	for k, v := range m.Headers {
		any := false
		for i := range req.Header.Len() {
			n, have := req.Header.At(i)
			any = any || n == k && (v == "*" || v == have)
		}
		header = header && any
	}
	return host, path, method, header
}

func TestFindIsTheFirstMatchInFileOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 4000 {
		routes := randomTable(rng)
		table := NewTable(routes)
		unreachable := map[*Route]bool{}
		for _, s := range table.Unreachable() {
			unreachable[s.Route] = true
		}
		for range 30 {
			req := randomRequest(rng)
			var want *Route
			allowed := false
			for i := range routes {
				host, path, method, header := plainly(&routes[i].Match, req)
				allowed = allowed || host && path && header && !method
				if host && path && method && header {
					want = &routes[i]
					break
				}
			}
			got := table.Find(req)
			if got != want {
				t.Fatalf("%+v\nin %+v: found %q, want %q", req, routes, name(got), name(want))
			}
			if got != nil {
				found++
			}
			if unreachable[got] {
				t.Fatalf("%+v\nin %+v: found %q, which was said to be unreachable", req, routes, got.Name)
			}
			if got == nil && (len(table.Allow(nil, req)) > 0) != allowed {
				t.Fatalf("%+v\nin %+v: allow %q", req, routes, table.Allow(nil, req))
			}
			steps := table.Explain(req)
			if n := len(steps); n > 0 && steps[n-1].Matched != (got != nil) || got != nil && steps[n-1].Route != got {
				t.Fatalf("%+v\nin %+v: found %q, explained %+v", req, routes, name(got), steps)
			}
		}
	}
	if found < 20_000 {
		t.Errorf("only %d of 120,000 requests had a route: the test is too thin", found)
	}
}

// thousand is a table of 1,000 routes: 200 sites with 4 routes each, and 200 paths for every host.
func thousand() []Route {
	var routes []Route
	for i := range 200 {
		host := fmt.Sprintf("site%d.example.com", i)
		for _, path := range []string{"/api/v1/*", "/api/*", "/static/*", "/"} {
			routes = append(routes, Route{Name: host + path, Match: Match{Hosts: []string{host}, Path: path}})
		}
		routes = append(routes, Route{Name: fmt.Sprint("any", i), Match: Match{Path: fmt.Sprintf("/service%d/*", i)}})
	}
	return routes
}

func TestFindDoesNotAllocate(t *testing.T) {
	table := NewTable(thousand())
	for _, req := range []*message.Request{
		request("GET", "Site199.example.com:8080", "/static/app.js?v=1", "accept", "*/*"),
		request("GET", "nowhere.example.com", "/service199/x"),
		request("GET", "nowhere.example.com", "/none"),
	} {
		if n := testing.AllocsPerRun(100, func() { table.Find(req) }); n > 0 {
			t.Errorf("%s%s: %v allocations", req.Authority, req.Target, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	routes := thousand()
	wild := append([]Route{{Name: "w", Match: Match{Hosts: []string{"*.example.net"}}}}, routes...)
	for _, c := range []struct {
		name   string
		routes []Route
		req    *message.Request
		want   string
	}{
		{"1", []Route{{Name: "only"}}, request("GET", "example.com", "/"), "only"},
		{"1000/host", routes, request("GET", "site199.example.com", "/api/v1/users/17"), "site199.example.com/api/v1/*"},
		{"1000/path", routes, request("GET", "example.com", "/service199/users/17"), "any199"},
		{"1000/none", routes, request("GET", "example.com", "/nothing/here"), ""},
		{"1001/wildcards", wild, request("GET", "a.b.example.net", "/"), "w"},
	} {
		table := NewTable(c.routes)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var got *Route
			for b.Loop() {
				got = table.Find(c.req)
			}
			if name(got) != c.want {
				b.Fatalf("found %q", name(got))
			}
		})
	}
}
