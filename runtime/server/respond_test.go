package server

import "testing"

// TestRespondKeepAlive: the thinnest path, and the connection stays (C3).
func TestRespondKeepAlive(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}})
	c := dial(t, b.addr)
	for range 3 {
		c.say(get)
		c.want("GET", 200, "hello")
	}
}
