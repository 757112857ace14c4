package mpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long is more than any step here takes on a busy machine; nothing waits for it unless a test fails.
const long = 30 * time.Second

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !done(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
	}
}

// fakeClock is time that moves when a test says so.
type fakeClock struct{ now atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.now.Store(1e9)
	return c
}

func (c *fakeClock) advance(e *Engine, d time.Duration) {
	c.now.Add(int64(d))
	for _, p := range e.pollers {
		p.set.Wake()
	}
}

// session is what script keeps for a connection. Its plain fields are the race detector's proof that one worker runs it.
type session struct {
	c     *Conn
	in    []byte
	out   []byte
	turns atomic.Int64
	ended bool                                                 // the client has finished sending
	then  func(s *session, t *Turn, ev Events) (Verdict, bool) // takes the next turn; false: go on with commands
	held  atomic.Bool                                          // Close is not done while it is set
	note  any

	running atomic.Int32
	closed  bool
}

type command func(s *session, t *Turn, arg string) (Verdict, bool)

// script is a handler that does what its client's lines say: "name argument".
type script struct {
	t         testing.TB
	commands  map[string]command
	keepAlive time.Duration
	opened    atomic.Int64
	closes    atomic.Int64
	causes    [Causes]atomic.Int64
	written   atomic.Int64 // bytes that Flush has written
	onServe   func(s *session, ev Events)
	onClose   func(s *session, cause Cause)

	mu       sync.Mutex
	sessions map[uint64]*session
}

func newScript(t testing.TB) *script {
	h := &script{t: t, keepAlive: time.Hour, sessions: map[uint64]*session{}}
	h.commands = map[string]command{
		"echo": func(s *session, _ *Turn, arg string) (Verdict, bool) {
			s.out = append(append(s.out, arg...), '\n')
			return Verdict{}, false
		},
		"big": func(s *session, _ *Turn, arg string) (Verdict, bool) {
			n := 0
			fmt.Sscan(arg, &n)
			s.out = append(s.out, bytes.Repeat([]byte{'b'}, n)...)
			return Verdict{}, false
		},
		"zero":   func(*session, *Turn, string) (Verdict, bool) { return Verdict{}, true },
		"linger": func(*session, *Turn, string) (Verdict, bool) { return Linger(false), true },
		"short":  func(*session, *Turn, string) (Verdict, bool) { return Linger(true), true },
		"finish": func(*session, *Turn, string) (Verdict, bool) { return Finish(), true },
		"close":  func(*session, *Turn, string) (Verdict, bool) { return Close(), true },
		"reset":  func(*session, *Turn, string) (Verdict, bool) { return Reset(), true },
		"panic":  func(*session, *Turn, string) (Verdict, bool) { panic("asked to") },
	}
	return h
}

func (h *script) NewWorker(worker int) any { return worker }

func (h *script) Serve(c *Conn, t *Turn, ev Events) Verdict {
	s, _ := c.State.(*session)
	if s == nil {
		s = &session{c: c}
		c.State = s
		h.opened.Add(1)
		h.mu.Lock()
		h.sessions[c.ID()] = s
		h.mu.Unlock()
	}
	if s.running.Add(1) != 1 {
		h.t.Error("E6: two workers run one connection")
	}
	defer s.running.Add(-1)
	if t.Local.(int) != t.Worker || len(t.In) != ScratchBytes || len(t.Out) != 0 || cap(t.Out) != ScratchBytes {
		h.t.Error("a turn is not as it should be")
	}
	s.turns.Add(1)
	if h.onServe != nil {
		h.onServe(s, ev)
	}
	if then := s.then; then != nil {
		s.then = nil
		if v, ok := then(s, t, ev); ok {
			return v
		}
	}
	for c.Readable() && !s.ended {
		n, err := c.Read(t.In)
		s.in = append(s.in, t.In[:n]...)
		if errors.Is(err, ErrAgain) {
			break
		}
		if err != nil {
			s.ended = true
		}
	}
	for {
		line, rest, ok := bytes.Cut(s.in, []byte{'\n'})
		if !ok {
			break
		}
		name, arg, _ := strings.Cut(string(line), " ")
		s.in = rest
		do := h.commands[name]
		if do == nil {
			h.t.Errorf("no command %q", line)
			return Close()
		}
		if v, ok := do(s, t, arg); ok {
			return v
		}
	}
	switch {
	case s.ended:
		return Finish()
	case len(s.in) > 0:
		if done, err := h.Flush(c, t); !done || err != nil {
			h.t.Error("a test's small answer is not taken")
		}
		return Wait(In, t.Now+int64(h.keepAlive), PhaseReading)
	}
	return KeepAlive(t.Now + int64(h.keepAlive))
}

