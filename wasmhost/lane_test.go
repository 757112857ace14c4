package wasmhost

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/fake"
)

func laneStreams(n int) (*lane, []*stream, []*fake.Exchange) {
	l := &lane{}
	streams, exchanges := make([]*stream, n), make([]*fake.Exchange, n)
	for k := range streams {
		exchanges[k] = fake.New()
		streams[k] = l.bind(exchanges[k])
	}
	return l, streams, exchanges
}

func woken(exchanges []*fake.Exchange) string {
	out := ""
	for _, x := range exchanges {
		out += fmt.Sprint(x.Wakes.Load())
	}
	return out
}

func TestLaneCallsOneAtATimeInOrder(t *testing.T) {
	l, s, x := laneStreams(4)
	for k, want := range []bool{true, false, false, false} {
		if l.enter(&s[k].seat) != want {
			t.Fatalf("stream %d: %v", k, !want)
		}
	}
	l.enter(&s[2].seat) // asking twice does not change the order
	for k := 1; k < 4; k++ {
		l.leave()
		if got, want := woken(x), []string{"", "0100", "0110", "0111"}[k]; got != want {
			t.Fatalf("woken %s, want %s", got, want)
		}
		if !l.enter(&s[k].seat) {
			t.Fatalf("stream %d does not enter when called", k)
		}
	}
	l.leave()
	if l.held || l.first != nil || l.head != nil || l.tail != nil {
		t.Errorf("afterwards: %+v", l)
	}
}

func TestLaneIsKeptForOneThatCameInVain(t *testing.T) {
	l, s, x := laneStreams(4)
	l.enter(&s[0].seat)
	l.enter(&s[1].seat)
	l.leave() // calls 1
	if !l.enter(&s[2].seat) {
		t.Fatal("one that passes by before 1 comes is kept out")
	}
	if l.enter(&s[1].seat) {
		t.Fatal("two holders")
	}
	l.leave() // 1 is firm now
	if got := woken(x); got != "0200" {
		t.Errorf("woken %s", got)
	}
	if l.enter(&s[3].seat) || l.enter(&s[2].seat) {
		t.Fatal("one that passes by enters though 1 has come in vain")
	}
	if !l.enter(&s[1].seat) {
		t.Fatal("1 does not enter")
	}
	l.leave()
	if got := woken(x); got != "0201" {
		t.Errorf("woken %s", got)
	}
}

func TestLaneCallsTheNextWhereOneWillNotCome(t *testing.T) {
	l, s, x := laneStreams(5)
	l.enter(&s[0].seat)
	for k := 1; k < 5; k++ {
		l.enter(&s[k].seat)
	}
	s[2].Forgo() // in line
	l.leave()    // calls 1
	s[1].Forgo()
	if got := woken(x); got != "01010" {
		t.Fatalf("woken %s", got)
	}
	l.enter(&s[0].seat)
	l.enter(&s[3].seat) // in vain: it is firm
	s[3].Forgo()        // while 0 holds the lane
	if got := woken(x); got != "01010" {
		t.Fatalf("woken %s while the lane is held", got)
	}
	l.leave()
	if got := woken(x); got != "01011" || !l.enter(&s[4].seat) {
		t.Fatalf("woken %s, or 4 does not enter", got)
	}
	l.leave()
	s[4].Forgo() // it waits for nothing
	if l.held || l.first != nil || l.head != nil || l.tail != nil {
		t.Errorf("afterwards: %+v", l)
	}
}

func TestLaneForgetsOneThatEntersFromTheLine(t *testing.T) {
	l, s, x := laneStreams(3)
	l.enter(&s[0].seat)
	l.enter(&s[1].seat)
	l.enter(&s[2].seat)
	l.leave() // calls 1; 2 is in line and comes of its own accord
	if !l.enter(&s[2].seat) {
		t.Fatal("2 does not enter a free lane")
	}
	l.leave()
	if !l.enter(&s[1].seat) {
		t.Fatal("1 does not enter")
	}
	l.leave()
	if got := woken(x); got != "010" || l.head != nil || l.first != nil {
		t.Errorf("woken %s, line %v", got, l.head)
	}
}

func TestStreamsPreferAFreeLane(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "g", Wasm: example(t, "greeter"), Lanes: 3})
	holders := map[*lane]filters.Stream{}
	for range 3 {
		s := begin(t, f, fake.New()).(*stream)
		if !s.lane.enter(&s.seat) {
			t.Fatal("it is given a lane that is held")
		}
		holders[s.lane] = s
	}
	if len(holders) != 3 {
		t.Fatalf("%d lanes for 3 streams", len(holders))
	}
	var extra []filters.Stream
	for range 6 { // all are held: the fewest streams
		extra = append(extra, begin(t, f, fake.New()))
	}
	for k, l := range f.lanes {
		if got := l.bound.Load(); got != 3 {
			t.Errorf("lane %d has %d streams", k, got)
		}
	}
	for l := range holders {
		l.leave()
	}
	for _, s := range holders {
		s.Close()
	}
	for _, s := range extra {
		s.Close()
	}
}

