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
		why, _ := t.mismatch(i, req)
		steps = append(steps, Step{Route: &t.routes[i], Matched: why == "", Reason: why})
		if why == "" {
			break
		}
	}
	return steps
}

// Allow appends the value of an Allow field (RFC 9110 section 10.2.1) to dst: the methods of those routes that a request
// fails to match by its method alone. It appends nothing where there is none: then the answer is 404 and not 405. It is
// for requests that Find has no route for.
func (t *Table) Allow(dst []byte, req *message.Request) []byte {
	start := len(dst)
	for i := range t.routes {
		if _, other := t.mismatch(i, req); other {
			continue
		}
		methods := t.rules[i].methods
		if len(methods) == 0 {
			methods = common
		}
		for _, m := range methods {
			if message.ListHasToken(string(dst[start:]), m) {
				continue
			}
			if len(dst) > start {
				dst = append(dst, ", "...)
			}
			dst = append(dst, m...)
		}
	}
	return dst
}

// common are the methods that Allow names for a route that names none: RFC 9110 section 9 without CONNECT and TRACE,
// and PATCH (RFC 5789).
var common = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// mismatch says in words why route i does not match, "" if it does, and whether anything but the method is in the way.
// It looks at the patterns themselves and not at the index.
func (t *Table) mismatch(i int, req *message.Request) (why string, other bool) {
	m, r := &t.routes[i].Match, &t.rules[i]
	var buf [maxHost]byte
	host := string(lowerHost(&buf, req.Authority))
	if len(m.Hosts) > 0 && !slices.ContainsFunc(m.Hosts, func(p string) bool { return hostMatches(p, host) }) {
		return fmt.Sprintf("host %q is not %s", host, list(m.Hosts)), true
	}
	if path := req.Path(); !pathMatches(m.Path, path) {
		if strings.HasSuffix(m.Path, "*") {
			return fmt.Sprintf("path %q is not below %q", path, m.Path), true
		}
		return fmt.Sprintf("path %q is not %q", path, m.Path), true
	}
	var methodReason string
	if !r.method(req.Method) {
		if len(m.Methods) == 0 {
			methodReason = fmt.Sprintf("method %s is only for routes that name it", req.Method)
		} else {
			methodReason = fmt.Sprintf("method %s is not %s", req.Method, list(m.Methods))
		}
	}
	at := r.header(req)
	switch {
	case methodReason != "":
		return methodReason, at >= 0
	case at < 0:
		return "", false
	case r.headers[at].Value == "*":
		return fmt.Sprintf("header %s is missing", r.headers[at].Name), true
	case !req.Header.Has(r.headers[at].Name):
		return fmt.Sprintf("header %s is missing (should be %q)", r.headers[at].Name, r.headers[at].Value), true
	default:
		return fmt.Sprintf("header %s is not %q", r.headers[at].Name, r.headers[at].Value), true
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
