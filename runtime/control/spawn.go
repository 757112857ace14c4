package control

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The descriptors that a child is started with: its end of the link, and from FirstFile on what Start.Files names.
const (
	linkFile  = 3
	FirstFile = 4
)

// BoardFile is the name of the descriptor of the child's board, for board.Open.
const BoardFile = "board"

// childVariable is in the environment of a child, so that who starts one by hand is told.
const childVariable = "EDGE_CHILD"

// File is a descriptor with the name that a child knows it by. It is not an os.File: Go's own poller would watch a listening socket.
type File struct {
	Name string
	FD   int
}

// Spawn says how a child is to be started.
type Spawn struct {
	Number     int
	Generation int
	Files      []File      // it inherits
	Credential *Credential // whose rights it has; nil: those of this process
	Fence      Fence       // what it begins in
}

// Process is a child as a process.
type Process interface {
	PID() int
	Kill() error // SIGKILL
	// Wait waits for its end, and is called once. It returns how it died in words: Ended where that was with status 0, else such as
	// "killed by SIGKILL".
	Wait() string
}

// Ended is how a child has ended that has finished everything.
const Ended = "ended"

// Program starts children as processes of a program: those of this very binary, even when the file it was started from has been replaced.
// They lead process groups of their own, so that what a terminal sends reaches the control process alone.
type Program struct {
	Args []string // after the program's name, of which the first is shown as its name: "edge", "child"
}

// Start is Options.Spawn.
func (p Program) Start(s *Spawn) (Process, Link, error) {
	link, theirs, err := SocketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	attr := &syscall.ProcAttr{
		Env:   append(environment(), childVariable+"="+strconv.Itoa(s.Number)),
		Files: []uintptr{0, 1, 2, theirs.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	for _, f := range s.Files {
		attr.Files = append(attr.Files, uintptr(f.FD))
	}
	if c := s.Credential; c != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
	pid := 0
	start := func() (err error) {
		pid, err = syscall.ForkExec("/proc/self/exe", append(p.Args[:len(p.Args):len(p.Args)], strconv.Itoa(s.Number)), attr)
		return err
	}
	if err = s.Fence.Do(start); err != nil {
		link.Close()
		return nil, nil, fmt.Errorf("a child cannot be started: %w", err)
	}
	found, err := os.FindProcess(pid) // it cannot have gone: nobody has waited for it
	if err != nil {
		link.Close()
		return nil, nil, err
	}
	return &process{found}, link, nil
}

// environment is this process's, without what a child must not take for its own.
func environment() (list []string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != childVariable {
			list = append(list, v)
		}
	}
	return list
}

type process struct{ *os.Process }

// PID is the process id.
func (p *process) PID() int { return p.Pid }

// Wait waits for the end of the process.
func (p *process) Wait() string {
	state, err := p.Process.Wait()
	if err != nil {
		return err.Error()
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled():
		return "killed by " + signalName(status.Signal())
	case state.Success():
		return Ended
	}
	return fmt.Sprintf("ended with status %d", state.ExitCode())
}

// signalName is the name of a signal where its description would not say which it is.
func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGSEGV:
		return "SIGSEGV"
	case syscall.SIGSYS:
		return "SIGSYS: it has made a system call that is for intruders only"
	case syscall.SIGBUS:
		return "SIGBUS"
	case syscall.SIGABRT:
		return "SIGABRT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return fmt.Sprintf("signal %d (%s)", int(s), s)
}

// ErrByHand is the error of a child that was not started by a control process.
var ErrByHand = errors.New(`this is how edge starts its children, and for nobody else; the verb is "edge run"`)

// IsChild says whether a control process has started this one, as it seems until Inherit.
func IsChild() bool { return os.Getenv(childVariable) != "" }

// Inherit is the child's end of the link of a process that Program has started.
func Inherit() (Link, error) {
	if !IsChild() {
		return nil, ErrByHand
	}
	os.Unsetenv(childVariable)
	syscall.CloseOnExec(linkFile)
	l, err := NewLink(os.NewFile(linkFile, "control"))
	if err != nil {
		return nil, ErrByHand
	}
	return l, nil
}
