package proxywasm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

// rootRig is a guest that takes answers to calls, between callbacks: no stream's is running.
func rootRig(t *testing.T) *rig {
	m := withAllocator(trampolines("0_2_1"), bump)
	m.Func("proxy_on_http_call_response", "iiiii", "", 0,
		asm.Join(asm.Const(outAt+8), []byte{asm.LocalGet, 0, asm.I32Store, 2, 0},
			asm.Const(outAt+12), []byte{asm.LocalGet, 1, asm.I32Store, 2, 0},
			asm.Const(outAt+16), []byte{asm.LocalGet, 2, asm.I32Store, 2, 0},
			asm.Const(outAt+20), []byte{asm.LocalGet, 3, asm.I32Store, 2, 0})...)
	m.Func("proxy_on_tick", "i", "", 0)
	r := newRig(t, m)
	r.in.begin(nil)
	return r
}

func (r *rig) dispatch(headers string) status {
	u, un := r.text(keyAt, "app")
	h, hn := r.text(mapAt, headers)
	b, bn := r.text(valueAt, "body")
	return r.call("proxy_http_call", u, un, h, hn, b, bn, 0, 0, 1500, outAt)
}

var aTarget = packed(":method", "POST", ":path", "/p", ":authority", "app.internal", "x-a", "1")

// TestCallsOfTheRootContext: a call without a stream is kept, copied, until NextCall takes it; its answer reaches the guest once.
func TestCallsOfTheRootContext(t *testing.T) {
	r := rootRig(t)
	if r.in.RootNews() {
		t.Error("news of nothing")
	}
	if s := r.dispatch(aTarget); s != ok {
		t.Fatalf("status %d", s)
	}
	id := r.word(outAt)
	r.put(keyAt, "zzz") // the guest's memory is its own again
	r.put(mapAt, packed(":method", "ZZZZ", ":path", "/z", ":authority", "zzz.zzzzzzzz", "z-z", "z"))
	if !r.in.RootNews() || r.in.RootNews() {
		t.Error("the call is news, once")
	}
	c, found := r.in.NextCall()
	want := filters.Call{Upstream: "app", Method: "POST", Target: "/p", Authority: "app.internal", Body: []byte("body"),
		Header: [][2]string{{"x-a", "1"}}, Timeout: 1500 * time.Millisecond}
	if !found || c.ID != id || fmt.Sprint(c.Call) != fmt.Sprint(want) {
		t.Errorf("call %+v, want %+v", c, want)
	}
	if _, again := r.in.NextCall(); again {
		t.Error("it is taken twice")
	}
	var header message.Fields
	header.Add("a", "b")
	for _, want := range [][4]uint32{{rootID, id, 2, 5}, {}} { // the second time nobody waits for it
		r.put(outAt+8, string(make([]byte, 16)))
		if err := r.in.RootCallDone(id, &filters.CallAnswer{Status: 200, Header: &header, Body: []byte("12345")}); err != nil {
			t.Fatal(err)
		}
		if got := [4]uint32{r.word(outAt + 8), r.word(outAt + 12), r.word(outAt + 16), r.word(outAt + 20)}; got != want {
			t.Errorf("the guest has seen %v, want %v", got, want)
		}
	}
	if len(r.x.Calls) != 0 {
		t.Error("a stream carries it")
	}
}

// TestW105CallsOfTheRootContextAreBounded: MaxCalls, from being made to being answered.
func TestW105CallsOfTheRootContextAreBounded(t *testing.T) {
	r := rootRig(t)
	if s := r.dispatch(packed(":method", "GET", ":path", "no path", ":authority", "a")); s != badArgument {
		t.Errorf("no valid request: status %d", s)
	}
	for k := range filters.MaxCalls + 2 {
		want := ok
		if k >= filters.MaxCalls {
			want = internalFailure
		}
		if s := r.dispatch(aTarget); s != want {
			t.Errorf("call %d: status %d, want %d", k+1, s, want)
		}
	}
	c, _ := r.in.NextCall()
	if s := r.dispatch(aTarget); s != internalFailure {
		t.Errorf("one is begun: status %d", s)
	}
	if err := r.in.RootCallDone(c.ID, nil); err != nil {
		t.Fatal(err)
	}
	if s := r.dispatch(aTarget); s != ok {
		t.Errorf("one is answered: status %d", s)
	}
	silent := probe(t)
	silent.in.begin(nil)
	u, un := silent.text(keyAt, "app")
	h, hn := silent.text(mapAt, aTarget)
	if s := silent.call("proxy_http_call", u, un, h, hn, 0, 0, 0, 0, 0, outAt); s != internalFailure {
		t.Errorf("a guest that cannot take an answer: status %d", s)
	}
}

