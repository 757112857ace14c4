package wasmhost

import (
	"fmt"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
)

// server is both ends of a filters.Chain: what a connection would be.
type server struct {
	chain filters.Chain
	req   message.Request
	resp  message.Response
	calls []filters.Call
	woken bool
	out   []string
	body  []byte
}

func (s *server) Wake()      { s.woken = true }
func (s *server) Now() int64 { return 0 }
func (s *server) Call(_ int, c *filters.Call) (uint32, error) {
	s.calls = append(s.calls, filters.Call{Upstream: string([]byte(c.Upstream))})
	return uint32(len(s.calls)), nil
}
func (s *server) CancelCalls(int)                       { s.note("cancel calls") }
func (s *server) Property(string) (filters.Value, bool) { return filters.Value{}, false }
func (s *server) Log(_ string, l filters.Level, text string) {
	s.note("log %s", text)
}

func (s *server) RequestHead(bool) { s.note("request %s", s.req.Header.Value("x-auth-user")) }
func (s *server) RequestBody(p []byte, _ bool) {
	s.body = append(s.body, p...)
}
func (s *server) RequestTrailers()              {}
func (s *server) Cancel()                       {}
func (s *server) ResponseHead(bool)             { s.note("response %d", s.resp.Status) }
func (s *server) ResponseBody(p []byte, _ bool) {}
func (s *server) ResponseTrailers()             {}
func (s *server) Abort(cause string)            { s.note("abort") }

func (s *server) note(format string, args ...any) {
	s.out = append(s.out, fmt.Sprintf(format, args...))
}

func serve(t *testing.T, do string, list ...filters.Filter) *server {
	t.Helper()
	s := &server{}
	s.req.Method, s.req.Scheme, s.req.Authority, s.req.Target, s.req.Version = "GET", "http", "a", "/", message.HTTP11
	if do != "" {
		s.req.Header.Add("x-do", do)
	}
	s.chain.Begin(list, &s.req, &s.resp, s, s)
	s.chain.RequestHead(true)
	return s
}

func (s *server) end(t *testing.T) string {
	t.Helper()
	if !s.chain.End() {
		t.Error("the chain does not end")
	}
	return fmt.Sprint(s.out)
}

func TestAuthInAChain(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth"}`), Upstreams: []string{"auth"}, Lanes: 1,
	})
	for _, c := range []struct {
		status int
		want   string
	}{{200, "[request ada]"}, {401, "[response 401]"}, {0, "[response 503]"}} {
		s := serve(t, "", f)
		if len(s.calls) != 1 || len(s.out) != 0 {
			t.Fatalf("calls %v, out %v", s.calls, s.out)
		}
		var header message.Fields
		header.Add("x-auth-user", "ada")
		answer := &filters.CallAnswer{Status: c.status, Header: &header}
		if c.status == 0 {
			answer = nil
		}
		s.chain.CallDone(0, 1, answer)
		if got := s.end(t); got != c.want {
			t.Errorf("%d: %s, want %s", c.status, got, c.want)
		}
	}
	s := serve(t, "", f) // the client leaves
	if got := s.end(t); got != "[cancel calls]" {
		t.Errorf("%s", got)
	}
	if st := f.Stats(); st.Streams != 0 || st.Parked != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestAnotherExchangeEndsAPauseInAChain(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "hold", Wasm: guest(t, "testdata/hold.wasm"), Lanes: 1})
	held, released := serve(t, "hold", f), serve(t, "release", f)
	if len(held.out) != 0 || !held.woken {
		t.Fatalf("out %v, woken %v", held.out, held.woken)
	}
	held.chain.Run()
	if held.req.Header.Value("x-released") != "yes" {
		t.Error("the lane's change is not there")
	}
	if a, b := held.end(t), released.end(t); a != "[request ]" || b != a {
		t.Errorf("%s, %s", a, b)
	}
}

func TestFaultsInAChain(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := &world{}
		spec := trapSpec(t, "request_headers", "unreachable")
		spec.FailOpen = open
		f := testFilter(t, testHost(t, w.options()), spec)
		want := map[bool]string{true: "[request ]", false: "[response 503]"}[open]
		paused, failed := serve(t, "hold", f), serve(t, "", f)
		without := serve(t, "", f)
		if !paused.woken {
			t.Error("the paused exchange is not woken")
		}
		paused.chain.Run()
		for name, s := range map[string]*server{"paused": paused, "failed": failed, "without instance": without} {
			if got := s.end(t); got != want {
				t.Errorf("open=%v: %s: %s, want %s", open, name, got, want)
			}
		}
		w.now = w.now.Add(time.Minute)
		w.fire()
		after := serve(t, "pass", f)
		if got := after.end(t); got != "[request ]" {
			t.Errorf("open=%v: after the restart: %s", open, got)
		}
	}
}

func TestBusyLaneInAChain(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "greeter", Wasm: example(t, "two-headers"), Lanes: 1})
	l := f.lanes[0]
	other := &stream{lane: l}
	if !l.enter(&other.seat) {
		t.Fatal("the lane is not free")
	}
	s := serve(t, "", f)
	if len(s.out) != 0 || s.chain.Accepts(filters.Request) || s.woken {
		t.Fatalf("out %v, woken %v", s.out, s.woken)
	}
	l.leave()
	if !s.woken {
		t.Fatal("it is not woken")
	}
	s.chain.Run()
	if got := s.end(t); got != "[request ]" || s.req.Header.Value("x-client") != "unknown" {
		t.Errorf("%s", got)
	}
}
