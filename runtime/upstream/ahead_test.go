package upstream

import "testing"

// TestAhead: F65. The first answer of a client may have the whole window, a hundred together no more than the account, and what is given
// back is there for the next.
func TestAhead(t *testing.T) {
	var a Ahead
	first := a.take()
	if firstWindow+first != StreamWindow {
		t.Errorf("the first has a window of %d, want %d", firstWindow+first, StreamWindow)
	}
	sum, last := first, first
	var given []int
	for range MaxStreams - 1 {
		n := a.take()
		if n > last || n != 0 && n < aheadLeast {
			t.Errorf("%d bytes after %d", n, last)
		}
		given = append(given, n)
		sum, last = sum+n, n
	}
	if sum > aheadBytes || sum != a.given {
		t.Errorf("%d bytes are given of %d, %d of them counted", sum, aheadBytes, a.given)
	}
	for _, n := range given {
		a.give(n)
	}
	a.give(first)
	if a.given != 0 || a.take() != first {
		t.Errorf("%d bytes are given", a.given)
	}
	none := (*Ahead)(nil)
	for range MaxStreams {
		none.give(none.take())
		if n := none.take(); n != first {
			t.Errorf("without an account %d bytes", n)
		}
	}
}
