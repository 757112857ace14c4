package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// How a client can lose what it was owed. RFC 9112 9.3.1 has clients live with closed, but a server that says nothing loses POSTs by it.
const (
	refused   = "refused"    // no connection was to be had
	reset     = "reset"      // cut off in the middle of an exchange
	truncated = "truncated"  // an answer ended before its end
	late      = "late"       // no answer came in time
	status    = "not 200"    // an answer of another kind
	wrong     = "wrong"      // other bytes than were sent
	closed    = "closed"     // a kept connection, without notice, before its keep-alive time
	shown     = 5            // losses that are told one by one
	patient   = 2 * patience // one exchange, with uploads that take their time
)

// judge counts what a load has done and what it has lost. Its methods may be called from any goroutine.
type judge struct {
	t       testing.TB
	stop    chan struct{} // closed when the clients are to end
	stopped sync.Once
	clients sync.WaitGroup

	mu      sync.Mutex // guards what follows
	done    map[string]int
	lost    map[string]int
	said    []string
	doomed  map[int]bool // ports of clients whose connections went down with a killed child
	excused int
}

func newJudge(t testing.TB) *judge {
	j := &judge{t: t, stop: make(chan struct{}), done: map[string]int{}, lost: map[string]int{}, doomed: map[int]bool{}}
	t.Cleanup(func() {
		j.end()
		if t.Failed() {
			t.Logf("%d lost: %v\n%s", j.losses(), j.lost, strings.Join(j.said, "\n"))
		}
	})
	return j
}

// end has the clients come to their end, and waits for it.
func (j *judge) end() {
	j.stopped.Do(func() { close(j.stop) })
	j.clients.Wait()
}

func (j *judge) ended() bool {
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}

// did counts one exchange, of a kind, that was as it should be.
func (j *judge) did(kind string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done[kind]++
}

// loses counts one that was not, over a connection from that port.
func (j *judge) loses(how, kind string, port int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.doomed[port] {
		j.excused++
		return
	}
	j.lost[how]++
	if len(j.said) < shown {
		j.said = append(j.said, fmt.Sprintf("%s: %s from port %d: %v", how, kind, port, err))
	}
}

// losses are how many there have been.
func (j *judge) losses() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.lost {
		n += k
	}
	return n
}

// check ends the load and holds it to no loss at all, and to all kinds having been done.
func (j *judge) check(kinds ...string) {
	j.t.Helper()
	j.end()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lost) > 0 {
		j.t.Errorf("lost: %v\n%s", j.lost, strings.Join(j.said, "\n"))
	}
	for _, kind := range kinds {
		if j.done[kind] == 0 {
			j.t.Errorf("no %s was done", kind)
		}
	}
}

// more waits until one more of a kind has been done, or something was lost.
func (j *judge) more(kind string) {
	j.t.Helper()
	count := func() int {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.done[kind] + 1_000_000*len(j.lost)
	}
	before := count()
	within(j.t, "more "+kind, func() bool { return count() > before })
}

// summary is what was done.
func (j *judge) summary() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(j.done)) {
		parts = append(parts, fmt.Sprintf("%d %s", j.done[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// kill ends a child at once. What it has connections for at that moment, and nothing else, is excused: the child is frozen while that is
// looked up.
func (j *judge) kill(pid int) {
	j.t.Helper()
	rig.Must(j.t, proc.Freeze(pid))
	ports, err := proc.PeerPorts(pid)
	j.mu.Lock()
	j.doomed = ports
	j.mu.Unlock()
	rig.Must(j.t, errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)))
}

// howOf says how an exchange was lost: idle is true where nothing of the answer had come on a connection that had been used before.
func howOf(err error, idle bool) string {
	var no net.Error
	switch {
	case errors.Is(err, errStatus):
		return status
	case errors.Is(err, errWrong):
		return wrong
	case errors.As(err, &no) && no.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return late
	case idle:
		return closed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return truncated
	}
	return reset
}

var (
	errStatus = errors.New("another status")
	errWrong  = errors.New("other bytes")
)
