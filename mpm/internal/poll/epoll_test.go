package poll

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long is more than any step here takes on a busy machine.
const long = 10 * time.Second

func newSet(t testing.TB) *Set {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// pair is two connected, non-blocking sockets.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fds[0]); Close(fds[1]) })
	return fds[0], fds[1]
}

// parkFor parks until there are events, and fails where none come.
func parkFor(t testing.TB, s *Set) []Event {
	t.Helper()
	for range 100 {
		if events, _ := s.Park(long / 100); len(events) > 0 {
			return events
		}
	}
	t.Fatal("no event came")
	return nil
}

// TestAddOnce: a registered socket reports what is there already, once, with its slot and generation, and again only when
// something new happens.
func TestAddOnce(t *testing.T) {
	s := newSet(t)
	a, b := pair(t)
	Write(b, []byte("x"))
	if err := s.Add(a, 7, 1<<31+9); err != nil {
		t.Fatal(err)
	}
	events, woken := s.Ready()
	if len(events) != 1 || woken || events[0] != (Event{In | Out, 7, 1<<31 + 9}) {
		t.Fatalf("events %+v, woken %v", events, woken)
	}
	if events, _ := s.Ready(); len(events) != 0 {
		t.Fatalf("reported again: %+v", events)
	}
	Write(b, []byte("y"))
	if events := parkFor(t, s); events[0].Bits&In == 0 {
		t.Fatalf("events %+v", events)
	}
	CloseWrite(b)
	if events := parkFor(t, s); events[0].Bits&PeerIn == 0 {
		t.Fatalf("end of stream: %+v", events)
	}
}

// TestListenerStays: what one accept round leaves is reported again; a removed listener is silent; back in, it reports what
// waits (A2).
func TestListenerStays(t *testing.T) {
	s := newSet(t)
	l := listen(t)
	for range 3 {
		connect(t, l)
	}
	if err := s.AddListener(l, 1<<31, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if events := parkFor(t, s); len(events) != 1 || events[0].Slot != 1<<31 {
			t.Fatalf("events %+v", events)
		}
		fd, peer, errno := Accept(l)
		if errno != 0 || !peer.Addr().IsLoopback() {
			t.Fatalf("accept: %v, %v", peer, errno)
		}
		Close(fd)
	}
	if _, _, errno := Accept(l); errno != unix.EAGAIN {
		t.Fatalf("accept of nothing: %v", errno)
	}
	if err := s.Remove(l); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(l); err == nil {
		t.Fatal("removed twice")
	}
	connect(t, l)
	if events, _ := s.Ready(); len(events) != 0 {
		t.Fatalf("a removed listener reports %+v", events)
	}
	if err := s.AddListener(l, 1<<31, 0); err != nil {
		t.Fatal(err)
	}
	parkFor(t, s)
}

// TestMoreThanOneBatch: what does not fit one call comes with the next.
func TestMoreThanOneBatch(t *testing.T) {
	s := newSet(t)
	const sockets = 600
	for i := range sockets {
		a, _ := pair(t)
		if err := s.Add(a, uint32(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[uint32]bool{}
	for len(seen) < sockets {
		events, _ := s.Park(long)
		if len(events) == 0 {
			t.Fatalf("%d of %d reported", len(seen), sockets)
		}
		for _, e := range events {
			seen[e.Slot] = true
		}
	}
}

// TestParkTimeout: Park comes back by itself, not before its time, and at once with 0; what it does not see stays.
func TestParkTimeout(t *testing.T) {
	s := newSet(t)
	start := time.Now()
	events, woken := s.Park(30 * time.Millisecond)
	if d := time.Since(start); len(events) != 0 || woken || d < 30*time.Millisecond {
		t.Errorf("events %v, woken %v after %v", events, woken, d)
	}
	a, _ := pair(t)
	s.Add(a, 1, 1)
	s.Park(0)
	for range 3 {
		if events, _ := s.Ready(); len(events) == 1 {
			return
		}
	}
	t.Error("an event was lost in a Park of no time")
}

// TestWakeBeforePark: a Wake ends the next Park; one that Ready has taken is reported by Ready.
func TestWakeBeforePark(t *testing.T) {
	s := newSet(t)
	s.Wake()
	s.Wake()
	if _, woken := s.Park(long); !woken {
		t.Fatal("parked through a wake")
	}
	s.Wake()
	if _, woken := s.Ready(); !woken {
		t.Fatal("Ready has lost the wake")
	}
	if _, woken := s.Ready(); woken {
		t.Fatal("woken twice by one wake")
	}
}

// TestWakeHammer: however wakes and rounds meet, a later wake works. With the eventfd read after the flag was cleared this test
// failed: the read swallowed a write, and the flag stayed set for good.
func TestWakeHammer(t *testing.T) {
	s := newSet(t)
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				s.Wake()
			}
		})
	}
	start := time.Now()
	for seen := 0; seen < rounds && time.Since(start) < time.Second; runtime.Gosched() {
		if _, woken := s.Ready(); woken {
			seen++
		}
	}
	stop.Store(true)
	wg.Wait()
	s.Ready()
	s.Wake()
	if _, woken := s.Park(long); !woken {
		t.Error("the wake after the hammer is lost")
	}
}

// TestParkHoldsNoProcessor: with one processor, others run while the poller is parked.
func TestParkHoldsNoProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := newSet(t)
	parked := make(chan bool)
	go func() {
		for range 100 {
			_, woken := s.Park(long)
			parked <- woken
		}
	}()
	start := time.Now()
	for range 100 {
		for range 10 {
			runtime.Gosched()
		}
		s.Wake()
		if !<-parked {
			t.Fatal("not woken")
		}
	}
	// A processor held in the kernel is taken back by sysmon after up to 10 ms: 100 times that would be a second.
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("100 wakes took %v", d)
	}
}

// TestNoAllocation: rounds and wakes allocate nothing.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the calls of the race build allocate their errors")
	}
	s := newSet(t)
	a, b := pair(t)
	s.Add(a, 1, 1)
	var buf [8]byte
	if n := testing.AllocsPerRun(200, func() {
		Write(b, buf[:1])
		s.Wake()
		s.Park(time.Second)
		Read(a, buf[:])
		s.Ready()
		s.Park(0)
	}); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}
