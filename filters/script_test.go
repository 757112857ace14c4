package filters

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters/message"
)

// script is a filter that a test writes down: what it does in each callback. Where nothing is said it continues.
type script struct {
	name   string
	wants  Callbacks
	limits Limits
	none   bool // NewStream gives no stream
	closed bool // … and says closed

	head     func(s *scripted, d Direction, end bool) Action
	body     func(s *scripted, d Direction, held *message.Body, end bool) Action // after chunk was appended
	waits    func(s *scripted, d Direction) bool                                 // before chunk is appended
	trailers func(s *scripted, d Direction) Action
	call     func(s *scripted, id uint32, a *CallAnswer) Action
	close    func(s *scripted) bool

	last *scripted // the newest stream
}

// scripted is a script's stream. It notes every callback in log.
type scripted struct {
	*script
	x      Exchange
	log    []string
	closes int
	forgos int
}

var _ Waiting = (*scripted)(nil)

func (s *scripted) Forgo() { s.forgos++ }

const everything = OnRequestHead | OnRequestBody | OnRequestTrailers | OnResponseHead | OnResponseBody | OnResponseTrailers

func (f *script) Name() string         { return f.name }
func (f *script) Callbacks() Callbacks { return f.wants }
func (f *script) Limits() Limits       { return f.limits }

func (f *script) NewStream(x Exchange) (Stream, bool) {
	if f.none {
		return nil, f.closed
	}
	f.last = &scripted{script: f, x: x}
	return f.last, false
}

func (s *scripted) note(format string, args ...any) {
	if s.closes > 0 {
		panic("callback after Close: " + s.name)
	}
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *scripted) Head(d Direction, end bool) Action {
	s.note("%s head %t", d, end)
	if s.head == nil {
		return Continue
	}
	return s.head(s, d, end)
}

func (s *scripted) Body(d Direction, held *message.Body, chunk []byte, end bool) Action {
	if s.waits != nil && s.waits(s, d) {
		return Wait
	}
	s.note("%s body %q %t", d, chunk, end)
	held.Append(chunk)
	if s.body == nil {
		return Continue
	}
	return s.body(s, d, held, end)
}

func (s *scripted) Trailers(d Direction) Action {
	s.note("%s trailers", d)
	if s.trailers == nil {
		return Continue
	}
	return s.trailers(s, d)
}

func (s *scripted) CallDone(id uint32, a *CallAnswer) Action {
	s.note("call %d %t", id, a != nil)
	if s.call == nil {
		return Continue
	}
	return s.call(s, id, a)
}

func (s *scripted) Close() bool {
	if s.closes > 0 {
		panic("closed twice: " + s.name)
	}
	if s.close != nil && !s.close(s) {
		return false
	}
	s.closes++
	return true
}

// world is a chain with a Host and a Sink that write everything down.
type world struct {
	Chain
	request  message.Request
	response message.Response

	wakes     int
	now       int64
	calls     int
	callErr   error
	cancelled []int
	logged    []string

	out     []string // what came out of the sink: one entry an event, body pieces of a direction joined
	heads   []string // the request's and the response's heads as they came out
	onHead  func()   // what the action does when it gets the head
	closing bool

	t *testing.T
}

func (w *world) Wake()             { w.wakes++ }
func (w *world) Now() int64        { return w.now }
func (w *world) CancelCalls(i int) { w.cancelled = append(w.cancelled, i) }
func (w *world) Property(p string) (Value, bool) {
	if p == "request\x00method" {
		return Value{Text: w.request.Method}, true
	}
	return Value{}, false
}
func (w *world) Log(f string, l Level, text string) {
	w.logged = append(w.logged, fmt.Sprintf("%s %d %s", f, l, text))
}
func (w *world) Call(int, *Call) (uint32, error) {
	w.calls++
	return uint32(w.calls), w.callErr
}

// sink is the world's other face, since Chain has methods of the same names.
type sink struct{ *world }

func (s sink) event(format string, args ...any) {
	if s.closing {
		panic("something came out of a chain that has ended: " + fmt.Sprintf(format, args...))
	}
	s.out = append(s.out, fmt.Sprintf(format, args...))
}

func (s sink) RequestHead(end bool) {
	r := &s.request
	s.event("> %s %s %s %d %t", r.Method, r.Authority, r.Target, r.Length, end)
	s.heads = append(s.heads, fieldsText(&r.Header))
	if s.onHead != nil {
		s.onHead()
	}
}

