package filters

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"edge/filters/message"
)

// TestCallbacksNotWanted: a callback whose bit is not set is not made.
func TestCallbacksNotWanted(t *testing.T) {
	logs := map[Callbacks]string{
		OnRequestHead: "request head false", OnRequestBody: `request body "x" false,request body "" true`,
		OnRequestTrailers: "request trailers", OnResponseHead: "response head false",
		OnResponseBody: `response body "y" false,response body "" true`, OnResponseTrailers: "response trailers",
		OnRequestBody | OnRequestTrailers: `request body "x" false,request trailers`, 0: "",
	}
	for wants, want := range logs {
		f := &script{wants: wants}
		w := &world{t: t}
		w.begin("POST", unknown, f)
		w.RequestHead(false)
		w.RequestBody([]byte("x"), false)
		w.RequestTrailers()
		w.respond(200, unknown, false)
		if got, want := w.Passes(Response), wants&OnResponseBody == 0; got != want {
			t.Errorf("%06b: passes %t, want %t", wants, got, want)
		}
		w.ResponseBody([]byte("y"), false)
		w.ResponseTrailers()
		w.End()
		if got := strings.Join(f.last.log, ","); got != want {
			t.Errorf("%06b: saw %q, want %q", wants, got, want)
		}
		out := []string{"> POST a.example /x -1 false", "> body x", "> trailers ", "< 200 -1 false", "< body y", "< trailers "}
		if !slices.Equal(w.out, out) {
			t.Errorf("%06b: %q", wants, w.out)
		}
	}
}

// TestFraming: what a filter says about framing does not reach the far end (threat W99).
func TestFraming(t *testing.T) {
	tests := []struct {
		name, value string
		length      int64
		want        string
	}{
		{"transfer-encoding", "chunked", 0, ""},
		{"Transfer-Encoding", "chunked", 5, ""},
		{"connection", "x-secret", 0, ""},
		{"keep-alive", "1", 0, ""},
		{"proxy-connection", "close", 0, ""},
		{"te", "gzip", 0, ""},
		{"upgrade", "h2c", 0, ""},
		{"http2-settings", "AAA", 0, ""},
		{"host", "b.example", 0, ""},
		{":path", "/admin", 0, ""},
		{":", "x", 0, ""},
		{"content-length", "0", 0, "content-length=0;"},
		{"content-length", "5", 5, "content-length=5;"},
		{"content-length", "7", 5, "content-length=5;"},
		{"content-length", "05", 5, "content-length=5;"},
		{"content-length", "+5", 5, "content-length=5;"},
		{"content-length", "", 5, "content-length=5;"},
		{"content-length", "7", 0, "content-length=0;"},
		{"content-length", "7", unknown, ""},
		{"content-length", "-1", unknown, ""},
		{"content-lengthy", "7", 5, "content-lengthy=7;"},
	}
	for _, test := range tests {
		for _, d := range []Direction{Request, Response} {
			t.Run(fmt.Sprintf("W99 %s %s: %s, length %d", d, test.name, test.value, test.length), func(t *testing.T) {
				f := &script{wants: OnRequestHead | OnResponseHead, head: func(s *scripted, at Direction, _ bool) Action {
					if at == d {
						h := &s.x.Request().Header
						if d == Response {
							h = &s.x.Response().Header
							s.x.Response().Length = 99
						} else {
							s.x.Request().Length = 99
						}
						h.Add(test.name, test.value)
					}
					return Continue
				}}
				w := &world{t: t}
				w.begin("POST", test.length, f)
				w.RequestHead(test.length == 0)
				w.respond(200, test.length, test.length == 0)
				if got := w.heads[d]; got != test.want {
					t.Errorf("out came %q, want %q", got, test.want)
				}
				if got := []int64{w.request.Length, w.response.Length}[d]; got != test.length {
					t.Errorf("length %d, want %d", got, test.length)
				}
			})
		}
	}
}

