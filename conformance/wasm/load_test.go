package wasm

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

// crowd is a closed loop of clients of good guests: each sends its next request when it has the answer to the last. Half of them go
// through two-headers, half through auth, whose call-out goes to the origin. Every request carries a secret of its own, which its
// response has to hold, and no other.
type crowd struct {
	t    testing.TB
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	times []time.Duration // guarded by mu, like faults
	fault string          // the first thing that was wrong
}

const clients = 4

// goodGuests is the TOML text of the good guests' filters and routes.
func goodGuests(t testing.TB) string {
	return filterOf("good", example(t, "two-headers"), "", "") +
		filterOf("auth", example(t, "auth"), `{"upstream":"app","path":"/check"}`, "allow = { upstreams = [\"app\"] }\n") +
		route("/good/*", "good") + route("/auth/*", "auth")
}

// newCrowd starts the clients. Their end is finish.
func newCrowd(t testing.TB, addr string) *crowd {
	c := &crowd{t: t, stop: make(chan struct{})}
	for k := range clients {
		c.done.Add(1)
		go func() {
			defer c.done.Done()
			if err := c.client(k, addr); err != nil {
				c.mu.Lock()
				if c.fault == "" {
					c.fault = err.Error()
				}
				c.mu.Unlock()
			}
		}()
	}
	return c
}

var secrets = regexp.MustCompile(`canary-[0-9]+-[0-9]+`)

func (c *crowd) client(k int, addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	path := [...]string{"/good/a", "/auth/a"}[k%2]
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return nil
		default:
		}
		secret := fmt.Sprintf("canary-%d-%d", k, n)
		began := time.Now()
		_ = conn.SetDeadline(began.Add(logLimit))
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: edge.test\r\nX-Secret: %s\r\n\r\n", path, secret); err != nil {
			return err
		}
		p, err := strict.ReadResponse(r, "GET")
		if err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		took := time.Since(began)
		if p.Status != 200 || p.Header.Get("x-secret") != secret {
			return fmt.Errorf("GET %s with %s: %s", path, secret, responseText(p))
		}
		if others := slices.DeleteFunc(secrets.FindAllString(responseText(p), -1), func(s string) bool { return s == secret }); len(others) > 0 {
			return fmt.Errorf("GET %s with %s got %v", path, secret, others)
		}
		c.mu.Lock()
		c.times = append(c.times, took)
		c.mu.Unlock()
	}
}

// lap ends a stretch of the load: its number of requests, their median, and the time that 99 of 100 took no longer than.
func (c *crowd) lap() (n int, p50, p99 time.Duration) {
	c.mu.Lock()
	times := c.times
	c.times = nil
	c.mu.Unlock()
	if len(times) == 0 {
		return 0, 0, time.Hour
	}
	slices.Sort(times)
	return len(times), times[len(times)/2], times[len(times)*99/100]
}

// finish ends the load and says what went wrong in it.
func (c *crowd) finish() {
	c.t.Helper()
	close(c.stop)
	c.done.Wait()
	if c.fault != "" {
		c.t.Errorf("a good guest's client: %s", c.fault)
	}
}

var collection = regexp.MustCompile(`(?m)^gc \d+ @.*: ([0-9.]+)\+[0-9.]+\+([0-9.]+) ms clock`)

// pauses are for how long the collector of a process stopped the world, the wait for everybody to stop included, shortest first. Its log
// has to hold the runtime's trace of collections.
func pauses(log string) (all []time.Duration) {
	for _, m := range collection.FindAllStringSubmatch(log, -1) {
		var longest time.Duration
		for _, ms := range m[1:] {
			if d, err := time.ParseDuration(ms + "ms"); err == nil {
				longest = max(longest, d)
			}
		}
		all = append(all, longest)
	}
	slices.Sort(all)
	return all
}

// usual is what four of five pauses are no longer than: the others are a busy machine's, which lets a thread wait now and then. A guest
// that nobody could interrupt would hold up more of them.
func usual(pauses []time.Duration) time.Duration {
	if len(pauses) == 0 {
		return time.Hour
	}
	return pauses[len(pauses)*4/5]
}

// traceCollections has every edge that the test starts collect garbage often and say so.
func traceCollections(t *testing.T) {
	rig.Binary(t) // building is none of its business
	t.Setenv("GODEBUG", "gctrace=1")
	t.Setenv("GOGC", "5")
}

func TestPauses(t *testing.T) {
	const log = "x\ngc 1 @0.003s 2%: 0.018+1.3+0.076 ms clock, 0.03+0/1/0+0.15 ms cpu, 4->4->1 MB\n" +
		"gc 2 @0.013s 2%: 12+1.3+3.5 ms clock, 0.03 ms cpu\ntail"
	if got := pauses(log); len(got) != 2 || got[0] != 76*time.Microsecond || usual(got) != 12*time.Millisecond {
		t.Errorf("%v", got)
	}
}

// offender asks a guest to misbehave, once.
type offender struct {
	*bed
	t testing.TB
}

// offend sends the request and returns the answer's status, 0 where the connection was closed without one, and how long it took.
func (o *offender) offend(x exchange) (status int, took time.Duration) {
	o.t.Helper()
	c := rig.Dial(o.t, o.Addr)
	defer c.Close()
	began := time.Now()
	c.Send(x.bytes())
	method := x.method
	if method == "" {
		method = "GET"
	}
	p, err := c.TryNext(method)
	took = time.Since(began)
	if p != nil {
		status = p.Status
	}
	if p != nil && err != nil {
		status = -status // a head, and then no whole body
	}
	return status, took
}

// restored waits until the guest answers again.
func (o *offender) restored() {
	o.t.Helper()
	ok := rig.Eventually(logLimit, func() bool {
		status, _ := o.offend(exchange{do: "request_headers: say 299"})
		return status == 299
	})
	if !ok {
		o.t.Fatalf("the guest does not answer any more\n%s", o.Log.Tail(2000))
	}
}

func listed(times []time.Duration) string {
	var list []string
	for _, d := range times {
		list = append(list, fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000))
	}
	return strings.Join(list, " ")
}
