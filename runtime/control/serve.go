package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// The exit statuses of a child.
const (
	ExitOK     = 0
	ExitFailed = 1 // it could not start
	ExitCut    = 3 // it ended before everything was finished
)

// asksAtOnce bounds the answers to Ask that a child works on; what is asked beyond waits.
const asksAtOnce = 8

// server is a child's side of the link.
type server struct {
	link   Link
	worker Worker
	asks   chan struct{} // an element for each that is worked on

	mu        sync.Mutex // guards what follows
	last      uint64     // of the ids of Open
	waiting   map[uint64]chan *Message
	inherited map[string]int
	prepared  map[uint64]*Prepared // nil: not ready yet
	started   bool
	ending    []context.CancelFunc // of the calls of Retire
	retiring  int                  // of those, how many have not returned
	cut       bool                 // one of them came to its end
	ended     chan struct{}        // closed by the last
}

// Serve is a child: it does what the control process at the other end of the link says, until that has it end, or is gone: then it ends
// like one that was told to stop. It returns the exit status. Signals, each of which has this child replaced, come through the channel.
func Serve(l Link, w Worker, signals <-chan os.Signal) int {
	s := &server{link: l, worker: w, asks: make(chan struct{}, asksAtOnce), waiting: map[uint64]chan *Message{}, prepared: map[uint64]*Prepared{},
		inherited: map[string]int{}, ended: make(chan struct{})}
	defer l.Close()
	messages, failed := make(chan *Message), make(chan bool, 1)
	over := make(chan struct{})
	defer close(over)
	go func() {
		defer close(messages)
		for {
			m, err := l.Receive()
			if err != nil {
				return
			}
			select {
			case messages <- m:
			case <-over:
				closeAll(m.Files)
				return
			}
		}
	}()
	ended, closed := s.ended, make(chan []byte, 1)
	for {
		select {
		case m, ok := <-messages:
			switch {
			case !ok:
				messages = nil
				s.forsaken()
				if ended != nil && !s.end(w.Patience(), true) {
					return ExitFailed // the control process is gone, and nothing has begun
				}
			case m.Kind == StartKind:
				go func() { failed <- !s.start(m.Start) }()
			case ended == nil && m.Kind != OpenedKind: // there is nobody to take it any more
				closeAll(m.Files)
			case !s.take(m):
				return ExitOK // told to end before anything has begun
			}
		case bad := <-failed:
			if bad {
				return ExitFailed
			}
		case <-signals:
			s.Full()
		case <-ended:
			ended = nil
			go func() { closed <- w.Close() }() // which may wait for a file
		case last := <-closed:
			_ = l.Send(&Message{Kind: ByeKind, Body: last})
			if s.cut {
				return ExitCut
			}
			return ExitOK
		}
	}
}

// start begins to serve, and says what has come of it.
func (s *server) start(start *Start) bool {
	s.mu.Lock()
	for i, name := range start.Files {
		s.inherited[name] = FirstFile + i
	}
	s.mu.Unlock()
	warnings, err := s.worker.Start(start, s)
	m := &Message{Kind: ReadyKind, Warnings: warnings}
	if err != nil {
		m = failure(FailedKind, 0, err)
	}
	s.mu.Lock()
	s.started = err == nil
	s.mu.Unlock()
	return s.link.Send(m) == nil && err == nil
}

// failure says what was wrong.
func failure(kind Kind, id uint64, err error) *Message {
	m := &Message{Kind: kind, ID: id}
	if !errors.As(err, &m.Problems) {
		m.Error = err.Error()
	}
	return m
}

// take does what a message says; false: to end at once.
func (s *server) take(m *Message) bool {
	switch m.Kind {
	case PrepareKind:
		s.mu.Lock()
		s.prepared[m.ID] = nil
		s.mu.Unlock()
		go s.prepare(m)
	case CommitKind, AbandonKind:
		go s.decide(m)
	case AcceptKind:
		go s.do(m.ID, s.worker.Accept)
	case ReopenKind:
		go s.do(m.ID, s.worker.Reopen)
	case AskKind:
		go s.answer(m)
	case OpenedKind:
		s.mu.Lock()
		to := s.waiting[m.ID]
		delete(s.waiting, m.ID)
		s.mu.Unlock()
		if to == nil {
			closeAll(m.Files) // it came too late
			break
		}
		to <- m
	case RetireKind:
		return s.end(m.Within, false)
	case StopKind:
		return s.end(m.Within, true)
	case NowKind:
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, cancel := range s.ending {
			cancel()
		}
		return len(s.ending) > 0
	}
	return true
}

