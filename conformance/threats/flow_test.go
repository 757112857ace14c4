package threats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
)

// TestS26EarlyResponse has the origin answer while the request's body is still unread: what is left of the body is never
// taken for a request.
func TestS26EarlyResponse(t *testing.T) {
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		if q, err := c.ReadHead(); err == nil && strings.HasPrefix(q.Target, "/early") {
			_ = c.Say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")
			return
		} else if err == nil {
			_ = c.Say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes")
		}
	})
	e := rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("", origin)})
	for _, framing := range []string{"Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"} {
		c := rig.Dial(t, e.Addr)
		c.Send("POST /early HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n")
		if p := c.Response("POST"); p.Status != 413 || string(p.Body) != "early" {
			t.Errorf("%q: answer is %d %q", framing, p.Status, p.Body)
		}
		_ = c.TrySend(smuggled) // it is body, if anything
		c.Closed()
	}
	for _, q := range origin.Requests() {
		if q.Target != "/early" {
			t.Errorf("the origin saw %s", q.Target)
		}
	}
}

// TestS27Expect has the origin refuse before it has seen a body that the client holds back for 100 (Continue).
func TestS27Expect(t *testing.T) {
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadHead()
			if err != nil {
				return
			}
			answer := mirrored(q)
			if q.Target == "/refused" {
				answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
			}
			if c.Say(answer) != nil {
				return
			}
		}
	})
	origin.Lax = true // edge may cut its request off
	b := &bed{Edge: rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("", origin)}), origin: origin}
	c := rig.Dial(t, b.Addr)
	c.Send(fmt.Sprintf("POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(smuggled)))
	if p := c.Response("POST"); p.Status != 401 {
		t.Errorf("answer is %d, want the origin's 401", p.Status)
	}
	// Exactly the length announced: it is body, or else the connection is over.
	_ = c.TrySend(smuggled + "GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if rest := c.Rest(); strings.Contains(rest, "smuggled") {
		t.Errorf("the body held back was taken for a request: %q", rest)
	}
	b.fence(t)
	for _, q := range b.seen() {
		if q.Target == "/smuggled" {
			t.Error("the origin saw /smuggled")
		}
	}
}

// TestS27UnknownExpect: an expectation that is not 100-continue cannot be met.
func TestS27UnknownExpect(t *testing.T) {
	b := newBed(t, rig.Config{})
	c := rig.Dial(t, b.Addr)
	c.Send(post("Content-Length: 5\r\nExpect: 200-maybe\r\nConnection: close\r\n", "hello"))
	if p := c.Response("POST"); p.Status != 417 {
		t.Errorf("answer is %d, want 417", p.Status)
	}
	b.fence(t)
	if n := len(b.seen()); n > 0 {
		t.Errorf("the origin saw %d requests", n)
	}
}

// TestS28Interim: 1xx never reaches an HTTP/1.0 client, and an origin cannot send it without end.
func TestS28Interim(t *testing.T) {
	const hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	origin := rig.NewOrigin(t, func(c *rig.OriginConn) {
		for {
			q, err := c.ReadRequest()
			if err != nil {
				return
			}
			n := 2
			if q.Target == "/flood" {
				n = 1000
			}
			if c.Say(strings.Repeat(hint, n)+rig.OK("end")) != nil {
				return
			}
		}
	})
	e := rig.Start(t, rig.Config{Server: quick, Rest: rig.Upstream("", origin)})

	c := rig.Dial(t, e.Addr)
	c.Send("GET /few HTTP/1.0\r\nHost: a\r\n\r\n")
	if p := c.Next("GET"); p.Status != 200 || string(p.Body) != "end" {
		t.Errorf("HTTP/1.0 client's first response is %d %q", p.Status, p.Body)
	}

	c = rig.Dial(t, e.Addr)
	c.Send("GET /flood HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	interim := 0
	for {
		p := c.Next("GET")
		if p.Status >= 200 {
			if p.Status != 502 {
				t.Errorf("after 1,000 interim responses from the origin: %d, want 502", p.Status)
			}
			break
		}
		interim++
	}
	if interim > 8 {
		t.Errorf("%d interim responses reached the client, want at most 8", interim)
	}
}

// TestS29Pause stops in the middle: what comes after the deadline is not read as a request.
func TestS29Pause(t *testing.T) {
	b := newBed(t, rig.Config{})
	c := rig.Dial(t, b.Addr)
	c.Send(fmt.Sprintf("POST /paused HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(smuggled)))
	began := time.Now()
	first := c.Rest() // ends by edge's timeout of 1 s
	if took := time.Since(began); took < 500*time.Millisecond || took > 8*time.Second {
		t.Errorf("cut off after %v, want about 1 s", took)
	}
	if p := answers(t, first, "POST"); len(p) > 1 || (len(p) == 1 && p[0].Status != 408) {
		t.Errorf("said %q, want nothing or one 408", first)
	}
	_ = c.TrySend(smuggled)
	b.fence(t)
	if got := b.seen(); len(got) > 0 {
		t.Errorf("the origin saw %s %s", got[0].Method, got[0].Target)
	}
}

// TestS30PipelinedInvalid: sound requests are answered, then the bad one is refused, and nothing after it is read.
func TestS30PipelinedInvalid(t *testing.T) {
	b := newBed(t, rig.Config{})
	for name, bad := range map[string]string{
		"no host":           "GET /b HTTP/1.1\r\n\r\n",
		"bad line":          "nonsense\r\n\r\n",
		"CL and TE":         post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		"chunk size":        chunked("zz\r\n"),
		"control character": get("X: \x01\r\n"),
	} {
		t.Run("S30 "+name, func(t *testing.T) {
			before := len(b.seen())
			c := rig.Dial(t, b.Addr)
			c.Send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n" + "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + bad + smuggled)
			all := answers(t, c.Rest(), "GET")
			if len(all) != 3 || string(all[0].Body) != "GET /one " || string(all[1].Body) != "POST /two hi" || all[2].Status != 400 {
				t.Errorf("%d answers, want two good ones and a 400: %+v", len(all), all)
			}
			b.fence(t)
			if got := b.seen()[before:]; len(got) != 2 {
				t.Errorf("the origin saw %d requests, want 2", len(got))
			}
		})
	}
}