func (s sink) RequestBody(p []byte, end bool)  { s.piece("> body ", p, end) }
func (s sink) RequestTrailers()                { s.event("> trailers %s", fieldsText(&s.request.Trailer)) }
func (s sink) Cancel()                         { s.event("> cancel") }
func (s sink) ResponseBody(p []byte, end bool) { s.piece("< body ", p, end) }
func (s sink) ResponseTrailers()               { s.event("< trailers %s", fieldsText(&s.response.Trailer)) }
func (s sink) Abort(cause string)              { s.event("abort: %s", cause) }

func (s sink) ResponseHead(end bool) {
	r := &s.response
	bodiless := ""
	if r.Bodiless {
		bodiless = " bodiless"
	}
	s.event("< %d %d%s %t", r.Status, r.Length, bodiless, end)
	s.heads = append(s.heads, fieldsText(&r.Header))
}

// piece joins a piece of body to the one before.
func (s sink) piece(kind string, p []byte, end bool) {
	text := string(p)
	if n := len(s.out); n > 0 && strings.HasPrefix(s.out[n-1], kind) && !strings.HasSuffix(s.out[n-1], " end") {
		text = s.out[n-1][len(kind):] + text
		s.out = s.out[:n-1]
	}
	if end {
		text += " end"
	}
	s.event("%s%s", kind, text)
}

func fieldsText(f *message.Fields) string {
	var b strings.Builder
	for i := range f.Len() {
		name, value := f.At(i)
		fmt.Fprintf(&b, "%s=%s;", name, value)
	}
	return b.String()
}

// begin starts an exchange: a request by method with a body of length bytes.
func (w *world) begin(method string, length int64, list ...*script) {
	w.request.Reset()
	w.response.Reset()
	w.request.Method, w.request.Scheme, w.request.Authority, w.request.Target = method, "http", "a.example", "/x"
	w.request.Length = length
	w.out, w.heads, w.closing = nil, nil, false
	chain := make([]Filter, len(list))
	for i, f := range list {
		if f.name == "" {
			f.name = fmt.Sprintf("f%d", i)
		}
		chain[i] = f
	}
	w.Begin(chain, &w.request, &w.response, w, sink{w})
}

// respond is the action's answer.
func (w *world) respond(status int, length int64, end bool) {
	w.response.Status, w.response.Length = status, length
	w.ResponseHead(end)
}

const second = int64(time.Second)

func pauseHead(d Direction) func(*scripted, Direction, bool) Action {
	return func(_ *scripted, at Direction, _ bool) Action {
		if at == d {
			return Pause
		}
		return Continue
	}
}

// expect states what must hold in the middle of a case.
func expect(w *world, ok bool, what string) {
	w.t.Helper()
	if !ok {
		w.t.Errorf("not so: %s; out so far %q", what, w.out)
	}
}

func sayBy(status int, body string) *Reply {
	return &Reply{Status: status, Header: [][2]string{{"X-By", "filter"}}, Body: []byte(body), Details: "why"}
}

// respondIn answers in one direction's head callback, which returns a.
func respondIn(d Direction, r *Reply, a Action) func(*scripted, Direction, bool) Action {
	return func(s *scripted, at Direction, _ bool) Action {
		if at != d {
			return Continue
		}
		if err := s.x.Respond(r); err != nil {
			panic(err)
		}
		return a
	}
}

// actionIn returns a from one direction's head callback.
func actionIn(d Direction, a Action) func(*scripted, Direction, bool) Action {
	return func(_ *scripted, at Direction, _ bool) Action {
		if at == d {
			return a
		}
		return Continue
	}
}

func pauseUntilEnd(_ *scripted, _ Direction, _ *message.Body, end bool) Action {
	if end {
		return Continue
	}
	return Pause
}

func pauseBody(*scripted, Direction, *message.Body, bool) Action { return Pause }

func all() *script { return &script{wants: everything} }

// What comes out of every case that begins with a plain GET, and the body of 503.
const (
	get  = "> GET a.example /x 0 true"
	fail = "service unavailable\n"
)

// rule is one exchange and all that must come out of the chain.
type rule struct {
	name  string
	chain []*script
	run   func(w *world, f []*script)
	want  []string
}

// hold runs each rule.
func hold(t *testing.T, rules []rule) {
	for _, test := range rules {
		t.Run(test.name, func(t *testing.T) {
			w := &world{}
			w.t = t
			test.run(w, test.chain)
			for i := 0; !w.End(); i++ {
				if i > 10 {
					t.Fatal("does not end")
				}
			}
			w.closing = true
			w.Run()
			if !slices.Equal(w.out, test.want) {
				t.Errorf("\ngot  %q\nwant %q", w.out, test.want)
			}
			for _, f := range test.chain {
				if f.last != nil && f.last.closes != 1 {
					t.Errorf("%s was closed %d times", f.name, f.last.closes)
				}
			}
		})
	}
}
