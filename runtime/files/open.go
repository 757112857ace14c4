package files

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFlags open without waiting for the other end of a FIFO and without side effects on terminals; on a regular file
// they change nothing.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

var beneath = unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}

// openBeneath opens a name that ends in NUL below the directory dir (openat2(2)). unix.Openat2 would copy the name to
// the heap.
func openBeneath(dir int, name []byte) (fd int, errno unix.Errno) {
	r, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&beneath)), unsafe.Sizeof(beneath), 0, 0)
	return int(r), errno
}

// open opens name below the root; name's array has room for one byte after it. The result is a descriptor of anything:
// a directory, a device.
func (a *Action) open(name []byte) (fd int, errno unix.Errno) {
	if a.walker != nil {
		return a.openWalking(string(name))
	}
	name = append(name, 0)
	for range maxResolveRetries {
		fd, errno = openBeneath(a.root, name)
		if errno != unix.EAGAIN && errno != unix.EINTR {
			break
		}
	}
	return fd, errno
}

// openWalking is open where there is no openat2.
func (a *Action) openWalking(name string) (fd int, errno unix.Errno) {
	f, err := a.walker.OpenFile(name, openFlags, 0)
	if err != nil {
		if !errors.As(err, &errno) {
			errno = unix.EXDEV // a path that leaves the root
		}
		return -1, errno
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, unix.EBADF
	}
	var dupErr error
	err = raw.Control(func(p uintptr) { fd, dupErr = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return -1, unix.EBADF
	}
	errno, _ = dupErr.(unix.Errno)
	return fd, errno
}

// found is what a descriptor turned out to be.
type found struct {
	fd    int
	size  int64
	sec   int64 // modification time, Unix
	nsec  int64
	isDir bool
}

// stat opens name and looks at it. What is neither a regular file nor a directory does not exist for us.
func (a *Action) stat(name []byte) (f found, errno unix.Errno) {
	fd, errno := a.open(name)
	if errno != 0 {
		return found{}, errno
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		errno, _ = err.(unix.Errno)
		return found{}, errno
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		f.isDir = true
	default:
		unix.Close(fd)
		return found{}, unix.ENOENT
	}
	f.fd, f.size, f.sec, f.nsec = fd, st.Size, st.Mtim.Sec, st.Mtim.Nsec
	return f, 0
}

// statusOf is the answer to a failed open. Whatever the name's fault is, the client learns only that there is no file;
// what is our fault is told apart, since it may pass.
func statusOf(errno unix.Errno) int {
	switch errno {
	case unix.EACCES, unix.EPERM:
		return 403
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EINTR:
		return 503
	case unix.EIO:
		return 500
	}
	return 404
}
