package message

import (
	"strings"
	"testing"
)

// TestMemory: what Reset keeps is counted.
func TestMemory(t *testing.T) {
	var f Fields
	if n := f.Memory(); n != 0 {
		t.Errorf("an empty list keeps %d bytes", n)
	}
	f.Add("a", strings.Repeat("x", 1000))
	f.Reset()
	if n := f.Memory(); n < 1000 || n > 4000 {
		t.Errorf("after a line of 1001 bytes it keeps %d", n)
	}
}
