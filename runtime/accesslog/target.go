package accesslog

import (
	"io"
	"os"
	"syscall"
)

// Target is an open place for lines, until a writer has it, which closes it when it is done with it.
type Target struct {
	path string // "" where there is nothing to reopen
	sink io.Writer
	file *os.File // sink, where it is ours to close
}

// OpenTarget opens "stdout", "stderr", "off", which takes lines and keeps none, or the file at a path, which is made with mode 0640
// and appended to. A FIFO at the path is an error unless somebody reads it.
func OpenTarget(target string) (*Target, error) {
	var f *os.File
	var err error
	t := &Target{}
	switch target {
	case "off":
		t.sink = io.Discard
		return t, nil
	case "stdout":
		f, err = duplicate(os.Stdout)
	case "stderr":
		f, err = duplicate(os.Stderr)
	default:
		t.path = target
		f, err = openFile(target)
	}
	if err != nil {
		return t, err
	}
	t.sink, t.file = piecesFor(f), f
	return t, nil
}

// FileTarget is the file of a path that somebody else has opened, for appending. It has nothing to reopen: whoever opened it does that.
func FileTarget(f *os.File) *Target { return &Target{sink: piecesFor(f), file: f} }

// Close closes a target that no writer has.
func (t *Target) Close() {
	if t.file != nil {
		t.file.Close()
	}
}

// openFile does not wait for a FIFO's reader, which would hold up a start or a rotation.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// duplicate is a standard stream under another descriptor: on 1 and 2 themselves Go ends the process when the reader
// of the log has gone (SIGPIPE), and a server must outlive that.
func duplicate(f *os.File) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Reopen opens the writer's path anew, after a rotation, and changes to it; the old file gets the lines taken before and is closed
// then. Where it cannot be opened the writer stays with the file it has. For a sink without a path it does nothing.
func (w *Writer) Reopen() error {
	w.mu.Lock()
	path := w.path
	w.mu.Unlock()
	if path == "" {
		return nil
	}
	t, err := OpenTarget(path)
	if err != nil {
		return err
	}
	return w.Switch(t)
}

// Switch changes to another target, which becomes the writer's: lines taken from now on go there, and those before to the old one. On
// a closed writer it closes the target and returns ErrClosed.
func (w *Writer) Switch(t *Target) error {
	w.mu.Lock()
	unused, closed := w.next, w.closed
	switch {
	case closed:
		unused = t
	case w.next == nil:
		w.before, w.above = len(w.buf), w.lines
		fallthrough
	default:
		w.next, w.path = t, t.path
	}
	w.mu.Unlock()
	notify(w.first)
	if unused != nil {
		unused.Close()
	}
	if closed {
		return ErrClosed
	}
	return nil
}
