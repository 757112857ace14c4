package filters

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"edge/filters/message"
)

// TestModel plays random exchanges through random chains of filters that continue, pause, wait for a lane, answer, leave,
// fail and cut off at random, and are resumed at random, with a connection that only turns when it was woken (or for no
// reason). What must hold is in play and in the methods of player and stage hand below. A failing seed is printed.
func TestModel(t *testing.T) {
	seeds := uint64(20000)
	if testing.Short() {
		seeds = 2000
	}
	for seed := range seeds {
		if err := play(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// game is one exchange: the chain's Host and Sink, the client and the action.
type game struct {
	Chain
	rng      *rand.Rand
	req      message.Request
	resp     message.Response
	players  []*player
	woken    bool
	now      int64
	calm     bool // no more mischief: everything goes on
	ended    bool // End has been called
	problems []string

	calls    []gameCall
	nextCall uint32

	client, origin end    // what is to be sent
	action         bool   // the request's head is out and the action not cancelled
	got            [2]end // what came out
	aborted        bool
}

// end is one end of a message.
type end struct {
	n, total      int  // bytes gone by, bytes in all
	trailers      bool // ends with trailers
	headed, ended bool
	body          []byte
}

type gameCall struct {
	index int
	id    uint32
}

// player is a filter, and its own stream.
type player struct {
	game    *game
	index   int
	wants   Callbacks
	limits  Limits
	x       Exchange
	waiting bool
	closed  bool
	gone    bool // has said Skip or Fail
	paused  [2]bool
	shown   [2]int // bytes; -1 while the head is kept
	kept    [2]int // bytes, in a pause on the body
	headed  [2]bool
	ended   [2]bool
	calls   int
}

func (g *game) wrong(format string, args ...any) {
	g.problems = append(g.problems, fmt.Sprintf(format, args...))
}

func (g *game) chance(percent int) bool { return !g.calm && g.rng.IntN(100) < percent }

// content is byte i of every body, so that a loss or a swap shows.
func content(i int) byte { return byte(i ^ i>>8*31) }

func piece(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = content(from + i)
	}
	return p
}

func (p *player) Name() string         { return fmt.Sprint("p", p.index) }
func (p *player) Callbacks() Callbacks { return p.wants }
func (p *player) Limits() Limits       { return p.limits }
func (p *player) NewStream(x Exchange) (Stream, bool) {
	p.x = x
	if p.game.chance(3) {
		p.closed = true
		return nil, p.game.chance(50)
	}
	return p, false
}

// enter checks that the callback may be made at all.
func (p *player) enter(what string, want Callbacks) {
	g := p.game
	switch {
	case p.closed:
		g.wrong("%s: %s after Close", p.Name(), what)
	case p.gone:
		g.wrong("%s: %s after Skip or Fail", p.Name(), what)
	case want != 0 && p.wants&want == 0:
		g.wrong("%s: %s was not wanted", p.Name(), what)
	case g.ended:
		g.wrong("%s: %s after End", p.Name(), what)
	}
	p.alone(what)
}

// alone checks that no other player owns a message.
func (p *player) alone(what string) {
	for _, q := range p.game.players {
		for d := range q.paused {
			if q != p && q.owns(Direction(d)) {
				p.game.wrong("%s: %s while %s owns the %s", p.Name(), what, q.Name(), Direction(d))
			}
		}
	}
}

// owns says whether the player is paused on a head or on trailers, by its own account.
func (p *player) owns(d Direction) bool {
	return p.paused[d] && !p.closed && !p.gone && (p.ended[d] || p.shown[d] < 0)
}

// lane may find the lane busy. It may come free before the callback has returned.
func (p *player) lane() bool {
	switch {
	case p.game.chance(15):
		p.waiting = true
		return false
	case p.game.chance(15):
		p.waiting = false
		p.x.Wake()
		return false
	}
	return true
}

// Forgo is part of Waiting: nobody wakes it for the place that it gives up.
func (p *player) Forgo() { p.waiting = false }

// decide picks what a callback returns and does.
func (p *player) decide(d Direction) Action {
	g := p.game
	switch {
	case g.chance(30):
		if g.chance(15) {
			p.x.Continue(d)
			return Pause
		}
		p.paused[d] = true
		return Pause
	case g.chance(2):
		p.gone = true
		return Skip
	case g.chance(1):
		p.gone = true
		return Fail
	case g.chance(2):
		if p.respond() {
			return Action(g.rng.IntN(2))
		}
	case g.chance(1) && g.chance(50):
		p.x.Abort()
	case g.chance(10) && p.calls < MaxCalls:
		p.call()
	}
	return Continue
}

// respond says whether the reply was taken; that ends every pause.
func (p *player) respond() bool {
	body := bytes.Repeat([]byte{'r'}, p.game.rng.IntN(3)*10)
	switch err := p.x.Respond(&Reply{Status: 400 + p.index, Body: body}); err {
	case nil:
		p.paused = [2]bool{}
		return true
	case ErrTooLate:
	default:
		p.game.wrong("%s: respond: %v", p.Name(), err)
	}
	return false
}

func (p *player) call() {
	if _, err := p.x.Call(&Call{Method: "GET", Target: "/", Authority: "a"}); err != nil {
		p.game.wrong("%s: call: %v", p.Name(), err)
	}
	p.calls++
}

func (p *player) Head(d Direction, end bool) Action {
	p.enter("head", onHead(d))
	if p.headed[d] {
		p.game.wrong("%s: a second %s head", p.Name(), d)
	}
	if !p.lane() {
		return Wait
	}
	p.headed[d] = true
	p.shown[d] = -1
	a := p.decide(d)
	if !p.paused[d] {
		p.shown[d] = 0
	}
	return a
}

func (p *player) Body(d Direction, held *message.Body, chunk []byte, end bool) Action {
	p.enter("body", onBody(d))
	if !p.lane() {
		return Wait
	}
	ShownAgain(p.x, d)
	if p.ended[d] {
		p.game.wrong("%s: more %s body after its end", p.Name(), d)
	}
	p.shown[d] = max(p.shown[d], 0)
	if !p.game.Answered() && !bytes.Equal(chunk, piece(p.shown[d], len(chunk))) {
		p.game.wrong("%s: %s bytes out of order at %d", p.Name(), d, p.shown[d])
	}
	p.shown[d] += len(chunk)
	held.Append(chunk)
	if !p.paused[d] {
		p.kept[d] = 0
	}
	p.kept[d] += len(chunk)
	if held.Len() != p.kept[d] {
		p.game.wrong("%s: shown %d bytes of the %s, not %d", p.Name(), held.Len(), d, p.kept[d])
	}
	p.paused[d] = false
	return p.decide(d)
}

func (p *player) Trailers(d Direction) Action {
	p.enter("trailers", onTrailers(d))
	if !p.lane() {
		return Wait
	}
	ShownAgain(p.x, d)
	if p.ended[d] {
		p.game.wrong("%s: a second end of the %s", p.Name(), d)
	}
	p.paused[d] = false
	a := p.decide(d)
	p.ended[d] = true
	return a
}

func (p *player) CallDone(id uint32, a *CallAnswer) Action {
	p.enter("call", 0)
	if !p.lane() {
		return Wait
	}
	p.calls--
	p.act()
	if p.game.chance(3) {
		p.gone = true
		p.paused = [2]bool{}
		return []Action{Skip, Fail}[p.game.rng.IntN(2)]
	}
	return Continue
}

func (p *player) Close() bool {
	if p.closed {
		p.game.wrong("%s: closed twice", p.Name())
	}
	p.alone("close")
	if !p.lane() {
		return false
	}
	p.closed, p.waiting = true, false
	p.paused = [2]bool{}
	return true
}

// act is what a lane does to a paused stream.
func (p *player) act() {
	for d := range p.paused {
		if !p.paused[d] || p.game.chance(30) {
			continue
		}
		if held := p.x.Held(Direction(d)); held != nil && p.shown[d] >= 0 && !p.ended[d] && held.Len() != p.kept[d] {
			p.game.wrong("%s: %d of the %d bytes it has kept of the %s are left", p.Name(), held.Len(), p.kept[d], Direction(d))
		}
		switch {
		case p.game.chance(10):
			if p.respond() {
				return
			}
		case p.game.chance(2):
			p.x.Abort()
			return
		default:
			p.paused[d] = false
			if p.shown[d] < 0 {
				p.shown[d] = 0
			}
			p.x.Continue(Direction(d))
		}
	}
}

// Host.

func (g *game) Wake()                         { g.woken = true }
func (g *game) Now() int64                    { return g.now }
func (g *game) Property(string) (Value, bool) { return Value{}, false }
func (g *game) Log(string, Level, string)     {}
func (g *game) CancelCalls(index int) {
	kept := g.calls[:0]
	for _, c := range g.calls {
		if c.index != index {
			kept = append(kept, c)
		}
	}
	g.calls = kept
}
func (g *game) Call(index int, _ *Call) (uint32, error) {
	g.nextCall++
	g.calls = append(g.calls, gameCall{index, g.nextCall})
	return g.nextCall, nil
}

// exit is the Sink.
type exit struct{ *game }

func (e exit) alive(what string) {
	if e.aborted || e.ended {
		e.wrong("%s after the end of all", what)
	}
}

func (e exit) head(d Direction, end bool) {
	e.alive(d.String() + " head")
	g := &e.got[d]
	if g.headed || g.ended {
		e.wrong("a second %s head", d)
	}
	g.headed, g.ended = true, end
}

func (e exit) piece(d Direction, p []byte, end bool) {
	e.alive(d.String() + " body")
	g := &e.got[d]
	if !g.headed || g.ended {
		e.wrong("%s body before the head or after the end", d)
	}
	g.body = append(g.body, p...)
	g.ended = end
}

func (e exit) tail(d Direction) {
	e.alive(d.String() + " trailers")
	g := &e.got[d]
	if !g.headed || g.ended {
		e.wrong("%s trailers before the head or after the end", d)
	}
	g.ended, g.trailers = true, true
}

func (e exit) RequestHead(end bool) { e.head(Request, end); e.action = true }
func (e exit) RequestBody(p []byte, end bool) {
	if !e.action {
		e.wrong("request body without an action")
	}
	e.piece(Request, p, end)
}
func (e exit) RequestTrailers()                { e.tail(Request) }
func (e exit) Cancel()                         { e.action = false }
func (e exit) ResponseHead(end bool)           { e.head(Response, end) }
func (e exit) ResponseBody(p []byte, end bool) { e.piece(Response, p, end) }
func (e exit) ResponseTrailers()               { e.tail(Response) }
func (e exit) Abort(string) {
	e.alive("abort")
	e.aborted = true
}

// send pushes the next piece of a message in, if the chain takes it.
func (g *game) send(d Direction, m *end, head func(bool), body func([]byte, bool), trailers func()) {
	if m.ended || !g.Accepts(d) {
		return
	}
	if !m.headed {
		m.headed = true
		m.ended = m.total == 0 && !m.trailers
		head(m.ended)
		return
	}
	if m.n == m.total && m.trailers {
		m.ended = true
		trailers()
		return
	}
	n := min(g.rng.IntN(40), m.total-m.n)
	if g.calm {
		n = m.total - m.n
	}
	m.ended = m.n+n == m.total && !m.trailers
	p := piece(m.n, n)
	m.n += n
	body(p, m.ended)
	clear(p) // it was valid during the call only
}

func (g *game) step() {
	switch g.rng.IntN(9) {
	case 0, 1:
		g.send(Request, &g.client, g.RequestHead, g.RequestBody, g.RequestTrailers)
	case 2, 3:
		if g.action {
			if !g.origin.headed {
				g.resp.Status, g.resp.Length = 200, int64(g.origin.total)
				if g.origin.trailers {
					g.resp.Length = message.UnknownLength
				}
			}
			g.send(Response, &g.origin, g.ResponseHead, g.ResponseBody, g.ResponseTrailers)
		}
	case 4, 5:
		if p := g.pick(); p != nil && !p.closed && !p.gone {
			p.act()
		}
	case 6:
		if p := g.pick(); p != nil && p.waiting {
			p.waiting = false
			p.x.Wake()
		}
	case 7:
		if len(g.calls) > 0 {
			c := g.calls[0]
			g.calls = g.calls[1:]
			var a *CallAnswer
			if g.chance(50) {
				a = &CallAnswer{Status: 200, Body: []byte("x")}
			}
			g.CallDone(c.index, c.id, a)
		}
	case 8:
		if g.chance(2) {
			g.now += int64(time.Second)
			g.Expire(g.now)
		}
		if g.chance(1) {
			_ = g.Answer(&Reply{Status: 502, Body: []byte("bad")}, "bad")
		}
	}
	if g.woken || g.chance(20) {
		g.woken = false
		g.Run()
	}
}

func (g *game) pick() *player {
	if len(g.players) == 0 {
		return nil
	}
	return g.players[g.rng.IntN(len(g.players))]
}

// finished says whether the client has its answer, whole or cut off.
func (g *game) finished() bool { return g.aborted || g.got[Response].ended }

func play(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	g := &game{rng: rng}
	list := make([]Filter, rng.IntN(5))
	for i := range list {
		p := &player{game: g, index: i, wants: Callbacks(rng.IntN(64)), limits: Limits{Pause: time.Minute}}
		if rng.IntN(10) == 0 {
			p.limits.Body = 50
		}
		if rng.IntN(20) == 0 {
			p.limits.Pause = time.Second
		}
		g.players = append(g.players, p)
		list[i] = p
	}
	g.client = end{total: rng.IntN(3) * rng.IntN(100), trailers: rng.IntN(3) == 0}
	g.origin = end{total: rng.IntN(3) * rng.IntN(100), trailers: rng.IntN(3) == 0}
	g.req.Method, g.req.Target, g.req.Authority, g.req.Length = "POST", "/", "a", int64(g.client.total)
	if g.client.trailers || rng.IntN(2) == 0 && g.client.total > 0 {
		g.req.Length = message.UnknownLength
	}
	g.Begin(list, &g.req, &g.resp, g, exit{g})
	for i := 0; i < 200 && !g.aborted; i++ {
		g.step()
	}
	early := rng.IntN(8) == 0 // the client goes away
	if !early {
		g.calm = true
		for i := 0; i < 3000 && !(g.finished() && (g.got[Request].ended || g.Answered() || g.aborted)); i++ {
			g.step()
		}
		g.settle()
	}
	g.ended = true
	for i := 0; !g.End(); i++ {
		for _, p := range g.players {
			if p.waiting {
				p.waiting = false
				p.x.Wake()
			}
		}
		if i > 100 {
			return fmt.Errorf("does not end")
		}
		g.woken = false
	}
	for _, p := range g.players {
		if !p.closed {
			g.wrong("%s was not closed", p.Name())
		}
	}
	if len(g.calls) > 0 {
		g.wrong("%d calls were not cancelled", len(g.calls))
	}
	if len(g.problems) > 0 {
		return fmt.Errorf("%q", g.problems)
	}
	return nil
}

// settle checks what has come out in the end.
func (g *game) settle() {
	req, resp := &g.got[Request], &g.got[Response]
	switch {
	case !g.finished():
		g.wrong("stuck: no answer")
	case g.aborted:
	case g.Answered():
		if !bytes.Equal(resp.body, g.local.body.Bytes()) || resp.trailers {
			g.wrong("the chain's own answer came out as %q", resp.body)
		}
	default:
		if !bytes.Equal(resp.body, piece(0, g.origin.total)) || resp.trailers != g.origin.trailers {
			g.wrong("the response came out wrong: %d of %d bytes", len(resp.body), g.origin.total)
		}
		if !req.ended || len(req.body) != g.client.total || req.trailers != g.client.trailers {
			g.wrong("the request came out wrong: %d of %d bytes, ended %t", len(req.body), g.client.total, req.ended)
		}
	}
	if !bytes.HasPrefix(piece(0, g.client.total), req.body) {
		g.wrong("the request's bytes came out in disorder")
	}
	if resp.ended && g.resp.Length >= 0 && !g.aborted && int64(len(resp.body)) != g.resp.Length {
		g.wrong("%d bytes came out as a body of %d", len(resp.body), g.resp.Length)
	}
	if req.ended && g.req.Length >= 0 && int64(len(req.body)) != g.req.Length {
		g.wrong("%d bytes came out as a request body of %d", len(req.body), g.req.Length)
	}
}
