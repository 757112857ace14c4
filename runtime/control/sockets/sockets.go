// Package sockets keeps listening sockets that a process was given and has not made: by the service manager, or by the process whose
// place it takes. What they are is read off the sockets, not off the names they come with, so a socket serves the address of the
// configuration that it is bound to.
package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// backlog is asked for on each socket; the kernel cuts it to net.core.somaxconn.
const backlog = 4096

// Set are sockets that nobody has taken yet. Its methods are for one goroutine, that of the process's start.
type Set struct{ list []socket }

type socket struct {
	fd      int
	name    string         // that it came with
	address netip.AddrPort // of TCP
	path    string         // of a Unix socket; "@" begins an abstract name
	sixOnly bool           // takes no connections of IPv4
	cookie  uint64         // two descriptors of one socket have the same
}

// Add takes a socket over; name is what it is called where somebody hears of it. A second descriptor of a socket that is there already is
// closed. What is no listening stream socket of TCP or Unix is closed too, and an error.
func (s *Set) Add(fd int, name string) error {
	unix.CloseOnExec(fd)
	k, err := look(fd)
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("%s: %w", name, err)
	}
	if slices.ContainsFunc(s.list, func(o socket) bool { return o.cookie == k.cookie && k.cookie != 0 }) {
		unix.Close(fd)
		return nil
	}
	k.name = name
	s.list = append(s.list, k)
	return nil
}

// look finds out what a descriptor is.
func look(fd int) (socket, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return socket{}, errors.New("is not a socket")
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); kind != unix.SOCK_STREAM || err != nil || listens == 0 {
		return socket{}, errors.New("is not a listening stream socket")
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return socket{}, os.NewSyscallError("getsockname", err)
	}
	k := socket{fd: fd}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		k.address = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		k.address = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
		only, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		k.sixOnly = only != 0
	case *unix.SockaddrUnix:
		k.path = a.Name
	default:
		return socket{}, errors.New("is a socket of neither TCP nor Unix")
	}
	if k.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
		k.cookie = 0 // before Linux 4.12
	}
	return k, nil
}

// TakeTCP hands out the socket that is bound to an address, ready for an engine, as mpm.Listen makes them; "[::]" stands for both
// families. The caller closes it. False: there is none.
func (s *Set) TakeTCP(a netip.AddrPort) (fd int, ok bool) {
	k, ok := s.take(func(k *socket) bool {
		return k.address.IsValid() && k.address == a && !(k.sixOnly && a.Addr() == netip.IPv6Unspecified())
	})
	if !ok {
		return -1, false
	}
	// The accepted connections inherit the first two.
	unix.SetsockoptInt(k.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	prepare(k.fd)
	return k.fd, true
}

// TakeUnix hands out the socket at a path. The caller closes it. False: there is none.
func (s *Set) TakeUnix(path string) (fd int, ok bool) {
	k, ok := s.take(func(k *socket) bool { return !k.address.IsValid() && k.path == path })
	if !ok {
		return -1, false
	}
	prepare(k.fd)
	return k.fd, true
}

func prepare(fd int) {
	unix.SetNonblock(fd, true)
	unix.Listen(fd, backlog)
}

func (s *Set) take(is func(*socket) bool) (socket, bool) {
	for i := range s.list {
		if k := s.list[i]; is(&k) {
			s.list = slices.Delete(s.list, i, i+1)
			return k, true
		}
	}
	return socket{}, false
}

// Left is a socket that nobody has taken.
type Left struct {
	Name string // that it came with
	What string // where it listens: "127.0.0.1:80"
}

// CloseRest closes what nobody has taken, and tells what it was.
func (s *Set) CloseRest() (left []Left) {
	for _, k := range s.list {
		unix.Close(k.fd)
		left = append(left, Left{Name: k.name, What: k.where()})
	}
	s.list = nil
	return left
}

func (k *socket) where() string {
	what := k.path
	if k.address.IsValid() {
		what = k.address.String()
	}
	if k.sixOnly && k.address.Addr() == netip.IPv6Unspecified() {
		what += " of IPv6 alone"
	}
	return what
}
