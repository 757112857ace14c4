// Package systemd speaks to the service manager that has started edge, as sd_notify(3), sd_listen_fds(3) and
// sd_pid_notify_with_fds(3) have it: what state the process is in, that it is alive, which of its descriptors to keep over a restart, and
// which listening sockets it has been given. Under no service manager all of it does nothing.
package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"edge/runtime/control/sockets"
)

// The variables of the environment that the service manager speaks through.
const (
	socketVariable = "NOTIFY_SOCKET"
	periodVariable = "WATCHDOG_USEC"
)

// sendTime bounds what a message to the service manager waits for it to read those before.
const sendTime = time.Second

// Service is this process as the service manager knows it. Its methods may be called from any goroutine; those of the nil Service, and of one
// that nobody has started as a service, do nothing. Their errors are worth a line in a log and no more.
type Service struct {
	socket string        // the notification socket; "" is none. "@" begins an abstract name
	period time.Duration // see Watchdog
}

// Take takes what the service manager has left in the environment, and takes it out of there: what edge starts, a child or a new edge, is
// not the service. Listening sockets go to given; what else was handed over is closed and told in unfit.
func Take(given *sockets.Set) (s *Service, unfit []error) {
	s = &Service{socket: os.Getenv(socketVariable)}
	os.Unsetenv(socketVariable)
	period, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		unfit = append(unfit, fmt.Errorf("the service manager's watchdog is not served: %w", err))
	}
	if s.socket != "" {
		s.period = period
	}
	for _, f := range activation.Files(true) {
		// The library's files are closed by the collector, so given gets descriptors of its own.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		name := f.Name()
		f.Close()
		if err == nil {
			err = given.Add(fd, name)
		}
		if err != nil {
			unfit = append(unfit, fmt.Errorf("what the service manager has handed over is not used: %w", err))
		}
	}
	return s, unfit
}

// Environ are the variables with which a process that takes this one's place finds the service manager. Until this one has named it with
// MainPID, what it says counts for nothing.
func (s *Service) Environ() (list []string) {
	if !s.Notified() {
		return nil
	}
	list = append(list, socketVariable+"="+s.socket)
	if s.period > 0 {
		list = append(list, periodVariable+"="+strconv.FormatInt(s.period.Microseconds(), 10))
	}
	return list
}

// Notified says whether there is a service manager that wants to be told.
func (s *Service) Notified() bool { return s != nil && s.socket != "" }

// Watchdog is how often Alive should be called; 0 is never. It is half of the time after which the service manager takes the process for
// stuck.
func (s *Service) Watchdog() time.Duration {
	if s == nil {
		return 0
	}
	return s.period / 2
}

// Ready says that the process serves: after its start, and after each Reloading.
func (s *Service) Ready(status string) error { return s.tell("READY=1", "STATUS="+line(status)) }

// Reloading says that a reload has begun (Type=notify-reload); Ready ends it.
func (s *Service) Reloading() error {
	return s.tell("RELOADING=1", strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// Stopping says that the process has begun to end.
func (s *Service) Stopping() error { return s.tell("STOPPING=1", "STATUS=stopping") }

// Status is the line that systemctl status shows.
func (s *Service) Status(text string) error { return s.tell("STATUS=" + line(text)) }

// Alive says that the process is not stuck.
func (s *Service) Alive() error { return s.tell("WATCHDOG=1") }

// MainPID says which process is the service from now on. Only the one that was it so far may say so.
func (s *Service) MainPID(pid int) error { return s.tell("MAINPID=" + strconv.Itoa(pid)) }

// line makes one line of a text: the end of a line ends an assignment.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

func (s *Service) tell(assignments ...string) error {
	return s.send(strings.Join(assignments, "\n"), noFile)
}

// noFile is the descriptor of a message without one.
const noFile = -1

// send sends one datagram, with a descriptor or without. The socket is made for each: the service manager may make its own anew.
func (s *Service) send(text string, file int) error {
	if !s.Notified() {
		return nil
	}
	if err := s.datagram(text, file); err != nil {
		return fmt.Errorf("the service manager cannot be told: %w", err)
	}
	return nil
}

func (s *Service) datagram(text string, file int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(sendTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	var rights []byte
	if file != noFile {
		rights = unix.UnixRights(file)
	}
	for {
		err := unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: s.socket}, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}
