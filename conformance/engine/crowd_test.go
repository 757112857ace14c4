package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

func TestMain(m *testing.M) { rig.Main(m) }

const helloRoute = `
[[routes]]
match = { path = "/hello" }
respond = { status = 200, body = "hello world\n" }
`

const helloRequest = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

// scale is n, or small where the tests are to be short, cut to what this process's descriptors allow with so many for each.
func scale(t *testing.T, n, small, descriptors int) int {
	t.Helper()
	if testing.Short() {
		n = small
	}
	var limit syscall.Rlimit
	rig.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if most := (int(limit.Cur) - 500) / descriptors; most < n {
		t.Logf("scaled down from %d to %d: this process may open %d files", n, most, limit.Cur)
		n = most
	}
	return n
}

// crowd is many connections, opened by a few goroutines.
type crowd struct {
	conns []net.Conn
}

// gather opens n connections, sends each hi, and closes them at the test's end. The dialers are few, as the kernel's queue of
// new connections is bounded.
func gather(t *testing.T, addr string, n int, hi string) *crowd {
	t.Helper()
	c := &crowd{conns: make([]net.Conn, n)}
	t.Cleanup(c.disperse)
	c.each(t, 32, func(i int) error {
		conn, err := net.DialTimeout("tcp", addr, 30*time.Second)
		if err != nil {
			return err
		}
		c.conns[i] = conn
		_, err = io.WriteString(conn, hi)
		return err
	})
	return c
}

// each runs do for every connection's number, in so many goroutines.
func (c *crowd) each(t *testing.T, goroutines int, do func(i int) error) {
	t.Helper()
	if err := parallel(len(c.conns), goroutines, do); err != nil {
		t.Fatal(err)
	}
}

// parallel calls do(0 … n-1) from so many goroutines and returns the first error.
func parallel(n, goroutines int, do func(i int) error) error {
	errs := make(chan error, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := g; i < n; i += goroutines {
				if err := do(i); err != nil {
					errs <- fmt.Errorf("connection %d of %d: %w", i, n, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// disperse closes what is open.
func (c *crowd) disperse() {
	for _, conn := range c.conns {
		if conn != nil {
			conn.Close()
		}
	}
}

// answered reads one response of connection i and checks its status.
func (c *crowd) answered(i, status int, limit time.Duration) error {
	_ = c.conns[i].SetReadDeadline(time.Now().Add(limit))
	p, err := strict.ReadResponse(bufio.NewReaderSize(c.conns[i], 512), "GET")
	if err != nil {
		return err
	}
	if p.Status != status {
		return fmt.Errorf("answer is %d, want %d", p.Status, status)
	}
	return nil
}

// askOnce makes a connection, sends the request, reads a 200, and says how long that took.
func askOnce(addr, request string) (time.Duration, error) {
	began := time.Now()
	conn, err := net.DialTimeout("tcp", addr, 30*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, err
	}
	c := crowd{conns: []net.Conn{conn}}
	err = c.answered(0, 200, 30*time.Second)
	return time.Since(began), err
}

// newcomers has n new connections ask one after the other and returns the slowest and the median time.
func newcomers(t *testing.T, addr, request string, n int) (median, slowest time.Duration) {
	t.Helper()
	times := make([]time.Duration, n)
	for i := range n {
		took, err := askOnce(addr, request)
		if err != nil {
			t.Fatalf("newcomer %d: %v", i, err)
		}
		times[i] = took
	}
	slices.Sort(times)
	return times[n/2], times[n-1]
}

// promptly is the time that a newcomer's answer may take at most on a shared machine with two processors. A worker held by
// somebody else would show as seconds.
const promptly = 500 * time.Millisecond
