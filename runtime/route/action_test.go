package route

import (
	"strings"
	"testing"
)

func TestAppendLocation(t *testing.T) {
	cases := []struct{ name, to, path, host, target, want string }{
		{"plain", "/new", "", "a.test", "/x", "/new"},
		{"all", "https://{host}{path}{query}", "", "a.test:80", "/x/y?z=1&w", "https://a.test:80/x/y?z=1&w"},
		{"no query", "https://{host}{path}{query}", "", "a.test", "/x", "https://a.test/x"},
		{"query behind a query", "/new?old={path}{query}", "", "a", "/x?y=1", "/new?old=/x&y=1"},
		{"rest", "/new/{rest}", "/old/*", "a", "/old/x/y?z", "/new/x/y"},
		{"rest of an exact path", "/new/{rest}", "/old", "a", "/old", "/new/"},
		{"rest of every path", "/new{rest}", "*", "a", "/old", "/new/old"},
		{"rest of no pattern", "/new{rest}", "", "a", "/old", "/new/old"},
		{"percent stays", "/new/{rest}", "/old/*", "a", "/old/%0d%0a", "/new/%0d%0a"},
		{"CR LF", "/new/{rest}", "/old/*", "a", "/old/\r\nset-cookie: x", "/new/%0D%0Aset-cookie:%20x"},
		{"CR LF in the host", "https://{host}/", "", "a\r\nb", "/", "https://a%0D%0Ab/"},
		{"raw bytes", "/{rest}", "/old/*", "a", "/old/\xff\"<>\\", "/%FF%22%3C%3E%5C"},
		{"another site by its rest", "/{rest}", "/old/*", "a", "/old//evil.test/x", "/%2Fevil.test/x"},
		{"another site by its path", "{path}", "", "a", "//evil.test/", "/%2Fevil.test/"},
		{"meant", "//cdn.test/{rest}", "/old/*", "a", "/old/x", "//cdn.test/x"},
		{"unknown placeholder", "/{nope}/{rest", "", "a", "/", "/%7Bnope%7D/%7Brest"},
		{"braces the wrong way", "/}{path}", "", "a", "/", "/%7D%7Bpath%7D"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := request("GET", c.host, c.target)
			r := Route{Match: Match{Path: c.path}}
			d := Redirect{To: c.to, Status: 308}
			dst := []byte("location: ")
			got := string(d.AppendLocation(dst, req, r.Rest(req.Path())))
			if got != "location: "+c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if strings.ContainsAny(got, "\r\n") {
				t.Error("a line ends in the location")
			}
		})
	}
}

func TestAppendLocationDoesNotAllocate(t *testing.T) {
	req := request("GET", "a.test", "/old//x?y")
	r := Route{Match: Match{Path: "/old/*"}}
	d := Redirect{To: "/{rest}{query}"}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = d.AppendLocation(buf[:0], req, r.Rest(req.Path())) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestActionKinds(t *testing.T) {
	for want, a := range map[string]Action{"respond": &Respond{}, "redirect": &Redirect{}} {
		if a.ActionKind() != want {
			t.Errorf("%q, want %q", a.ActionKind(), want)
		}
	}
}
