package manual

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// checkFilters holds filters.md against the host calls, the properties and the keys of the native filter.
func checkFilters(t *testing.T) func(page string) []string {
	calls, properties, native, foreign := hostCalls(t), properties(t), nativeKeys(t), foreignFunctions(t)
	return func(page string) (complaints []string) {
		complaints = append(complaints, differ("host call", names(under(page, "Host calls")), calls)...)
		complaints = append(complaints, differ("foreign function", names(under(page, "Foreign functions")), foreign)...)
		complaints = append(complaints, differ("property", names(under(page, "Properties")), properties)...)
		return append(complaints, differ("key of the filter headers", names(under(page, "The native filter `headers`")), native)...)
	}
}

// hostCalls are the keys of the tables of host calls.
func hostCalls(t *testing.T) (list []string) {
	s := load(t, "wasmhost/proxywasm")
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			m, ok := lit.Type.(*ast.MapType)
			if !ok {
				return true
			}
			if v, ok := m.Value.(*ast.Ident); !ok || v.Name != "hostCall" {
				return true
			}
			for _, e := range lit.Elts {
				if name, ok := s.text(e.(*ast.KeyValueExpr).Key); ok {
					list = append(list, name)
				}
			}
			return false
		})
	}
	if len(list) < 40 {
		t.Errorf("only %d host calls found: the test looks at the wrong place", len(list))
	}
	return list
}

// properties are the paths that the server and the ABI know, segments joined by dots.
func properties(t *testing.T) (list []string) {
	s := load(t, "runtime/server")
	for prefix, function := range map[string]string{
		"request.": "requestProperty", "response.": "responseProperty", "source.": "address", "destination.": "address",
		"upstream.": "upstreamProperty", "": "siteProperty",
	} {
		for _, name := range s.cases(function) {
			list = append(list, prefix+name)
		}
	}
	for _, function := range []string{"connectionProperty", "certificateProperty"} {
		for _, name := range s.cases(function) {
			list = append(list, "connection."+name)
		}
	}
	groups := []string{"request", "response", "source", "destination", "connection", "upstream", "xds"}
	for _, name := range s.cases("Property") {
		if !slices.Contains(groups, name) {
			list = append(list, name)
		}
	}
	for _, name := range load(t, "wasmhost/proxywasm").cases("getProperty") {
		list = append(list, name)
	}
	return list
}

// nativeKeys are the keys that the native filter headers takes.
func nativeKeys(t *testing.T) (list []string) {
	s := load(t, "filters/headers")
	for _, name := range append(s.cases("New"), s.cases("read")...) {
		if !strings.Contains(name, " ") {
			list = append(list, name)
		}
	}
	return list
}

// foreignFunctions are the keys of the table of the host's own functions.
func foreignFunctions(t *testing.T) (list []string) {
	s := load(t, "wasmhost/proxywasm")
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Names[0].Name != "foreign" || len(v.Values) != 1 {
				return true
			}
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				if name, ok := s.text(e.(*ast.KeyValueExpr).Key); ok {
					list = append(list, name)
				}
			}
			return false
		})
	}
	if len(list) == 0 {
		t.Error("no foreign functions found: the test looks at the wrong place")
	}
	return list
}
