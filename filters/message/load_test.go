package message

import "testing"

func TestLoadedViewsOutliveGrowth(t *testing.T) {
	var f Fields
	block := []byte("name: value")
	own := f.Load(block)
	f.AddView(view(own[:4]), view(own[6:]))
	copy(block, "XXXXXXXXXXX")
	for range 100 {
		f.Add("Another", "a value that makes the memory grow")
	}
	if name, value := f.At(0); name != "name" || value != "value" {
		t.Errorf("got %q: %q", name, value)
	}
	if cap(own) != len(own) {
		t.Errorf("appending to the copy would write into what follows it")
	}
	if n := f.Delete("another"); n != 100 || f.Len() != 1 {
		t.Errorf("deleted %d, left %d", n, f.Len())
	}
}
