package accesslog

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a Writer.
const (
	// DefaultBuffer is how many bytes of lines wait for the disk at most, unless Limits says otherwise. As many again
	// may be under way to it.
	DefaultBuffer = 4 << 20

	// batch is how many waiting bytes end the pause between two writes early.
	batch = 64 << 10

	// keptBuffer is the most memory in bytes that a buffer keeps when a burst is over.
	keptBuffer = 512 << 10

	// pause is how long lines gather before they are written together: what a reader of the log waits at most, and what
	// makes one write of many lines.
	pause = 50 * time.Millisecond
)

// ErrClosed says that the writer has been closed.
var ErrClosed = errors.New("the log is closed")

// Limits bound a Writer; zero values mean the defaults.
type Limits struct {
	Buffer int // bytes of lines that may wait; a line that does not fit is dropped
}

// Writer takes lines from any goroutine and writes them in order from one of its own. Write holds a lock for the time
// of a copy and never waits for the sink, however slow, full or stuck that is: what does not fit is dropped and
// counted.
type Writer struct {
	limit int

	dropped atomic.Uint64
	failed  atomic.Uint64

	first   chan struct{}      // the buffer is no longer empty, or there is a file to change to
	full    chan struct{}      // the buffer holds a batch
	flushes chan chan struct{} // answered by closing
	closing chan struct{}
	done    chan struct{}

	mu     sync.Mutex // guards the fields below
	buf    []byte
	lines  uint64  // in buf
	path   string  // what Reopen opens; "" where there is nothing to reopen
	next   *Target // to be written to behind the first before bytes of buf
	before int
	above  uint64 // lines in those bytes
	closed bool

	// The writing goroutine owns the fields below.
	sink  io.Writer
	file  *os.File // sink, where it is ours to close
	spare []byte
	torn  bool // the last write ended in the middle of a line
}

// Open makes a writer to a target, as OpenTarget has it.
func Open(target string, l Limits) (*Writer, error) {
	t, err := OpenTarget(target)
	if err != nil {
		return nil, err
	}
	w := prepare(t.sink, l)
	w.path, w.file = t.path, t.file
	go w.run()
	return w, nil
}

// New makes a writer to sink, which stays the caller's and must not be used by others before Close has returned.
func New(sink io.Writer, l Limits) *Writer {
	w := prepare(sink, l)
	go w.run()
	return w
}

func prepare(sink io.Writer, l Limits) *Writer {
	if l.Buffer <= 0 {
		l.Buffer = DefaultBuffer
	}
	return &Writer{
		limit:   l.Buffer,
		sink:    sink,
		first:   make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		flushes: make(chan chan struct{}),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// Write takes one line, which ends in LF, and copies it. It returns false where the line was dropped.
func (w *Writer) Write(line []byte) bool {
	w.mu.Lock()
	before := len(w.buf)
	if w.closed || before+len(line) > w.limit {
		w.mu.Unlock()
		w.dropped.Add(1)
		return false
	}
	w.buf = append(w.buf, line...)
	w.lines++
	w.mu.Unlock()
	if before == 0 {
		notify(w.first)
	}
	if before < batch && before+len(line) >= batch {
		notify(w.full)
	}
	return true
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Dropped is how many lines have been lost so far: those that did not fit, those that came after Close, and those in a
// write that failed.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Failed is how many writes to the sink have failed so far.
func (w *Writer) Failed() uint64 { return w.failed.Load() }

// Flush waits until every line taken before has been handed to the sink, or has failed there. Errors: ErrClosed, and
// the context's.
func (w *Writer) Flush(ctx context.Context) error {
	reply := make(chan struct{})
	select {
	case w.flushes <- reply:
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-reply:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close takes no more lines, writes those it has, closes the file and joins the writing goroutine (requirement P7).
// Where the sink is stuck it returns the context's error and leaves that goroutine behind. It may be called again.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writing goroutine.
func (w *Writer) run() {
	defer close(w.done)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-w.first:
		case reply := <-w.flushes:
			w.drain()
			close(reply)
			continue
		case <-w.closing:
			w.drain()
			w.changeTo(nil)
			return
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
			w.drain()
		case <-w.full:
			w.drain()
		case reply := <-w.flushes:
			w.drain()
			close(reply)
		case <-w.closing:
		}
	}
}

// drain writes what waits.
func (w *Writer) drain() {
	w.mu.Lock()
	full, lines, next, before, above := w.buf, w.lines, w.next, w.before, w.above
	w.buf, w.lines, w.next = w.spare[:0], 0, nil
	w.mu.Unlock()
	rest := full
	if next != nil {
		w.send(full[:before], above)
		w.changeTo(next.file)
		w.sink, w.torn = next.sink, false
		rest, lines = full[before:], lines-above
	}
	w.send(rest, lines)
	w.spare = full
	if cap(full) > keptBuffer && len(full) < cap(full)/4 {
		w.spare = nil
	}
}

// send writes whole lines; after a write that tore a line it first ends that one.
func (w *Writer) send(b []byte, lines uint64) {
	if len(b) == 0 {
		return
	}
	if w.torn {
		if _, err := w.sink.Write([]byte{'\n'}); err != nil {
			w.failed.Add(1)
			w.dropped.Add(lines)
			return
		}
		w.torn = false
	}
	n, err := w.sink.Write(b)
	if err == nil {
		return
	}
	w.failed.Add(1)
	whole := uint64(0)
	n = min(max(n, 0), len(b))
	for _, c := range b[:n] {
		if c == '\n' {
			whole++
		}
	}
	w.dropped.Add(lines - min(whole, lines))
	w.torn = n > 0 && b[n-1] != '\n'
}

// changeTo closes the file in use, if any, and takes the next one.
func (w *Writer) changeTo(next *os.File) {
	if w.file != nil {
		w.file.Close()
	}
	w.file = next
}
