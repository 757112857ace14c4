package engine

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// idleBudget is the most memory that an idle keep-alive connection may cost the process, in bytes of RSS, with all that the
// runtime adds. (The engine's and the codec's own share has a budget of its own beside their code.)
const idleBudget = 4 << 10

// TestC3IdleKeepAlives: 10,000 idle keep-alive connections hold no worker: with 16 workers new requests are answered at once,
// and each of the idle is still served when it wakes.
func TestC3IdleKeepAlives(t *testing.T) {
	n := scale(t, 10000, 1000, 1)
	e := rig.Start(t, rig.Config{Server: "workers = 16\nkeepalive_timeout = \"300s\"", Log: "level = \"info\"", Rest: helloRoute})
	if _, err := askOnce(e.Addr, helloRequest); err != nil {
		t.Fatal(err)
	}
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)
	c := gather(t, e.Addr, n, helloRequest)
	c.each(t, 16, func(i int) error { return c.answered(i, 200, 30*time.Second) })
	after, err := proc.RSS(e.PID())
	rig.Must(t, err)
	median, slowest := newcomers(t, e.Addr, helloRequest, 200)
	perConn := (after - before) / int64(n)
	t.Logf("%d idle connections: RSS %d bytes each; newcomers: median %v, slowest %v", n, perConn, median, slowest)
	if slowest > promptly {
		t.Errorf("a newcomer waited %v beside %d idle connections", slowest, n)
	}
	if perConn > idleBudget && !rig.Race && !testing.Short() {
		t.Errorf("an idle connection costs %d bytes, budget %d", perConn, idleBudget)
	}
	c.each(t, 16, func(i int) error {
		if _, err := io.WriteString(c.conns[i], helloRequest); err != nil {
			return err
		}
		return c.answered(i, 200, 30*time.Second)
	})
}

// TestC1SlowClients: clients that send a byte a second are no burden to the others.
func TestC1SlowClients(t *testing.T) {
	n := scale(t, 5000, 300, 1)
	e := rig.Start(t, rig.Config{Server: "workers = 4\nheader_timeout = \"300s\"\ntimeout = \"300s\"", Log: "level = \"info\"", Rest: helloRoute})
	alone := latency(t, e.Addr)
	c := gather(t, e.Addr, n, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // a byte a second on each, spread over the second
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for next := 0; ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for range n / 100 {
				if _, err := io.WriteString(c.conns[next%n], "x"); err != nil {
					t.Errorf("slow client %d was cut off: %v", next%n, err)
					return
				}
				next++
			}
		}
	}()
	beside := latency(t, e.Addr)
	close(stop)
	<-stopped
	t.Logf("p99 alone %v, beside %d slow clients %v", alone, n, beside)
	if beside > 2*alone+5*time.Millisecond {
		t.Errorf("p99 is %v beside %d slow clients, %v without", beside, n, alone)
	}
	c.each(t, 16, func(i int) error {
		if _, err := io.WriteString(c.conns[i], "\r\n\r\n"); err != nil {
			return err
		}
		return c.answered(i, 200, 60*time.Second)
	})
}

// latency is the p99 of requests on 4 keep-alive connections for two seconds.
func latency(t *testing.T, addr string) time.Duration {
	t.Helper()
	c := gather(t, addr, 4, "")
	defer c.disperse()
	all := make([][]time.Duration, len(c.conns))
	end := time.Now().Add(2 * time.Second)
	c.each(t, len(c.conns), func(i int) error {
		for time.Now().Before(end) {
			began := time.Now()
			if _, err := io.WriteString(c.conns[i], helloRequest); err != nil {
				return err
			}
			if err := c.answered(i, 200, 30*time.Second); err != nil {
				return err
			}
			all[i] = append(all[i], time.Since(began))
		}
		return nil
	})
	return percentile(all, 99)
}

// TestC7LingeringAndPausing: connections in a lingering close, and connections that pause in the middle of a request, hold no
// worker: with 4 workers and 1,000 of each, new requests are answered at once.
func TestC7LingeringAndPausing(t *testing.T) {
	n := scale(t, 1000, 200, 3)
	o := rig.NewOrigin(t, rig.Echo)
	e := rig.Start(t, rig.Config{Server: "workers = 4\nheader_timeout = \"120s\"\ntimeout = \"120s\"\nlinger_timeout = \"120s\"", Log: "level = \"info\"",
		Rest: helloRoute + rig.Upstream("", o)})
	lingering := gather(t, e.Addr, n, "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
	lingering.each(t, 16, func(i int) error { return lingering.answered(i, 400, 30*time.Second) }) // and it keeps its side open
	heads := gather(t, e.Addr, n/2, "GET /hello HTTP/1.1\r\nHo")
	bodies := gather(t, e.Addr, n/2, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ")
	for name, request := range map[string]string{"respond": helloRequest, "upstream": "GET /p HTTP/1.1\r\nHost: a\r\n\r\n"} {
		median, slowest := newcomers(t, e.Addr, request, 100)
		t.Logf("%s beside %d lingering and %d pausing: median %v, slowest %v", name, n, n, median, slowest)
		if slowest > promptly {
			t.Errorf("%s: a newcomer waited %v", name, slowest)
		}
	}
	heads.each(t, 16, func(i int) error {
		if _, err := io.WriteString(heads.conns[i], "st: a\r\n\r\n"); err != nil {
			return err
		}
		return heads.answered(i, 200, 30*time.Second)
	})
	bodies.each(t, 16, func(i int) error {
		if _, err := io.WriteString(bodies.conns[i], "whole"); err != nil {
			return err
		}
		return bodies.answered(i, 200, 30*time.Second)
	})
}

// TestC7LingerEnds: a peer that drips into a lingering connection does not keep it: the cap is absolute.
func TestC7LingerEnds(t *testing.T) {
	e := rig.Start(t, rig.Config{Server: "linger_timeout = \"1s\"", Rest: helloRoute})
	before, err := proc.Descriptors(e.PID())
	rig.Must(t, err)
	c := gather(t, e.Addr, 20, "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
	c.each(t, 4, func(i int) error { return c.answered(i, 400, 30*time.Second) })
	began := time.Now()
	gone := rig.Eventually(15*time.Second, func() bool {
		for _, conn := range c.conns {
			_, _ = io.WriteString(conn, "x")
		}
		now, err := proc.Descriptors(e.PID())
		return err == nil && now <= before
	})
	if took := time.Since(began); !gone || took > 8*time.Second {
		t.Errorf("connections that drip while lingering last %v (gone: %v), want 1 s", took, gone)
	}
}

// TestPipelinedCrowd: many connections with pipelined requests share few workers fairly: none waits for another's end.
func TestPipelinedCrowd(t *testing.T) {
	n := scale(t, 500, 100, 1)
	e := rig.Start(t, rig.Config{Server: "workers = 4", Log: "level = \"info\"", Rest: helloRoute})
	c := gather(t, e.Addr, n, strings.Repeat(helloRequest, 50))
	c.each(t, n, func(i int) error {
		_ = c.conns[i].SetReadDeadline(time.Now().Add(60 * time.Second))
		want := 50
		buf := make([]byte, 64<<10)
		text := ""
		for strings.Count(text, "hello world\n") < want {
			k, err := c.conns[i].Read(buf)
			if err != nil {
				return fmt.Errorf("after %d answers: %w", strings.Count(text, "hello world\n"), err)
			}
			text += string(buf[:k])
		}
		return nil
	})
}
