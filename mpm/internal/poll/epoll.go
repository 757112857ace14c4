// Package poll is the engine's view of Linux: epoll sets, sockets, and the system calls on them, without allocation and
// without blocking a Go processor.
package poll

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event bits as epoll reports them.
const (
	In     = unix.EPOLLIN
	Out    = unix.EPOLLOUT
	PeerIn = unix.EPOLLRDHUP // the peer will send no more
	Broken = unix.EPOLLHUP | unix.EPOLLERR
)

// wakeSlot marks the set's own eventfd in the epoll data.
const wakeSlot = ^uint32(0)

// Event is what happened to one descriptor.
type Event struct {
	Bits uint32
	Slot uint32 // as given to Add
	Gen  uint32 // as given to Add
}

// Set is one epoll set with an eventfd to wake whoever waits for it. Add and Wake may be called from any goroutine, the
// rest by the poller that owns the set.
//
// The set is itself registered with Go's netpoller, so that a poller with nothing to do parks like any goroutine and
// holds no Go processor (RATIONALE: why do pollers wait inside Go's netpoller?).
type Set struct {
	epfd   int
	evfd   int
	file   *os.File // owns epfd
	raw    syscall.RawConn
	woken  atomic.Bool
	buf    [256]unix.EpollEvent
	events []Event
	filled int
	wait   func(fd uintptr) bool // bound once: parking allocates nothing
}

// New makes an empty set. It takes two descriptors.
func New() (*Set, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	evfd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	s := &Set{epfd: epfd, evfd: evfd, file: os.NewFile(uintptr(epfd), "epoll")}
	s.events = make([]Event, len(s.buf))
	s.wait = func(uintptr) bool { s.filled = s.poll(); return s.filled != 0 }
	if s.raw, err = s.file.SyscallConn(); err == nil {
		err = s.file.SetReadDeadline(time.Time{})
	}
	if err == nil {
		err = s.add(evfd, wakeSlot, 0, unix.EPOLLIN|unix.EPOLLET)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close frees both descriptors. Registered sockets stay open.
func (s *Set) Close() {
	s.file.Close()
	unix.Close(s.evfd)
}

// Add registers a socket once and for all, edge-triggered, for everything. Closing the socket takes it out. The set
// reports at once what is already there.
func (s *Set) Add(fd int, slot, gen uint32) error {
	return s.add(fd, slot, gen, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener registers a listening socket, level-triggered, so that what one accept round leaves is reported again. EPOLLEXCLUSIVE would
// do nothing here: nobody waits for the set itself (RATIONALE: several processes on one listening socket).
func (s *Set) AddListener(fd int, slot, gen uint32) error {
	return s.add(fd, slot, gen, unix.EPOLLIN)
}

// Remove takes a descriptor out while it stays open: closing the door.
func (s *Set) Remove(fd int) error {
	if errno := rawEpollCtl(s.epfd, unix.EPOLL_CTL_DEL, fd, nil); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (s *Set) add(fd int, slot, gen, bits uint32) error {
	ev := unix.EpollEvent{Events: bits, Fd: int32(slot), Pad: int32(gen)}
	if errno := rawEpollCtl(s.epfd, unix.EPOLL_CTL_ADD, fd, &ev); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Ready returns what has happened, without waiting; the slice is valid until the next call. woken says that Wake was called.
func (s *Set) Ready() (events []Event, woken bool) { return s.take(s.poll()) }

// Park waits until something happens, Wake is called or the time has passed, then returns what Ready would.
func (s *Set) Park(timeout time.Duration) (events []Event, woken bool) {
	s.filled = 0
	if err := s.file.SetReadDeadline(time.Now().Add(timeout)); err == nil {
		s.raw.Read(s.wait) // its error is the deadline, or the set is closed: nothing has happened either way
	}
	return s.take(s.filled)
}

func (s *Set) poll() int {
	n, errno := rawEpollWait(s.epfd, &s.buf[0], len(s.buf))
	if errno != 0 {
		return 0
	}
	return n
}

func (s *Set) take(n int) (events []Event, woken bool) {
	kept := 0
	for i := range n {
		e := &s.buf[i]
		if uint32(e.Fd) == wakeSlot {
			woken = true
			s.woken.Store(false)
			continue
		}
		s.events[kept] = Event{Bits: e.Events, Slot: uint32(e.Fd), Gen: uint32(e.Pad)}
		kept++
	}
	return s.events[:kept], woken
}

// Wake ends a Park, or the next one. Any goroutine may call it; calls before the poller has seen one cost nothing. Nobody
// reads the eventfd: it is registered edge-triggered, every write raises an event of its own, and its 64 bits do not
// fill up. (A read could swallow the write of a Wake that came after the flag was cleared, and with it all later ones.)
func (s *Set) Wake() {
	if !s.woken.Swap(true) {
		one := uint64(1)
		Write(s.evfd, unsafe.Slice((*byte)(unsafe.Pointer(&one)), 8))
	}
}
