package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"edge/runtime/accesslog"
	"edge/runtime/admin"
	"edge/runtime/control"
	"edge/runtime/control/board"
	"edge/runtime/metrics"
)

// tally is what all children together have counted, those that have gone included.
type tally struct {
	children *control.Control
	own      *metrics.Set // the control process's
	log      *accesslog.Logger

	asking sync.Mutex   // one question at a time: no answer comes after a later one
	mu     sync.Mutex   // guards ended; the totals have locks of their own
	ended  map[int]bool // children that have ended since they were last asked: their answers come too late
	totals *metrics.Totals
	shown  *admin.Totals
}

func newTally(log *accesslog.Logger) *tally {
	return &tally{own: metrics.New(version()), log: log, ended: map[int]bool{}, totals: metrics.NewTotals(), shown: admin.NewTotals()}
}

// numbersWord asks a child for its numbers: see joinNumbers.
const numbersWord = "numbers"

// joinNumbers is what a child says of itself: its status as JSON and its metrics, of one moment, so that pages that show the one and the
// other agree, also on what a child has counted that was killed.
func joinNumbers(status, families []byte) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(status)+len(families)), uint32(len(status)))
	return append(append(b, status...), families...)
}

var errNumbers = errors.New("what a child says of itself is not whole")

func splitNumbers(b []byte) (status, families []byte, err error) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errNumbers
	}
	n := binary.LittleEndian.Uint32(b)
	return b[4:][:n], b[4:][n:], nil
}

// readNumbers reads both; neither is there where one cannot be read.
func readNumbers(b []byte) (*admin.Status, []byte, error) {
	text, families, err := splitNumbers(b)
	if err != nil {
		return nil, nil, err
	}
	s := new(admin.Status)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, nil, err
	}
	return s, families, nil
}

// ask asks all children.
func (t *tally) ask() {
	t.mu.Lock()
	clear(t.ended)
	t.mu.Unlock()
	for _, a := range t.children.Ask(numbersWord, nil) {
		t.take(a)
	}
}

// take takes what one child has said.
func (t *tally) take(a control.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended[a.Child] || errors.Is(a.Err, control.ErrGone) {
		return // its last words count, which come or have come
	}
	var status *admin.Status
	var families []byte
	err := a.Err
	if err == nil {
		status, families, err = readNumbers(a.Body)
	}
	if err != nil {
		t.totals.Silent(a.Child)
		t.shown.Silent(a.Child)
		t.log.Warn("a child does not say how it fares", accesslog.Int("child", a.Child), accesslog.Err(err))
		return
	}
	t.shown.Take(a.Child, status)
	if err := t.totals.Take(a.Child, families); err != nil {
		t.log.Warn("the metrics of a child cannot be read", accesslog.Int("child", a.Child), accesslog.Err(err))
	}
}

// gone is control.Options.Bye: what the child has counted is kept.
func (t *tally) gone(child int, numbers []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended[child] = true
	var status *admin.Status
	var families []byte
	var err error
	if numbers != nil {
		status, families, err = readNumbers(numbers)
	}
	t.shown.Gone(child, status)
	if e := t.totals.Gone(child, families); err == nil {
		err = e
	}
	if err != nil {
		t.log.Warn("the last numbers of a child cannot be read", accesslog.Int("child", child), accesslog.Err(err))
	}
}

// metrics is admin.Options.Metrics.
func (t *tally) metrics(w io.Writer) error {
	t.asking.Lock()
	defer t.asking.Unlock()
	t.ask()
	return t.totals.Write(w, t.own)
}

// status is what all children show, and what their scoreboards say (P8). What edge as such is the caller says.
func (t *tally) status() *admin.Status {
	t.asking.Lock()
	defer t.asking.Unlock()
	t.ask()
	s, now := t.shown.Status(), board.Clock()
	for _, c := range t.children.Numbers().Children {
		b := &c.Board
		one := admin.ChildStatus{
			Number: c.Number, PID: c.PID, Generation: c.Generation, State: string(c.State), NotAccepting: b.NotAccepting, Connections: b.Connections,
			Accepted: b.Accepted, Started: c.Began.UTC(), Workers: workersByPhase(c.Number, b.Cells), HeartbeatAge: -1, Silent: t.shown.IsSilent(c.Number),
		}
		if silent := b.Silent(now); silent >= 0 {
			one.HeartbeatAge = silent.Seconds()
		}
		s.Children = append(s.Children, one)
	}
	return s
}

// numbers are the control process's own.
func (t *tally) numbers() metrics.Control {
	n := t.children.Numbers()
	m := metrics.Control{Generation: n.Generation}
	m.Unanswered, m.Lost = t.totals.Trouble()
	byState := map[control.State]uint64{}
	for _, c := range n.Children {
		byState[c.State]++
	}
	for _, s := range []control.State{control.Starting, control.Ready, control.Retiring, control.Stopping} {
		m.Children = append(m.Children, metrics.Count{Label: string(s), N: byState[s]})
	}
	for _, reason := range []string{control.Died, control.Full, control.Stuck} {
		m.Restarts = append(m.Restarts, metrics.Count{Label: reason, N: n.Restarts[reason]})
	}
	return m
}
