package filters

// Outcome is what a filter, or the chain in its name, has done to an exchange beyond changing messages. Its strings are
// valid until the next Begin.
type Outcome struct {
	Filter  string // its name in the configuration; "" where Answer was the server's
	Flag    Flag
	Cause   string // what happened, in words; "" for a plain reply
	Details string // Reply.Details
}

// Flag is the outcome in two letters, for the access log.
type Flag uint8

// The flags.
const (
	FlagNone    Flag = iota
	FlagSkipped      // FS: the filter failed and was left out
	FlagReplied      // FR: the filter answered
	FlagFailed       // FT: the filter failed, and with it the exchange
	FlagPaused       // FP: a pause, or the wait for a lane, lasted too long
	FlagBody         // FB: the body was longer than the filter may hold
	FlagAborted      // FA: the filter cut the exchange off
	FlagLimit        // FL: the filter hit a limit of its own (CPU, call depth, host calls), and with it the exchange failed
)

// String is the flag as the access log writes it.
func (f Flag) String() string {
	return [...]string{"", "FS", "FR", "FT", "FP", "FB", "FA", "FL"}[f]
}

// Outcome returns what has happened so far; the last decisive thing counts.
func (c *Chain) Outcome() Outcome { return c.outcome }

// Answered says that the response is the chain's own, not the action's.
func (c *Chain) Answered() bool { return c.answered || c.answer }

// AnswerBody is the body of the response that is the chain's own, valid until the next turn.
func (c *Chain) AnswerBody() []byte { return c.local.body.Bytes() }

// Answer has the chain make the response instead of the action, on behalf of the server (502, 504, 413, no route): the
// request phase ends, the filters still taking part see the response. It copies r. Where the head has been sent it cuts
// the exchange off with cause. Errors: ErrBadReply.
func (c *Chain) Answer(r *Reply, cause string) error {
	if c.over {
		return nil
	}
	if err := r.check(); err != nil {
		return err
	}
	c.local.copy(r)
	c.conclude("", FlagNone, cause)
	return nil
}

// conclude ends an exchange with the response in c.local, or, where the head has been sent, by cutting it off.
func (c *Chain) conclude(name string, flag Flag, cause string) {
	if c.over {
		return
	}
	c.outcome = Outcome{Filter: name, Flag: flag, Cause: cause, Details: c.local.details}
	if c.sent.Load() {
		if cause == "" {
			c.outcome.Cause = "the reply came after the response had begun"
		}
		c.abort()
		return
	}
	c.flows[Request].stage, c.flows[Response].stage = stageDrop, stageDrop
	if l := c.owner; l != nil {
		c.takeOut(l)
		if c.owner != nil {
			c.answer, c.unusual = true, true
			return
		}
	}
	c.startLocal()
}

// startLocal begins the response in c.local. Streams that have seen another response's head are not shown this one.
func (c *Chain) startLocal() {
	c.answer, c.answered = false, true
	c.sink.Cancel()
	for i := range c.links {
		l := &c.links[i]
		l.forgo()
		l.sides[Request].stop()
		s := &l.sides[Response]
		s.stop()
		s.bypass = s.bypass || s.past
	}
	r := c.resp
	c.local.fill(r)
	r.Bodiless = c.headAsked || r.Status == 204 || r.Status == 304
	c.localBody = r.Length > 0 && !r.Bodiless
	if !c.headAsked && r.Bodiless {
		r.Length = 0
	}
	c.flows[Request].blocked = 0
	c.flows[Response] = flow{stage: stageHead, end: !c.localBody, length: r.Length}
	c.recount()
	c.was.status = r.Status
	c.pumpHead(Response)
}

// abort cuts the exchange off.
func (c *Chain) abort() {
	c.over = true
	c.flows[Request].stage, c.flows[Response].stage = stageDrop, stageDrop
	c.sink.Abort(c.outcome.Cause)
}

// failed ends an exchange for a stream that has returned Fail.
func (c *Chain) failed(l *link) {
	flag, cause := l.failure()
	c.fail(l, 503, flag, cause)
}

// failure is what is told of a stream that has failed.
func (l *link) failure() (flag Flag, cause string) {
	flag, cause = FlagFailed, "the filter failed"
	if l.because != "" {
		cause += ": " + l.because
	}
	if l.limit {
		flag = FlagLimit
	}
	return flag, cause
}

// fail takes a filter out and the exchange with it.
func (c *Chain) fail(l *link, status int, flag Flag, cause string) {
	l.end = flag
	c.takeOut(l)
	c.local.plain(status)
	c.conclude(l.filter.Name(), flag, cause)
}

// skip takes a filter out that has said so in a callback of direction d; the caller moves d on. What it holds in the
// other direction goes on in the next turn.
func (c *Chain) skip(l *link, d Direction) {
	l.end = FlagSkipped
	if c.outcome.Flag == FlagNone {
		cause := "the filter failed and was left out"
		if l.because != "" {
			cause += ": " + l.because
		}
		c.outcome = Outcome{Filter: l.filter.Name(), Flag: FlagSkipped, Cause: cause}
	}
	c.takeOut(l)
	c.orphan(l, 1-d)
}

// orphan marks what a filter taken out still holds, or keeps waiting, as to be passed on.
func (c *Chain) orphan(l *link, d Direction) {
	s := &l.sides[d]
	if !s.busy() {
		return
	}
	if s.paused || s.blocked {
		c.block(l, d, nil, false)
	}
	s.paused, s.waits, s.due = false, false, 0
	c.host.Wake()
}

// signalled acts on the Respond or Abort that a stream called in a callback that returned a.
func (c *Chain) signalled(l *link, a Action) {
	if a == Skip || a == Fail {
		c.takeOut(l)
	}
	if l.signals.Load()&signalAbort != 0 {
		c.abortBy(l)
		return
	}
	c.respondBy(l)
}

func (c *Chain) abortBy(l *link) {
	l.signals.And(^signalAbort)
	flag, cause := FlagAborted, "the filter cut the exchange off"
	if l.because != "" {
		flag, cause = l.failure()
	}
	l.end = flag
	c.outcome = Outcome{Filter: l.filter.Name(), Flag: flag, Cause: cause}
	c.abort()
}

func (c *Chain) respondBy(l *link) {
	l.reply, c.local = c.local, l.reply
	l.signals.And(^signalRespond) // from here on the lane may fill the other reply
	if c.owner == l {
		c.owner = nil
	}
	l.end = FlagReplied
	if c.local.flag != FlagNone {
		l.end = c.local.flag
	}
	c.conclude(l.filter.Name(), l.end, "")
}

// Deadline is when the earliest pause, or wait for a lane, has lasted too long, in engine nanoseconds; 0 for never.
func (c *Chain) Deadline() int64 {
	if !c.unusual || c.over {
		return 0
	}
	var first int64
	for i := range c.links {
		for d := range c.links[i].sides {
			if due := c.links[i].sides[d].due; due != 0 && c.links[i].in && (first == 0 || due < first) {
				first = due
			}
		}
	}
	return first
}

// Expire ends the exchange with 504 (or cuts it off, once the response has begun) if a pause has lasted until now.
func (c *Chain) Expire(now int64) {
	if !c.unusual {
		return
	}
	for i := range c.links {
		for d := range c.links[i].sides {
			l := &c.links[i]
			if due := l.sides[d].due; due != 0 && due <= now && l.in && !c.over {
				l.sides[d].due = 0
				c.fail(l, 504, FlagPaused, "the filter paused too long")
			}
		}
	}
	c.Run()
}
