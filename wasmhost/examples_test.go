package wasmhost

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edge/filters"
	"edge/filters/message"
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

func TestGreeterRefusesAConfigurationWithoutGreeting(t *testing.T) {
	_, err := testHost(t, Options{}).NewFilter(Spec{Name: "greeter", Wasm: example(t, "greeter"), Config: []byte(`{}`)})
	if err == nil || !strings.Contains(err.Error(), `"greeter"`) || !strings.Contains(err.Error(), `needs a "greeting"`) {
		t.Errorf("error %v", err)
	}
}

func TestAuth(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth","path":"/check"}`), Upstreams: []string{"auth"},
	})
	for _, c := range []struct {
		name      string
		answer    int // 0: none
		callError error
		want      int // status of the local response; 0: the request goes on
	}{
		{"2xx lets the request pass", 204, nil, 0},
		{"401 is handed on", 401, nil, 401},
		{"403 is handed on", 403, nil, 403},
		{"500 is handed on", 500, nil, 500},
		{"a redirect is 403", 302, nil, 403},
		{"no answer is 503", 0, nil, 503},
		{"no upstream is 503", 0, filters.ErrNoUpstream, 503},
		{"too many calls is 503", 0, filters.ErrCallLimit, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := fake.New()
			x.CallError = c.callError
			x.Req.Header.Add("authorization", "Bearer t")
			x.Req.Header.Add("cookie", "session=1")
			x.Req.Header.Add("x-auth-user", "mallory")
			s := begin(t, f, x)
			first := s.Head(filters.Request, true)
			if c.callError == nil {
				if first != filters.Pause || len(x.Calls) != 1 {
					t.Fatalf("action %v, calls %v", first, x.Calls)
				}
				call := x.Calls[0]
				if call.Upstream != "auth" || call.Method != "GET" || call.Target != "/check" || call.Authority != "auth" {
					t.Errorf("call %+v", call)
				}
				for _, want := range [][2]string{
					{"authorization", "Bearer t"}, {"cookie", "session=1"}, {"x-original-method", "GET"}, {"x-original-path", "/a?b=c"},
				} {
					if !hasPair(call.Header, want) {
						t.Errorf("the call has no %v: %v", want, call.Header)
					}
				}
				if got := f.Stats().Parked; got != 1 {
					t.Errorf("%d parked", got)
				}
				var answer *filters.CallAnswer
				if c.answer != 0 {
					var header message.Fields
					header.Add("x-auth-user", "ada")
					answer = &filters.CallAnswer{Status: c.answer, Header: &header}
				}
				if got := s.CallDone(1, answer); got != filters.Continue {
					t.Errorf("action %v", got)
				}
			}
			if c.want == 0 {
				if x.Continued[filters.Request] != 1 || len(x.Replies) != 0 || x.Req.Header.Value("x-auth-user") != "ada" {
					t.Errorf("continued %v, replies %v, user %q", x.Continued, x.Replies, x.Req.Header.Value("x-auth-user"))
				}
			} else if x.Continued[filters.Request] != 0 || len(x.Replies) != 1 || x.Replies[0].Status != c.want {
				t.Errorf("continued %v, replies %v", x.Continued, x.Replies)
			}
			if got := f.Stats().Parked; got != 0 {
				t.Errorf("%d parked afterwards", got)
			}
			if !s.Close() {
				t.Error("not closed")
			}
		})
	}
}

func TestAuthNeedsToBeAllowedItsUpstream(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{
		Name: "auth", Wasm: example(t, "auth"), Config: []byte(`{"upstream":"auth"}`), Upstreams: []string{"app"},
	})
	x := fake.New()
	s := begin(t, f, x)
	s.Head(filters.Request, true)
	if len(x.Calls) != 0 || len(x.Replies) != 1 || x.Replies[0].Status != 503 {
		t.Errorf("calls %v, replies %v", x.Calls, x.Replies)
	}
	s.Close()
}

func hasPair(list [][2]string, want [2]string) bool {
	for _, p := range list {
		if p == want {
			return true
		}
	}
	return false
}

