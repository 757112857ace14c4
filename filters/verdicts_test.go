package filters

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edge/filters/message"
)

// TestVerdicts: what becomes of an exchange in which somebody answers, leaves, fails, waits, or lasts too long.
func TestVerdicts(t *testing.T) {
	hold(t, []rule{
		{"Respond in the request's head: all filters see the response, none further the request",
			[]*script{all(), {wants: everything, head: respondIn(Request, sayBy(403, "no"), Pause)}, all()}, func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("dropped"), true)
				w.respond(200, 0, true) // an action that has not heard yet
				for i, want := range []string{
					"request head false,response head false,response body \"no\" true",
					"request head false,response head false,response body \"no\" true",
					"response head false,response body \"no\" true",
				} {
					got := strings.Join(f[i].last.log, ",")
					expect(w, got == want, "filter "+f[i].name+": "+got)
				}
				expect(w, w.heads[0] == "x-by=filter;", "header "+w.heads[0])
				expect(w, w.Outcome() == Outcome{Filter: "f1", Flag: FlagReplied, Details: "why"} && w.Answered(), "outcome")
			}, []string{"> cancel", "< 403 2 false", "< body no end"}},

		{"Respond to HEAD has a length and no body", []*script{{wants: OnRequestHead, head: respondIn(Request, sayBy(403, "no"), Continue)}},
			func(w *world, f []*script) {
				w.begin("HEAD", 0, f...)
				w.RequestHead(true)
			}, []string{"> cancel", "< 403 2 bodiless true"}},

		{"Respond with 204 has no body, whatever the reply says", []*script{{wants: OnRequestHead,
			head: respondIn(Request, sayBy(204, "no"), Continue)}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{"> cancel", "< 204 0 bodiless true"}},

		{"Respond in the request's body, its head held back: the action never hears of it", []*script{{wants: OnRequestBody,
			body: func(s *scripted, _ Direction, _ *message.Body, _ bool) Action {
				_ = s.x.Respond(sayBy(403, ""))
				return Continue
			}}},
			func(w *world, f []*script) {
				w.begin("POST", 4, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("evil"), true)
			}, []string{"> cancel", "< 403 0 true"}},

		{"Respond in the response's head replaces; those behind see the new one only",
			[]*script{all(), {wants: everything, head: respondIn(Response, sayBy(451, "law"), Continue)}, all()}, func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 5, false)
				w.ResponseBody([]byte("hello"), true)
				expect(w, slices.Equal(f[2].last.log, []string{"request head true", "response head false"}), "ahead")
				expect(w, slices.Equal(f[1].last.log, []string{"request head true", "response head false"}), "itself")
				expect(w, slices.Equal(f[0].last.log, []string{"request head true", "response head false", `response body "law" true`}), "behind")
			}, []string{get, "> cancel", "< 451 3 false", "< body law end"}},

		{"Respond in the response's body while its head is held back", []*script{all(), {wants: OnResponseBody,
			body: func(s *scripted, _ Direction, _ *message.Body, _ bool) Action {
				_ = s.x.Respond(sayBy(451, "law"))
				return Continue
			}}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 5, false)
				w.ResponseBody([]byte("he"), false)
				w.ResponseBody([]byte("llo"), true)
			}, []string{get, "> cancel", "< 451 3 false", "< body law end"}},

		{"Respond after the head is too late", []*script{{wants: everything,
			body: func(s *scripted, d Direction, _ *message.Body, _ bool) Action {
				if d == Response && !errors.Is(s.x.Respond(sayBy(500, "")), ErrTooLate) {
					panic("not too late")
				}
				return Continue
			}}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.respond(200, unknown, false)
			w.ResponseBody([]byte("x"), true)
		}, []string{get, "< 200 -1 false", "< body x end"}},

		{"W101 Respond twice: the first counts", []*script{{wants: OnRequestHead, head: func(s *scripted, _ Direction, _ bool) Action {
			if s.x.Respond(sayBy(401, "a")) != nil || !errors.Is(s.x.Respond(sayBy(402, "b")), ErrTooLate) {
				panic("both or none")
			}
			return Continue
		}}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{"> cancel", "< 401 1 false", "< body a end"}},

		{"a filter that answers its own answer ends", []*script{{wants: everything, head: func(s *scripted, d Direction, _ bool) Action {
			_ = s.x.Respond(sayBy(400+int(d), "r"))
			return Continue
		}}, all()}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{"> cancel", "> cancel", "< 401 1 false", "< body r end"}},

		{"Skip in the head: out, closed, the others go on", []*script{{wants: everything, head: actionIn(Request, Skip)}, all()},
			func(w *world, f []*script) {
				w.begin("POST", 2, f...)
				w.RequestHead(false)
				expect(w, f[0].last.closes == 1, "closed")
				w.RequestBody([]byte("ab"), true)
				w.respond(200, 0, true)
				expect(w, len(f[0].last.log) == 1 && len(f[1].last.log) == 3, "callbacks")
				expect(w, w.Outcome().Flag == FlagSkipped && w.Outcome().Filter == "f0", "outcome")
			}, []string{"> POST a.example /x 2 false", "> body ab end", "< 200 0 true"}},

		{"Skip in the body passes on what was held", []*script{{wants: OnRequestBody,
			body: func(s *scripted, _ Direction, _ *message.Body, _ bool) Action {
				if len(s.log) == 2 {
					return Skip
				}
				return Pause
			}}}, func(w *world, f []*script) {
			w.begin("POST", unknown, f...)
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), false)
			w.RequestBody([]byte("cd"), false)
			expect(w, w.Passes(Request), "nobody sees the rest")
			w.RequestBody([]byte("ef"), true)
		}, []string{"> POST a.example /x -1 false", "> body abcdef end"}},

		{"Skip in the response passes on what is held of the request", []*script{{wants: everything, body: pauseBody,
			head: actionIn(Response, Skip)}}, func(w *world, f []*script) {
			w.begin("POST", unknown, f...)
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), true)
			w.respond(200, 0, true)
			expect(w, w.wakes > 0 && w.Busy(), "there is work")
			w.Run()
		}, []string{"> POST a.example /x -1 false", "< 200 0 true", "> body ab end"}},

		{"Fail in the head: 503, seen by the others", []*script{all(), {wants: everything, head: actionIn(Request, Fail)}, all()},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				expect(w, f[1].last.closes == 1 && len(f[1].last.log) == 1, "out")
				expect(w, len(f[0].last.log) == 3 && len(f[2].last.log) == 2, "the others saw the answer")
				expect(w, w.Outcome() == Outcome{Filter: "f1", Flag: FlagFailed, Cause: "the filter failed"}, "outcome")
			}, []string{"> cancel", "< 503 20 false", "< body " + fail + " end"}},

		{"Fail after the response's head cuts off", []*script{{wants: OnResponseBody,
			body: func(*scripted, Direction, *message.Body, bool) Action { return Fail }}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.respond(200, unknown, false)
			w.ResponseBody([]byte("x"), false)
			w.ResponseBody([]byte("y"), true)
		}, []string{get, "< 200 -1 false", "abort: the filter failed"}},

		{"no stream, closed: 503 when the request gets there", []*script{all(), {wants: everything, none: true, closed: true}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
			}, []string{"> cancel", "< 503 20 false", "< body " + fail + " end"}},

		{"no stream, open: left out", []*script{{wants: everything, none: true}, all()}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{get}},

		{"Abort", []*script{{wants: OnRequestHead, head: func(s *scripted, _ Direction, _ bool) Action { s.x.Abort(); return Continue }}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 0, true)
				expect(w, w.Outcome().Flag == FlagAborted, "outcome")
			}, []string{"abort: the filter cut the exchange off"}},

		{"trailers go behind the body; a filter without the callback sees the body's end", []*script{{wants: OnRequestBody, body: pauseUntilEnd},
			{wants: OnRequestTrailers}}, func(w *world, f []*script) {
			w.begin("POST", unknown, f...)
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), false)
			w.request.Trailer.Add("x-sum", "1")
			w.request.Trailer.Add("transfer-encoding", "chunked")
			w.RequestTrailers()
			expect(w, slices.Equal(f[0].last.log, []string{`request body "ab" false`, `request body "" true`}), "body filter")
			expect(w, slices.Equal(f[1].last.log, []string{"request trailers"}), "trailers filter")
		}, []string{"> POST a.example /x -1 false", "> body ab", "> trailers x-sum=1;"}},

		{"trailers release what is held of the body", []*script{{wants: OnRequestBody | OnRequestTrailers, body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), false)
				w.RequestTrailers()
			}, []string{"> POST a.example /x -1 false", "> body ab", "> trailers "}},

		{"a pause on trailers keeps body and trailers", []*script{{wants: OnRequestBody | OnRequestTrailers, body: pauseBody,
			trailers: func(*scripted, Direction) Action { return Pause }}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), false)
				w.RequestTrailers()
				expect(w, !w.Accepts(Response), "the message is the lane's")
				f[0].last.x.Continue(Request)
				w.Run()
			}, []string{"> POST a.example /x -1 false", "> body ab", "> trailers "}},

		{"Wait makes the same call again after a Wake, not before", []*script{{wants: OnRequestHead,
			head: func(s *scripted, _ Direction, _ bool) Action {
				if len(s.log) == 1 {
					return Wait
				}
				return Continue
			}}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.Run()
			expect(w, len(f[0].last.log) == 1 && !w.Accepts(Request), "waits")
			f[0].last.x.Wake()
			w.Run()
		}, []string{get}},

		{"a piece waits for its lane; nothing overtakes it", []*script{{wants: OnRequestBody, waits: func(s *scripted, _ Direction) bool {
			return s.x.(*link).chain.host.(*world).wakes == 0
		}}}, func(w *world, f []*script) {
			w.begin("POST", unknown, f...)
			w.RequestHead(false)
			p := []byte("ab")
			w.RequestBody(p, false)
			copy(p, "??")
			expect(w, !w.Accepts(Request) && !w.Passes(Request), "back-pressure")
			f[0].last.x.Wake()
			w.Run()
			expect(w, w.Accepts(Request), "room again")
			w.RequestBody([]byte("c"), true)
		}, []string{"> POST a.example /x -1 false", "> body abc end"}},

		{"an answer in place of what waits for its lane: the place in the line is given up, once",
			[]*script{{wants: OnRequestBody, waits: func(*scripted, Direction) bool { return true }}, {wants: OnRequestBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), false)
				_ = w.Answer(&Reply{Status: 502}, "gone")
				w.Run()
				expect(w, f[0].last.forgos == 1 && f[0].last.closes == 0, "given up")
				expect(w, f[1].last.forgos == 0, "by the one that had it")
			}, []string{"> POST a.example /x -1 false", "> cancel", "< 502 0 true"}},

		{"what waits for its lane while another filter has paused gives up its place, and comes again afterwards",
			[]*script{{wants: OnRequestBody, waits: func(s *scripted, _ Direction) bool { return s.forgos == 0 }},
				{wants: OnResponseHead, head: pauseHead(Response)}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), true)
				w.respond(200, unknown, false)
				w.Run()
				expect(w, f[0].last.forgos == 0, "not before its turn")
				f[0].last.x.Wake()
				w.Run()
				expect(w, f[0].last.forgos == 1 && len(f[0].last.log) == 0, "given up")
				f[1].last.x.Continue(Response)
				w.Run()
			}, []string{"> POST a.example /x -1 false", "< 200 -1 false", "> body ab end"}},

		{"the same at the end, while the owner's lane is busy",
			[]*script{{wants: OnRequestBody, waits: func(*scripted, Direction) bool { return true }},
				{wants: OnResponseHead, head: pauseHead(Response), close: func(s *scripted) bool { return s.x.(*link).chain.host.(*world).wakes > 1 }}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("ab"), true)
				w.respond(200, unknown, false)
				w.closing = true
				expect(w, !w.End(), "the owner's lane is busy")
				f[0].last.x.Wake()
				expect(w, !w.End() && f[0].last.forgos == 1, "given up")
				f[1].last.x.Wake()
				expect(w, w.End() && f[0].last.closes == 1, "closed after the owner")
			}, []string{"> POST a.example /x -1 false"}},

		{"expiry: the paused stream is closed, the others see 504", []*script{all(), {wants: everything, limits: Limits{Pause: 2 * time.Second},
			head: pauseHead(Request)}}, func(w *world, f []*script) {
			w.now = 100
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			expect(w, w.Deadline() == 100+2*second, "deadline")
			w.Expire(w.Deadline() - 1)
			expect(w, len(w.out) == 0, "not yet")
			w.Expire(w.Deadline())
			expect(w, f[1].last.closes == 1 && w.Deadline() == 0 && w.Outcome().Flag == FlagPaused, "closed")
			f[1].last.x.Continue(Request) // a lane that came too late
			w.Run()
		}, []string{"> cancel", "< 504 16 false", "< body gateway timeout\n end"}},

		{"expiry while the lane is busy: no answer before the message is the connection's",
			[]*script{{wants: everything, head: pauseHead(Request),
				close: func(s *scripted) bool { return s.x.(*link).chain.host.(*world).wakes > 0 }}}, func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				expect(w, w.Deadline() == int64(DefaultPause), "default limit")
				w.Expire(w.Deadline())
				w.Run()
				expect(w, len(w.out) == 0 && w.Answered() && w.Busy(), "pending")
				f[0].last.x.Wake()
				w.Run()
			}, []string{"> cancel", "< 504 16 false", "< body gateway timeout\n end"}},

		{"a wait for the lane expires too", []*script{{wants: OnRequestHead, head: func(*scripted, Direction, bool) Action { return Wait }}},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.Expire(w.Deadline())
			}, []string{"> cancel", "< 504 16 false", "< body gateway timeout\n end"}},

		{"a body pause that expires after the response's head cuts off", []*script{{wants: OnRequestBody, body: pauseBody}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("x"), false)
				w.respond(200, 0, true)
				w.Expire(w.Deadline())
			}, []string{"> POST a.example /x -1 false", "< 200 0 true", "abort: the filter paused too long"}},

		{"Answer by the server while a filter holds the head", []*script{all(), {wants: everything, head: pauseHead(Request)}},
			func(w *world, f []*script) {
				w.begin("POST", unknown, f...)
				w.RequestHead(false)
				_ = w.Answer(&Reply{Status: 408, Body: []byte("slow")}, "client too slow")
				expect(w, f[1].last.closes == 1 && len(f[0].last.log) == 3, "the paused one is out, the other sees it")
				expect(w, w.Outcome() == Outcome{Cause: "client too slow"}, "outcome")
			}, []string{"> cancel", "< 408 4 false", "< body slow end"}},

		{"Answer in place of the origin's response whose head a filter holds",
			[]*script{all(), {wants: everything, head: pauseHead(Response)}, all()},
			func(w *world, f []*script) {
				w.begin("GET", 0, f...)
				w.RequestHead(true)
				w.respond(200, 10, false)
				_ = w.Answer(&Reply{Status: 502}, "origin reset")
				expect(w, len(f[2].last.log) == 2 && len(f[0].last.log) == 2, "each has seen one head")
			}, []string{get, "> cancel", "< 502 0 true"}},

		{"Answer after the head cuts off", nil, func(w *world, _ []*script) {
			w.begin("GET", 0)
			w.RequestHead(true)
			w.respond(200, 10, false)
			_ = w.Answer(&Reply{Status: 502}, "origin reset")
			w.ResponseBody([]byte("x"), false)
		}, []string{get, "< 200 10 false", "abort: origin reset"}},

		{"an action that answers at once, within RequestHead", []*script{all(), all()}, func(w *world, f []*script) {
			w.onHead = func() {
				w.respond(200, 2, false)
				w.ResponseBody([]byte("ok"), true)
			}
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.onHead = nil
		}, []string{get, "< 200 2 false", "< body ok end"}},

		{"an action that fails at once, within RequestHead held back for its body", []*script{all()}, func(w *world, f []*script) {
			w.onHead = func() { _ = w.Answer(&Reply{Status: 502}, "no server") }
			w.begin("POST", 2, f...)
			w.RequestHead(false)
			w.RequestBody([]byte("ab"), true)
			w.onHead = nil
		}, []string{"> POST a.example /x 2 false", "> cancel", "< 502 0 true"}},

		{"while one filter holds a head no other is called: the body the other way waits", []*script{{wants: everything},
			{wants: everything, head: pauseHead(Response)}}, func(w *world, f []*script) {
			w.begin("POST", unknown, f...)
			w.RequestHead(false)
			w.respond(200, 0, true)
			expect(w, !w.Accepts(Request), "the upload waits")
			w.RequestBody([]byte("ab"), true) // a server that does not ask
			expect(w, len(f[0].last.log) == 1, "nothing shown")
			f[1].last.x.Continue(Response)
			w.Run()
		}, []string{"> POST a.example /x -1 false", "< 200 0 true", "> body ab end"}},

		{"HEAD turned into GET by a filter: the client gets no body", []*script{{wants: OnRequestHead,
			head: func(s *scripted, _ Direction, _ bool) Action { s.x.Request().Method = "GET"; return Continue }}}, func(w *world, f []*script) {
			w.begin("HEAD", 0, f...)
			w.RequestHead(true)
			w.respond(200, 5, false)
			w.ResponseBody([]byte("hello"), true)
		}, []string{get, "< 200 5 bodiless true"}},

		{"GET turned into HEAD by a filter: an empty body, said so", []*script{{wants: OnRequestHead,
			head: func(s *scripted, _ Direction, _ bool) Action { s.x.Request().Method = "HEAD"; return Continue }}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.response.Bodiless = true
			w.respond(200, 5, true)
		}, []string{"> HEAD a.example /x 0 true", "< 200 0 true"}},

		{"a status of no body, set by a filter, drops the body", []*script{{wants: OnResponseHead,
			head: func(s *scripted, _ Direction, _ bool) Action { s.x.Response().Status = 204; return Continue }}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.respond(200, 5, false)
			w.ResponseBody([]byte("hello"), true)
		}, []string{get, "< 204 5 bodiless true"}},
	})
}

// TestExpiryOnABusyLane: a pause that has lasted too long is answered whenever the lane that was busy comes free: the stream is woken while
// its Close says for the first, the second … time that it must wait.
func TestExpiryOnABusyLane(t *testing.T) {
	for times := range 6 {
		refused := 0
		hold(t, []rule{{strconv.Itoa(times), []*script{{wants: OnRequestHead, head: pauseHead(Request), close: func(s *scripted) bool {
			if refused == times {
				return true
			}
			refused++
			s.x.Wake()
			return false
		}}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
			w.Expire(w.Deadline())
			for range w.wakes {
				w.Run()
			}
			expect(w, f[0].last.closes == 1 && !w.Busy(), "closed")
		}, []string{"> cancel", "< 504 16 false", "< body gateway timeout\n end"}}})
	}
}
