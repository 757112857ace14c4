package message

import "testing"

func TestCheckPath(t *testing.T) {
	for _, c := range []struct {
		path string
		want PathFault
	}{
		{"/", PathOK},
		{"/a.b/..c/%2e%2e%2ex", PathOK},
		{"/a?..%zz", PathOK},
		{"/..", PathDots},
		{"/a/%2e./b", PathDots},
		{"/a/..;x", PathDots},
		{"/%00", PathEscape},
		{"/%zz", PathEscape},
		{"/%c0%af", PathEscape},
		{`/a\b`, PathByte},
	} {
		if got := CheckPath(c.path); got != c.want {
			t.Errorf("T37, T38: %q: got %d, want %d", c.path, got, c.want)
		}
	}
}

func TestValidAuthority(t *testing.T) {
	for s, want := range map[string]bool{
		"h": true, "h:80": true, "[::1]:80": true, "a.b-c_d": true, "": false, "u@h": false, "a, b": false, "h:0": false, "[::1": false,
	} {
		if got := ValidAuthority(s); got != want {
			t.Errorf("T32: %q: got %v", s, got)
		}
	}
	if !HasPort("[::1]:80") || HasPort("[::1]") {
		t.Error("T35: ports are not told from addresses")
	}
}

func TestParseLength(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "005": 5, "9223372036854775807": 1<<63 - 1} {
		if n, _, ok := ParseLength(s); !ok || n != want {
			t.Errorf("S9: %q: got %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "+5", "-1", "5, 5", "0x5", "9223372036854775808", "18446744073709551621"} {
		if _, _, ok := ParseLength(s); ok {
			t.Errorf("S9, S10, S11: %q passed", s)
		}
	}
}

func TestTrailerAllowed(t *testing.T) {
	for name, want := range map[string]bool{"grpc-status": true, "x-a": true, "host": false, "content-type": false, "if-match": false} {
		if got := TrailerAllowed(name); got != want {
			t.Errorf("S17: %q: got %v", name, got)
		}
	}
}
