package wasmhost

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
)

// shift is a unit on a goroutine of its own, whose calls are answered on its next turn.
type shift struct {
	task    filters.Task
	of      *shifts
	wake    chan struct{}
	ended   atomic.Bool
	running atomic.Int32
	calls   []uint32
}

// shifts gives out units until it stops.
type shifts struct {
	t    *testing.T
	mu   sync.Mutex
	list []*shift
	over bool
	wg   sync.WaitGroup
	n    atomic.Int64 // answers given
}

func (u *shifts) Begin(t filters.Task) filters.Unit {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return nil
	}
	s := &shift{task: t, of: u, wake: make(chan struct{}, 1)}
	u.list = append(u.list, s)
	u.wg.Go(s.run)
	return s
}

func (u *shifts) stop() {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	for _, s := range u.list {
		s.End()
	}
	u.wg.Wait()
}

func (s *shift) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shift) End()                            { s.ended.Store(true); s.Wake() }
func (s *shift) Call(id uint32, _ *filters.Call) { s.calls = append(s.calls, id) }
func (s *shift) CancelCalls()                    { s.calls = nil }

func (s *shift) run() {
	began := time.Now()
	for {
		if s.ended.Load() {
			if s.task.Close() {
				return
			}
			s.rest(lost)
			continue
		}
		var header message.Fields
		for len(s.calls) > 0 {
			id := s.calls[0]
			s.calls = s.calls[1:]
			n := strconv.Itoa(int(s.of.n.Add(1)))
			if !s.task.CallDone(id, &filters.CallAnswer{Status: 200, Header: &header, Body: []byte(n)}) {
				s.calls = append([]uint32{id}, s.calls...)
				break
			}
		}
		now := int64(time.Since(began)) + 1
		if next := s.task.Run(now); next == 0 {
			s.rest(lost)
		} else if next > now && len(s.calls) == 0 {
			s.rest(time.Duration(next - now))
		}
	}
}

// rest waits to be woken, and says that nobody has for too long.
func (s *shift) rest(d time.Duration) {
	select {
	case <-s.wake:
	case <-time.After(d):
		if d == lost && !s.ended.Load() {
			return // nothing to do is no loss; streams that wait in vain fail the test
		}
	}
}

// TestRootsUnderConcurrency: ticks and answers of root contexts continue streams of many connections, on few lanes, while filters are
// retired under them and take their time to end: nobody is lost, what the root context wrote into a paused message is there when the
// connection goes on, and every filter closes (run under the race detector).
func TestRootsUnderConcurrency(t *testing.T) {
	units := &shifts{t: t}
	h := testHost(t, Options{Units: units, Log: func(_ string, l filters.Level, s string) {
		if l >= filters.Warn {
			t.Log(s)
		}
	}})
	spec := refreshSpec(t)
	spec.Lanes, spec.Config = 2, []byte(`{"upstream": "keys", "path": "/keys", "period": "10"}`)
	var live atomic.Pointer[Filter]
	fresh := func() *Filter {
		f, err := h.NewFilter(spec)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	live.Store(fresh())
	var all sync.WaitGroup
	var paused atomic.Int64
	const connections, rounds = 16, 60
	for k := range connections {
		all.Go(func() {
			c := &connection{wake: make(chan struct{}, 1)}
			for n := range rounds {
				c.Fill()
				c.continued.Store(false)
				if (k+n)%2 == 0 {
					c.Req.Header.Add("x-value", "fresh")
				}
				s, _ := live.Load().NewStream(c)
				if s == nil {
					continue // it was retired this moment
				}
				action := filters.Wait
				c.until(t, func() bool {
					action = s.Head(filters.Request, true)
					return action != filters.Wait
				})
				if action == filters.Pause {
					paused.Add(1)
					for !c.continued.Load() && !t.Failed() && n%7 != 0 {
						c.wait(t, "for an answer")
					}
				}
				if n%7 != 0 || action == filters.Continue {
					if got := c.Req.Header.Value("x-value"); got == "" || got == "fresh" {
						t.Errorf("x-value is %q", got)
					}
				}
				c.until(t, s.Close)
			}
		})
	}
	const swaps = 10
	for range swaps {
		f := fresh()
		old := live.Swap(f)
		old.Retire()
		select {
		case <-old.Closed():
		case <-time.After(lost):
			t.Fatal("a retired filter does not close")
		}
	}
	all.Wait()
	f := live.Load()
	f.Retire()
	<-f.Closed()
	units.stop()
	if s := f.Stats(); s.Streams != 0 || s.Parked != 0 || paused.Load() == 0 || h.Modules() != 0 {
		t.Errorf("stats %+v, %d pauses, %d modules", s, paused.Load(), h.Modules())
	}
	t.Logf("%d pauses, %d answers", paused.Load(), units.n.Load())
}
