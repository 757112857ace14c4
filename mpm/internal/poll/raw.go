//go:build !race

package poll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below do not tell the scheduler that they enter the kernel: they are made on non-blocking descriptors only
// and come straight back, and telling it would cost more than the calls' own bookkeeping (RATIONALE: why raw system calls?).

func rawEpollWait(epfd int, buf *unix.EpollEvent, n int) (int, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(buf)), uintptr(n), 0, 0, 0)
	return int(r), errno
}

// Read reads from a non-blocking descriptor. n is 0 at the end of the stream; errno is EAGAIN where there is nothing yet.
func Read(fd int, p []byte) (n int, errno syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	r, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// Write writes to a non-blocking descriptor.
func Write(fd int, p []byte) (n int, errno syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	r, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}
