package filters

import (
	"strings"
	"testing"

	"edge/filters/message"
)

// TestPassage: how messages go through filters that continue and pause.
func TestPassage(t *testing.T) {
	hold(t, []rule{
		{"no filters: everything goes by", nil, func(w *world, _ []*script) {
			w.begin("POST", 3)
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), false)
			w.RequestBody([]byte("c"), true)
			w.respond(200, unknown, false)
			w.ResponseBody([]byte("xyz"), false)
			w.ResponseTrailers()
		}, []string{"> POST a.example /x 3 false", "> body abc end", "< 200 -1 false", "< body xyz", "< trailers "}},

		{"pause on the request's head: nothing enters, Continue goes on at the next filter",
			[]*script{{wants: everything, head: pauseHead(Request)}, all()}, func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				expect(w, !w.Accepts(Request) && !w.Accepts(Response) && w.Busy(), "paused")
				expect(w, len(f[1].last.log) == 0, "the next filter saw nothing")
				w.Run() // of no consequence
				f[0].last.x.Continue(Request)
				expect(w, w.wakes == 1, "Continue wakes")
				w.Run()
				expect(w, w.Accepts(Request) && !w.Busy(), "released")
				w.RequestBody([]byte("x"), true)
			}, []string{"> POST a.example /x -1 false", "> body x end"}},

		{"pause on the response's head", []*script{all(), {wants: everything, head: pauseHead(Response)}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, unknown, false)
				expect(w, !w.Accepts(Response), "paused")
				f[1].last.x.Continue(Response)
				w.Run()
				w.ResponseBody([]byte("x"), true)
			}, []string{get, "< 200 -1 false", "< body x end"}},

		{"Continue in the head callback itself overrides Pause", []*script{{wants: OnRequestHead,
			head: func(s *scripted, d Direction, _ bool) Action { s.x.Continue(d); return Pause }}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				expect(w, w.wakes == 0 && w.Accepts(Request), "no turn was asked for")
			}, []string{get}},

		{"Continue where nothing is paused does not end the next pause", []*script{{wants: everything,
			head: func(s *scripted, d Direction, _ bool) Action {
				s.x.Continue(Response)
				s.x.Continue(d)
				return Continue
			},
			body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("x"), true)
				w.Run()
				expect(w, w.Busy(), "still paused")
			}, []string{"> POST a.example /x -1 false"}},

		{"pause on a body: held with what follows, released with the end", []*script{{wants: OnRequestBody, body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), false)
				expect(w, w.Accepts(Request), "a body pause takes more")
				w.RequestBody([]byte("cd"), true)
				held := f[0].last.x.Held(Request)
				expect(w, string(held.Bytes()) == "abcd", "held")
				held.Replace(0, 1, []byte("AAA"))
				f[0].last.x.Continue(Request)
				w.Run()
			}, []string{"> POST a.example /x -1 false", "> body AAAbcd end"}},

		{"a body held to its trailers goes out with a head that waited for it", []*script{{wants: everything, body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 2, false)
				w.ResponseBody([]byte("xy"), false)
				w.ResponseTrailers()
			}, []string{get, "< 200 -1 false", "< body xy", "< trailers "}},

		{"HoldHead: a head without a length stays until body comes, to be changed", []*script{{wants: everything,
			head: func(s *scripted, d Direction, _ bool) Action { HoldHead(s.x, d); return Continue },
			body: func(s *scripted, d Direction, _ *message.Body, end bool) Action {
				if !end {
					return Pause
				}
				if d == Request {
					s.x.Request().Method = "PUT"
				} else {
					s.x.Response().Status = 404
				}
				return Continue
			}}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), false)
				expect(w, len(w.out) == 0, "nothing is out")
				w.RequestBody([]byte("c"), true)
				w.respond(200, unknown, false)
				w.ResponseBody([]byte("xy"), false)
				w.ResponseBody([]byte("z"), true)
			}, []string{"> PUT a.example /x 3 false", "> body abc end", "< 404 3 false", "< body xyz end"}},

		{"two filters paused on one body, released near end first", []*script{{wants: OnRequestBody, body: pauseBody},
			{wants: OnRequestBody, body: pauseUntilEnd}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				for _, p := range []string{"a", "b", "c"} {
					w.RequestBody([]byte(p), p == "c")
					if p != "b" {
						f[0].last.x.Continue(Request)
						w.Run()
					}
				}
				expect(w, len(f[1].last.log) == 2, "shown as released: "+strings.Join(f[1].last.log, ","))
			}, []string{"> POST a.example /x -1 false", "> body abc end"}},

		{"a body filter that lets go of the whole body at once: exact length", []*script{{wants: OnRequestBody,
			body: func(_ *scripted, _ Direction, held *message.Body, end bool) Action {
				if !end {
					return Pause
				}
				held.Append([]byte("!!"))
				return Continue
			}}}, func(w *world, f []*script) {
			w.begin("POST", 4, f...)
			w.request.Header.Add("content-length", "4")
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), false)
			w.RequestBody([]byte("cd"), true)
			expect(w, w.heads[0] == "", "content-length is gone: "+w.heads[0])
		}, []string{"> POST a.example /x 6 false", "> body abcd!! end"}},

		{"a body filter that lets go in pieces: no length", []*script{{wants: OnRequestBody}}, func(w *world, f []*script) {
			w.begin("POST", 4, f...)
			w.request.Header.Add("content-length", "4")
			w.RequestHead(false)
			expect(w, len(w.out) == 0, "the head waits for the body")
			w.RequestBody([]byte("ab"), false)
			w.RequestBody([]byte("cd"), true)
			expect(w, w.heads[0] == "", "content-length is gone: "+w.heads[0])
		}, []string{"> POST a.example /x -1 false", "> body abcd end"}},

		{"a body filter that empties the body", []*script{{wants: OnResponseBody,
			body: func(_ *scripted, _ Direction, held *message.Body, _ bool) Action { held.Reset(0); return Continue }}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 4, false)
				w.ResponseBody([]byte("abcd"), true)
			}, []string{get, "< 200 0 true"}},

		{"Expect: the head does not wait for a body that waits for the head", []*script{{wants: OnRequestBody}},
			func(w *world, f []*script) {
				w.begin("POST", 4, f...)
				w.request.Expect = true
				w.RequestHead(false)
			}, []string{"> POST a.example /x -1 false"}},

		{"413: a pause beyond the limit", []*script{{wants: OnRequestBody, limits: Limits{Body: 3}, body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("abc"), false)
				w.RequestBody([]byte("d"), false)
				expect(w, len(f[0].last.log) == 1, "the piece too much is not shown")
				expect(w, w.Outcome() == Outcome{Filter: "f0", Flag: FlagBody, Cause: "the body is longer than the filter may hold"}, "outcome")
				w.RequestBody([]byte("dropped"), true)
			}, []string{"> POST a.example /x -1 false", "> cancel", "< 413 32 false", "< body the request's body is too large\n end"}},

		{"502: a response held beyond the limit, before its head has gone", []*script{{wants: OnResponseBody, limits: Limits{Body: 3},
			body: pauseBody}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.respond(200, 10, false)
			w.ResponseBody([]byte("abcde"), false)
			w.ResponseBody([]byte("fghij"), true)
		}, []string{get, "> cancel", "< 502 12 false", "< body bad gateway\n end"}},

		{"abort: a response held beyond the limit, after its head", []*script{{wants: OnResponseBody, limits: Limits{Body: 3},
			body: pauseBody}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.respond(200, unknown, false)
			w.ResponseBody([]byte("abcde"), false)
			w.ResponseBody([]byte("f"), true)
			w.Run()
		}, []string{get, "< 200 -1 false", "abort: the body is longer than the filter may hold"}},

		{"W99: a filter that makes a body too large", []*script{{wants: OnRequestBody, limits: Limits{Body: 10},
			body: func(_ *scripted, _ Direction, held *message.Body, _ bool) Action {
				held.Append(make([]byte, 20))
				return Continue
			}}},
			func(w *world, f []*script) {
				w.begin("POST", 1, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("x"), true)
			}, []string{"> cancel", "< 413 32 false", "< body the request's body is too large\n end"}},
	})
}
