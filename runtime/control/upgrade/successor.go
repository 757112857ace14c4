package upgrade

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that the new process is started with.
const (
	talkFile  = 3
	firstFile = 4
)

// variable is in the new process's environment: the names of its files, one a line, after their number.
const variable = "EDGE_UPGRADE"

// Itself is the path that this process was started by, made absolute; symbolic links stay, since a new version may be behind them then. It
// is found before anybody changes the working directory.
func Itself() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// Plan says what to start.
type Plan struct {
	Path  string   // the program
	Args  []string // its arguments, without the program itself
	Env   []string // its environment
	Files []File   // listening sockets, and the admin server's; they stay the caller's

	Greet, Ready time.Duration // 0: GreetTime, ReadyTime
}

// Successor is the new process, as the old one has it.
type Successor struct {
	Version string // as it says

	process *os.Process
	talk    *talk
	ended   chan struct{} // closed when the process has ended
	how     string        // it has; written before
	giveUp  sync.Once
}

// remedy follows what was wrong with the new binary.
const remedy = "this edge goes on; repair the file and try again"

// Start starts the new process, and returns when its children serve. An error says why not: it is over then, and this process can go on as
// if nothing had been. Closing stop gives it up.
func Start(p Plan, state *State, stop <-chan struct{}) (s *Successor, err error) {
	if s, err = spawn(&p); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-stop:
			s.GiveUp() // which ends what is waited for
		case <-over:
		}
	}()
	m, err := s.talk.hear(orElse(p.Greet, GreetTime), greetKind)
	switch {
	case errors.Is(err, errGone):
		err = s.early(p.Path)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%s does not say in %v that it is an edge that can take over; %s", p.Path, orElse(p.Greet, GreetTime), remedy)
	case err == nil:
		s.Version = m.Version
		if err = s.talk.say(message{Kind: greetKind, State: state}); err == nil {
			m, err = s.talk.hear(orElse(p.Ready, ReadyTime), readyKind, failedKind)
		}
		switch {
		case errors.Is(err, errGone):
			err = s.early(p.Path)
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = fmt.Errorf("%s (%s) does not serve after %v; %s", p.Path, s.Version, orElse(p.Ready, ReadyTime), remedy)
		case err == nil && m.Kind == failedKind:
			err = &Failed{Version: s.Version, Problems: m.Problems}
		}
	}
	if err == nil {
		return s, nil
	}
	s.GiveUp()
	select {
	case <-stop:
		err = errors.New("edge is stopping")
	default:
	}
	return nil, err
}

// Failed is the error of a new process that could not serve, and has said why.
type Failed struct {
	Version  string
	Problems []string
}

// Error is the problems, one a line.
func (f *Failed) Error() string {
	return fmt.Sprintf("edge %s cannot take over:\n%s", f.Version, strings.Join(f.Problems, "\n"))
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// early is the error of a process that ended before it served.
func (s *Successor) early(path string) error {
	select {
	case <-s.ended:
	case <-time.After(EndTime):
		return fmt.Errorf("%s has closed the connection to this edge; %s", path, remedy)
	}
	return fmt.Errorf("%s %s before it served; what it said is on the standard error of edge; %s", path, s.how, remedy)
}

func spawn(p *Plan) (*Successor, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "new")
	defer theirs.Close()
	t, err := newTalk(os.NewFile(uintptr(fds[0]), "old"))
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2, theirs.Fd()}}
	names := []string{strconv.Itoa(len(p.Files))}
	for _, f := range p.Files {
		names = append(names, f.Name)
		attr.Files = append(attr.Files, uintptr(f.FD))
	}
	attr.Env = append(p.Env[:len(p.Env):len(p.Env)], variable+"="+strings.Join(names, "\n"))
	pid, err := syscall.ForkExec(p.Path, append([]string{p.Path}, p.Args...), attr)
	if err != nil {
		t.conn.Close()
		return nil, fmt.Errorf("%w; %s", &fs.PathError{Op: "start", Path: p.Path, Err: err}, remedy)
	}
	found, err := os.FindProcess(pid) // it cannot have gone: nobody has waited for it
	if err != nil {
		t.conn.Close()
		return nil, err
	}
	s := &Successor{process: found, talk: t, ended: make(chan struct{})}
	go func() {
		s.how = "has ended"
		if state, err := found.Wait(); err == nil {
			s.how = "has ended with " + state.String()
		}
		close(s.ended)
	}()
	return s, nil
}

// PID is its process id.
func (s *Successor) PID() int { return s.process.Pid }

// Take has it take over the pid file and the admin server. After an error it is over, as in Start.
func (s *Successor) Take() error {
	err := s.talk.say(message{Kind: takeKind})
	if err == nil {
		_, err = s.talk.hear(TakeTime, takenKind)
	}
	if err != nil {
		s.GiveUp()
		return fmt.Errorf("edge %s served and did not take over: %w; this edge goes on", s.Version, err)
	}
	return nil
}

// Named tells it that the service manager knows it. From then on the place is its own.
func (s *Successor) Named() { _ = s.talk.say(message{Kind: namedKind}) }

// Stop waits until the new process has this one stop, which it wants to have done within the time it tells. False: it never will.
func (s *Successor) Stop() (within time.Duration, asked bool) {
	m, err := s.talk.hear(0, stopKind)
	if err != nil {
		return 0, false
	}
	return m.Within, true
}

// Ended tells it that this process is about to end, and whether everything was finished that it had.
func (s *Successor) Ended(finished bool) {
	_ = s.talk.say(message{Kind: endedKind, Finished: finished})
}

// GiveUp ends the new process: what it serves is finished as in any stop. It does not wait for that.
func (s *Successor) GiveUp() {
	s.giveUp.Do(func() {
		_ = s.talk.say(message{Kind: quitKind}) // else it would take this one for dead
		s.talk.conn.Close()
		_ = s.process.Signal(syscall.SIGTERM)
		go func() {
			select {
			case <-s.ended:
			case <-time.After(EndTime):
				_ = s.process.Kill()
			}
		}()
	})
}
