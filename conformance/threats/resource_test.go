package threats

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// cutOff reads until the server closes and says how long that took.
func cutOff(c *rig.Client) (said string, took time.Duration) {
	began := time.Now()
	said = c.Rest()
	return said, time.Since(began)
}

// drip sends pieces one by one until the connection ends, the pieces do, or stop is closed.
func drip(c *rig.Client, piece string, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range 1000 {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if _, err := io.WriteString(c.TCPConn, piece); err != nil {
			return
		}
	}
}

// TestR70Slowloris: header_timeout is absolute: a head that comes a byte at a time is cut off as if nothing came.
func TestR70Slowloris(t *testing.T) {
	b := newBed(t, rig.Config{}) // header_timeout = 1s, timeout = 1s
	for name, start := range map[string]string{
		"R70 request line":      "G",
		"R70 field lines":       "GET /victim HTTP/1.1\r\nHost: a\r\nX: ",
		"R70 second request":    "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /victim HTTP/1.1\r\nX: ",
		"R70 empty lines first": "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := rig.Dial(t, b.Addr)
			c.Send(start)
			stop := make(chan struct{})
			go drip(c, "a", 100*time.Millisecond, stop)
			said, took := cutOff(c)
			close(stop)
			if took < 700*time.Millisecond || took > 4*time.Second {
				t.Errorf("cut off after %v, want 1 s", took)
			}
			all := answers(t, said, "GET")
			if name == "R70 second request" {
				if len(all) == 0 || all[0].Status != 200 {
					t.Errorf("the first request's answer is missing: %q", said)
				}
				all = all[min(1, len(all)):]
			}
			if len(all) > 1 || len(all) == 1 && all[0].Status != 408 && all[0].Status != 400 {
				t.Errorf("said %q, want 408 or nothing", said)
			}
		})
	}
}

// TestR71SlowBody: a body that keeps coming, but below min_rate, is cut off.
func TestR71SlowBody(t *testing.T) {
	b := newBed(t, rig.Config{Limits: "min_rate = \"1KiB/1s\""})
	for name, fields := range map[string]string{"R71 length": "Content-Length: 100000\r\n", "R71 chunked": "Transfer-Encoding: chunked\r\n"} {
		t.Run(name, func(t *testing.T) {
			c := rig.Dial(t, b.Addr)
			c.Send(post(fields, ""))
			piece := "x"
			if strings.Contains(fields, "chunked") {
				piece = "1\r\nx\r\n"
			}
			stop := make(chan struct{})
			go drip(c, piece, 100*time.Millisecond, stop)
			said, took := cutOff(c)
			close(stop)
			if took > 6*time.Second {
				t.Errorf("cut off after %v", took)
			}
			if all := answers(t, said, "POST"); len(all) > 1 || len(all) == 1 && all[0].Status != 408 {
				t.Errorf("said %q, want 408 or nothing", said)
			}
			b.fence(t)
			if got := b.seen(); len(got) > 0 {
				t.Errorf("the origin saw a whole request: %+v", got[0])
			}
		})
	}
}

// TestR72SlowRead: a client that does not take its answer, or takes too little of it, is cut off; then the origin is let go.
func TestR72SlowRead(t *testing.T) {
	block := strings.Repeat("x", 64<<10)
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if _, err := c.ReadRequest(); err != nil {
			return
		}
		_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
		for range 1 << 14 {
			if c.Say(block) != nil {
				return
			}
		}
	})
	e := rig.Start(t, rig.Config{Server: quick, Limits: "min_rate = \"64KiB/1s\"", Rest: rig.Upstream("", origin)})
	for i, name := range []string{"R72 nothing is read", "R72 a little is read"} {
		t.Run(name, func(t *testing.T) {
			c := rig.Dial(t, e.Addr)
			rig.Must(t, c.SetReadBuffer(4<<10))
			c.Send(get(""))
			stop := make(chan struct{})
			defer close(stop)
			if i == 1 {
				go func() {
					buf := make([]byte, 100)
					tick := time.NewTicker(50 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
							if _, err := c.TCPConn.Read(buf); err != nil {
								return
							}
						}
					}
				}()
			}
			if !rig.Eventually(10*time.Second, func() bool { return len(origin.Conns()) == i+1 }) {
				t.Fatal("the request did not reach the origin")
			}
			select {
			case <-origin.Conns()[i].Ended():
			case <-time.After(10 * time.Second):
				t.Error("after 10 s the origin is still held by a client that does not read")
			}
		})
	}
}

