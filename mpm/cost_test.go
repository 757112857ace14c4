package mpm

import (
	"io"
	"net"
	"runtime"
	"testing"
	"unsafe"

	"edge/mpm/internal/poll"
)

func staleEvent(slot, gen uint32) []poll.Event {
	return []poll.Event{{Bits: poll.In, Slot: slot, Gen: gen}}
}

// plain is the least handler there is: it reads and answers one byte.
type plain struct{}

func (plain) NewWorker(int) any { return nil }

func (plain) Serve(c *Conn, t *Turn, _ Events) Verdict {
	c.State = plainState
	n, err := c.Read(t.In)
	if err == io.EOF {
		return Finish()
	}
	if n > 0 {
		c.Write(t.In[:n])
	}
	return KeepAlive(t.Now + 60e9)
}

func (plain) Flush(*Conn, *Turn) (bool, error) { return true, nil }

func (plain) Close(*Conn, *Turn, Cause) bool { return true }

var plainState any = new(int)

// idleBytesMax is the engine's share of an idle connection's memory: with the codec it stays below 1 KiB.
const idleBytesMax = 512

// TestIdleMemory measures what the engine keeps for an idle connection: Conn with its timer, and its slot.
func TestIdleMemory(t *testing.T) {
	const n = 4000
	w := start(t, plain{}, Options{Workers: 4, Pollers: 2, Connections: n + 10})
	var before, after runtime.MemStats
	raw := make([]int, 0, n)
	addr := poll.TCP(w.listeners[0].local)
	defer func() {
		for _, fd := range raw {
			poll.Close(fd)
		}
		until(t, "gone", func() bool { return w.connections.Load() == 0 })
	}()
	buf := make([]byte, 1)
	open := func(count int) { // without net.Conn, whose memory would be counted
		for range count {
			fd, _, errno := poll.Connect(addr)
			if errno != 0 {
				t.Skipf("no more sockets here: %v", errno)
			}
			raw = append(raw, fd)
			until(t, "sent", func() bool { n, _ := poll.Write(fd, buf); return n == 1 })
			until(t, "answered", func() bool { n, _ := poll.Read(fd, buf); return n == 1 })
		}
	}
	open(100)
	runtime.GC()
	runtime.ReadMemStats(&before)
	open(n - 100)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / (n - 100)
	t.Logf("%.0f bytes for each idle connection; Conn is %d, a slot %d, a socket %d", each,
		unsafe.Sizeof(Conn{}), unsafe.Sizeof(slot{}), unsafe.Sizeof(Socket{}))
	if each > idleBytesMax {
		t.Errorf("%.0f bytes for each idle connection, more than %d", each, idleBytesMax)
	}
}

// pingPong sends one byte and takes it back, raw.
func pingPong(t testing.TB, fd int, buf []byte) {
	if n, errno := poll.Write(fd, buf[:1]); n != 1 {
		t.Fatal(errno)
	}
	for {
		if n, _ := poll.Read(fd, buf); n == 1 {
			return
		}
		runtime.Gosched()
	}
}

func dialRaw(t testing.TB, w *testWorld) int {
	fd, _, errno := poll.Connect(poll.TCP(w.listeners[0].local))
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { poll.Close(fd) })
	until(t, "connected", func() bool { n, _ := poll.Write(fd, []byte{'x'}); return n == 1 })
	until(t, "answered", func() bool { n, _ := poll.Read(fd, make([]byte, 1)); return n == 1 })
	return fd
}

// TestNoAllocation: event, queue, turn, read, write, release and the deadlines that go with them allocate nothing.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the calls of the race build allocate their errors")
	}
	w := start(t, plain{}, Options{Workers: 4, Pollers: 1})
	fd := dialRaw(t, w)
	buf := make([]byte, 16)
	if n := testing.AllocsPerRun(2000, func() { pingPong(t, fd, buf) }); n != 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	w := start(b, plain{}, Options{Workers: 4, Pollers: 1})
	fd := dialRaw(b, w)
	buf := make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		pingPong(b, fd, buf)
	}
}

// BenchmarkAccept is connect, one exchange and close.
func BenchmarkAccept(b *testing.B) {
	w := start(b, plain{}, Options{Workers: 4, Pollers: 1})
	b.ReportAllocs()
	buf := make([]byte, 1)
	for b.Loop() {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			b.Fatal(err)
		}
		c.Write(buf)
		io.ReadFull(c, buf)
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// BenchmarkWork is what a turn pays for saying what its worker does.
func BenchmarkWork(b *testing.B) {
	w := start(b, plain{}, Options{Workers: 1, Pollers: 1}).spare
	c := &Conn{id: 1}
	for b.Loop() {
		w.begins(c)
		w.rests()
	}
}
