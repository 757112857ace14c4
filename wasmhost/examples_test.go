package wasmhost

import (
	"os"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

// guest reads a guest that is committed beside its source.
func guest(t testing.TB, path string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func example(t testing.TB, name string) []byte {
	t.Helper()
	return guest(t, "../examples/wasm/"+name+"/"+name+".wasm")
}

// testFilter makes a filter that is retired, and closed, when the test ends.
func testFilter(t testing.TB, h *Host, spec Spec) *Filter {
	t.Helper()
	f, err := h.NewFilter(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Retire()
		<-f.Closed()
	})
	return f
}

func testHost(t testing.TB, o Options) *Host {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func begin(t testing.TB, f *Filter, x filters.Exchange) filters.Stream {
	t.Helper()
	s, _ := f.NewStream(x)
	if s == nil {
		t.Fatal("no stream")
	}
	return s
}

func TestGreeterSetsItsGreeting(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "greeter", Wasm: example(t, "greeter"), Config: []byte(`{"greeting": "hello"}`),
	})
	x := fake.New()
	s := begin(t, f, x)
	if got := s.Head(filters.Response, false); got != filters.Continue {
		t.Fatalf("action %v", got)
	}
	if got := x.Resp.Header.Value("x-greeting"); got != "hello" {
		t.Errorf("x-greeting is %q", got)
	}
	if !s.Close() {
		t.Error("not closed")
	}
}

func TestAuthAsksAndWaits(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth","path":"/check"}`), Upstreams: []string{"auth"},
	})
	x := fake.New()
	s := begin(t, f, x)
	if got := s.Head(filters.Request, true); got != filters.Pause {
		t.Fatalf("action %v, lines %q", got, x.Lines)
	}
	if len(x.Calls) != 1 || x.Calls[0].Target != "/check" || x.Calls[0].Upstream != "auth" {
		t.Fatalf("calls %+v", x.Calls)
	}
	answer := filters.CallAnswer{Status: 200, Header: &x.Resp.Header}
	answer.Header.Add("x-auth-user", "ada")
	if got := s.CallDone(1, &answer); got != filters.Continue {
		t.Fatalf("action %v", got)
	}
	if x.Continued[filters.Request] != 1 || x.Req.Header.Value("x-auth-user") != "ada" {
		t.Errorf("continued %v, user %q", x.Continued, x.Req.Header.Value("x-auth-user"))
	}
	if !s.Close() {
		t.Error("not closed")
	}
}
