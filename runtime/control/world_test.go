package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/runtime/config"
)

// world is a machine without processes: children are goroutines in the test's bubble, sockets are numbers.
type world struct {
	t   *testing.T
	log sayings

	mu      sync.Mutex
	all     []*actor // every child there was
	open    map[int]string
	fd      int
	taken   string         // an address that cannot be bound
	script  func(a *actor) // changes what a child does, before it begins
	started []time.Time    // children
	opened  []string       // by the broker
	byes    map[int]string
	control *Control
}

// actor is one child: a process and the Worker in it.
type actor struct {
	w      *world
	number int
	files  []File
	link   *pipeLink
	ended  chan string   // how; has room for one
	dead   chan struct{} // closed when the process is gone
	kill   sync.Once

	failStart   error
	failAccept  error
	onStart     func()
	hangStart   bool
	failPrepare error
	onPrepare   func() // before it answers
	hang        bool   // in Prepare
	deaf        bool   // it answers no Ask
	busy        bool   // it has connections that do not end

	mu      sync.Mutex
	parent  Parent
	said    []string // calls of its Worker
	serves  string   // the text
	accepts bool
	release chan struct{}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, open: map[int]string{}, byes: map[int]string{}}
	w.control = New(Options{
		Spawn: w.spawn,
		Bind: func(l *config.Listen) (int, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if l.Address == w.taken {
				return -1, errors.New("address already in use")
			}
			w.fd++
			w.open[w.fd] = l.Address
			return w.fd, nil
		},
		Shut: func(fd int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if _, ok := w.open[fd]; !ok {
				t.Errorf("socket %d is shut, and is not open", fd)
			}
			delete(w.open, fd)
		},
		Open: func(path string, append bool) (*os.File, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.opened = slices.Concat(w.opened, []string{fmt.Sprintf("%s %v", path, append)})
			return nil, os.ErrNotExist
		},
		User:   func(*config.Config) (*Credential, config.Problems) { return nil, nil },
		Cache:  func(*config.Config, *Credential) string { return "cache" },
		Secret: func() []byte { return []byte("secret") },
		Bye: func(child int, numbers []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.byes[child] = string(numbers)
		},
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func (w *world) spawn(s *Spawn) (Process, Link, error) {
	ours, theirs := newPipe()
	a := &actor{w: w, number: s.Number, files: s.Files, link: theirs, ended: make(chan string, 1), dead: make(chan struct{}), release: make(chan struct{})}
	w.mu.Lock()
	w.all = append(w.all, a)
	w.started = append(w.started, time.Now())
	script := w.script
	w.mu.Unlock()
	if script != nil {
		script(a)
	}
	go func() {
		code := Serve(theirs, a, nil)
		how := Ended
		if code != ExitOK {
			how = fmt.Sprintf("ended with status %d", code)
		}
		a.die(how)
	}()
	return a, ours, nil
}

// set has the children from now on do what the script says.
func (w *world) set(script func(a *actor)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script = script
}

// die ends the process.
func (a *actor) die(how string) {
	a.kill.Do(func() {
		close(a.dead)
		a.link.Close()
		a.ended <- how
	})
}

func (a *actor) PID() int     { return 1000 + a.number }
func (a *actor) Kill() error  { a.die("killed by SIGKILL"); return nil }
func (a *actor) Wait() string { return <-a.ended }

func (a *actor) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprintf(format, args...))
}

func (a *actor) alive() bool {
	select {
	case <-a.dead:
		return false
	default:
		return true
	}
}

