//go:build race

package poll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The race build goes through x/sys/unix, whose calls carry the annotations that the race detector needs to see that one
// goroutine's write to a socket happens before another's read.

func rawEpollWait(epfd int, buf *unix.EpollEvent, n int) (int, syscall.Errno) {
	r, err := unix.EpollWait(epfd, unsafe.Slice(buf, n), 0)
	return max(r, 0), errnoOf(err)
}

// Read reads from a non-blocking descriptor. n is 0 at the end of the stream; errno is EAGAIN where there is nothing yet.
func Read(fd int, p []byte) (n int, errno syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, err := unix.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

// Write writes to a non-blocking descriptor.
func Write(fd int, p []byte) (n int, errno syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, err := unix.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EIO
}