func TestABSplit(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "ab", Wasm: example(t, "ab-split"), Config: []byte(`{"percent": 30}`)})
	visit := func(cookie, id string) (bucket, set string) {
		x := fake.New()
		x.Props["request\x00id"] = filters.Value{Text: id}
		x.Req.Header.Add("x-ab-bucket", "forged")
		if cookie != "" {
			x.Req.Header.Add("cookie", cookie)
		}
		s := begin(t, f, x)
		if s.Head(filters.Request, true) != filters.Continue || s.Head(filters.Response, false) != filters.Continue {
			t.Fatal("it does not continue")
		}
		if !s.Close() {
			t.Fatal("not closed")
		}
		return x.Req.Header.Value("x-ab-bucket"), x.Resp.Header.Value("set-cookie")
	}
	if bucket, set := visit("x=1; ab=b; y=2", "1"); bucket != "b" || set != "" {
		t.Errorf("a known visitor: bucket %q, set-cookie %q", bucket, set)
	}
	if bucket, set := visit("ab=zzz", "1"); set == "" || bucket != "a" && bucket != "b" {
		t.Errorf("an invalid cookie: bucket %q, set-cookie %q", bucket, set)
	}
	inA := 0
	for id := range 1000 {
		bucket, set := visit("", "request-"+strconv.Itoa(id))
		if !strings.HasPrefix(set, "ab="+bucket+"; Path=/") {
			t.Fatalf("bucket %q, set-cookie %q", bucket, set)
		}
		if bucket == "a" {
			inA++
		}
	}
	if inA < 240 || inA > 360 {
		t.Errorf("%d of 1000 visitors are in a, configured 30 %%", inA)
	}
}

// buildGuest builds an example into a directory of its own.
func buildGuest(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.Command("../examples/wasm/build.sh", name)
	build.Env = append(os.Environ(), "OUT="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// The committed modules are what build.sh makes of the sources beside them.
func TestCommittedGuestsAreUpToDate(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if _, lld := exec.LookPath("wasm-ld"); err != nil || lld != nil || !strings.Contains(string(version), "version 14.") {
		t.Skip("clang 14 and lld 14 are not installed")
	}
	for _, name := range []string{"greeter", "auth", "two-headers", "redact", "refresh"} {
		if !bytes.Equal(guest(t, filepath.Join(buildGuest(t, name), name+".wasm")), example(t, name)) {
			t.Errorf("%s.wasm is not what its source gives", name)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("building a guest with the Go toolchain takes long")
	}
	path := filepath.Join(buildGuest(t, "security-headers"), "security-headers.wasm")
	h := testHost(t, Options{})
	for _, isolation := range []Isolation{Shared, PerStream} {
		f := testFilter(t, h, Spec{Name: "security", Wasm: guest(t, path), Lanes: 2, Isolation: isolation,
			Config: []byte(`{"headers": {"x-frame-options": "", "content-security-policy": "default-src 'none'"}}`)})
		useSecurityHeaders(t, f)
		if s := f.Stats(); s.Snapshot == 0 || isolation == PerStream && s.Started != 1 {
			t.Errorf("isolation %d: %+v", isolation, s)
		}
	}
	if _, err := h.NewFilter(Spec{Name: "security", Wasm: guest(t, path), Config: []byte(`{`)}); err == nil ||
		!strings.Contains(err.Error(), "it logged: the configuration") {
		t.Errorf("a broken configuration: %v", err)
	}
}

func useSecurityHeaders(t *testing.T, f *Filter) {
	for range 200 { // long enough for the guest's collector to have run
		x := fake.New()
		x.Resp.Header.Add("referrer-policy", "no-referrer")
		s := begin(t, f, x)
		if got := s.Head(filters.Response, true); got != filters.Continue {
			t.Fatalf("action %v", got)
		}
		for name, want := range map[string]string{
			"strict-transport-security": "max-age=31536000; includeSubDomains",
			"content-security-policy":   "default-src 'none'",
			"x-content-type-options":    "nosniff",
			"referrer-policy":           "no-referrer",
			"x-frame-options":           "",
		} {
			if got := x.Resp.Header.Value(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if !s.Close() {
			t.Fatal("not closed")
		}
	}
}
