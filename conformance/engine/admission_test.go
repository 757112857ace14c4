package engine

import (
	"io"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// TestA1Admission: with 4 workers and 4,000 clients that push at once the door closes and opens again, every request is
// answered, and memory stays bounded.
func TestA1Admission(t *testing.T) {
	n := scale(t, 4000, 600, 1)
	e := rig.Start(t, rig.Config{Server: "workers = 4\nkeepalive_timeout = \"300s\"", Log: "level = \"debug\"", Rest: helloRoute})
	if _, err := askOnce(e.Addr, helloRequest); err != nil {
		t.Fatal(err)
	}
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)
	c := &crowd{}
	deadline := time.Now().Add(120 * time.Second)
	push := make(chan struct{})
	done := make(chan error, n)
	for range n {
		go func() {
			<-push
			_, err := askOnce(e.Addr, helloRequest)
			done <- err
		}()
	}
	close(push)
	for i := range n {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("answer %d of %d: %v", i, n, err)
			}
		case <-time.After(time.Until(deadline)):
			t.Fatalf("%d of %d clients were answered in 120 s", i, n)
		}
	}
	c.disperse()
	m := e.WaitMetric("an open door", func(m rig.Metrics) bool { return m.Sum("edge_admission_open") >= 1 })
	after, err := proc.PeakRSS(e.PID())
	rig.Must(t, err)
	t.Logf("%d clients: the door closed %v times; RSS grew by %d KiB at most", n, m.Sum("edge_admission_closed_total"), (after-before)>>10)
	if m.Sum("edge_admission_closed_total") < 1 {
		t.Error("A1: the door never closed")
	}
	if grown := after - before; grown > int64(n)*8<<10+16<<20 && !rig.Race {
		t.Errorf("RSS grew by %d KiB", grown>>10)
	}
	if q := m.Sum("edge_queue_length"); q > 4 {
		t.Errorf("%v connections are still queued", q)
	}
	if _, slowest := newcomers(t, e.Addr, helloRequest, 50); slowest > promptly {
		t.Errorf("after the storm a newcomer waited %v", slowest)
	}
}

// TestE4OutOfDescriptors: where accept fails for want of descriptors (R73), the connections there are go on, the process does
// not spin, and it recovers.
func TestE4OutOfDescriptors(t *testing.T) {
	release := make(chan struct{})
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err == nil {
			<-release
			_ = c.Say(rig.OK("held"))
		}
	})
	e := rig.Start(t, rig.Config{Server: "keepalive_timeout = \"60s\"", Files: 64, Rest: helloRoute + rig.Upstream("response_timeout = \"60s\"", o)})
	held := rig.Dial(t, e.Addr)
	held.Send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
	if !rig.Eventually(10*time.Second, func() bool { return len(o.Requests()) == 1 }) {
		t.Fatal("the held request did not reach the origin")
	}
	c := gather(t, e.Addr, 200, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ") // busy, not idle: they cannot be shed
	if !rig.Eventually(10*time.Second, func() bool { n, err := proc.Descriptors(e.PID()); return err == nil && n >= 60 }) {
		t.Fatal("edge never used up its descriptors")
	}
	used, err := proc.CPUNanos(e.PID())
	rig.Must(t, err)
	held.Silent(2 * time.Second) // the time over which the processor is watched
	now, err := proc.CPUNanos(e.PID())
	rig.Must(t, err)
	if spent := time.Duration(now - used); spent > 600*time.Millisecond {
		t.Errorf("edge used %v of processor in 2 s without a descriptor left", spent)
	}
	close(release)
	if p := held.Response("GET"); p.Status != 200 || string(p.Body) != "held" {
		t.Errorf("the connection under way got %+v", p)
	}
	c.disperse()
	if !rig.Eventually(20*time.Second, func() bool { _, err := askOnce(e.Addr, helloRequest); return err == nil }) {
		t.Error("edge does not recover")
	}
	if m := e.Metrics(); m.Sum("edge_accept_errors_total") < 1 {
		t.Error("the failed accepts are not counted")
	}
}

// TestE4IdleIsShed: idle keep-alive connections make room when descriptors run out.
func TestE4IdleIsShed(t *testing.T) {
	e := rig.Start(t, rig.Config{Server: "keepalive_timeout = \"300s\"", Files: 64, Rest: helloRoute})
	c := &crowd{}
	t.Cleanup(c.disperse)
	for i := range 200 { // each stays open, idle
		k := gather(t, e.Addr, 1, helloRequest)
		c.conns = append(c.conns, k.conns...)
		if err := c.answered(i, 200, 30*time.Second); err != nil {
			t.Fatalf("client %d of 200, with 64 descriptors: %v", i, err)
		}
	}
	if _, err := io.WriteString(c.conns[199], helloRequest); err != nil {
		t.Error(err)
	} else if err := c.answered(199, 200, 30*time.Second); err != nil {
		t.Errorf("the youngest connection: %v", err)
	}
}
