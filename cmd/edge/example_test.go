package main

import (
	"strings"
	"testing"
)

// TestExampleFile keeps the example configuration valid, and what it shows true where it can be tried.
func TestExampleFile(t *testing.T) {
	t.Chdir("../..")
	expect(t, exitOK, "edge.toml is valid: 2 listeners, 4 routes, 2 filters, 1 upstream\n", "check")
	for _, c := range []struct{ args, want string }{
		{"GET http://www.example.com/api/x -H x-beta:1", "action: upstream app: least_requests of 127.0.0.1:9001, 127.0.0.1:9002\n"},
		{"GET http://example.com/static/", "action: files below examples/www, without /static\n"},
		{"GET http://example.com/old/x?y=1", "action: redirect with 308 to /api/x?y=1\n"},
		{"GET /", "  1. greeter (module examples/wasm/greeter/greeter.wasm)\naction: respond with 200 and 12 bytes\n"},
	} {
		said, code := edge(append([]string{"explain"}, strings.Fields(c.args)...)...)
		if code != exitOK || !strings.HasSuffix(said, c.want) {
			t.Errorf("edge explain %s: exit %d, said\n%s", c.args, code, said)
		}
	}
}
