package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"edge/runtime/config"
	"edge/runtime/control/board"
)

// child is a child as the control process has it, from its start until its end.
type child struct {
	number  int
	gen     *generation
	process Process
	link    Link
	fence   Fence
	board   *board.View
	began   time.Time
	told    chan *Message // Ready or Failed
	full    chan struct{} // room for one
	opens   chan struct{} // an element for each file that is being opened for it
	gone    chan struct{} // closed at its end
	how     string        // it ended; written before gone is closed
	bye     []byte        // its last numbers, or nil; likewise
	last    board.Seen    // what its board has shown at the end; likewise

	state   State // with ready and version guarded by Control.mu
	ready   time.Time
	version int // of the generation's text, that it serves

	mu      sync.Mutex
	waiting map[uint64]chan *Message // for answers
}

// errStuck says that a child has not answered in time.
var errStuck = errors.New("does not answer")

// spawn starts a child of the generation, which is not ready yet.
func (g *generation) spawn() (*child, error) {
	c := g.control
	c.mu.Lock()
	c.number = c.number%MaxNumber + 1
	start := &Start{Number: c.number, Generation: g.number, Text: g.text, User: g.cfg.Server.User, Group: g.cfg.Server.Group, Workers: g.cfg.Server.Workers}
	cfg, version := g.cfg, g.version
	c.mu.Unlock()
	start.Secret = c.options.Secret()
	start.Cache = c.options.Cache(cfg, g.credential)
	for _, f := range g.files {
		start.Files = append(start.Files, f.Name)
	}
	fence, err := g.enclose(cfg, start.Cache)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	view, fd, err := board.Create(start.Number, g.number, start.Workers, began)
	if err != nil {
		fence.Close()
		return nil, err
	}
	start.Files = append(start.Files, BoardFile)
	files := append(slices.Clone(g.files), File{BoardFile, fd})
	p, link, err := c.options.Spawn(&Spawn{Number: start.Number, Generation: g.number, Files: files, Credential: g.credential, Fence: fence})
	syscall.Close(fd)
	if err != nil {
		fence.Close()
		view.Close()
		return nil, err
	}
	ch := &child{
		number: start.Number, gen: g, process: p, link: link, fence: fence, board: view, began: began,
		told: make(chan *Message, 1), full: make(chan struct{}, 1),
		opens: make(chan struct{}, opensAtOnce), gone: make(chan struct{}), state: Starting, version: version, waiting: map[uint64]chan *Message{},
	}
	c.mu.Lock()
	c.children[ch.number] = ch
	c.mu.Unlock()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		ch.hear()
	}()
	go ch.await(heard)
	if err := link.Send(&Message{Kind: StartKind, Start: start}); err != nil {
		_ = p.Kill()
		<-ch.gone
		return nil, fmt.Errorf("child %d %s at once", ch.number, ch.how)
	}
	return ch, nil
}

// hear takes what the child says, until its end.
func (ch *child) hear() {
	c := ch.gen.control
	for {
		m, err := ch.link.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.options.Log.Error("what a child says cannot be read, it is ended", "child", ch.number, "error", err.Error())
				_ = ch.process.Kill()
			}
			return
		}
		if m.Kind != OpenKind {
			closeAll(m.Files) // a child has none to give
		}
		switch m.Kind {
		case ReadyKind, FailedKind:
			select {
			case ch.told <- m:
			default:
			}
		case PreparedKind, DoneKind, AnswerKind:
			ch.mu.Lock()
			to := ch.waiting[m.ID]
			delete(ch.waiting, m.ID)
			ch.mu.Unlock()
			if to != nil {
				to <- m
			}
		case OpenKind:
			ch.opens <- struct{}{}
			go func() {
				defer func() { <-ch.opens }()
				c.open(ch, m)
			}()
		case FullKind:
			ch.fill()
		case ByeKind:
			ch.bye = m.Body
		}
	}
}

// await waits for the child's end; heard is closed when all has been heard that it said.
func (ch *child) await(heard <-chan struct{}) {
	how := ch.process.Wait()
	late := time.NewTimer(SendTime)
	defer late.Stop()
	select {
	case <-heard:
	case <-late.C: // somebody else holds its end of the link
	}
	ch.link.Close()
	ch.fence.Close()
	<-heard
	ch.how = how
	ch.last, _ = ch.board.Look()
	ch.board.Close()
	c := ch.gen.control
	if c.options.Bye != nil {
		c.options.Bye(ch.number, ch.bye)
	}
	c.mu.Lock()
	delete(c.children, ch.number)
	c.mu.Unlock()
	close(ch.gone)
}

