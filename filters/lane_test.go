package filters

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"edge/filters/message"
)

// TestLanes runs many exchanges at once through filters that keep one lane each, whose streams are resumed by other
// goroutines while their connections turn for no reason. Under the race detector it shows that what a pause has made a
// lane's own the connection does not touch. Each filter adds one to every byte of either body, in the callback or in the
// lane, and a field to each head; all of it must come out.
func TestLanes(t *testing.T) {
	exchanges := 300
	if testing.Short() {
		exchanges = 50
	}
	lanes := []Filter{newLane("a", 1), newLane("b", 2), newLane("c", 3)}
	var ticking, running sync.WaitGroup
	stop := make(chan struct{})
	for _, f := range lanes {
		ticking.Go(func() { f.(*testLane).tick(stop) })
	}
	for n := range 6 {
		running.Go(func() {
			c := &connection{rng: rand.New(rand.NewPCG(uint64(n), 9)), woken: make(chan struct{}, 1)}
			for i := range exchanges {
				if err := c.exchange(lanes); err != nil {
					t.Errorf("connection %d, exchange %d: %v", n, i, err)
					return
				}
			}
		})
	}
	running.Wait()
	close(stop)
	ticking.Wait()
	for _, f := range lanes {
		if n := len(f.(*testLane).paused); n != 0 {
			t.Errorf("lane %s has %d streams left", f.Name(), n)
		}
	}
}

// testLane is a filter with one instance, as wasmhost keeps them: who holds it works, the others wait in line.
type testLane struct {
	name string

	mu   sync.Mutex
	held bool
	line []*laneStream

	// The holder's.
	rng    *rand.Rand
	paused map[*laneStream]bool
	edits  int // stands for the instance's memory
}

type laneStream struct {
	lane *testLane
	x    Exchange

	// The holder's.
	head, body [2]bool // paused on
	spent      [2]bool // resumed by the lane, since the last callback

	inLine bool // guarded by lane.mu
}

func newLane(name string, seed uint64) *testLane {
	return &testLane{name: name, rng: rand.New(rand.NewPCG(seed, 3)), paused: map[*laneStream]bool{}}
}

func (l *testLane) Name() string         { return l.name }
func (l *testLane) Callbacks() Callbacks { return everything }
func (l *testLane) Limits() Limits       { return Limits{Pause: time.Hour} }
func (l *testLane) NewStream(x Exchange) (Stream, bool) {
	return &laneStream{lane: l, x: x}, false
}

func (l *testLane) enter(s *laneStream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		if s != nil && !s.inLine {
			s.inLine = true
			l.line = append(l.line, s)
		}
		return false
	}
	l.held = true
	return true
}

func (l *testLane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	for _, s := range l.line {
		s.inLine = false
		s.x.Wake()
	}
	l.line = l.line[:0]
}

// tick resumes paused streams, as a timer of the guest would.
func (l *testLane) tick(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			runtime.Gosched()
		}
		if !l.enter(nil) {
			continue
		}
		for s := range l.paused {
			if l.rng.IntN(2) == 0 {
				s.resume()
				break
			}
		}
		l.leave()
	}
}

func (s *laneStream) resume() {
	for d := Request; d <= Response; d++ {
		switch {
		case s.head[d]:
			s.head[d] = false
			s.edit(d)
		case s.body[d]:
			s.body[d] = false
			s.spent[d] = true
			increment(s.x.Held(d))
		default:
			continue
		}
		_ = s.x.SetProperty(s.lane.name, []byte{byte(s.lane.edits)})
		s.x.Continue(d)
	}
	delete(s.lane.paused, s)
}

// edit changes a head.
func (s *laneStream) edit(d Direction) {
	s.lane.edits++
	h := &s.x.Request().Header
	if d == Response {
		h = &s.x.Response().Header
	}
	h.Add("x-"+s.lane.name, "1")
	h.Set("x-last", s.lane.name)
}

// increment adds one to every byte a stream holds. It writes all of the Body, for the race detector to see.
func increment(b *message.Body) {
	p := bytes.Clone(b.Bytes())
	for i := range p {
		p[i]++
	}
	b.Replace(0, b.Len(), p)
}

func decrement(p []byte) {
	for i := range p {
		p[i]--
	}
}

func (s *laneStream) pause(what *[2]bool, d Direction) Action {
	what[d] = true
	s.lane.paused[s] = true
	return Pause
}

func (s *laneStream) Head(d Direction, _ bool) Action {
	if !s.lane.enter(s) {
		return Wait
	}
	defer s.lane.leave()
	if s.lane.rng.IntN(3) > 0 {
		return s.pause(&s.head, d)
	}
	s.edit(d)
	return Continue
}