// TestHeadRefused: a head that cannot be sent fails the filter that made it (threat W99).
func TestHeadRefused(t *testing.T) {
	request := func(change func(r *message.Request)) func(*scripted, Direction, bool) Action {
		return func(s *scripted, d Direction, _ bool) Action {
			if d == Request {
				change(s.x.Request())
			}
			return Continue
		}
	}
	response := func(status int) func(*scripted, Direction, bool) Action {
		return func(s *scripted, d Direction, _ bool) Action {
			if d == Response {
				s.x.Response().Status = status
			}
			return Continue
		}
	}
	tests := map[string]struct {
		head func(*scripted, Direction, bool) Action
		ok   bool
	}{
		"no method":              {request(func(r *message.Request) { r.Method = "" }), false},
		"method with a space":    {request(func(r *message.Request) { r.Method = "GET /" }), false},
		"another method":         {request(func(r *message.Request) { r.Method = "PUT" }), true},
		"target without a slash": {request(func(r *message.Request) { r.Target = "admin" }), false},
		"target with CRLF":       {request(func(r *message.Request) { r.Target = "/ HTTP/1.1\r\nx: y" }), false},
		"target with a fragment": {request(func(r *message.Request) { r.Target = "/a#b" }), false},
		"empty target":           {request(func(r *message.Request) { r.Target = "" }), false},
		"another target":         {request(func(r *message.Request) { r.Target = "/b?c=d" }), true},
		"authority with a user":  {request(func(r *message.Request) { r.Authority = "me@b" }), false},
		"authority with NUL":     {request(func(r *message.Request) { r.Authority = "b\x00" }), false},
		"empty authority":        {request(func(r *message.Request) { r.Authority = "" }), false},
		"another authority":      {request(func(r *message.Request) { r.Authority = "[::1]:80" }), true},
		"odd scheme":             {request(func(r *message.Request) { r.Scheme = "file" }), false},
		"too many fields": {request(func(r *message.Request) {
			for range MaxHeadFields + 1 {
				r.Header.Add("a", "")
			}
		}), false},
		"too many bytes":     {request(func(r *message.Request) { r.Header.Add("a", strings.Repeat("x", MaxHeadBytes)) }), false},
		"interim status":     {response(103), false},
		"switching":          {response(101), false},
		"no status":          {response(0), false},
		"status beyond 999":  {response(1000), false},
		"another status":     {response(404), true},
		"an unusual, status": {response(999), true},
	}
	for name, test := range tests {
		t.Run("W99 "+name, func(t *testing.T) {
			f := &script{wants: OnRequestHead | OnResponseHead, head: test.head}
			w := &world{t: t}
			w.begin("GET", 0, f)
			w.RequestHead(true)
			if !w.Answered() {
				w.respond(200, 0, true)
			}
			if failed := w.Outcome().Flag == FlagFailed && w.response.Status == 503; failed == test.ok {
				t.Errorf("ok %t; out %q", test.ok, w.out)
			}
		})
	}
}

