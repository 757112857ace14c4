package rig

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// The two ends speak to each other without edge between them.
func TestClientAndOrigin(t *testing.T) {
	o := NewOrigin(t, Echo)
	c := Dial(t, o.Addr)
	c.Send("POST /a HTTP/1.1\r\nHost: b\r\n", "Content-Length: 5\r\n\r\nhe", "llo")
	if p := c.Response("POST"); p.Status != 200 || string(p.Body) != "hello" {
		t.Errorf("answer is %+v", p)
	}
	if p := c.Get("/b", "x: y\r\n"); p.Status != 200 || len(p.Body) != 0 {
		t.Errorf("answer is %+v", p)
	}
	if !c.Silent(20 * time.Millisecond) {
		t.Error("the origin said more than it was asked")
	}
	if q := o.Requests(); len(q) != 2 || q[1].Target != "/b" || q[1].Header.Get("X") != "y" {
		t.Errorf("origin saw %+v", q)
	}
	if got := o.Received(); !strings.HasPrefix(got, "POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhelloGET /b") {
		t.Errorf("origin received %q", got)
	}
	o.Close()
	c.Closed()
}

func TestClientAgainstNetHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "x-sum")
		w.Write([]byte("part "))
		w.(http.Flusher).Flush()
		w.Write([]byte("whole"))
		w.Header().Set("x-sum", "1")
	}))
	defer s.Close()
	c := Dial(t, s.Listener.Addr().String())
	c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if p := c.Next("GET"); p.Status != http.StatusEarlyHints {
		t.Errorf("interim is %+v", p)
	}
	if p := c.Next("GET"); p.Status != 200 || string(p.Body) != "part whole" || p.Trailer.Get("X-Sum") != "1" || len(p.Chunks) != 2 {
		t.Errorf("answer is %+v", p)
	}
}

func TestTerrible(t *testing.T) {
	for _, bad := range []string{"panic: x", "a\nfatal error: all goroutines are asleep - deadlock!\n", "WARNING: DATA RACE", `{"level":"error","msg":"panic in worker"}`} {
		if Terrible(bad) == "" {
			t.Errorf("%q passes", bad)
		}
	}
	for _, good := range []string{"", "level=info msg=\"listening\"\n", `{"level":"debug","msg":"connection closed"}`} {
		if line := Terrible(good); line != "" {
			t.Errorf("%q does not pass", line)
		}
	}
}

func TestMetricsSum(t *testing.T) {
	m := Metrics{`a_total{code="200",method="GET"}`: 2, `a_total{code="404",method="GET"}`: 3, `ab_total`: 50}
	if got := m.Sum("a_total", `method="GET"`); got != 5 {
		t.Errorf("sum is %v", got)
	}
	if got := m.Sum("a_total", `code="404"`); got != 3 {
		t.Errorf("sum is %v", got)
	}
	if m.Has("b_total") || !m.Has("ab_total") {
		t.Error("Has")
	}
}