// connection plays the chain for one exchange, on a goroutine of its own: it calls again after Wait only when it has been
// woken, and counts as lost if it is not.
type connection struct {
	fake.Exchange
	continued atomic.Bool
	answered  atomic.Bool
	wake      chan struct{}
}

func (c *connection) Continue(filters.Direction)     { c.continued.Store(true) }
func (c *connection) Respond(r *filters.Reply) error { c.answered.Store(true); return nil }
func (c *connection) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

const lost = 20 * time.Second

func (c *connection) wait(t *testing.T, what string) {
	select {
	case <-c.wake:
	case <-time.After(lost):
		t.Errorf("nobody wakes a stream that waits %s", what)
	}
}

func (c *connection) until(t *testing.T, call func() bool) {
	for !call() && !t.Failed() {
		c.wait(t, "for its lane")
	}
}

// Many connections on few lanes: some pause until another continues them, some are closed in their pause. Every one
// comes to its end, and what a lane wrote into a paused message is there when the connection goes on.
func TestLanesUnderConcurrency(t *testing.T) {
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "hold", Wasm: guest(t, "testdata/hold.wasm"), Lanes: 2})
	const connections, rounds = 32, 150
	var wg, releasing sync.WaitGroup
	var paused atomic.Int64
	drive := func(c *connection, do string) filters.Action {
		c.Fill()
		c.continued.Store(false)
		c.Req.Header.Add("x-do", do)
		s := begin(t, f, c)
		action := filters.Wait
		c.until(t, func() bool {
			action = s.Head(filters.Request, true)
			return action != filters.Wait
		})
		if action == filters.Pause {
			paused.Add(1)
			if rand.IntN(8) != 0 {
				for !c.continued.Load() && !t.Failed() {
					c.wait(t, "for its release")
				}
				if got := c.Req.Header.Value("x-released"); got != "yes" {
					t.Errorf("x-released is %q", got)
				}
			}
		}
		c.until(t, s.Close)
		return action
	}
	for k := range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := &connection{wake: make(chan struct{}, 1)}
			for n := range rounds {
				drive(c, []string{"hold", "release", "pass"}[(k+n)%3])
			}
		}()
	}
	// Whoever is still paused when the others have ended is released by these.
	stop := make(chan struct{})
	releasing.Add(1)
	go func() {
		defer releasing.Done()
		c := &connection{wake: make(chan struct{}, 1)}
		for {
			select {
			case <-stop:
				return
			default:
				drive(c, "release")
			}
		}
	}()
	wg.Wait()
	close(stop)
	releasing.Wait()
	s := f.Stats()
	if s.Streams != 0 || s.Parked != 0 || s.Started != 2 || paused.Load() == 0 {
		t.Errorf("stats %+v, %d pauses", s, paused.Load())
	}
	t.Logf("%d pauses, %d calls, %d waits", paused.Load(), s.Calls, s.Waits)
}

// The same with a guest that fails now and then: every stream is answered, none hangs, and all instances come back.
func TestLanesUnderConcurrencyWithFaults(t *testing.T) {
	h := testHost(t, Options{After: func(_ time.Duration, run func()) { go run() }})
	spec := trapSpec(t, "request_headers", "unreachable")
	spec.Lanes = 2
	f := testFilter(t, h, spec)
	var wg sync.WaitGroup
	for k := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := &connection{wake: make(chan struct{}, 1)}
			for n := range 100 {
				c.Fill()
				c.answered.Store(false)
				c.Req.Header.Add("x-do", map[bool]string{true: "fail", false: []string{"hold", "pass"}[(k+n)%2]}[n%10 == k%10])
				s, _ := f.NewStream(c)
				if s == nil {
					continue
				}
				action := filters.Wait
				c.until(t, func() bool {
					action = s.Head(filters.Request, true)
					return action != filters.Wait
				})
				if action == filters.Pause && n%3 == 0 {
					select { // another's fault answers it, or else it is closed in its pause
					case <-c.wake:
					case <-time.After(time.Millisecond):
					}
				}
				c.until(t, s.Close)
			}
		}()
	}
	wg.Wait()
	if s := f.Stats(); s.Streams != 0 || s.Parked != 0 || s.Faults[CauseUnreachable] == 0 {
		t.Errorf("stats %+v", s)
	}
}
