package upgrade

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

// actVariable is set where the test process is the new process; its value says what it does.
const actVariable = "EDGE_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		perform(act)
	}
	os.Exit(m.Run())
}

// perform is the new process. It says what it does on its listening socket, which is how the test hears of it.
func perform(act string) {
	switch act {
	case "exit":
		os.Exit(7)
	case "mute":
		time.Sleep(patience)
	}
	p, err := Inherit("2.0")
	if err != nil || p == nil {
		os.Exit(8)
	}
	switch act {
	case "fail":
		p.Failed([]string{"edge.toml:1: x: is wrong", "edge.toml:2: y: is wrong"})
		os.Exit(1)
	case "linger":
		time.Sleep(patience)
	case "crash":
		os.Exit(9)
	}
	if p.Ready() != nil {
		os.Exit(10)
	}
	switch act {
	case "lost":
		os.Exit(11)
	case "untaken":
		time.Sleep(patience)
	}
	p.Taken()
	f := os.NewFile(uintptr(p.Files[1].FD), p.Files[1].Name)
	l, err := net.FileListener(f)
	if err != nil {
		os.Exit(12)
	}
	c, err := l.Accept()
	if err != nil {
		os.Exit(13)
	}
	fmt.Fprintf(c, "%s %s %+v\n", p.Files[0].Name, p.Files[1].Name, p.State)
	never := make(chan struct{})
	bufio.NewReader(c).ReadString('\n')
	fmt.Fprintf(c, "the old one has gone: %v\n", p.Stop(3*time.Second, never))
	os.Exit(0)
}

func plan(t *testing.T, act string) (Plan, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return Plan{
		Path: os.Args[0], Env: append(os.Environ(), actVariable+"="+act), Files: []File{{"[::]:80", fd}, {"unix:a b", fd}},
		Greet: patience, Ready: patience,
	}, l
}

var state = &State{Number: 77, Generation: 3, Secret: []byte("seed"), Upgrades: map[string]int{"done": 4}}

// TestUpgrade: the new one has the sockets and the state, serves, takes over, and has the old one stop.
func TestUpgrade(t *testing.T) {
	p, l := plan(t, "serve")
	s, err := Start(p, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Take(); err != nil {
		t.Fatal(err)
	}
	s.Named()
	c, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if want := fmt.Sprintf("[::]:80 unix:a b %+v\n", *state); line != want || err != nil || s.Version != "2.0" {
		t.Errorf("%q, %v, %s; want %q", line, err, s.Version, want)
	}
	fmt.Fprintln(c, "stop")
	if within, asked := s.Stop(); within != 3*time.Second || !asked {
		t.Errorf("asked to stop: %v, within %v", asked, within)
	}
	s.Ended(true)
	s.talk.conn.Close() // as the end of this process would
	if line, err := in.ReadString('\n'); line != "the old one has gone: true\n" {
		t.Errorf("%q, %v", line, err)
	}
	if _, asked := s.Stop(); asked {
		t.Error("asked to stop once more")
	}
	gone(t, s)
}

func gone(t *testing.T, s *Successor) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Errorf("the new process does not end")
	}
}

// TestRefused: whatever is wrong with the new one, the old one hears why, and the new one is gone.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.WriteFile(data, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, act string
		change    func(p *Plan)
		want      string
	}{
		{"it exits at once", "exit", nil, " has ended with exit status 7 before it served; what it said is on the standard error"},
		{"it exits later", "crash", nil, " has ended with exit status 9 before it served"},
		{"it cannot serve", "fail", nil, "edge 2.0 cannot take over:\nedge.toml:1: x: is wrong\nedge.toml:2: y: is wrong"},
		{"it is not there", "serve", func(p *Plan) { p.Path = filepath.Join(dir, "none") }, "no such file or directory; this edge goes on"},
		{"it may not be executed", "serve", func(p *Plan) { p.Path = data }, "permission denied; this edge goes on"},
		{"it is no program", "serve", func(p *Plan) { p.Path = text }, "exec format error; this edge goes on"},
		{"it is not edge", "mute", func(p *Plan) { p.Greet = 50 * time.Millisecond }, "does not say in 50ms that it is an edge that can take over"},
		{"it is never ready", "linger", func(p *Plan) { p.Ready = 50 * time.Millisecond }, " (2.0) does not serve after 50ms; this edge goes on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := plan(t, c.act)
			if c.change != nil {
				c.change(&p)
			}
			s, err := Start(p, state, nil)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			noChildren(t)
		})
	}
}

