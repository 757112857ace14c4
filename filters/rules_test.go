package filters

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters/message"
)

// TestRules runs one exchange a case and compares all that comes out of the chain.
func TestRules(t *testing.T) {
	reply := func(status int, body string) *Reply {
		return &Reply{Status: status, Header: [][2]string{{"X-By", "filter"}}, Body: []byte(body), Details: "why"}
	}
	respondIn := func(d Direction, r *Reply, a Action) func(*scripted, Direction, bool) Action {
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
	actionIn := func(d Direction, a Action) func(*scripted, Direction, bool) Action {
		return func(_ *scripted, at Direction, _ bool) Action {
			if at == d {
				return a
			}
			return Continue
		}
	}
	pauseUntilEnd := func(_ *scripted, _ Direction, _ *message.Body, end bool) Action {
		if end {
			return Continue
		}
		return Pause
	}
	pauseBody := func(*scripted, Direction, *message.Body, bool) Action { return Pause }
	all := func() *script { return &script{wants: everything} }
	const (
		get  = "> GET a.example /x 0 true"
		fail = "service unavailable\n"
	)
	tests := []struct {
		name  string
		chain []*script
		run   func(w *world, f []*script)
		want  []string
	}{
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

		{"Respond in the request's head: all filters see the response, none further the request",
			[]*script{all(), {wants: everything, head: respondIn(Request, reply(403, "no"), Pause)}, all()}, func(w *world, f []*script) {
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

		{"Respond to HEAD has a length and no body", []*script{{wants: OnRequestHead, head: respondIn(Request, reply(403, "no"), Continue)}},
			func(w *world, f []*script) {
				w.begin("HEAD", 0, f...)
				w.RequestHead(true)
			}, []string{"> cancel", "< 403 2 bodiless true"}},

		{"Respond with 204 has no body, whatever the reply says", []*script{{wants: OnRequestHead,
			head: respondIn(Request, reply(204, "no"), Continue)}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{"> cancel", "< 204 0 bodiless true"}},

		{"Respond in the request's body, its head held back: the action never hears of it", []*script{{wants: OnRequestBody,
			body: func(s *scripted, _ Direction, _ *message.Body, _ bool) Action {
				_ = s.x.Respond(reply(403, ""))
				return Continue
			}}},
			func(w *world, f []*script) {
				w.begin("POST", 4, f...)
				w.RequestHead(false)
				w.RequestBody([]byte("evil"), true)
			}, []string{"> cancel", "< 403 0 true"}},

		{"Respond in the response's head replaces; those behind see the new one only",
			[]*script{all(), {wants: everything, head: respondIn(Response, reply(451, "law"), Continue)}, all()}, func(w *world, f []*script) {
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
				_ = s.x.Respond(reply(451, "law"))
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
				if d == Response && !errors.Is(s.x.Respond(reply(500, "")), ErrTooLate) {
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
			if s.x.Respond(reply(401, "a")) != nil || !errors.Is(s.x.Respond(reply(402, "b")), ErrTooLate) {
				panic("both or none")
			}
			return Continue
		}}}, func(w *world, f []*script) {
			w.begin("GET", 0, f...)
			w.RequestHead(true)
		}, []string{"> cancel", "< 401 1 false", "< body a end"}},

		{"a filter that answers its own answer ends", []*script{{wants: everything, head: func(s *scripted, d Direction, _ bool) Action {
			_ = s.x.Respond(reply(400+int(d), "r"))
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

		{"Wait makes the same call again after a Wake, not before", []*script{{wants: OnRequestHead, head: func(s *scripted, _ Direction, _ bool) Action {
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

		{"expiry while the lane is busy: no answer before the message is the connection's", []*script{{wants: everything, head: pauseHead(Request),
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

		{"Answer in place of the origin's response whose head a filter holds", []*script{all(), {wants: everything, head: pauseHead(Response)}, all()},
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
	}
	for _, test := range tests {
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
