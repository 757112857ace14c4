package route

import (
	"fmt"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	table := NewTable([]Route{
		{Name: "host", Match: Match{Hosts: []string{"a.test"}}},
		{Name: "hosts", Match: Match{Hosts: []string{"a.test", "*.b.test"}}},
		{Name: "exact", Match: Match{Path: "/x"}},
		{Name: "prefix", Match: Match{Path: "/x/*"}},
		{Name: "method", Match: Match{Methods: []string{"PUT"}}},
		{Name: "methods", Match: Match{Methods: []string{"PUT", "POST"}}},
		{Name: "present", Match: Match{Headers: map[string]string{"cookie": "*"}}},
		{Name: "missing", Match: Match{Headers: map[string]string{"cookie": "1"}}},
		{Name: "differs", Match: Match{Headers: map[string]string{"x": "1"}}},
		{Name: "two", Match: Match{Path: "/x", Methods: []string{"PUT"}}},
		{Name: "yes", Match: Match{}},
		{Name: "behind", Match: Match{}},
	})
	var got strings.Builder
	for _, s := range table.Explain(request("GET", "C.test:80", "/y?z", "x", "2")) {
		fmt.Fprintf(&got, "%s: %v %s\n", s.Route.Name, s.Matched, s.Reason)
	}
	want := `host: false host "c.test" is not "a.test"
hosts: false host "c.test" is not any of "a.test", "*.b.test"
exact: false path "/y" is not "/x"
prefix: false path "/y" is not below "/x/*"
method: false method GET is not "PUT"
methods: false method GET is not any of "PUT", "POST"
present: false header cookie is missing
missing: false header cookie is missing (should be "1")
differs: false header x is not "1"
two: false path "/y" is not "/x"
yes: true ` + "\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	steps := table.Explain(request("TRACE", "", "/"))
	if last := steps[len(steps)-1]; last.Matched || last.Reason != "method TRACE is only for routes that name it" {
		t.Errorf("T36: %+v", last)
	}
}

func TestUnreachable(t *testing.T) {
	h := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	cases := []struct {
		name           string
		earlier, later Match
		want           bool
	}{
		{"all before anything", Match{}, Match{Path: "/x", Hosts: []string{"a"}, Methods: []string{"GET"}, Headers: h("a", "b")}, true},
		{"anything before all", Match{Path: "/x"}, Match{}, false},
		{"same", Match{Path: "/x", Hosts: []string{"A"}}, Match{Path: "/x", Hosts: []string{"a"}}, true},
		{"prefix before exact", Match{Path: "/x*"}, Match{Path: "/xy"}, true},
		{"prefix before longer", Match{Path: "/x/*"}, Match{Path: "/x/y/*"}, true},
		{"longer before prefix", Match{Path: "/x/y/*"}, Match{Path: "/x/*"}, false},
		{"exact before prefix", Match{Path: "/x"}, Match{Path: "/x*"}, false},
		{"slash", Match{Path: "/x/*"}, Match{Path: "/x"}, false},
		{"empty path and star", Match{Path: "*"}, Match{}, true},
		{"wildcard before name", Match{Hosts: []string{"*.a.test"}}, Match{Hosts: []string{"x.a.test"}}, true},
		{"wildcard before narrower", Match{Hosts: []string{"*.test"}}, Match{Hosts: []string{"*.a.test"}}, true},
		{"wildcard before its domain", Match{Hosts: []string{"*.a.test"}}, Match{Hosts: []string{"a.test"}}, false},
		{"wildcard before wider", Match{Hosts: []string{"*.a.test"}}, Match{Hosts: []string{"*.test"}}, false},
		{"one host of two", Match{Hosts: []string{"a"}}, Match{Hosts: []string{"a", "b"}}, false},
		{"hosts before all hosts", Match{Hosts: []string{"a"}}, Match{}, false},
		{"T36 all methods before TRACE", Match{}, Match{Methods: []string{"TRACE"}}, false},
		{"methods before fewer", Match{Methods: []string{"GET", "PUT"}}, Match{Methods: []string{"PUT"}}, true},
		{"methods before all", Match{Methods: []string{"GET"}}, Match{}, false},
		{"header before same", Match{Headers: h("A", "1")}, Match{Headers: h("a", "1")}, true},
		{"present before value", Match{Headers: h("a", "*")}, Match{Headers: h("a", "1")}, true},
		{"value before present", Match{Headers: h("a", "1")}, Match{Headers: h("a", "*")}, false},
		{"value before none", Match{Headers: h("a", "1")}, Match{}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := NewTable([]Route{{Name: "earlier", Match: c.earlier}, {Name: "later", Match: c.later}}).Unreachable()
			if (len(got) == 1) != c.want {
				t.Fatalf("%+v", got)
			}
			if c.want && (got[0].Route.Name != "later" || got[0].By.Name != "earlier") {
				t.Errorf("%s by %s", got[0].Route.Name, got[0].By.Name)
			}
		})
	}
}