// TestWhoCarriesACall: the stream of the callback, unless the guest makes the root context effective.
func TestWhoCarriesACall(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(r *rig)
		stream bool
	}{
		{"in a stream's callback", func(*rig) {}, true},
		{"in the answer to a stream's call", func(r *rig) { r.in.active = nil }, true},
		{"in the root context, by the guest's word", func(r *rig) { r.call("proxy_set_effective_context", rootID) }, false},
		{"back in the stream", func(r *rig) {
			r.call("proxy_set_effective_context", rootID)
			r.call("proxy_set_effective_context", uint64(r.stream.id))
		}, true},
		{"in the next callback", func(r *rig) {
			r.call("proxy_set_effective_context", rootID)
			r.in.begin(r.stream)
		}, true},
		{"between callbacks", func(r *rig) { r.in.begin(nil) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rootRig(t)
			r.in.begin(r.stream)
			c.before(r)
			if s := r.dispatch(aTarget); s != ok {
				t.Fatalf("status %d", s)
			}
			if _, root := r.in.NextCall(); root == c.stream || len(r.x.Calls) == 1 != c.stream {
				t.Errorf("the root context carries it: %v", root)
			}
		})
	}
}

// TestTickPeriods: what the guest asks for, at least MinTick.
func TestTickPeriods(t *testing.T) {
	r := rootRig(t)
	for _, c := range []struct {
		ms   uint64
		want time.Duration
		news bool
	}{{0, 0, false}, {1000, time.Second, true}, {1000, time.Second, false}, {1, MinTick, true}, {10, MinTick, false},
		{1<<32 - 1, (1<<32 - 1) * time.Millisecond, true}, {0, 0, true}} {
		if s := r.call("proxy_set_tick_period_milliseconds", c.ms); s != ok {
			t.Errorf("%d ms: status %d", c.ms, s)
		}
		if got, news := r.in.TickPeriod(), r.in.RootNews(); got != c.want || news != c.news {
			t.Errorf("%d ms: period %v, news %v", c.ms, got, news)
		}
	}
	deaf := probe(t)
	deaf.call("proxy_set_tick_period_milliseconds", 100)
	if deaf.in.TickPeriod() != 0 {
		t.Error("a guest without proxy_on_tick is to tick")
	}
}

// TestProxyDone: proxy_on_done that returns false keeps the root context until proxy_done.
func TestProxyDone(t *testing.T) {
	for result, want := range map[int32][]string{
		0: {"proxy_on_done B?", "proxy_on_delete B?"}, 1: {"proxy_on_done B?", "proxy_on_delete B?"},
	} {
		r := newRig(t, diary(result, "proxy_on_context_create", "proxy_on_done", "proxy_on_delete"))
		if err := r.in.End(r.stream); err != nil {
			t.Fatal(err)
		}
		r.lines = nil
		finished, err := r.in.RootDone()
		if err != nil || finished != (result == 1) || r.in.Finished() != finished {
			t.Errorf("%d: finished %v, %v", result, finished, err)
		}
		if again, _ := r.in.RootDone(); again != finished {
			t.Errorf("%d: asked again, finished %v", result, again)
		}
		if s := done(r.in, nil); (s == ok) != (result == 0) || !r.in.Finished() || r.in.RootNews() != (result == 0) {
			t.Errorf("%d: proxy_done gives %d", result, s)
		}
		r.in.Close()
		if !slices.Equal(r.lines, want) {
			t.Errorf("%d: %q", result, r.lines)
		}
	}
}

// asks is a guest whose callback named first makes stream 3 effective and asks for what code says; proxy_on_request_headers pauses.
func asks(name string, code func(calls map[string]uint32) []byte) *asm.Module {
	m := &asm.Module{Pages: pages}
	calls := map[string]uint32{}
	for _, c := range []string{"proxy_set_effective_context", "proxy_continue_stream", "proxy_close_stream", "proxy_send_local_response"} {
		calls[c] = m.Import("env", c, hostCalls[c].params, "i")
	}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	if name != "proxy_on_request_headers" {
		m.Func("proxy_on_request_headers", "iii", "i", 0, asm.Const(1)...)
	}
	want, results := callbacks[name], ""
	body := asm.Join(asm.Const(3), asm.Call(calls["proxy_set_effective_context"]), []byte{asm.Drop}, code(calls))
	if want.result {
		results = "i"
		body = asm.Join(body, asm.Const(1))
	}
	params := ""
	for range want.params {
		params += "i"
	}
	m.Func(name, params, results, 0, body...)
	return m
}