// TestR74Ends: connections that end in odd ways leave nothing behind, and a half-closed client gets its answer.
func TestR74Ends(t *testing.T) {
	b := newBed(t, rig.Config{})
	b.fence(t)
	before, err := proc.Descriptors(b.PID())
	rig.Must(t, err)
	for range 200 {
		rig.Dial(t, b.Addr).Abort()
		rig.Dial(t, b.Addr).TCPConn.Close()
		c := rig.Dial(t, b.Addr)
		c.Send("GET /vic")
		c.Abort()
		c = rig.Dial(t, b.Addr)
		c.Send(get(""))
		c.Abort()
		c = rig.Dial(t, b.Addr)
		c.Send(post("Content-Length: 100\r\n", "part"))
		c.Abort()
	}
	c := rig.Dial(t, b.Addr)
	rig.Must(t, c.CloseWrite())
	if rest := c.Rest(); rest != "" {
		t.Errorf("to a connection closed without a byte edge says %q", rest)
	}
	for name, in := range map[string]string{"R74 FIN after the head": get(""), "R74 FIN after the body": post("Content-Length: 5\r\n", "hello")} {
		c := rig.Dial(t, b.Addr)
		c.Send(in)
		rig.Must(t, c.CloseWrite())
		if all := answers(t, c.Rest(), "GET"); len(all) != 1 || all[0].Status != 200 {
			t.Errorf("%s: answers are %+v", name, all)
		}
	}
	c = rig.Dial(t, b.Addr)
	c.Send(post("Content-Length: 5\r\n", "hel"))
	rig.Must(t, c.CloseWrite())
	if all := answers(t, c.Rest(), "POST"); len(all) > 1 || len(all) == 1 && all[0].Status != 400 && all[0].Status != 408 {
		t.Errorf("R74 FIN within the body: answers are %+v", all)
	}
	// What may stay is the pool's idle connections to the origin.
	pooled := func() (n int) {
		for _, k := range b.origin.Conns() {
			select {
			case <-k.Ended():
			default:
				n++
			}
		}
		return n
	}
	var now int
	if !rig.Eventually(15*time.Second, func() bool { now, _ = proc.Descriptors(b.PID()); return now <= before+pooled() }) {
		t.Errorf("descriptors: %d before, %d after, %d pooled", before, now, pooled())
	}
}

// TestR75HeaderLimits: a head above the limits is 431, and costs no more than the limit.
func TestR75HeaderLimits(t *testing.T) {
	b := newBed(t, rig.Config{})
	is431 := []int{431}
	refuse(t, b, []refusal{
		{name: "R75 one field of 64 KB", in: get("X: " + strings.Repeat("y", 64<<10) + "\r\n"), status: is431},
		{name: "R75 cookie of 64 KB", in: get("Cookie: a=" + strings.Repeat("b", 64<<10) + "\r\n"), status: is431},
		{name: "R75 129 fields", in: get(strings.Repeat("X: y\r\n", 129)), status: is431},
		{name: "R75 10,000 fields", in: get(strings.Repeat("a:\r\n", 10000)), status: is431},
		{name: "R75 one field name of 64 KB", in: get(strings.Repeat("x", 64<<10) + ": y\r\n"), status: []int{431, 400}},
		{name: "R75 endless method", in: strings.Repeat("A", 64<<10) + " / HTTP/1.1\r\n\r\n", status: []int{400, 414, 431, 501}},
		{name: "R75 endless empty lines", in: strings.Repeat("\r\n", 64<<10) + get(""), status: bad400},
	})
	c := rig.Dial(t, b.Addr)
	if p := c.Get("/victim", strings.Repeat("X: "+strings.Repeat("y", 200)+"\r\n", 100)); p.Status != 200 {
		t.Errorf("R75 100 fields of 200 bytes are answered %d", p.Status)
	}
}

