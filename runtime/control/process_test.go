package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/runtime/config"
)

// TestMain is also the child of TestProgram.
func TestMain(m *testing.M) {
	if !IsChild() {
		os.Exit(m.Run())
	}
	link, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	os.Exit(Serve(link, new(real), nil))
}

// real is the Worker of a process. It does what the text of a configuration says.
type real struct{ parent Parent }

func (r *real) Start(s *Start, p Parent) (config.Problems, error) {
	r.parent = p
	if string(s.Text.Data) == "panic" {
		panic("as told")
	}
	return nil, nil
}

func (r *real) Prepare(*Text) (Prepared, error) { return Prepared{}, errors.New("not here") }

// Ask reads a file by its path through the control process, or an inherited one by its name.
func (r *real) Ask(what string, body []byte) ([]byte, error) {
	switch what {
	case "inherited":
		fd := r.parent.Inherited(string(body))
		if fd < 0 {
			return nil, errors.New("it is not there")
		}
		f := os.NewFile(uintptr(fd), "inherited")
		defer f.Close()
		return io.ReadAll(f)
	case "open":
		f, err := r.parent.Open(string(body))
		if err != nil {
			return fmt.Appendf(nil, "%v, %v", err, errors.Is(err, os.ErrNotExist)), nil
		}
		defer f.Close()
		return io.ReadAll(f)
	}
	pgid, err := syscall.Getpgid(0)
	return fmt.Appendf(nil, "%v %v", pgid == os.Getpid(), os.Getenv(childVariable) == ""), err
}

func (r *real) Accept() error                      { return nil }
func (r *real) Reopen() error                      { return nil }
func (r *real) Retire(context.Context, bool) error { return nil }
func (r *real) Patience() time.Duration            { return time.Second }
func (r *real) Close() []byte                      { return []byte("bye") }

// withProcesses is a control process whose children are processes.
func withProcesses(t *testing.T, bye func(int, []byte)) *Control {
	t.Helper()
	w := newWorld(t)
	o := w.control.options
	o.Spawn, o.Open, o.Bye = Program{Args: []string{os.Args[0], "child"}}.Start, OpenBrokered, bye
	o.Bind = func(*config.Listen) (int, error) {
		r, pipe, err := os.Pipe() // in place of a socket: something that can be told by what is in it
		if err != nil {
			return -1, err
		}
		fmt.Fprint(pipe, "what listens")
		pipe.Close()
		fd, err := syscall.Dup(int(r.Fd()))
		r.Close()
		return fd, err
	}
	o.Shut = func(fd int) { syscall.Close(fd) }
	c := New(o)
	t.Cleanup(func() {
		if err := c.Stop(context.Background(), 0); err != nil {
			t.Errorf("the stop says %v; the log: %s", err, w.log.String())
		}
	})
	return c
}

// TestProgram: a child is a process with a group of its own, the sockets and the files it asks for, and says good-bye.
func TestProgram(t *testing.T) {
	byes := make(chan string, 9)
	c := withProcesses(t, func(child int, numbers []byte) { byes <- fmt.Sprintf("%d %s", child, numbers) })
	path := t.TempDir() + "/access.log"
	if err := os.WriteFile(path, []byte("a line"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, cfg := parsed(t, "one", "[certificates.a]\ncertificate = \""+path+"\"\nkey = \"/nowhere/key\"\n")
	if _, err := c.Begin(text, cfg); err != nil {
		t.Fatal(err)
	}
	for _, a := range [...]struct{ what, body, want string }{
		{"itself", "", "true true"},
		{"inherited", "127.0.0.1:80", "what listens"},
		{"open", path, "a line"},
		{"open", "/nowhere/key", "open /nowhere/key: no such file or directory, true"},
		{"open", "/etc/passwd", "/etc/passwd: the configuration does not name it, false"},
	} {
		answers := c.Ask(a.what, []byte(a.body))
		if len(answers) != 1 || answers[0].Err != nil || string(answers[0].Body) != a.want {
			t.Errorf("%s %s: %+v, want %s", a.what, a.body, answers, a.want)
		}
	}
	pid := c.Numbers().Children[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := <-byes; got != "1 " {
		t.Errorf("of a child that was killed: %q", got)
	}
	for {
		list := c.Numbers().Children
		if len(list) == 1 && list[0].Number == 2 && list[0].State == Ready {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.Stop(context.Background(), time.Minute); err != nil {
		t.Error(err)
	}
	if got := <-byes; got != "2 bye" {
		t.Errorf("of a child that has ended: %q", got)
	}
}

// TestProgramDies: a child that dies before it is ready is told of, with how.
func TestProgramDies(t *testing.T) {
	c := withProcesses(t, func(int, []byte) {})
	_, cfg := parsed(t, "", "")
	devnull, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer devnull.Close()
	stderr, err := syscall.Dup(2) // for what the child's panic prints
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(devnull.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	_, err = c.Begin(Text{File: "edge.toml", Data: []byte("panic")}, cfg)
	if back := syscall.Dup3(stderr, 2, 0); back != nil {
		t.Fatal(back)
	}
	syscall.Close(stderr)
	if err == nil || !strings.Contains(err.Error(), "a child (1) ended with status 2 before it was ready") {
		t.Errorf("it says %v", err)
	}
}

// TestByHand: who starts a child by hand is told.
func TestByHand(t *testing.T) {
	if _, err := Inherit(); !errors.Is(err, ErrByHand) {
		t.Errorf("it says %v", err)
	}
}
