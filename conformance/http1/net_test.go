package http1

import (
	"net"
	"strconv"
	"syscall"
	"testing"

	"edge/conformance/rig"
)

// refused says whether nobody listens at an address.
func refused(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// smallBacklog listens with a backlog of 1 and never accepts. It returns its address and what closes it.
func smallBacklog(t *testing.T) (addr string, stop func()) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	rig.Must(t, err)
	rig.Must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 77, byte(fd), 9}}))
	rig.Must(t, syscall.Listen(fd, 1))
	name, err := syscall.Getsockname(fd)
	rig.Must(t, err)
	in := name.(*syscall.SockaddrInet4)
	return net.JoinHostPort(net.IP(in.Addr[:]).String(), strconv.Itoa(in.Port)), func() { syscall.Close(fd) }
}