func (s *laneStream) Body(d Direction, held *message.Body, chunk []byte, _ bool) Action {
	if !s.lane.enter(s) {
		return Wait
	}
	defer s.lane.leave()
	ShownAgain(s.x, d)
	held.Append(chunk)
	if s.spent[d] = s.spent[d] && held.Len() > len(chunk); s.spent[d] {
		decrement(held.Bytes()[:held.Len()-len(chunk)]) // let go, but shown once more
	}
	s.spent[d] = false
	if s.lane.rng.IntN(3) > 0 {
		return s.pause(&s.body, d)
	}
	s.body[d] = false
	increment(held)
	return Continue
}

func (s *laneStream) Trailers(d Direction) Action {
	if !s.lane.enter(s) {
		return Wait
	}
	defer s.lane.leave()
	ShownAgain(s.x, d)
	if s.body[d] {
		s.body[d] = false
		increment(s.x.Held(d))
	}
	return Continue
}

func (s *laneStream) CallDone(uint32, *CallAnswer) Action { return Continue }

func (s *laneStream) Close() bool {
	if !s.lane.enter(s) {
		return false
	}
	delete(s.lane.paused, s)
	s.lane.leave()
	return true
}

// connection is the Host, and turns in its goroutine.
type connection struct {
	chain Chain
	rng   *rand.Rand
	woken chan struct{}
	req   message.Request
	resp  message.Response
	out   [2]end
}

func (c *connection) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}
func (c *connection) Now() int64                      { return 0 }
func (c *connection) Call(int, *Call) (uint32, error) { return 0, ErrNoUpstream }
func (c *connection) CancelCalls(int)                 {}
func (c *connection) Property(string) (Value, bool)   { return Value{}, false }
func (c *connection) Log(string, Level, string)       {}
func (c *connection) RequestHead(end bool)            { c.out[0].headed, c.out[0].ended = true, end }
func (c *connection) RequestBody(p []byte, end bool)  { c.piece(Request, p, end) }
func (c *connection) RequestTrailers()                { c.out[0].ended, c.out[0].trailers = true, true }
func (c *connection) Cancel()                         {}
func (c *connection) ResponseHead(end bool)           { c.out[1].headed, c.out[1].ended = true, end }
func (c *connection) ResponseBody(p []byte, end bool) { c.piece(Response, p, end) }
func (c *connection) ResponseTrailers()               { c.out[1].ended, c.out[1].trailers = true, true }
func (c *connection) Abort(cause string)              { panic(cause) }
func (c *connection) piece(d Direction, p []byte, e bool) {
	c.out[d].body = append(c.out[d].body, p...)
	c.out[d].ended = e
}

// turn waits for a Wake, or does not.
func (c *connection) turn() {
	if c.rng.IntN(2) == 0 {
		<-c.woken
	}
}

func (c *connection) exchange(lanes []Filter) error {
	c.req.Reset()
	c.resp.Reset()
	c.out = [2]end{}
	c.req.Method, c.req.Target, c.req.Authority, c.req.Length = "POST", "/", "a", message.UnknownLength
	c.chain.Begin(lanes, &c.req, &c.resp, c, c)
	var in [2]end
	for d := range in {
		in[d] = end{total: c.rng.IntN(200), trailers: c.rng.IntN(2) == 0}
	}
	for !c.out[Request].ended || !c.out[Response].ended {
		moved := c.push(Request, &in[Request])
		if c.out[Request].headed {
			moved = c.push(Response, &in[Response]) || moved
		}
		if !moved && c.chain.Busy() {
			c.turn()
		}
		c.chain.Run()
	}
	for !c.chain.End() {
		c.turn()
	}
	for d := range in {
		if want := bytes.Repeat([]byte{'a' + 3}, in[d].total); !bytes.Equal(c.out[d].body, want) || c.out[d].trailers != in[d].trailers {
			return fmt.Errorf("the %s came out as %q", Direction(d), c.out[d].body)
		}
		h := []*message.Fields{&c.req.Header, &c.resp.Header}[d]
		if h.Len() != 4 || h.Value("x-last") != []string{"c", "a"}[d] {
			return fmt.Errorf("the %s head came out as %s", Direction(d), fieldsText(h))
		}
	}
	return nil
}

func (c *connection) push(d Direction, m *end) bool {
	if m.ended || !c.chain.Accepts(d) {
		return false
	}
	n := min(c.rng.IntN(60), m.total-m.n)
	p := bytes.Repeat([]byte{'a'}, n)
	last := m.headed && m.n+n == m.total
	m.ended = last
	switch head := !m.headed; {
	case head && d == Request:
		m.headed = true
		c.chain.RequestHead(false)
	case head:
		m.headed = true
		c.resp.Status, c.resp.Length = 200, message.UnknownLength
		c.chain.ResponseHead(false)
	case d == Request && last && n == 0 && m.trailers:
		c.chain.RequestTrailers()
	case last && n == 0 && m.trailers:
		c.chain.ResponseTrailers()
	default:
		m.n += n
		m.ended = last && !m.trailers
		if d == Request {
			c.chain.RequestBody(p, m.ended)
		} else {
			c.chain.ResponseBody(p, m.ended)
		}
	}
	return true
}
