package confine

import (
	"strings"
	"testing"
)

// TestMissing: what a kernel lacks is told, the more the older it is.
func TestMissing(t *testing.T) {
	for _, c := range []struct {
		s    Support
		want int
		says string
	}{
		{Support{Landlock: 6, Seccomp: true}, 0, ""},
		{Support{Landlock: 9, Seccomp: true}, 0, ""},
		{Support{Landlock: 5, Seccomp: true}, 1, "signals"},
		{Support{Landlock: 3, Seccomp: true}, 3, "bind TCP ports"},
		{Support{Seccomp: true}, 5, "open every file"},
		{Support{Landlock: 6}, 1, "seccomp"},
		{Support{}, 6, "seccomp"},
	} {
		got := c.s.Missing()
		if len(got) != c.want || !strings.Contains(strings.Join(got, "\n"), c.says) {
			t.Errorf("%+v: %q, want %d texts with %q", c.s, got, c.want, c.says)
		}
	}
}

// TestHandled: a ruleset has what its kernel knows, and nothing that it does not.
func TestHandled(t *testing.T) {
	for _, c := range []struct {
		abi         int
		files       uint64
		net, scoped bool
	}{
		{abi: 1, files: 0x1fff},
		{abi: 2, files: 0x3fff},
		{abi: 3, files: 0x7fff},
		{abi: 4, files: 0x7fff, net: true},
		{abi: 5, files: 0xffff, net: true},
		{abi: 6, files: 0xffff, net: true, scoped: true},
		{abi: 99, files: 0xffff, net: true, scoped: true},
	} {
		if h := handled(c.abi); h.Handled_access_fs != c.files || h.Handled_access_net != 0 != c.net || h.Scoped != 0 != c.scoped {
			t.Errorf("version %d: %+v", c.abi, h)
		}
	}
}
