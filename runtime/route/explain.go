package route

import (
	"fmt"
	"slices"
	"strings"

	"edge/filters/message"
)

// Step is what the table thinks of one route for a request.
type Step struct {
	Route   *Route
	Matched bool
	Reason  string // the first condition that does not hold, in words; "" where Matched
}

// Explain goes through the routes in file order, one step each, up to the one that matches. Its last step is the route that
// Find returns; where Find returns nil, no step has Matched. It is for people and allocates.
func (t *Table) Explain(req *message.Request) []Step {
	var steps []Step
	for i := range t.routes {
		why := t.mismatch(i, req)
		steps = append(steps, Step{Route: &t.routes[i], Matched: why == "", Reason: why})
		if why == "" {
			break
		}
	}
	return steps
}

// mismatch says in words why route i does not match, or "" if it does. It looks at the patterns themselves and not at the
// index.
func (t *Table) mismatch(i int, req *message.Request) string {
	m, r := &t.routes[i].Match, &t.rules[i]
	var buf [maxHost]byte
	host := string(lowerHost(&buf, req.Authority))
	if len(m.Hosts) > 0 && !slices.ContainsFunc(m.Hosts, func(p string) bool { return hostMatches(p, host) }) {
		return fmt.Sprintf("host %q is not %s", host, list(m.Hosts))
	}
	if path := req.Path(); !pathMatches(m.Path, path) {
		if strings.HasSuffix(m.Path, "*") {
			return fmt.Sprintf("path %q is not below %q", path, m.Path)
		}
		return fmt.Sprintf("path %q is not %q", path, m.Path)
	}
	if !r.method(req.Method) {
		if len(m.Methods) == 0 {
			return fmt.Sprintf("method %s is only for routes that name it", req.Method)
		}
		return fmt.Sprintf("method %s is not %s", req.Method, list(m.Methods))
	}
	at := r.header(req)
	if at < 0 {
		return ""
	}
	switch h := r.headers[at]; {
	case h.Value == "*":
		return fmt.Sprintf("header %s is missing", h.Name)
	case !req.Header.Has(h.Name):
		return fmt.Sprintf("header %s is missing (should be %q)", h.Name, h.Value)
	default:
		return fmt.Sprintf("header %s is not %q", h.Name, h.Value)
	}
}

func list(items []string) string {
	if len(items) == 1 {
		return fmt.Sprintf("%q", items[0])
	}
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "any of " + strings.Join(quoted, ", ")
}

// hostMatches compares a pattern with a lower-case host.
func hostMatches(pattern, host string) bool {
	pattern = strings.ToLower(pattern)
	if domain, wild := strings.CutPrefix(pattern, "*"); wild {
		return len(host) > len(domain) && strings.HasSuffix(host, domain)
	}
	return pattern == host
}

func pathMatches(path, have string) bool {
	if prefix, wild := strings.CutSuffix(pattern(path), "*"); wild {
		return strings.HasPrefix(have, prefix)
	}
	return path == have
}