// W102: what a callback without a stream, or one of another stream, asks for a paused stream is done when the callback has
// returned, whichever callback it is; the stream is woken.
func TestW102AskedForAnotherStream(t *testing.T) {
	kinds := map[string]func(calls map[string]uint32) []byte{
		"continue": func(c map[string]uint32) []byte {
			return asm.Join(asm.Const(0), asm.Call(c["proxy_continue_stream"]), []byte{asm.Drop})
		},
		"continue twice": func(c map[string]uint32) []byte {
			once := asm.Join(asm.Const(0), asm.Call(c["proxy_continue_stream"]), []byte{asm.Drop})
			return asm.Join(once, once)
		},
		"close": func(c map[string]uint32) []byte {
			return asm.Join(asm.Const(0), asm.Call(c["proxy_close_stream"]), []byte{asm.Drop})
		},
		"respond": func(c map[string]uint32) []byte {
			return asm.Join(asm.Const(403), asm.Const(0), asm.Const(0), asm.Const(0), asm.Const(0), asm.Const(0), asm.Const(0),
				asm.Const(-1), asm.Call(c["proxy_send_local_response"]), []byte{asm.Drop})
		},
	}
	for _, callback := range []string{"proxy_on_tick", "proxy_on_queue_ready", "proxy_on_http_call_response", "proxy_on_response_headers",
		"proxy_on_done", "proxy_on_log", "proxy_on_delete"} {
		for kind, code := range kinds {
			t.Run(callback+" "+kind, func(t *testing.T) {
				r := newRig(t, asks(callback, code))
				other, x := &Stream{}, fake.New()
				if err := r.in.Open(other, x); err != nil || other.id != 3 {
					t.Fatal(err, other.id)
				}
				if a, err := r.in.Head(other, filters.Request, true); a != filters.Pause || err != nil {
					t.Fatal(a, err)
				}
				r.in.root.calls[0] = call{guest: 7}
				var err error
				switch callback {
				case "proxy_on_tick":
					err = r.in.Tick()
				case "proxy_on_queue_ready":
					err = r.in.QueueReady(1)
				case "proxy_on_http_call_response":
					err = r.in.RootCallDone(7, nil)
				case "proxy_on_response_headers":
					_, err = r.in.Head(r.stream, filters.Response, true)
				default:
					err = r.in.End(r.stream)
				}
				if err != nil {
					t.Fatal(err)
				}
				got := fmt.Sprint(x.Continued[0], x.Aborts, len(x.Replies), x.Wakes.Load() > 0, other.Paused())
				want := map[string]string{"continue": "1 0 0 true false", "continue twice": "1 0 0 true false", "close": "0 1 0 true false",
					"respond": "0 0 1 true false"}[kind]
				if got != want || r.x.Continued[0]+r.x.Aborts+len(r.x.Replies) != 0 {
					t.Errorf("continued, aborts, replies, woken, paused: %s, want %s", got, want)
				}
			})
		}
	}
}

// W102: what a guest asks for a stream at that stream's own end comes too late: it is no error, since SDKs end the guest on one, and
// nothing is done; nor is it kept for whoever uses the stream's memory next.
func TestW102AskedForAnEndedStream(t *testing.T) {
	for _, callback := range []string{"proxy_on_done", "proxy_on_log", "proxy_on_delete"} {
		m := &asm.Module{Pages: pages}
		resume := m.Import("env", "proxy_continue_stream", "i", "i")
		cut := m.Import("env", "proxy_close_stream", "i", "i")
		m.Func("proxy_abi_version_0_2_1", "", "", 0)
		results := map[bool]string{true: "i"}[callbacks[callback].result]
		code := asm.Join(asm.Const(outAt), asm.Const(0), asm.Call(resume), []byte{asm.I32Store, 2, 0},
			asm.Const(outAt+4), asm.Const(1), asm.Call(cut), []byte{asm.I32Store, 2, 0})
		if results != "" {
			code = asm.Join(code, asm.Const(1))
		}
		m.Func(callback, "i", results, 0, code...)
		r := newRig(t, m)
		r.in.Memory.WriteUint64Le(outAt, 1<<64-1)
		if err := r.in.End(r.stream); err != nil {
			t.Fatal(err)
		}
		if r.word(outAt) != 0 || r.word(outAt+4) != 0 {
			t.Errorf("%s: statuses %d, %d", callback, r.word(outAt), r.word(outAt+4))
		}
		if r.x.Continued[0]+r.x.Aborts != 0 || r.stream.asked.abort || r.stream.asked.resume[0] || r.in.touched != nil {
			t.Errorf("%s: something is done, or kept", callback)
		}
	}
}

