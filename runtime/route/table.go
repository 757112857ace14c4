package route

import (
	"slices"
	"strings"

	"edge/filters/message"
)

// Table is a list of routes with an index over hosts and paths.
//
// Routes are grouped by host pattern, and within a group by path: a map of exact paths, a radix tree of prefixes. A look-up
// visits the groups that the request's host belongs to (its name, each of its parent domains, everybody's), and in each
// the few lists that its path belongs to. A list holds positions in file order, so the first match of a list is its
// answer, and the least of the answers is the first match in the file.
type Table struct {
	routes []Route
	rules  []rule // what remains to be checked for routes[i] once host and path agree

	anyHost  *group
	hosts    map[string]*group // lower-case name
	wildcard map[string]*group // ".example.com" for "*.example.com"
}

// rule holds the conditions of one route that no index covers.
type rule struct {
	methods []string
	headers []Field // lower-case names, sorted; value "*": present
}

// maxHost is the length of the longest DNS name (RFC 1035 section 2.3.4) and room to spare. A longer host matches only
// routes for every host.
const maxHost = 256

// NewTable builds a table. The slice and what it refers to must not change any more.
func NewTable(routes []Route) *Table {
	t := &Table{
		routes:   routes,
		rules:    make([]rule, len(routes)),
		hosts:    map[string]*group{},
		wildcard: map[string]*group{},
	}
	for i := range routes {
		m := &routes[i].Match
		t.rules[i] = rule{methods: m.Methods, headers: headerRules(m.Headers)}
		if len(m.Hosts) == 0 {
			t.anyHost = t.anyHost.add(m.Path, int32(i))
		}
		for _, h := range m.Hosts {
			h = strings.ToLower(h)
			if domain, wild := strings.CutPrefix(h, "*"); wild {
				t.wildcard[domain] = t.wildcard[domain].add(m.Path, int32(i))
			} else {
				t.hosts[h] = t.hosts[h].add(m.Path, int32(i))
			}
		}
	}
	return t
}

func headerRules(headers map[string]string) []Field {
	var out []Field
	for name, value := range headers {
		out = append(out, Field{strings.ToLower(name), value})
	}
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Routes are the table's routes in file order.
func (t *Table) Routes() []Route { return t.routes }

// Index is the position of one of the table's routes, or -1.
func (t *Table) Index(r *Route) int {
	for i := range t.routes {
		if &t.routes[i] == r {
			return i
		}
	}
	return -1
}

// Find returns the first route that matches, or nil. Where it returns nil, [Table.Allow] tells 404 and 405 apart.
func (t *Table) Find(req *message.Request) *Route {
	s := search{table: t, req: req, path: req.Path(), best: int32(len(t.routes))}
	s.run()
	if int(s.best) == len(t.routes) {
		return nil
	}
	return &t.routes[s.best]
}

// search is one look-up under way.
type search struct {
	table *Table
	req   *message.Request
	path  string
	best  int32 // position of the first match so far
	allow *allow
}

func (s *search) run() {
	t := s.table
	s.group(t.anyHost)
	if len(t.hosts) == 0 && len(t.wildcard) == 0 {
		return
	}
	var buf [maxHost]byte
	host := lowerHost(&buf, s.req.Authority)
	s.group(t.hosts[string(host)])
	if len(t.wildcard) == 0 {
		return
	}
	// From 1: at least one label stands before the dot.
	for i := 1; i < len(host)-1; i++ {
		if host[i] == '.' {
			s.group(t.wildcard[string(host[i:])])
		}
	}
}

func (s *search) group(g *group) {
	if g == nil || g.first >= s.best {
		return
	}
	s.list(g.exact[s.path])
	n, rest := &g.prefixes, s.path
	for n != nil {
		s.list(n.routes)
		n, rest = n.next(rest)
	}
}

func (s *search) list(positions []int32) {
	if s.allow != nil {
		s.allow.list(s, positions)
		return
	}
	for _, i := range positions {
		if i >= s.best {
			return
		}
		if r := &s.table.rules[i]; r.method(s.req.Method) && r.header(s.req) < 0 {
			s.best = i
			return
		}
	}
}

func (r *rule) method(m string) bool {
	if len(r.methods) == 0 {
		return m != "TRACE" && m != "CONNECT"
	}
	for _, have := range r.methods {
		if have == m {
			return true
		}
	}
	return false
}

// header returns the index of the first condition that fails, or -1.
func (r *rule) header(req *message.Request) int {
	for i := range r.headers {
		if !hasHeader(&req.Header, r.headers[i].Name, r.headers[i].Value) {
			return i
		}
	}
	return -1
}

func hasHeader(f *message.Fields, name, value string) bool {
	for i := range f.Len() {
		n, v := f.At(i)
		if n == name && (value == "*" || v == value) {
			return true
		}
	}
	return false
}

// lowerHost is the host of an authority in lower case, without port and final dot. A host too long for buf is "".
func lowerHost(buf *[maxHost]byte, authority string) []byte {
	host := trimPort(authority)
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) > len(buf) {
		return nil
	}
	n := copy(buf[:], host)
	for i, c := range buf[:n] {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c | 0x20
		}
	}
	return buf[:n]
}

// trimPort cuts ":port" off an authority; an IPv6 address keeps its brackets.
func trimPort(authority string) string {
	for i := len(authority) - 1; i >= 0; i-- {
		switch authority[i] {
		case ':':
			return authority[:i]
		case ']':
			return authority
		}
	}
	return authority
}