// TestR76BodyLimit: a body above the limit is refused by its length before it is read, and by its bytes where it has none.
func TestR76BodyLimit(t *testing.T) {
	b := newBed(t, rig.Config{Limits: "request_body = \"1KiB\""})
	is413 := []int{413}
	refuse(t, b, []refusal{
		{name: "R76 by its length", in: post("Content-Length: 1025\r\n", ""), status: is413},
		{name: "R76 by its length, with Expect", in: post("Content-Length: 1025\r\nExpect: 100-continue\r\n", ""), status: is413},
		{name: "R76 in one chunk", in: chunked("401\r\n" + strings.Repeat("x", 1025) + "\r\n0\r\n\r\n"), status: is413, begun: true},
		{name: "R76 in many chunks", in: chunked(strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 5) + "0\r\n\r\n"), status: is413, begun: true},
		{name: "R76 chunk size alone", in: chunked("7fffffff\r\n"), status: is413, begun: true},
	})
	for name, in := range map[string]string{
		"R76 at the limit, length":  post("Content-Length: 1024\r\n", strings.Repeat("x", 1024)),
		"R76 at the limit, chunked": chunked("400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n"),
	} {
		c := rig.Dial(t, b.Addr)
		c.Send(in)
		if p := c.Response("POST"); p.Status != 200 {
			t.Errorf("%s is answered %d", name, p.Status)
		}
	}
}

// TestR80LogInjection: whatever clients send, the access log stays one valid JSON object a line, without control bytes, and the
// credentials they send are not in it.
func TestR80LogInjection(t *testing.T) {
	b := newBed(t, rig.Config{})
	for _, in := range []string{
		get("User-Agent: \"},{\"evil\":\"1\r\nReferer: \\\"\\\\\r\nConnection: close\r\n"),
		get("User-Agent: \xff\xfe\xc3\r\nReferer: \xe2\x80\xa8\r\nConnection: close\r\n"),
		get("User-Agent: a\tb\r\nConnection: close\r\n"),
		get("User-Agent: \x1b[2J\r\n"),
		get("User-Agent: a\x00b\r\n"),
		"GET /\x1b[31m\" HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a%0d%0aevil HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\"quote\"?q=\"'<> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"E\x1bVIL / HTTP/1.1\r\nHost: a\r\n\r\n",
		get("Authorization: Basic c2VjcmV0OnRva2Vu\r\nCookie: secret-cookie\r\nProxy-Authorization: secret-proxy\r\nConnection: close\r\n"),
	} {
		c := rig.Dial(t, b.Addr)
		c.Send(in)
		c.Rest()
	}
	b.Stop()
	log := b.AccessLog()
	if n := strings.Count(log, "\n"); n < 5 {
		t.Fatalf("R80: %d lines in the access log: %q", n, log)
	}
	for line := range strings.Lines(log) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("R80: %q is no JSON: %v", line, err)
		}
		if _, evil := record["evil"]; evil {
			t.Errorf("R80: a client wrote a key: %q", line)
		}
		for i := range len(line) - 1 {
			if line[i] < 0x20 || line[i] == 0x7f {
				t.Errorf("R80: control byte %#x in %q", line[i], line)
			}
		}
		for _, secret := range []string{"c2VjcmV0", "secret-cookie", "secret-proxy"} {
			if strings.Contains(line, secret) {
				t.Errorf("R80: %s is in the log", secret)
			}
		}
	}
	for line := range strings.Lines(b.Log.String()) {
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x00\x01\x1b\x7f\r") {
			t.Errorf("R80: control byte in the process log: %q", line)
		}
	}
}

// TestAmplification: no small request of these tables grows memory 100-fold (Envoy's rule): 64 connections that each send the
// largest head that is refused cost less than 16 MiB together.
func TestAmplification(t *testing.T) {
	b := newBed(t, rig.Config{})
	b.fence(t)
	before, err := proc.RSS(b.PID())
	rig.Must(t, err)
	for range 64 {
		c := rig.Dial(t, b.Addr)
		c.Send("GET /victim HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 30<<10)) // and holds it open
	}
	b.fence(t)
	after, err := proc.RSS(b.PID())
	rig.Must(t, err)
	if grown := after - before; grown > 16<<20 {
		t.Errorf("RSS grew by %d KiB for 64 unfinished heads of 30 KB", grown>>10)
	}
}