func (h *script) Flush(c *Conn, t *Turn) (bool, error) {
	s := c.State.(*session)
	for len(s.out) > 0 {
		n, err := c.Write(s.out)
		s.out = s.out[n:]
		h.written.Add(int64(n))
		if errors.Is(err, ErrAgain) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	s.out = nil
	return true, nil
}

func (h *script) Close(c *Conn, t *Turn, cause Cause) bool {
	s := c.State.(*session)
	if s.running.Add(1) != 1 && cause != CausePanic {
		h.t.Error("E6: closed while a worker runs it")
	}
	defer s.running.Add(-1)
	if s.closed {
		h.t.Error("E10: closed twice")
	}
	if h.onClose != nil {
		h.onClose(s, cause)
	}
	if s.held.Load() {
		return false
	}
	s.closed = true
	h.closes.Add(1)
	h.causes[cause].Add(1)
	h.mu.Lock()
	delete(h.sessions, c.ID())
	h.mu.Unlock()
	return true
}

// only waits for the session of the only connection.
func (h *script) only(t testing.TB) *session {
	t.Helper()
	var found *session
	until(t, "one session", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, s := range h.sessions {
			found = s
		}
		return len(h.sessions) == 1
	})
	return found
}

// world is an engine on loopback and what is to be as before when it has stopped.
type testWorld struct {
	*Engine
	t       testing.TB
	addr    string
	stopped bool
	fds     int
	routine int
}

func openFDs(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd")
	}
	return len(names)
}

// start runs an engine with one listener; before, if any, sees it before it starts. The test's end stops it and checks that
// nothing is left (E10, P7).
func start(t testing.TB, h Handler, o Options, before ...func(*Engine)) *testWorld {
	t.Helper()
	w := &testWorld{t: t, fds: openFDs(t), routine: runtime.NumGoroutine()}
	fd, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if o.closeTime == 0 {
		o.closeTime = long
	}
	if w.Engine, err = New(o, []Listener{{FD: fd, Handler: h, Name: "test"}}); err != nil {
		t.Fatal(err)
	}
	w.addr = w.listeners[0].local.String()
	for _, f := range before {
		f(w.Engine)
	}
	w.Start()
	if err := w.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !w.stopped {
			w.stop(0)
		}
	})
	return w
}

// stop stops the engine, killing after patience, and checks that nothing is left.
func (w *testWorld) stop(patience time.Duration) error {
	w.t.Helper()
	w.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Stop(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(long):
		buf := make([]byte, 1<<20)
		w.t.Fatalf("stop hangs with %d connections\n%s", w.connections.Load(), buf[:runtime.Stack(buf, true)])
	}
	var closed uint64
	for i := range w.stats.Closed {
		closed += w.stats.Closed[i].Load()
	}
	if accepted := w.stats.Accepted.Load(); accepted != closed+w.stats.SetupFailed.Load() {
		w.t.Errorf("E10: %d accepted, %d closed, %d set-ups failed", accepted, closed, w.stats.SetupFailed.Load())
	}
	if n := w.connections.Load(); n != 0 {
		w.t.Errorf("%d connections left", n)
	}
	if h, ok := w.handlers[0].(*script); ok && h.opened.Load() != h.closes.Load() {
		w.t.Errorf("E10: %d served, Handler.Close called for %d", h.opened.Load(), h.closes.Load())
	}
	return err
}

// stopClean is stop after the clients have gone too, so that descriptors and goroutines are as before.
func (w *testWorld) stopClean(patience time.Duration) error {
	w.t.Helper()
	err := w.stop(patience)
	until(w.t, "descriptors as before", func() bool { return openFDs(w.t) <= w.fds })
	until(w.t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= w.routine })
	return err
}

// client is the other end of a connection.
type client struct {
	*net.TCPConn
	t testing.TB
}

func (w *testWorld) dial() *client {
	w.t.Helper()
	c, err := net.DialTimeout("tcp", w.addr, long)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * long))
	return &client{c.(*net.TCPConn), w.t}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send %q: %v", s, err)
	}
}

func (c *client) expect(want string) {
	c.t.Helper()
	buf := make([]byte, len(want))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		c.t.Fatalf("got %q, %v; expected %q", buf[:n], err, want)
	}
}

// ask sends a line and expects another.
func (c *client) ask(s, want string) {
	c.t.Helper()
	c.send(s + "\n")
	c.expect(want + "\n")
}

// eof expects the end of the stream.
func (c *client) eof() {
	c.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		c.t.Fatalf("got %d bytes, %v; expected the end of the stream", n, err)
	}
}

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func (l *logged) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}
