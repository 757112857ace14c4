// Package proc starts and stops child processes for the conformance suites and the bench, keeps what they print, and
// picks loopback addresses for them.
package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Spec says how to start a child.
type Spec struct {
	Name string   // for messages
	Path string   // the program; looked up in PATH where it has no slash
	Args []string // without the program itself
	Dir  string   // working directory; "" is the caller's
	Env  []string // added to the caller's environment

	// CPU pins the child to these processors ("0", "1-3") with taskset, from its first instruction. "" pins nothing.
	CPU string

	// Files is the child's limit of open descriptors (RLIMIT_NOFILE, soft and hard); 0 leaves it.
	Files int
}

// Child is a process that this one started. It is killed when this one dies, and it leads a process group of its own,
// so that what it leaves behind can be seen.
type Child struct {
	Log *Log // what it printed, both streams

	name string
	cmd  *exec.Cmd
	done chan struct{} // closed once err is set
	err  error
	own  []int // its children when it was last asked to end
}

// readDelay bounds the wait for the end of the output of a child that has ended.
const readDelay = 2 * time.Second

// ErrTimeout says that something did not happen in time.
var ErrTimeout = errors.New("not in time")

// Start starts a child.
func Start(s Spec) (*Child, error) {
	path, args := s.Path, s.Args
	if s.CPU != "" {
		args = append([]string{"-c", s.CPU, path}, args...)
		path = "taskset"
	}
	if s.Files > 0 {
		// The limit has to be there before the program's first instruction: Go raises its soft limit as it starts.
		n := strconv.Itoa(s.Files)
		args = append([]string{"-c", "ulimit -n " + n + " && exec \"$0\" \"$@\"", path}, args...)
		path = "/bin/sh"
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c := &Child{Log: NewLog(), name: s.Name, cmd: cmd, done: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	read := make(chan struct{})
	go func() {
		defer r.Close()
		defer close(read)
		_, _ = io.Copy(c.Log, r)
	}()
	go func() {
		c.err = cmd.Wait()
		select {
		case <-read:
		case <-time.After(readDelay): // one that it has started has the pipe too, and goes on writing to it
		}
		close(c.done)
	}()
	return c, nil
}

// PID is the process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Signal sends a signal to the child alone.
func (c *Child) Signal(sig syscall.Signal) error { return c.cmd.Process.Signal(sig) }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Running says whether the child has not ended yet.
func (c *Child) Running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Wait waits for the child's end and returns how it ended: nil for exit status 0. ErrTimeout after limit.
func (c *Child) Wait(limit time.Duration) error {
	select {
	case <-c.done:
		return c.err
	case <-time.After(limit):
		return fmt.Errorf("%s (pid %d) has not ended in %v: %w", c.name, c.PID(), limit, ErrTimeout)
	}
}

// Stop asks the child to end with sig, kills it after limit, and returns how it ended.
func (c *Child) Stop(sig syscall.Signal, limit time.Duration) error {
	if !c.Running() {
		return c.err
	}
	c.own = Children(c.PID())
	if err := c.Signal(sig); err != nil && c.Running() {
		return err
	}
	err := c.Wait(limit)
	if errors.Is(err, ErrTimeout) {
		c.Kill()
	}
	return err
}

// Kill ends the child's whole process group, and its own children, at once and waits for it.
func (c *Child) Kill() {
	own := Children(c.PID())
	_ = syscall.Kill(-c.PID(), syscall.SIGKILL)
	for _, pid := range own {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-c.done
}

// Leftover says whether a process of the child's group, or one of the children that it had when it was stopped, is still there. It means
// something only after the child's end.
func (c *Child) Leftover() bool {
	group, _ := processes(func(pid int) bool {
		pgid, err := syscall.Getpgid(pid)
		return err == nil && pgid == c.PID() && Alive(pid)
	})
	return len(group) > 0 || slices.ContainsFunc(c.own, Alive)
}
