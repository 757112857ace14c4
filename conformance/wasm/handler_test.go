package wasm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"edge/conformance/rig"
)

// handlerCases are requests to the http-wasm guest script, which does what x-do says before the request goes on, and what x-then says with
// the response; its source lists the commands. The features that a case needs are in the filter's configuration: the digit after f, as
// bits 1 buffer_request, 2 buffer_response, 4 trailers.
var handlerCases = []struct {
	exchange
	then     string
	features int
}{
	{exchange: exchange{name: "request line", do: "m;u;v;a", path: "x?y=z",
		want: []string{"x-m: GET\n", "x-u: /probe/x?y=z\n", "x-v: HTTP/1.1\n", "x-a: 127.0.0.1:"}}},
	{exchange: exchange{name: "set method and URI", do: "MPUT;U/other?q=1", origin: []string{"PUT /other?q=1\n"}}},
	{exchange: exchange{name: "request headers", do: "g0x-a;h0x-b=set;H0x-a=three;d0x-c", fields: "X-A: one\r\nX-A: two\r\nX-C: gone\r\n",
		want: []string{"x-g: 2:one,two,\n"}, origin: []string{"x-b: set\n", "x-a: three\n", "x-a: one\n"}}},
	{exchange: exchange{name: "names of request headers", do: "n0", fields: "X-A: one\r\nX-A: two\r\n", want: []string{"x-a,", "user-agent,"}}},
	{exchange: exchange{name: "get_config", do: "c", want: []string{"x-c: f4\n"}}, features: 4},
	{exchange: exchange{name: "features", do: "E", want: []string{"x-e: 7\n"}}, features: 7},
	{exchange: exchange{name: "buf_limit too small writes nothing", do: "b2", want: []string{"x-b: ?3\n"}}},
	{exchange: exchange{name: "buf_limit as long as it is", do: "b3", want: []string{"x-b: G3\n"}}},
	{exchange: exchange{name: "log", do: "l2a line of the guest;L1", want: []string{"x-l: 1\n"}}},
	{exchange: exchange{name: "answer itself", do: "S418;h1x-own=yes;w1short and stout;0", want: []string{"418\n", "x-own: yes\n", "\n\nshort and stout"}, origin: []string{""}}},
	{exchange: exchange{name: "answer without a status", do: "w1hi;0", want: []string{"200\n", "\n\nhi"}, origin: []string{""}}},
	{exchange: exchange{name: "read the request's body", method: "POST", body: "what was sent", do: "r0100", want: []string{"x-r: what was sent\n", "\n\nwhat was sent"},
		origin: []string{"\n\nwhat was sent"}}, features: 1},
	{exchange: exchange{name: "read it in small pieces", method: "POST", body: "what was sent", do: "r03", want: []string{"x-r: what was sent\n"}}, features: 1},
	{exchange: exchange{name: "read it without buffering", method: "POST", body: "what was sent", do: "r0100", want: []string{"x-r: what was sent\n"},
		origin: []string{"\n\nwhat was sent"}}},
	{exchange: exchange{name: "write the request's body", method: "POST", body: "what was sent", do: "w0something else entirely",
		want: []string{"\n\nsomething else entirely"}, origin: []string{"content-length: 23\n", "\n\nsomething else entirely"}}},
	{exchange: exchange{name: "response status and headers", want: []string{"201\n", "x-s: 200\n", "x-g: 2:one,two,\n", "x-new: yes\n"}, never: []string{"x-origin"}},
		then: "s;g1x-dup;S201;h1x-new=yes;d1x-origin", features: 2},
	{exchange: exchange{name: "response body", method: "POST", body: "echoed", want: []string{"x-r: echoed\n", "\n\nechoed"}}, then: "r1100", features: 2},
	{exchange: exchange{name: "write the response's body", method: "POST", body: "echoed", want: []string{"\n\nrather this"}},
		then: "w1rather this", features: 2},
	{exchange: exchange{name: "context of the request in the response", do: "h1x-own=no", want: []string{"200\n"}}, then: "i", features: 2},
	{exchange: exchange{name: "trailers", method: "POST", path: "trailers", pieces: []string{"x"}, do: "r0100;g2x-req-sum;h2x-more=yes",
		want: []string{"x-g: 1:from the client,\n", "x-late: 1\n"}, origin: []string{"x-more: yes\n"}}, then: "r1100;h3x-late=1", features: 7},
	{exchange: exchange{name: "W97 trap", do: "t", want: []string{"503\n"}, origin: []string{""}}},
	{exchange: exchange{name: "W97 trap with the response", want: []string{"503\n"}}, then: "t", features: 2},
	{exchange: exchange{name: "W94 loop", do: "z", want: []string{"503\n"}, origin: []string{""}}},
	{exchange: exchange{name: "W94 loop with the response", want: []string{"503\n"}}, then: "z", features: 2},
	{exchange: exchange{name: "W100 out of bounds, a line that is not logged", do: "o", want: []string{"200\n"}}},
	{exchange: exchange{name: "W100 out of bounds, written", do: "O", want: []string{"503\n"}}},
	{exchange: exchange{name: "W99 a header without a name", do: "h0", want: []string{"503\n"}}},
	{exchange: exchange{name: "W99 a method that is none", do: "MG T", want: []string{"503\n"}, origin: []string{""}}},
	{exchange: exchange{name: "a header too late", want: []string{"200\n"}, never: []string{"x-late"}}, then: "i"},
}

