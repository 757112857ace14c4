package poll

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func rawEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return errno
}

// Accept takes one connection from a listening socket, non-blocking and close-on-exec, with its peer's address (not valid
// for a Unix socket).
func Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	r, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(r), addrPort(&sa), 0
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), hostOrder(&in.Port))
	}
	return netip.AddrPort{}
}

func hostOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// Address is a peer's address in the kernel's form, made once and used for every connect.
type Address struct {
	domain int
	raw    unix.RawSockaddrAny
	size   uint32
}

// TCP is the address of a TCP peer.
func TCP(ap netip.AddrPort) *Address {
	a := &Address{}
	var port *uint16
	if ip := ap.Addr().Unmap(); ip.Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		in.Family, in.Addr, port = unix.AF_INET, ip.As4(), &in.Port
		a.domain, a.size = unix.AF_INET, unix.SizeofSockaddrInet4
	} else {
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		in.Family, in.Addr, port = unix.AF_INET6, ip.As16(), &in.Port
		a.domain, a.size = unix.AF_INET6, unix.SizeofSockaddrInet6
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(port))[:], ap.Port())
	return a
}

// Unix is the address of a Unix socket; a path that begins with "@" is in the abstract name space. The path must be
// shorter than 108 bytes.
func Unix(path string) (*Address, error) {
	a := &Address{domain: unix.AF_UNIX}
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.raw))
	if len(path) == 0 || len(path) >= len(un.Path) {
		return nil, os.NewSyscallError("connect", unix.ENAMETOOLONG)
	}
	un.Family = unix.AF_UNIX
	for i := range len(path) {
		un.Path[i] = int8(path[i])
	}
	a.size = uint32(2 + len(path) + 1)
	if path[0] == '@' {
		un.Path[0] = 0
		a.size--
	}
	return a, nil
}

// Connect opens a non-blocking socket and begins to connect it. done says that it is connected already; otherwise it
// becomes writable when ConnectError can tell.
func Connect(a *Address) (fd int, done bool, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(a.domain), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, false, errno
	}
	fd = int(r)
	if a.domain != unix.AF_UNIX {
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(a.size))
	switch errno {
	case 0:
		return fd, true, 0
	case unix.EINPROGRESS, unix.EINTR:
		return fd, false, 0
	}
	Close(fd)
	return -1, false, errno
}

// ConnectError is how a connect ended, once the socket is writable or broken.
func ConnectError(fd int) syscall.Errno {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return syscall.Errno(v)
}

// Listen opens a listening TCP socket. The options that accepted sockets inherit are set on it.
func Listen(ap netip.AddrPort, backlog int) (int, error) {
	a := TCP(ap)
	fd, err := unix.Socket(a.domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	if a.domain == unix.AF_INET6 && ap.Addr() != netip.IPv6Unspecified() {
		setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(a.size)); errno != 0 {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", errno)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// LocalAddr is the address a socket is bound to.
func LocalAddr(fd int) netip.AddrPort {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	return addrPort(&sa)
}

func setInt(fd, level, option, value int) {
	v := int32(value)
	syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), 4, 0)
}

// Close closes a descriptor. An epoll set it was registered in forgets it.
func Close(fd int) {
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// CloseWrite sends the end of the stream and leaves the other direction open.
func CloseWrite(fd int) {
	syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// Reset makes the next Close send RST in place of FIN, so that the peer cannot take what it got for whole.
func Reset(fd int) {
	l := unix.Linger{Onoff: 1}
	syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}

// Writev writes two pieces as one.
func Writev(fd int, a, b []byte) (n int, errno syscall.Errno) {
	if len(a) == 0 {
		return Write(fd, b)
	}
	if len(b) == 0 {
		return Write(fd, a)
	}
	iov := [2]unix.Iovec{{Base: &a[0]}, {Base: &b[0]}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	r, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 2)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// Sendfile moves up to n bytes of a file from *offset, which it advances, to a socket. It may wait for the disk, so it tells
// the scheduler.
func Sendfile(fd, file int, offset *int64, n int) (int, syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(file), uintptr(unsafe.Pointer(offset)), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}
