package accesslog

import (
	"bytes"
	"io"
	"os"
)

// Several processes write lines to one place: children to the access log, and those and their parent to stderr. What each writes with one
// call arrives in one piece where that is
//
//   - a file that is opened for appending: each write goes whole to where the file ends, however long it is
//   - a file that processes have inherited: they share the place where the next write goes, which the kernel locks
//   - a pipe, up to PIPE_BUF bytes (pipe(7)); a longer write may be cut where the pipe is full
//   - a stream socket, up to what the kernel takes at a time
//   - a terminal
//
// So on pipes and sockets lines are written in pieces of whole lines that are no longer than that. A line that is longer by itself can be
// torn by another's there, if the reader does not keep up.
const (
	pipePiece   = 4096     // PIPE_BUF of Linux
	socketPiece = 32 << 10 // less than what one buffer of a Unix socket takes
)

// pieces writes to a file in pieces of whole lines.
type pieces struct {
	to   *os.File
	most int // bytes of a piece, if its first line is not longer
}

// piecesFor is what writes to a file so that lines stay whole beside those of other processes.
func piecesFor(f *os.File) io.Writer {
	st, err := f.Stat()
	switch {
	case err != nil:
	case st.Mode()&os.ModeNamedPipe != 0:
		return pieces{f, pipePiece}
	case st.Mode()&os.ModeSocket != 0:
		return pieces{f, socketPiece}
	}
	return f
}

// Write is part of io.Writer.
func (p pieces) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		var n int
		n, err = p.to.Write(b[:p.next(b)])
		written += n
		b = b[n:]
	}
	return written, err
}

// next is how long the next piece is.
func (p pieces) next(b []byte) int {
	if len(b) <= p.most {
		return len(b)
	}
	if end := bytes.LastIndexByte(b[:p.most], '\n'); end >= 0 {
		return end + 1
	}
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		return end + 1
	}
	return len(b)
}