// newHandlerBed starts an edge with the guest script once for each set of features, on paths /probe/F/.
func newHandlerBed(t *testing.T, more string) *bed {
	b := &bed{origin: rig.NewOrigin(t, talk)}
	wasm := filepath.Join(rig.Root(t), "wasmhost", "testdata", "script.wasm")
	text := app(b.origin)
	for f := range 8 {
		text += filterOf(fmt.Sprintf("f%d", f), wasm, fmt.Sprintf("f%d", f), more) +
			fmt.Sprintf("[[routes]]\nname = \"f%d\"\nmatch = { path = \"/probe/*\", headers = { \"x-features\" = \"%d\" } }\nfilters = [\"f%d\"]\nupstream = \"app\"\n", f, f, f)
	}
	b.Edge = rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: text + goodGuests(t)})
	return b
}

// TestHandler: every host function of http-wasm, in requests and responses.
func TestHandler(t *testing.T) {
	b := newHandlerBed(t, "")
	for _, x := range handlerCases {
		t.Run(x.name, func(t *testing.T) {
			x.fields += fmt.Sprintf("X-Features: %d\r\nX-Then: %s\r\n", x.features, x.then)
			b.run(t, x.exchange)
			// Whatever it was, the next request is a sound one's.
			rig.Eventually(logLimit, func() bool {
				c := rig.Dial(t, b.Addr)
				c.Send((&exchange{do: "m", fields: fmt.Sprintf("X-Features: %d\r\n", x.features)}).bytes())
				return c.Response("GET").Status == 200
			})
			b.run(t, exchange{do: "m", fields: fmt.Sprintf("X-Features: %d\r\n", x.features), want: []string{"200\n", "x-m: GET\n"}})
		})
	}
	for _, line := range []string{"a line of the guest", "ctx=042 err=0"} {
		if !b.Log.WaitFor(func(log string) bool { return strings.Contains(log, line) }, logLimit) {
			t.Errorf("no %q in the log", line)
		}
	}
}

// TestHandlerIsError: handle_response is called whatever becomes of a request that went on. Edge's own answer for an upstream that is not
// there is a response like another; where there is none, as the client has gone, the guest is told so.
func TestHandlerIsError(t *testing.T) {
	wasm := filepath.Join(rig.Root(t), "wasmhost", "testdata", "script.wasm")
	e := rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: "[upstreams.app]\nservers = [" + quoted([]string{slowOrigin(t)}) + "]\n" +
		"[upstreams.nobody]\nservers = [\"127.0.0.1:1\"]\n" + filterOf("f", wasm, "f2", "") + route("/slow", "f") +
		"[[routes]]\nfilters = [\"f\"]\nupstream = \"nobody\"\n"})
	p := rig.Dial(t, e.Addr).Get("/probe/a", "X-Then: i;h1x-seen=yes;s\r\n")
	if text := responseText(p); p.Status != 502 || !strings.Contains(text, "x-seen: yes\n") || !strings.Contains(text, "x-s: 502\n") {
		t.Errorf("%s, want 502 as the guest saw it", text)
	}
	c := rig.Dial(t, e.Addr)
	c.Send("GET /slow HTTP/1.1\r\nHost: a\r\nX-Do: l2went on\r\nX-Then: i\r\n\r\n")
	for _, line := range []string{"went on", "ctx=042 err=1"} {
		if !e.Log.WaitFor(func(log string) bool { return strings.Contains(log, line) }, logLimit) {
			t.Errorf("no %q in the log:\n%s", line, e.Log.Tail(1000))
		}
		c.Abort()
	}
}

// TestHandlerCrowd: many requests at once, each in an instance of its own, some waiting for bodies that come late: nobody's body or
// header is another's, and good guests beside are not held up.
func TestHandlerCrowd(t *testing.T) {
	b := newHandlerBed(t, "limits = { pause = \"5s\" }\n")
	good := newCrowd(t, b.Addr)
	defer good.finish()
	var crowd sync.WaitGroup
	for k := range 16 {
		crowd.Add(1)
		go func() {
			defer crowd.Done()
			for n := range 30 {
				secret := fmt.Sprintf("canary-%d-%d", k, n)
				x := exchange{method: "POST", body: secret, do: "r05;g0x-secret",
					fields: "X-Features: 7\r\nConnection: close\r\nX-Then: r14;s\r\nX-Secret: " + secret + "\r\n"}
				if n%10 == 9 {
					x.do += ";t"
				}
				text := raw(t, b.Addr, x.bytes())
				if other := slices.DeleteFunc(secrets.FindAllString(text, -1), func(s string) bool { return s == secret }); len(other) > 0 {
					t.Errorf("the request with %s got %v:\n%s", secret, other, text)
				}
				if n%10 != 9 && strings.Count(text, secret) < 4 && !strings.HasPrefix(text, "HTTP/1.1 503 ") {
					t.Errorf("the request with %s did not get all of it back:\n%s", secret, text)
				}
			}
		}()
	}
	crowd.Wait()
	n, p50, p99 := good.lap()
	t.Logf("good guests beside: %d requests, p50 %v, p99 %v", n, p50, p99)
}
