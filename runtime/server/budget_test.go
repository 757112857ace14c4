package server

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/filters"
	"edge/mpm"
)

// idleBudget is what an idle keep-alive connection may cost: engine, server and codec together, in bytes.
const idleBudget = 1 << 10

// heap is the live heap after collections that have had time to free everything.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestIdleConnectionMemory: connections that have had a request each and are idle cost at most idleBudget. The test's own ends are bare
// descriptors, so that what the heap grows by is the server's.
func TestIdleConnectionMemory(t *testing.T) {
	if *overTLS {
		t.Skip("it has a test of its own")
	}
	n := 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(2*n+200) {
		n = int(min(limit.Cur, 20_200)-200) / 2
	}
	if testing.Short() || n < 100 {
		n = min(n, 1000)
	}
	b := grow(t, plot{routes: []Route{fixed("hello")}, keepFiles: true,
		options: func(o *Options) { o.KeepaliveTimeout = time.Minute }, engine: func(o *mpm.Options) { o.Times.FirstByte = time.Minute }})
	addr := net.TCPAddr{}
	if a, err := net.ResolveTCPAddr("tcp", b.addr); err == nil {
		addr = *a
	}
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}
	fds := make([]int, n)
	t.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	})
	ask, answer := []byte(get), make([]byte, 1000)
	dialOne := func() int {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Connect(fd, to)
		}
		if err == nil {
			_, err = syscall.Write(fd, ask)
		}
		if err == nil {
			_, err = syscall.Read(fd, answer)
		}
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	warm := make([]int, 200) // workers' free lists, recycle lists
	for i := range warm {
		warm[i] = dialOne()
	}
	for _, fd := range warm {
		syscall.Close(fd)
	}
	if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
		t.Fatal("the first ones stay")
	}
	before := heap()
	for i := range fds {
		fds[i] = dialOne()
	}
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseKeepAlive] == n }) {
		t.Fatalf("phases %v", b.engine.Load().Phases)
	}
	each := int64(heap()-before) / int64(n)
	t.Logf("%d idle connections: %d bytes of heap each", n, each)
	if each > idleBudget {
		t.Errorf("%d bytes a connection, at most %d", each, idleBudget)
	}
}

// mallocs is how many allocations n requests cost, each asked and answered on one connection.
func mallocs(t *testing.T, addr, ask string, n int) float64 {
	t.Helper()
	p := dial(t, addr)
	p.SetDeadline(time.Now().Add(time.Minute))
	out, in := []byte(ask), make([]byte, 4096)
	read, err := 0, error(nil)
	round := func() {
		if _, err = p.Conn.Write(out); err == nil {
			read, err = p.Conn.Read(in)
		}
	}
	for range 500 {
		round()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		round()
	}
	runtime.ReadMemStats(&after)
	if err != nil || !strings.HasPrefix(string(in[:read]), "HTTP/1.1 200 ") {
		t.Fatalf("%q, %v", in[:read], err)
	}
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// TestAllocations: requests in the steady state allocate nothing on the path that answers by itself, and at most twice on the way to an
// upstream. The process's other goroutines count too, so a little is allowed for.
func TestAllocations(t *testing.T) {
	if *overTLS && raceEnabled {
		t.Skip("the race detector has crypto/tls allocate more")
	}
	const n, slack = 5000, 0.05
	raw := origin(t, func(c *peer, _ int) {
		in, out := make([]byte, 4096), []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		c.SetDeadline(time.Time{})
		for {
			if _, err := c.Conn.Read(in); err != nil {
				return
			}
			if _, err := c.Conn.Write(out); err != nil {
				return
			}
		}
	})
	f := &fake{name: "f", wants: filters.OnRequestHead | filters.OnResponseHead}
	stream := &fakeStream{fake: f}
	for _, c := range []struct {
		name string
		plot plot
		most float64
	}{
		{"respond", plot{routes: []Route{fixed("hello")}}, 0},
		{"proxy", plot{servers: []string{raw}}, 2},
		{"proxy with a filter", plot{servers: []string{raw}, filters: []filters.Filter{stateless{f, stream}}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := grow(t, c.plot)
			each := mallocs(t, b.addr, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n", n)
			t.Logf("%.3f allocations a request", each)
			most := c.most
			if *overTLS {
				most += 2 // crypto/tls allocates once for each read, at either end
			}
			if each > most+slack {
				t.Errorf("%.3f allocations a request, at most %v", each, most)
			}
		})
	}
}

// stateless is a filter whose streams are one.
type stateless struct {
	*fake
	s filters.Stream
}

// NewStream is part of filters.Filter.
func (f stateless) NewStream(filters.Exchange) (filters.Stream, bool) { return f.s, true }

// TestBigHeadsAreNotKept: memory that one large request took is given back.
func TestBigHeadsAreNotKept(t *testing.T) {
	l := &local{}
	small, big := newExchange(), newExchange()
	small.req.Header.Add("a", "b")
	big.req.Header.Add("a", strings.Repeat("x", freeBytes+1))
	l.putExchange(small)
	l.putExchange(big)
	if len(l.exchanges) != 1 || l.exchanges[0] != small {
		t.Errorf("%d exchanges are kept", len(l.exchanges))
	}
	for range 2 * freeMax {
		l.putExchange(newExchange())
	}
	if len(l.exchanges) != freeMax {
		t.Errorf("%d exchanges are kept, at most %d", len(l.exchanges), freeMax)
	}
}

// TestLateWake: Wake may come at any time and from anywhere, also for an exchange that is over and used again.
func TestLateWake(t *testing.T) {
	var last atomic.Value
	f := &fake{name: "f", wants: filters.OnRequestHead,
		head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			last.Store(x)
			return filters.Continue
		}}
	b := grow(t, plot{servers: []string{origin(t, echo)}, filters: []filters.Filter{f}})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if x, ok := last.Load().(filters.Exchange); ok {
					x.Wake()
				}
				runtime.Gosched()
			}
		}
	})
	for range 3 {
		p := dial(t, b.addr)
		for range 50 {
			p.say("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
			p.want("POST", 200, "POST /p ab")
		}
		p.Close()
	}
	close(stop)
	wg.Wait()
}
