package mpm

import "testing"

// TestListenerLoads: what a listener has brought is counted in and out.
func TestListenerLoads(t *testing.T) {
	w := start(t, newScript(t), Options{Workers: 4})
	a, b := w.dial(), w.dial()
	a.ask("echo x", "x")
	b.ask("echo x", "x")
	if l := w.ListenerLoads(); len(l) != 1 || l[0].Accepted != 2 || l[0].Open != 2 {
		t.Errorf("with two connections: %+v", l)
	}
	a.Close()
	until(t, "one has gone", func() bool { return w.ListenerLoads()[0].Open == 1 })
	if l := w.ListenerLoads(); l[0].Accepted != 2 {
		t.Errorf("after one has gone: %+v", l)
	}
}
