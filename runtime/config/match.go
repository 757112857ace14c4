package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

func readMatch(t *section) Match {
	m := Match{Path: t.text("path", ""), Methods: t.texts("methods"), Hosts: t.texts("hosts")}
	for i, h := range m.Hosts {
		m.Hosts[i] = strings.ToLower(h)
		if why := patternProblem(m.Hosts[i]); why != "" {
			t.badItem("hosts", i, `write a name, or "*.example.com"`, "%q %s", h, why)
		}
	}
	if why := pathProblem(m.Path); why != "" && t.has("path") {
		t.bad("path", `write "/exact" or "/prefix/*"`, "%q %s", m.Path, why)
	}
	for i, name := range m.Methods {
		switch {
		case !validToken(name):
			t.badItem("methods", i, "", "%q is not a method", name)
		case name != strings.ToUpper(name):
			t.badItem("methods", i, fmt.Sprintf("write %q", strings.ToUpper(name)), "%q: methods have upper case here", name)
		case slices.Index(m.Methods, name) < i:
			t.badItem("methods", i, "", "%q is there twice", name)
		}
	}
	for _, key := range []string{"hosts", "methods"} {
		if list, ok := t.values[key].([]any); ok && len(list) == 0 {
			t.bad(key, "leave it out to match all", "is empty: nothing would match")
		}
	}
	if h := t.table("headers"); h != nil {
		m.Headers = map[string]string{}
		for _, f := range readFields(h) {
			switch {
			case slices.Contains(notMatched, f[0]):
				h.bad(f[0], `use hosts for the host; the others are the connection's own`, "%s cannot be matched on", f[0])
			default:
				m.Headers[f[0]] = f[1]
			}
		}
	}
	t.close()
	return m
}

// notMatched are the fields that a request has lost before it is routed: Host has become its authority, the others are
// hop-by-hop (RFC 9110 section 7.6.1).
var notMatched = []string{
	"host", "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "expect",
}

// patternProblem says what is wrong with a lower-case host pattern, or "".
func patternProblem(p string) string {
	if strings.HasPrefix(p, "[") {
		if ip, err := netip.ParseAddr(strings.Trim(p, "[]")); err != nil || p != "["+ip.String()+"]" {
			return "is not an IPv6 address in brackets, in its shortest form"
		}
		return ""
	}
	if strings.Contains(p, ":") {
		return "has a port; ports are not compared"
	}
	name := strings.TrimPrefix(p, "*.")
	if strings.Contains(name, "*") {
		return `has a "*" elsewhere than as its first label`
	}
	if strings.HasSuffix(name, ".") {
		return "has a final dot; it is not compared"
	}
	return hostProblem(name)
}

// pathProblem says what is wrong with a path pattern, or "".
func pathProblem(p string) string {
	prefix := strings.TrimSuffix(p, "*")
	switch {
	case p == "*":
		return ""
	case !strings.HasPrefix(p, "/"):
		return `does not begin with "/"`
	case strings.Contains(prefix, "*"):
		return `has a "*" elsewhere than at its end`
	case strings.ContainsAny(prefix, "?#"):
		return "has a query or a fragment; only the path is compared"
	}
	for i := range len(prefix) {
		if c := prefix[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return fmt.Sprintf("has %q in it, which no request has; percent-encode it", c)
		}
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if s := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); s == "." || s == ".." {
			return "has a dot segment; requests with one are refused"
		}
	}
	return ""
}

// readFields reads a table of field lines: lower-case names and values, sorted by name.
func readFields(t *section) [][2]string {
	var out [][2]string
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		value, name := t.text(key, ""), strings.ToLower(key)
		switch {
		case !validToken(key):
			t.bad(key, "", "%q is not a header name", key)
		case !validValue(value):
			t.bad(key, "", "%q is not a header value", value)
		case slices.ContainsFunc(out, func(f [2]string) bool { return f[0] == name }):
			t.bad(key, "", "%s is there twice", name)
		default:
			out = append(out, [2]string{name, value})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// validToken is token of RFC 9110 section 5.6.2: a method, a field name.
func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// validValue is field-value of RFC 9110 section 5.5.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return s == strings.Trim(s, " \t")
}
