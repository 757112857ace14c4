package systemd

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The store keeps listening sockets open while a service restarts (FileDescriptorStoreMax), so that clients wait in their queues and
// nobody is refused. They come back as sockets that were handed over, under the names they were stored with.

// storePrefix begins the names of what edge has stored.
const storePrefix = "edge-"

// maxName is the length in bytes of the longest name of a descriptor (sd_pid_notify_with_fds(3)).
const maxName = 255

// storeName is a name that the service manager takes: of printable ASCII, and without a colon.
func storeName(name string) string {
	name = storePrefix + strings.Map(func(r rune) rune {
		if r == ':' || r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, name)
	return name[:min(len(name), maxName)]
}

// Keep puts a descriptor into the store; name tells it from others, such as the address of a listener. One that is there already, as after a
// restart, is kept once. The descriptor stays the caller's.
func (s *Service) Keep(name string, fd int) error {
	return s.send("FDSTORE=1\nFDNAME="+storeName(name), fd)
}

// Forget has the store close what was kept under a name.
func (s *Service) Forget(name string) error {
	return s.tell("FDSTOREREMOVE=1", "FDNAME="+storeName(name))
}

// ForgetStored has the store close what has come back under a name, and says whether it came from there at all.
func (s *Service) ForgetStored(name string) (stored bool, err error) {
	if !strings.HasPrefix(name, storePrefix) {
		return false, nil
	}
	return true, s.tell("FDSTOREREMOVE=1", "FDNAME="+name)
}

// Barrier waits until the service manager has read all that was sent before, for at most limit. What a process sends right before its end
// is lost otherwise: the service manager no longer finds out from whom it is.
func (s *Service) Barrier(limit time.Duration) error {
	if !s.Notified() {
		return nil
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	read := os.NewFile(uintptr(ends[0]), "barrier")
	defer read.Close()
	err := s.send("BARRIER=1", ends[1])
	unix.Close(ends[1])
	if err != nil {
		return err
	}
	read.SetReadDeadline(time.Now().Add(limit))
	// The other end is closed when the message has been read.
	if _, err := read.Read(make([]byte, 1)); os.IsTimeout(err) {
		return fmt.Errorf("the service manager has not read in %v what it was told", limit)
	}
	return nil
}
