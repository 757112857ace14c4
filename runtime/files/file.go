package files

import "golang.org/x/sys/unix"

// File is the part of an open file that is a response's body. The zero value means that there is no body. It has one
// owner at a time, who closes it.
type File struct {
	fd int // the descriptor plus one, so that the zero value holds none

	// Offset is where the body begins in the file, Length how many bytes it has; Length > 0 where a file is held. The
	// file may have become shorter since: a sender that meets its end too early has to cut the response off.
	Offset, Length int64
}

// FD is the file's descriptor, open for reading, or -1 where there is no body.
func (f *File) FD() int { return f.fd - 1 }

// ReadAt reads into p from offset off of the file (not of the body) and returns how many bytes it got: 0 at the file's
// end. It does not move the descriptor's own offset. The error is a [unix.Errno].
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(f.fd-1, p, off)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Close gives the descriptor back and makes f the zero value. Closing what holds no file does nothing.
func (f *File) Close() {
	if f.fd != 0 {
		unix.Close(f.fd - 1)
	}
	*f = File{}
}
