package manual

import (
	"fmt"
	"go/ast"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// key is one key as package config reads it.
type key struct {
	name   string
	method string // of config's section
	args   []ast.Expr
}

// tables says, for the functions of package config that read keys and the section they read them from, below which headings of
// configuration.md those keys stand.
var tables = map[string][]string{
	"file.s": {top}, "readListen.s": {top}, "readCertificates.s": {top}, "readUpstreams.s": {top}, "readFilters.s": {top}, "readRoutes.s": {top},
	"readServer.s": {"`[server]`"}, "readAdmin.s": {"`[server]`"}, "readProxies.s": {"`[server]`"},
	"readLimits.s":       {"`[limits]`"},
	"readLog.s":          {"`[log]`"},
	"readListen.t":       {"`[[listen]]`"},
	"readBind.t":         {"`[[listen]]`"},
	"readCertificates.t": {"`[certificates.NAME]`"}, "readClientAuth.t": {"`[certificates.NAME]`"},
	"readUpstreams.t": {"`[upstreams.NAME]`"}, "readServers.t": {"`[upstreams.NAME]`"}, "readBalance.t": {"`[upstreams.NAME]`"},
	"readUpstreamTLS.u": {"`[upstreams.NAME]`"}, "readUpstreamTLS.t": {"`tls`"},
	"readServers.entry": {"`servers[]`"},
	"readFilters.t":     {"`[filters.NAME]`"}, "readFilterConfig.t": {"`[filters.NAME]`", "`filters[]`"},
	"readFilters.allow":  {"`allow`"},
	"readFilterLimits.s": {"`limits`"},
	"readRoutes.t":       {"`[[routes]]`"}, "readUses.t": {"`[[routes]]`"}, "readAction.t": {"`[[routes]]`"},
	"readUses.entry": {"`filters[]`"},
	"readMatch.t":    {"`match`"},
	"readFiles.t":    {"`files`"},
	"readRespond.t":  {"`respond`"},
	"readRedirect.t": {"`redirect`"},
}

const top = "The top of the file"

// readers are the methods of config's section that ask for a key.
var readers = []string{
	"text", "oneOf", "integer", "count", "boolean", "duration", "size", "texts", "list", "table", "tableOrEmpty", "tables", "named", "get",
}

// configKeys are the keys that package config reads, by the heading they belong under.
func configKeys(t *testing.T) map[string][]key {
	t.Helper()
	s := load(t, "runtime/config")
	out := map[string][]key{}
	s.functions(func(function string, body *ast.BlockStmt) {
		ast.Inspect(body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(readers, method.Sel.Name) {
				return true
			}
			if on := s.info.Types[method.X].Type; on == nil || !strings.HasSuffix(on.String(), "config.section") {
				return true
			}
			name, ok := s.text(call.Args[0])
			if !ok {
				return true
			}
			where := function
			if on, ok := method.X.(*ast.Ident); ok {
				where += "." + on.Name
			}
			headings, known := tables[where]
			if !known {
				t.Errorf("%s reads the key %q: say in tables which part of the manual it belongs to", where, name)
			}
			for _, h := range headings {
				if !slices.ContainsFunc(out[h], func(k key) bool { return k.name == name }) {
					out[h] = append(out[h], key{name, method.Sel.Name, call.Args[1:]})
				}
			}
			return true
		})
	})
	return out
}

// odd are keys whose default, or whose bounds, are not those of the call that reads them.
var odd = map[string]string{
	"`[log]`.level":              "the default is set beside the call",
	"`[filters.NAME]`.log_level": "likewise",
	"`redirect`.status":          "five statuses of those between the call's bounds",
}

// checkConfig holds configuration.md against the keys.
func checkConfig(t *testing.T, keys map[string][]key) func(page string) []string {
	s := load(t, "runtime/config")
	return func(page string) (complaints []string) {
		for heading, list := range keys {
			var exist []string
			for _, k := range list {
				exist = append(exist, k.name)
			}
			found := under(page, heading)
			complaints = append(complaints, differ("key "+heading, names(found), exist)...)
			for _, r := range found {
				at := slices.IndexFunc(list, func(k key) bool { return k.name == r.name() })
				if at >= 0 && len(r.cells) < 5 {
					complaints = append(complaints, fmt.Sprintf("key %s %s: the row is too short", heading, r.name()))
				} else if at >= 0 {
					complaints = append(complaints, s.compare(heading, list[at], r)...)
				}
			}
		}
		return complaints
	}
}

// compare holds one row against the call that reads its key.
func (s *source) compare(heading string, k key, r row) (complaints []string) {
	wrong := func(what, have, want string) {
		if have != want {
			complaints = append(complaints, fmt.Sprintf("key %s %s: the %s is %q, the manual says %q", heading, k.name, what, want, have))
		}
	}
	kind, std, bounds := r.cells[1], r.cells[2], r.cells[3]
	_, special := odd[heading+"."+k.name]
	switch k.method {
	case "integer", "count", "duration", "size":
		show := map[string]func(int64) string{
			"integer": number, "count": number, "size": size, "duration": func(n int64) string { return shortDuration(time.Duration(n)) },
		}[k.method]
		wrong("type", kind, map[string]string{"integer": "number", "count": "number", "duration": "duration", "size": "size"}[k.method])
		var values [3]int64
		for i := range values {
			n, ok := s.number(k.args[i])
			if !ok {
				return append(complaints, fmt.Sprintf("key %s %s: its numbers are not constants", heading, k.name))
			}
			values[i] = n
		}
		wrong("default", std, show(values[0]))
		want := "least " + show(values[1])
		if values[2] != math.MaxInt64 || k.method == "size" {
			want += ", most " + show(values[2])
		}
		if !special {
			wrong("range", bounds, want)
		}
	case "boolean":
		wrong("type", kind, "true or false")
		if id, ok := k.args[0].(*ast.Ident); ok {
			wrong("default", std, id.Name)
		}
	case "oneOf":
		var set []string
		for _, e := range k.args {
			v, _ := s.text(e)
			set = append(set, strconv.Quote(v))
		}
		wrong("set", bounds, strings.Join(set, ", "))
		if !special {
			wrong("default", std, set[0])
		}
	case "text":
		if v, ok := s.text(k.args[0]); ok && v != "" {
			wrong("default", std, strconv.Quote(v))
		} else if ok && strings.HasPrefix(std, `"`) && !special {
			wrong("default", std, "none")
		}
	case "tables":
		if n, ok := s.number(k.args[0]); ok {
			wrong("most", bounds, fmt.Sprintf("at most %d", n))
		}
	case "texts":
		wrong("type", kind, "array of strings")
	}
	return complaints
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// shortDuration is a duration as people write it: "1m" and not "1m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size is a number of bytes as the file writes it.
func size(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited"
	}
	for _, unit := range []struct {
		name string
		n    int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.n && n%unit.n == 0 {
			return number(n/unit.n) + unit.name
		}
	}
	return number(n) + "B"
}
