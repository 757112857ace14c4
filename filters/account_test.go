package filters

import "testing"

// What is told of filters in the access log: who took part, what became of each, and the flag and cause of the whole.
func TestAccount(t *testing.T) {
	because := func(a Action, limit bool) func(*scripted, Direction, bool) Action {
		return func(s *scripted, _ Direction, _ bool) Action {
			Because(s.x, limit, "cpu limit 10ms")
			return a
		}
	}
	inPlace := func(s *scripted, d Direction, _ bool) Action {
		s.x.Respond(&Reply{Status: 503, Details: "filter_failed", Flag: FlagLimit})
		return Continue
	}
	for name, test := range map[string]struct {
		list    []*script
		want    string
		outcome Outcome
		run     func(w *world)
	}{
		"all continue": {list: []*script{all(), {wants: 0}, all()}, want: "f0,f2"},
		"none":         {},
		"W97 trap, closed": {
			list: []*script{all(), {wants: everything, head: because(Fail, false)}, all()}, want: "f0,f1:failed,f2",
			outcome: Outcome{Filter: "f1", Flag: FlagFailed, Cause: "the filter failed: cpu limit 10ms"},
		},
		"W94 limit, closed": {
			list: []*script{{wants: everything, head: because(Fail, true)}}, want: "f0:limit",
			outcome: Outcome{Filter: "f0", Flag: FlagLimit, Cause: "the filter failed: cpu limit 10ms"},
		},
		"limit, open": {
			list: []*script{{wants: everything, head: because(Skip, true)}, all()}, want: "f0:skipped,f1",
			outcome: Outcome{Filter: "f0", Flag: FlagSkipped, Cause: "the filter failed and was left out: cpu limit 10ms"},
		},
		"nothing to be had, open": {
			list: []*script{{none: true}, all()}, want: "f0:skipped,f1",
			outcome: Outcome{Filter: "f0", Flag: FlagSkipped, Cause: "the filter could not take part and was left out"},
		},
		"nothing to be had, closed": {
			list: []*script{{none: true, closed: true}, all()}, want: "f0:failed,f1",
			outcome: Outcome{Filter: "f0", Flag: FlagFailed, Cause: "the filter could not take part"},
		},
		"answered in its place": {
			list: []*script{{wants: everything, head: inPlace}}, want: "f0:limit",
			outcome: Outcome{Filter: "f0", Flag: FlagLimit, Details: "filter_failed"},
		},
		"replied": {
			list: []*script{{wants: everything, head: respondIn(Request, sayBy(403, "no"), Continue)}}, want: "f0:replied",
			outcome: Outcome{Filter: "f0", Flag: FlagReplied, Details: sayBy(403, "no").Details},
		},
		"paused and went on": {
			list: []*script{{wants: everything, head: pauseHead(Request)}, all()}, want: "f0:paused=7ms,f1",
			run: func(w *world) { w.now += 7_900_000; w.links[0].Continue(Request); w.Run(); w.now += second },
		},
		"paused for ever": {
			list: []*script{{wants: everything, head: pauseHead(Request)}, all()}, want: "f0:expired=60000ms,f1",
			outcome: Outcome{Filter: "f0", Flag: FlagPaused, Cause: "the filter paused too long"},
			run:     func(w *world) { w.now += 60 * second; w.Expire(w.now) },
		},
		"aborted in its place": {
			list: []*script{{wants: everything, head: func(s *scripted, _ Direction, _ bool) Action {
				Because(s.x, true, "cpu limit 10ms")
				s.x.Abort()
				return Continue
			}}}, want: "f0:limit",
			outcome: Outcome{Filter: "f0", Flag: FlagLimit, Cause: "the filter failed: cpu limit 10ms"},
		},
		"aborted": {
			list: []*script{{wants: everything, head: func(s *scripted, _ Direction, _ bool) Action {
				s.x.Abort()
				return Continue
			}}}, want: "f0:aborted",
			outcome: Outcome{Filter: "f0", Flag: FlagAborted, Cause: "the filter cut the exchange off"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, now: second}
			for range 2 { // nothing is left of the exchange before
				w.begin("GET", 0, test.list...)
				w.RequestHead(true)
				if test.run != nil {
					test.run(w)
				}
				if got := string(w.AppendFilters([]byte("x"))); got != "x"+test.want {
					t.Errorf("filters %q, want %q", got[1:], test.want)
				}
				if got := w.Outcome(); got != test.outcome {
					t.Errorf("outcome %+v, want %+v", got, test.outcome)
				}
				w.End()
			}
		})
	}
}
