package config

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

func readFiles(t *section, m *Match) *Files {
	f := &Files{
		Root:          t.r.join(t.text("root", "")),
		Strip:         t.text("strip", ""),
		Index:         []string{"index.html"},
		Precompressed: t.boolean("precompressed", true),
	}
	if index := t.texts("index"); t.has("index") {
		f.Index = index
	}
	for i, name := range f.Index {
		if name == "" || name == "." || name == ".." || len(name) > maxFileName || strings.ContainsAny(name, "/\x00") {
			t.badItem("index", i, `write a file's name, such as "index.html"`, "%q is not a file's name", name)
		}
	}
	if len(f.Index) > MaxIndex {
		t.bad("index", "", "%d names are more than %d", len(f.Index), MaxIndex)
	}
	if f.Root == "" {
		t.bad("root", `add root = "./www"`, "is missing")
	} else if info, err := os.Stat(f.Root); err != nil {
		t.bad("root", "", "%s: %v", f.Root, plainPathError(err))
	} else if !info.IsDir() {
		t.bad("root", "", "%s is not a directory", f.Root)
	}
	if f.Strip != "" {
		prefix := strings.TrimSuffix(m.Path, "*")
		switch {
		case !strings.HasPrefix(f.Strip, "/") || f.Strip == "/":
			t.bad("strip", `write it as "/static"`, "%q is not the front of a path", f.Strip)
		case !strings.HasPrefix(prefix+"/", strings.TrimSuffix(f.Strip, "/")+"/"):
			t.bad("strip", fmt.Sprintf("match = { path = %q }", strings.TrimSuffix(f.Strip, "/")+"/*"),
				"not every path of the route begins with %q", f.Strip)
		}
	}
	t.close()
	return f
}

// setByServer are the response fields that the server makes itself.
var setByServer = []string{
	"connection", "content-length", "date", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

func readRespond(t *section) *Respond {
	r := &Respond{
		Status: t.count("status", 200, 200, 599),
		Body:   []byte(t.text("body", "")),
	}
	if h := t.table("headers"); h != nil {
		for _, f := range readFields(h) {
			if slices.Contains(setByServer, f[0]) {
				h.bad(f[0], notYet, "%s is the server's to set", f[0])
			}
			r.Headers = append(r.Headers, f)
		}
	}
	// RFC 9110 section 15.3.5, 15.3.6, 15.4.5.
	if (r.Status == 204 || r.Status == 205 || r.Status == 304) && len(r.Body) > 0 {
		t.bad("body", notYet, "a response with status %d has no body", r.Status)
	}
	t.close()
	return r
}

var redirectStatuses = []int{301, 302, 303, 307, 308}

func readRedirect(t *section) *Redirect {
	r := &Redirect{To: t.text("to", ""), Status: t.count("status", 307, 200, 599)}
	if !slices.Contains(redirectStatuses, r.Status) {
		t.bad("status", "use 301 or 308 for good, 302, 303 or 307 for now", "%d is not a redirect", r.Status)
	}
	switch why := targetProblem(r.To); {
	case !t.has("to"):
		t.bad("to", `add to = "/new/"`, "is missing")
	case why != "":
		t.bad("to", `write it as "/new/{rest}" or "https://example.com{path}{query}"`, "%q %s", r.To, why)
	}
	t.close()
	return r
}

// targetProblem says what is wrong with a redirect's target, or "". What comes from the request may fill the path and the
// query, and {host} the whole authority; nothing else of the authority, or anybody could be sent anywhere.
func targetProblem(to string) string {
	plain := to
	for _, p := range []string{"{host}", "{path}", "{query}", "{rest}"} {
		plain = strings.ReplaceAll(plain, p, "x")
	}
	switch {
	case strings.ContainsAny(plain, "{}"):
		return "has a placeholder that is not known; {host}, {path}, {query} and {rest} are"
	case strings.ContainsFunc(plain, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"<>\\^`|", c) }):
		return "has a character that no URI has; percent-encode it"
	case strings.HasPrefix(to, "{path}"), strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
		return ""
	}
	scheme, rest, ok := strings.Cut(to, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return `does not begin with "/", "http://" or "https://"`
	}
	end := strings.IndexAny(rest, "/?#")
	if path := strings.Index(rest, "{path}"); path >= 0 && (end < 0 || path < end) {
		end = path
	}
	if query := strings.Index(rest, "{query}"); query >= 0 && (end < 0 || query < end) {
		end = query
	}
	authority := rest
	if end >= 0 {
		authority = rest[:end]
	}
	if authority == "{host}" {
		return ""
	}
	if strings.ContainsAny(authority, "{}") {
		return "has a placeholder in its host that is not all of it"
	}
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.User != nil || !strings.HasPrefix(u.Host, "[") && hostProblem(u.Hostname()) != "" {
		return "has no valid host"
	}
	return ""
}