func TestReplyBounds(t *testing.T) {
	long := strings.Repeat("x", MaxReplyHeader)
	tests := map[string]struct {
		reply Reply
		want  error
	}{
		"interim":          {Reply{Status: 103}, ErrBadReply},
		"beyond 599":       {Reply{Status: 600}, ErrBadReply},
		"bad name":         {Reply{Status: 200, Header: [][2]string{{"a b", ""}}}, ErrBadReply},
		"pseudo name":      {Reply{Status: 200, Header: [][2]string{{":status", "200"}}}, ErrBadReply},
		"W99 CRLF":         {Reply{Status: 200, Header: [][2]string{{"a", "b\r\nc: d"}}}, ErrBadReply},
		"too much header":  {Reply{Status: 200, Header: [][2]string{{"a", long}}}, ErrBadReply},
		"too much body":    {Reply{Status: 200, Body: make([]byte, MaxReplyBody+1)}, ErrBadReply},
		"as much as fits":  {Reply{Status: 200, Body: make([]byte, MaxReplyBody)}, nil},
		"framing is taken": {Reply{Status: 200, Header: [][2]string{{"Transfer-Encoding", "chunked"}, {"Content-Length", "9"}}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var err error
			w := &world{t: t}
			w.begin("GET", 0, &script{wants: OnRequestHead, head: func(s *scripted, _ Direction, _ bool) Action {
				err = s.x.Respond(&test.reply)
				return Continue
			}})
			w.RequestHead(true)
			if !errors.Is(err, test.want) || (err == nil) != w.Answered() {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if err == nil && w.heads[0] != "" {
				t.Errorf("header %q", w.heads[0])
			}
		})
	}
}

func TestCalls(t *testing.T) {
	good := &Call{Upstream: "app", Method: "GET", Authority: "b", Target: "/"}
	var x Exchange
	f := &script{wants: OnRequestHead, head: func(s *scripted, _ Direction, _ bool) Action {
		x = s.x
		for range MaxCalls {
			if _, err := x.Call(good); err != nil {
				t.Errorf("a call within the limit: %v", err)
			}
		}
		if _, err := x.Call(good); !errors.Is(err, ErrCallLimit) {
			t.Errorf("W105 a call beyond the limit: %v", err)
		}
		return Pause
	}}
	w := &world{t: t}
	w.begin("GET", 0, f)
	w.RequestHead(true)
	for i, bad := range []Call{{Method: "G T", Authority: "b", Target: "/"}, {Method: "GET", Target: "/"}, {Method: "GET", Authority: "b"},
		{Method: "GET", Authority: "b", Target: "/", Header: [][2]string{{"a", "\n"}}},
		{Method: "GET", Authority: "b", Target: "/", Trailer: [][2]string{{"", ""}}}} {
		if _, err := x.Call(&bad); !errors.Is(err, ErrBadCall) {
			t.Errorf("bad call %d: %v", i, err)
		}
	}
	var answer *CallAnswer
	body := ""
	waited := false
	f.call = func(s *scripted, id uint32, a *CallAnswer) Action {
		if !waited {
			waited = true
			return Wait
		}
		if answer = a; a != nil {
			body = string(a.Body) + a.Header.Value("x")
		}
		if id == MaxCalls {
			s.x.Continue(Request)
		}
		return Continue
	}
	buffer, header := []byte("answer"), &message.Fields{}
	header.Add("x", "!")
	w.CallDone(0, 1, &CallAnswer{Status: 200, Header: header, Body: buffer})
	copy(buffer, "??????")
	header.Reset()
	w.CallDone(0, 2, nil)
	if len(f.last.log) != 2 || !w.Busy() {
		t.Errorf("the second answer did not wait behind the first: %q", f.last.log)
	}
	x.Wake()
	w.Run()
	log := []string{"request head true", "call 1 true", "call 1 true", "call 2 false"}
	if !slices.Equal(f.last.log, log) || body != "answer!" {
		t.Errorf("got %q and %q", f.last.log, body)
	}
	if answer != nil {
		t.Error("a failed call has an answer")
	}
	for id := uint32(3); id <= MaxCalls-1; id++ {
		w.CallDone(0, id, &CallAnswer{Header: header})
	}
	w.callErr = ErrNoUpstream
	if _, err := x.Call(good); !errors.Is(err, ErrNoUpstream) {
		t.Errorf("the server's error: %v", err)
	}
	w.CallDone(0, MaxCalls, &CallAnswer{Header: header})
	if want := []string{"> GET a.example /x 0 true"}; !slices.Equal(w.out, want) {
		t.Errorf("Continue in CallDone: %q", w.out)
	}
	if x.(*link).calls.Load() != 0 {
		t.Errorf("%d calls are left", x.(*link).calls.Load())
	}
	w.callErr = nil
	if _, err := x.Call(good); err != nil {
		t.Error(err)
	}
	if !w.End() || !slices.Equal(w.cancelled, []int{0}) {
		t.Errorf("cancelled %v", w.cancelled)
	}
	w.CallDone(0, 9, nil) // W102: an answer after the end is dropped
	if n := len(f.last.log); n != 4+MaxCalls-2 {
		t.Errorf("%d callbacks", n)
	}
}

// TestCallOutcomes: what a stream that holds the head says in CallDone.
func TestCallOutcomes(t *testing.T) {
	tests := map[string]struct {
		call func(s *scripted) Action
		want string
	}{
		"Continue":       {func(s *scripted) Action { s.x.Continue(Request); return Continue }, "> GET a.example /x 0 true"},
		"Respond":        {func(s *scripted) Action { _ = s.x.Respond(&Reply{Status: 403}); return Continue }, "> cancel,< 403 0 true"},
		"Abort":          {func(s *scripted) Action { s.x.Abort(); return Continue }, "abort: the filter cut the exchange off"},
		"Skip":           {func(*scripted) Action { return Skip }, "> GET a.example /x 0 true"},
		"Fail":           {func(*scripted) Action { return Fail }, "> cancel,< 503 20 false,< body service unavailable\n end"},
		"nothing":        {func(*scripted) Action { return Continue }, ""},
		"Respond + Fail": {func(s *scripted) Action { _ = s.x.Respond(&Reply{Status: 403}); return Fail }, "> cancel,< 403 0 true"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &script{wants: OnRequestHead, head: pauseHead(Request),
				call: func(s *scripted, _ uint32, _ *CallAnswer) Action { return test.call(s) }}
			other := &script{wants: OnResponseHead}
			w := &world{t: t}
			w.begin("GET", 0, f, other)
			w.RequestHead(true)
			w.CallDone(0, 1, nil)
			if got := strings.Join(w.out, ","); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			w.End()
			if f.last.closes != 1 || other.last.closes != 1 {
				t.Error("not closed once")
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	var a, b Exchange
	keep := func(x *Exchange) func(*scripted, Direction, bool) Action {
		return func(s *scripted, _ Direction, _ bool) Action { *x = s.x; return Continue }
	}
	w := &world{t: t}
	w.begin("GET", 0, &script{wants: OnRequestHead, head: keep(&a)}, &script{wants: OnRequestHead, head: keep(&b)})
	w.RequestHead(true)
	value := []byte("one")
	if err := a.SetProperty("k", value); err != nil {
		t.Fatal(err)
	}
	copy(value, "???")
	first, _ := b.Property("k")
	if first.Text != "one" {
		t.Errorf("the other filter reads %q", first.Text)
	}
	_ = b.SetProperty("k", []byte("two"))
	if v, _ := a.Property("k"); v.Text != "two" || first.Text != "one" {
		t.Errorf("now %q, the view of before %q", v.Text, first.Text)
	}
	_ = a.SetProperty("request\x00method", []byte("PUT"))
	if v, _ := a.Property("request\x00method"); v.Text != "GET" {
		t.Errorf("the server's attribute reads %q", v.Text)
	}
	if _, ok := a.Property("absent"); ok {
		t.Error("absent is there")
	}
	if err := a.SetProperty("big", make([]byte, MaxPropertyBytes)); !errors.Is(err, ErrPropertyLimit) {
		t.Errorf("too many bytes: %v", err)
	}
	for i := 0; ; i++ {
		if err := a.SetProperty(fmt.Sprint(i), nil); err != nil {
			if i != MaxProperties-2 || !errors.Is(err, ErrPropertyLimit) {
				t.Errorf("property %d: %v", i, err)
			}
			break
		}
	}
	if err := a.SetProperty("k", []byte("three")); err != nil {
		t.Errorf("a full store takes no new value: %v", err)
	}
	a.Log(Warn, "text")
	if !slices.Equal(w.logged, []string{"f0 3 text"}) {
		t.Errorf("logged %q", w.logged)
	}
	w.End()
	w.begin("GET", 0, &script{wants: OnRequestHead, head: keep(&a)})
	w.RequestHead(true)
	if _, ok := a.Property("k"); ok {
		t.Error("W103 the next exchange reads it")
	}
}