// noChildren waits until this process has no children, since those it had were given up.
func noChildren(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); errors.Is(err, unix.ECHILD) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the new process is there yet")
		}
	}
}

// TestNotTaken: a new one that served and did not take over is given up too.
func TestNotTaken(t *testing.T) {
	p, _ := plan(t, "lost")
	s, err := Start(p, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Take(); err == nil || !strings.HasSuffix(err.Error(), "this edge goes on") {
		t.Errorf("%v", err)
	}
	gone(t, s)
}

// TestStopMeanwhile: an old one that has to stop gives the new one up, which does not take it for dead.
func TestStopMeanwhile(t *testing.T) {
	p, _ := plan(t, "linger")
	stop := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	if _, err := Start(p, state, stop); err == nil || err.Error() != "edge is stopping" {
		t.Errorf("%v", err)
	}
	noChildren(t)
}

// TestGivenUp: the new one hears it, and is not in doubt whether to take the place.
func TestGivenUp(t *testing.T) {
	p, _ := plan(t, "serve")
	s, err := Start(p, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.talk.say(message{Kind: quitKind})
	gone(t, s)
	if s.how != "has ended with exit status 10" {
		t.Errorf("it %s", s.how)
	}
}

// TestOldDies: the place of an old one that dies is taken by the new one.
func TestOldDies(t *testing.T) {
	p, l := plan(t, "serve")
	s, err := Start(p, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.talk.conn.Close()
	c, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "[::]:80 ") {
		t.Errorf("%q, %v", line, err)
	}
	fmt.Fprintln(c, "stop")
	gone(t, s)
}

// TestByHand: who sets the variable by hand, or nobody, is not taken for an old process.
func TestByHand(t *testing.T) {
	if p, err := Inherit("2.0"); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	t.Setenv(variable, "2\none")
	if p, err := Inherit("2.0"); p != nil || err == nil || !strings.Contains(err.Error(), "only edge sets it") {
		t.Errorf("%v, %v", p, err)
	}
	var none *Predecessor
	if err := none.Ready(); err != nil {
		t.Error(err)
	}
	none.Failed(nil)
	none.Taken()
	if !none.Stop(time.Hour, nil) {
		t.Error("nobody has left something unfinished")
	}
}

func TestItself(t *testing.T) {
	path, err := Itself()
	if err != nil || !filepath.IsAbs(path) {
		t.Errorf("%q, %v", path, err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || filepath.Base(path) != filepath.Base(os.Args[0]) {
		t.Errorf("%q is not %q: %v", path, os.Args[0], err)
	}
}

// TestStopOfOneThatJustEnds: what the old process has said last counts where it ends the very moment that it is told to stop.
func TestStopOfOneThatJustEnds(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	old, err := newTalk(os.NewFile(uintptr(fds[0]), "old"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Predecessor{gone: make(chan struct{})}
	if p.talk, err = newTalk(os.NewFile(uintptr(fds[1]), "new")); err != nil {
		t.Fatal(err)
	}
	p.taken.Store(true)
	old.conn.Close()
	stopped := make(chan bool)
	go func() { stopped <- p.Stop(time.Minute, nil) }()
	select {
	case finished := <-stopped:
		t.Fatalf("it is over before the old process is: %v", finished)
	case <-time.After(100 * time.Millisecond):
	}
	p.finished = true
	close(p.gone)
	if !<-stopped {
		t.Error("what was finished counts as cut off")
	}
}