func (a *actor) Start(s *Start, p Parent) (config.Problems, error) {
	a.say("start %s", s.Text.Data)
	if a.hangStart {
		<-a.dead
	}
	if a.onStart != nil {
		a.onStart()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parent, a.serves = p, string(s.Text.Data)
	return config.Problems{{Message: "is old", Warning: true}}, a.failStart
}

func (a *actor) Accept() error {
	if a.failAccept != nil {
		return a.failAccept
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepts = true
	return nil
}

func (a *actor) Prepare(t *Text) (Prepared, error) {
	a.say("prepare %s", t.Data)
	if a.onPrepare != nil {
		a.onPrepare()
	}
	if a.hang {
		<-a.dead
	}
	if a.failPrepare != nil {
		return Prepared{}, a.failPrepare
	}
	return Prepared{
		Commit: func() {
			a.say("commit")
			a.mu.Lock()
			defer a.mu.Unlock()
			a.serves = string(t.Data)
		},
		Abandon: func() { a.say("abandon") },
	}, nil
}

func (a *actor) Ask(what string, body []byte) ([]byte, error) {
	if a.deaf {
		<-a.dead
	}
	return fmt.Appendf(nil, "%s of %d: %s", what, a.number, body), nil
}

func (a *actor) Reopen() error { a.say("reopen"); return nil }

func (a *actor) Retire(ctx context.Context, shed bool) error {
	a.say("retire %v", shed)
	if !a.busy {
		return nil
	}
	select {
	case <-a.release:
		return nil
	case <-a.dead:
	case <-ctx.Done():
	}
	return errors.New("cut")
}

func (a *actor) Patience() time.Duration { return time.Second }
func (a *actor) Close() []byte           { return fmt.Appendf(nil, "bye %d", a.number) }

func (a *actor) did() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.said, ", ")
}

func (a *actor) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.serves
}

// serving says whether the child has been told to accept, and does.
func (a *actor) serving() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accepts
}

// child is the child of that number.
func (w *world) child(n int) *actor {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.all { // those of a generation are started at once, in any order
		if a.number == n {
			return a
		}
	}
	w.t.Fatalf("there were %d children, no number %d", len(w.all), n)
	return nil
}

// count is how many children there were.
func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// living are the numbers and states of the children.
func (w *world) living() string {
	var list []string
	for _, c := range w.control.Numbers().Children {
		list = append(list, fmt.Sprintf("%d %s", c.Number, c.State))
	}
	return strings.Join(list, ", ")
}

func (w *world) sockets() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, address := range w.open {
		list = append(list, address)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// parsed is a configuration of the lines of [server], with a comment that makes its text another.
func parsed(t *testing.T, mark, server string, addresses ...string) (Text, *config.Config) {
	t.Helper()
	if len(addresses) == 0 {
		addresses = []string{"127.0.0.1:80"}
	}
	text := "#" + mark + "\n[server]\nadmin = \"\"\n" + server + "\n[[routes]]\nrespond = {}\n"
	for _, a := range addresses {
		text += fmt.Sprintf("[[listen]]\naddress = %q\n", a)
	}
	cfg, problems := config.Parse("edge.toml", []byte(text), config.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return Text{File: "edge.toml", Data: []byte(mark)}, cfg
}

func (w *world) begin(server string) {
	w.t.Helper()
	text, cfg := parsed(w.t, "one", server)
	if _, err := w.control.Begin(text, cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reload(mark, server string, addresses ...string) (Change, error) {
	w.t.Helper()
	text, cfg := parsed(w.t, mark, server, addresses...)
	return w.control.Reload(text, cfg)
}

// stop ends what is left.
func (w *world) stop() {
	w.t.Helper()
	_ = w.control.Stop(context.Background(), 0)
	if s := w.sockets(); s != "" {
		w.t.Errorf("sockets are left open: %s", s)
	}
	for _, a := range w.all {
		if a.alive() {
			w.t.Errorf("child %d is left", a.number)
		}
	}
}

// sayings is a log that is read while it is written.
type sayings struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *sayings) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *sayings) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// pipeLink is a Link without a socket.
type pipeLink struct {
	in, out chan *Message
	closed  chan struct{} // of either end
	once    *sync.Once
}

func newPipe() (*pipeLink, *pipeLink) {
	a, b, closed, once := make(chan *Message, 64), make(chan *Message, 64), make(chan struct{}), new(sync.Once)
	return &pipeLink{a, b, closed, once}, &pipeLink{b, a, closed, once}
}

func (l *pipeLink) Send(m *Message) error {
	copied := *m
	select {
	case <-l.closed:
		return io.ErrClosedPipe
	default:
	}
	select {
	case l.out <- &copied:
		return nil
	case <-l.closed:
		return io.ErrClosedPipe
	case <-time.After(SendTime):
		return os.ErrDeadlineExceeded
	}
}

func (l *pipeLink) Receive() (*Message, error) {
	select {
	case m := <-l.in:
		return m, nil
	default:
	}
	select {
	case m := <-l.in:
		return m, nil
	case <-l.closed:
		select {
		case m := <-l.in:
			return m, nil
		default:
			return nil, io.EOF
		}
	}
}

func (l *pipeLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
