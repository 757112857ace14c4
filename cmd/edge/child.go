package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/control/board"
)

// init names the process, which would be "exe": it is the main thread that a process is named by, and this runs there.
func init() {
	if control.IsChild() {
		name, _ := unix.BytePtrFromString("edge-child")
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
}

func childCommand() *cobra.Command {
	return &cobra.Command{
		Use: "child", Short: "What run starts to serve", Hidden: true, Args: cobra.MaximumNArgs(1),
		RunE: func(*cobra.Command, []string) error {
			link, err := control.Inherit()
			if err != nil {
				return failed(err)
			}
			signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
			end := make(chan os.Signal, 1)
			signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
			if code := control.Serve(link, new(child), end); code != control.ExitOK {
				return &status{code, nil}
			}
			return nil
		},
	}
}

// child is the process as a control process has it: it is control.Worker.
type child struct {
	p        *process
	board    *board.Board
	still    func() // ends its heartbeat
	finished sync.Once
	cut      error // of what finished has done
}

// Start is part of control.Worker.
func (c *child) Start(s *control.Start, parent control.Parent) (config.Problems, error) {
	var err error
	if c.board, err = board.Open(parent.Inherited(control.BoardFile)); err != nil {
		return nil, err
	}
	c.board.SetState(board.Starting)
	cfg, problems := parseConfig(&s.Text)
	a := around{
		open: parent.Open, number: s.Number, cache: s.Cache, user: s.User, tasks: make(chan func()),
		accepts: cfg.Server.MaxConnectionsPerChild, cells: c.board.Cells(),
		listen: func(l *config.Listen) (int, error) {
			if fd := parent.Inherited(l.Address); fd >= 0 {
				syscall.CloseOnExec(fd)
				return fd, nil
			}
			return -1, errors.New("the control process has not handed it over")
		},
	}
	var all common
	if err := json.Unmarshal(s.Secret, &all); err != nil {
		return nil, err
	}
	a.seed, a.own = all.Seed, all.SelfSigned
	if len(problems) > 0 {
		return nil, a.advise(problems)
	}
	warnings := confineSelf(cfg, s.User)
	p, err := start(s.Text.File, cfg, a)
	if errors.As(err, &problems) {
		return nil, a.advise(problems)
	}
	if err != nil {
		return nil, err
	}
	if a.accepts > 0 {
		go func() {
			<-p.engine.Full()
			parent.Full()
		}()
	}
	c.p, c.still = p, heartbeat(c.board, p.engine)
	return append(warnings, certWarningsOf(p)...), nil
}

// Accept is part of control.Worker.
func (c *child) Accept() error {
	c.board.SetState(board.Ready)
	return c.p.accept()
}

// Prepare is part of control.Worker. The goroutine that swaps waits for what is decided, so that nothing is swapped in between.
func (c *child) Prepare(t *control.Text) (control.Prepared, error) {
	cfg, problems := parseConfig(t)
	if len(problems) > 0 {
		return control.Prepared{}, c.p.around.advise(problems)
	}
	var next *prepared
	made, decided, done := make(chan struct{}), make(chan bool, 1), make(chan struct{})
	do := func() {
		defer close(done)
		old := c.p.live.Load()
		next, problems = c.p.prepare(cfg, old)
		close(made)
		switch {
		case len(problems) > 0:
		case <-decided:
			c.p.takeOver(next)
		default:
			next.discard(old)
		}
	}
	select {
	case c.p.around.tasks <- do:
	case <-c.p.reloads.stop:
		return control.Prepared{}, control.ErrStopping
	}
	<-made
	if len(problems) > 0 {
		return control.Prepared{}, c.p.around.advise(problems)
	}
	return control.Prepared{
		Warnings: certWarnings(cfg, next.certs, time.Now()),
		Commit:   func() { decided <- true; <-done },
		Abandon:  func() { decided <- false },
	}, nil
}

// Ask is part of control.Worker.
func (c *child) Ask(what string, _ []byte) ([]byte, error) {
	if what != numbersWord {
		return nil, fmt.Errorf("no %s is known", what)
	}
	return c.numbers()
}

// numbers are the child's as joinNumbers has them. They are there also where a metric contradicts itself: the log says so.
func (c *child) numbers() ([]byte, error) {
	families, err := c.p.metrics.Encode()
	if err != nil {
		c.p.log.Warn("metrics: " + err.Error())
	}
	status, err := json.Marshal(c.p.status())
	return joinNumbers(status, families), err
}

// Reopen is part of control.Worker.
func (c *child) Reopen() error { return c.p.reopen() }

// Retire is part of control.Worker.
func (c *child) Retire(ctx context.Context, shed bool) error {
	c.p.draining.Store(true)
	if shed {
		c.board.SetState(board.Stopping)
	} else {
		c.board.SetState(board.Retiring)
		_ = c.p.engine.Retire(ctx) // what is left then is cut off below
	}
	c.finished.Do(func() { c.cut = c.p.finish(ctx) })
	return c.cut
}

// Patience is part of control.Worker.
func (c *child) Patience() time.Duration { return c.p.config().Server.ShutdownTimeout }

// Close is part of control.Worker.
func (c *child) Close() []byte {
	last, err := c.numbers()
	if err != nil {
		c.p.log.Error(err.Error())
	}
	c.still()
	c.p.close(context.Background())
	return last
}

// advise adds what is to be done where the child's user may not read what the configuration names.
func (a *around) advise(problems config.Problems) config.Problems {
	for i := range problems {
		if p := &problems[i]; a.user != "" && p.Remedy == "" && p.Denied {
			p.Remedy = fmt.Sprintf("make it readable for user %q", a.user)
		}
	}
	return problems
}