// do does what was asked for, and says what has come of it.
func (s *server) do(id uint64, what func() error) {
	answer := &Message{Kind: DoneKind, ID: id}
	if err := what(); err != nil {
		answer.Error = err.Error()
	}
	_ = s.link.Send(answer)
}

// prepare makes a configuration ready, and gives it up again where that was asked for meanwhile.
func (s *server) prepare(m *Message) {
	p, err := s.worker.Prepare(m.Text)
	answer := &Message{Kind: PreparedKind, ID: m.ID, Warnings: p.Warnings}
	s.mu.Lock()
	_, wanted := s.prepared[m.ID]
	switch {
	case err != nil:
		answer = failure(PreparedKind, m.ID, err)
		delete(s.prepared, m.ID)
	case wanted:
		s.prepared[m.ID] = &p
	}
	s.mu.Unlock()
	if err == nil && !wanted {
		p.Abandon()
		answer = failure(PreparedKind, m.ID, errors.New("is not wanted any more"))
	}
	_ = s.link.Send(answer)
}

// decide has what was prepared serve, or gives it up.
func (s *server) decide(m *Message) {
	s.mu.Lock()
	p := s.prepared[m.ID]
	delete(s.prepared, m.ID)
	s.mu.Unlock()
	if m.Kind == AbandonKind {
		if p != nil {
			p.Abandon()
		}
		return
	}
	if p != nil { // else the child is ending
		p.Commit()
	}
	_ = s.link.Send(&Message{Kind: DoneKind, ID: m.ID})
}

func (s *server) answer(m *Message) {
	s.asks <- struct{}{}
	defer func() { <-s.asks }()
	body, err := s.worker.Ask(m.What, m.Body)
	answer := &Message{Kind: AnswerKind, ID: m.ID, Body: body}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = s.link.Send(answer)
}

// end has the worker finish what it has; false: it has not begun. What was prepared and is waiting for word is given up.
func (s *server) end(within time.Duration, shed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.started:
		return false
	case len(s.ending) > 0 && s.retiring == 0:
		return true // it has finished everything
	}
	for id, p := range s.prepared {
		delete(s.prepared, id)
		if p != nil {
			go p.Abandon()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if within != Unbounded {
		ctx, cancel = context.WithTimeout(context.Background(), within)
	}
	s.ending = append(s.ending, cancel)
	s.retiring++
	go func() {
		defer cancel()
		err := s.worker.Retire(ctx, shed)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut = s.cut || err != nil
		if s.retiring--; s.retiring == 0 {
			close(s.ended)
		}
	}()
	return true
}

// Open is part of Parent.
func (s *server) Open(path string) (*os.File, error) {
	answer := make(chan *Message, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.waiting[id] = answer
	s.mu.Unlock()
	late := time.NewTimer(OpenTime)
	defer late.Stop()
	err := s.link.Send(&Message{Kind: OpenKind, ID: id, What: path})
	if err == nil {
		select {
		case m := <-answer:
			return opened(path, m)
		case <-late.C:
			err = fmt.Errorf("%s: the control process does not answer", path)
		}
	}
	s.mu.Lock()
	delete(s.waiting, id)
	s.mu.Unlock()
	select {
	case m := <-answer: // it came at the last moment
		closeAll(m.Files)
	default:
	}
	return nil, err
}

// forsaken answers those who wait for a file: the control process is gone.
func (s *server) forsaken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, to := range s.waiting {
		delete(s.waiting, id)
		to <- &Message{Error: "the control process is gone"}
	}
}

// opened is what an answer to Open holds.
func opened(path string, m *Message) (*os.File, error) {
	if len(m.Files) == 1 {
		return m.Files[0], nil
	}
	closeAll(m.Files)
	if m.Errno != 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: m.Errno}
	}
	return nil, errors.New(m.Error)
}

// Full is part of Parent.
func (s *server) Full() { _ = s.link.Send(&Message{Kind: FullKind}) }

// Inherited is part of Parent.
func (s *server) Inherited(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok := s.inherited[name]
	if !ok {
		return -1
	}
	delete(s.inherited, name)
	return fd
}
