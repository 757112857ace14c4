package link

import "testing"

// TestSignature: letters become types, and types the text of an error message.
func TestSignature(t *testing.T) {
	for _, c := range []struct{ params, results, want string }{
		{"", "", "()→()"}, {"iI", "i", "(i32,i64)→(i32)"}, {"i", "I", "(i32)→(i64)"},
	} {
		if got := Signature(ValueTypes(c.params), ValueTypes(c.results)); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.params, c.results, got, c.want)
		}
	}
}