// ask says something and waits for the answer, for at most within, until stop is closed or the child has gone. A message without an ID gets
// one. An answer with Problems or Error is an error.
func (ch *child) ask(m *Message, within time.Duration, stop <-chan struct{}) (*Message, error) {
	answer := make(chan *Message, 1)
	if m.ID == 0 {
		m.ID = ch.gen.control.id()
	}
	ch.mu.Lock()
	ch.waiting[m.ID] = answer
	ch.mu.Unlock()
	defer func() {
		ch.mu.Lock()
		delete(ch.waiting, m.ID)
		ch.mu.Unlock()
	}()
	if err := ch.link.Send(m); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, ch.error(errStuck)
	} else if err != nil {
		return nil, ch.error(ErrGone)
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case a := <-answer:
		return a, failed(a)
	case <-ch.gone:
		return nil, ch.error(ErrGone)
	case <-late.C:
		return nil, ch.error(errStuck)
	case <-stop:
		return nil, ErrStopping
	}
}

func (c *Control) id() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids++
	return c.ids
}

// ErrGone says that a child has ended: Options.Bye is called for it, if that has not been done.
var ErrGone = errors.New("has ended")

func (ch *child) error(err error) error { return fmt.Errorf("child %d %w", ch.number, err) }

// failed is the error in an answer, if any.
func failed(m *Message) error {
	switch {
	case len(m.Problems) > 0:
		return m.Problems
	case m.Error != "":
		return errors.New(m.Error)
	}
	return nil
}

// begin starts a child and waits until it accepts connections, with the text that the generation has by then.
func (g *generation) begin() (*child, error) {
	ch, _, err := g.prepare()
	if err == nil {
		err = ch.accept()
	}
	return ch, err
}

// prepare starts a child and waits until it is ready to accept connections.
func (g *generation) prepare() (*child, config.Problems, error) {
	ch, err := g.spawn()
	if err != nil {
		return nil, nil, err
	}
	late := time.NewTimer(StartTime)
	defer late.Stop()
	var warnings config.Problems
	select {
	case m := <-ch.told:
		if err = failed(m); err == nil && m.Kind == FailedKind {
			err = errors.New("it could not start")
		}
		warnings = m.Warnings
	case <-ch.gone:
		select {
		case m := <-ch.told: // its last words
			err = failed(m)
		default:
			err = fmt.Errorf("a child (%d) %s before it was ready", ch.number, ch.how)
		}
	case <-late.C:
		err = fmt.Errorf("a child (%d) was not ready in %v", ch.number, StartTime)
	case <-g.ended:
		err = ErrStopping
	case <-g.control.stopping:
		err = ErrStopping
	}
	if err == nil {
		return ch, warnings, nil
	}
	_ = ch.process.Kill()
	<-ch.gone
	return nil, nil, err
}

// accept has a child that is ready accept connections, with the text that its generation has by then. One that cannot is gone.
func (ch *child) accept() error {
	err := ch.follow(true)
	if err == nil { // a stop that comes now ends it as one that is ready: it may have connections
		_, err = ch.ask(&Message{Kind: AcceptKind}, CommitTime, nil)
	}
	if err != nil {
		_ = ch.process.Kill()
		<-ch.gone
	}
	return err
}

// follow has a child serve the text that its generation has, which a reload may have replaced while it started, and with serves is then
// what sets it ready.
func (ch *child) follow(serves bool) error {
	c, g := ch.gen.control, ch.gen
	for {
		c.mu.Lock()
		t, version := g.text, g.version
		same := version == ch.version
		if same && serves {
			ch.state, ch.ready = Ready, time.Now()
		}
		c.mu.Unlock()
		if same {
			return nil
		}
		m := &Message{Kind: PrepareKind, Text: &t}
		if _, err := ch.ask(m, PrepareTime, g.ended); err != nil {
			return err
		}
		if _, err := ch.ask(&Message{Kind: CommitKind, ID: m.ID}, CommitTime, g.ended); err != nil {
			return err
		}
		c.mu.Lock()
		ch.version = version
		c.mu.Unlock()
	}
}

// end has a child retire or stop, for at most within, and returns when it has gone: whether it has finished everything. When ctx ends it is
// told to be quick.
func (ch *child) end(ctx context.Context, kind Kind, within time.Duration) bool {
	c := ch.gen.control
	c.mu.Lock()
	was := ch.state
	if ch.state = Retiring; kind == StopKind {
		ch.state = Stopping
	}
	c.mu.Unlock()
	if was == Starting {
		_ = ch.process.Kill()
		<-ch.gone
		return true
	}
	if err := ch.link.Send(&Message{Kind: kind, Within: within}); errors.Is(err, os.ErrDeadlineExceeded) {
		ch.kill()
	}
	var late <-chan time.Time
	if within != Unbounded {
		timer := time.NewTimer(within + KillTime)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-ch.gone:
	case <-late:
		ch.kill()
	case <-ctx.Done():
		_ = ch.link.Send(&Message{Kind: NowKind})
		timer := time.NewTimer(KillTime)
		defer timer.Stop()
		select {
		case <-ch.gone:
		case <-timer.C:
			ch.kill()
		}
	}
	<-ch.gone
	if ch.how != Ended {
		c.options.Log.Warn("a child has ended before everything was finished", "child", ch.number, "how", ch.how)
	}
	return ch.how == Ended
}

func (ch *child) kill() {
	ch.gen.control.options.Log.Error("a child does not end and is killed", "child", ch.number, "pid", ch.process.PID())
	_ = ch.process.Kill()
}