// W102: an ended stream, one that never was, and one that is neither paused nor the callback's cannot be made effective; without an
// effective stream there is nothing to continue, close or answer.
func TestW102ContextsThatAreNotThere(t *testing.T) {
	r := probe(t)
	other := &Stream{}
	if err := r.in.Open(other, fake.New()); err != nil {
		t.Fatal(err)
	}
	r.in.begin(r.stream)
	for name, id := range map[string]uint32{"running elsewhere": other.id, "never was": 77, "none": 0} {
		if s := r.call("proxy_set_effective_context", uint64(id)); s != badArgument {
			t.Errorf("%s: status %d", name, s)
		}
	}
	ended := other.id
	if err := r.in.End(other); err != nil {
		t.Fatal(err)
	}
	r.in.begin(nil)
	if s := r.call("proxy_set_effective_context", uint64(ended)); s != badArgument {
		t.Errorf("ended: status %d", s)
	}
	for name, args := range map[string][]uint64{
		"proxy_continue_stream": {0}, "proxy_close_stream": {0}, "proxy_send_local_response": {200, 0, 0, 0, 0, 0, 0, 0},
	} {
		if s := r.call(name, args...); s != badArgument {
			t.Errorf("%s in the root context: status %d", name, s)
		}
	}
	r.in.begin(r.stream)
	for name, args := range map[string][]uint64{
		"proxy_continue_stream": {9}, "proxy_close_stream": {4},
	} {
		if s := r.call(name, args...); s != badArgument {
			t.Errorf("%s of no stream: status %d", name, s)
		}
	}
}

// W101: the last of several answers in one callback counts; an answer goes before a cut, and a cut before going on.
func TestW101TheLastWordCounts(t *testing.T) {
	respond := func(r *rig, code uint64) { r.call("proxy_send_local_response", code, 0, 0, 0, 0, 0, 0, 1<<32-1) }
	for name, c := range map[string]struct {
		ask  func(r *rig)
		want string
	}{
		"two answers":      {func(r *rig) { respond(r, 401); respond(r, 403) }, "[403] 0 0"},
		"answer, continue": {func(r *rig) { respond(r, 401); r.call("proxy_continue_stream", 0) }, "[401] 0 0"},
		"answer, close":    {func(r *rig) { respond(r, 401); r.call("proxy_close_stream", 0) }, "[401] 0 0"},
		"close, answer":    {func(r *rig) { r.call("proxy_close_stream", 0); respond(r, 401) }, "[401] 0 0"},
		"close twice":      {func(r *rig) { r.call("proxy_close_stream", 0); r.call("proxy_close_stream", 1) }, "[] 1 0"},
		"close, continue":  {func(r *rig) { r.call("proxy_close_stream", 0); r.call("proxy_continue_stream", 0) }, "[] 1 0"},
		"continue twice":   {func(r *rig) { r.call("proxy_continue_stream", 0); r.call("proxy_continue_stream", 0) }, "[] 0 1"},
	} {
		r := probe(t)
		r.in.setPaused(r.stream, filters.Request, onHead)
		c.ask(r)
		if len(r.x.Replies)+r.x.Aborts+r.x.Continued[0] != 0 {
			t.Errorf("%s: done before the guest's call returns", name)
		}
		r.in.settle(nil, noDirection, filters.Continue)
		codes := []int{}
		for _, reply := range r.x.Replies {
			codes = append(codes, reply.Status)
		}
		if got := fmt.Sprint(codes, r.x.Aborts, r.x.Continued[0]); got != c.want {
			t.Errorf("%s: answers, cuts, continued %s, want %s", name, got, c.want)
		}
	}
}
