package upstream

import "testing"

// TestHall: streams fill a session, then the next, then wait, and beyond that are turned away; a session that ends takes its count along.
func TestHall(t *testing.T) {
	p := NewPool(Options{Pollers: 1, Servers: []ServerOptions{{Label: "a", H2C: true}, {Label: "b", H2C: true}}})
	h := &p.halls[0]
	a, b := p.servers[0], p.servers[1]
	var sessions []*Session
	n := 0
	for {
		s, fresh := h.pick(p, a)
		if s == nil {
			break
		}
		if fresh {
			sessions = append(sessions, s)
		}
		n++
	}
	if n != MaxSessions*(MaxStreams+maxWaiting) || len(sessions) != MaxSessions {
		t.Errorf("%d streams on %d sessions", n, len(sessions))
	}
	if s, fresh := h.pick(p, b); s == nil || !fresh {
		t.Error("the other server has no room")
	}
	if all, load := h.count(); all != MaxSessions+1 || load != n+1 {
		t.Errorf("%d sessions, %d streams", all, load)
	}
	if h.retire(sessions[0], true) {
		t.Error("a session with streams is idle")
	}
	if left := h.leave(sessions[0], 500, MaxStreams); left != 0 || !h.retire(sessions[0], true) {
		t.Errorf("%d streams are left", left)
	}
	h.ended(sessions[0])
	h.ended(sessions[1])
	if s, fresh := h.pick(p, a); s == nil || !fresh {
		t.Error("there is no room where sessions have ended")
	}
	if all, load := h.count(); all != MaxSessions || load != n+1-1000+1 {
		t.Errorf("%d sessions, %d streams", all, load)
	}
	h.close()
	if s, _ := h.pick(p, b); s == nil {
		t.Error("a pool that is closed ends what it has begun")
	}
}
