package systemd

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/runtime/control/sockets"
)

const patience = 20 * time.Second

// serviceManager is the other end of a notification socket.
type serviceManager struct {
	*net.UnixConn
	t *testing.T
}

// newServiceManager listens, and says so in the environment.
func newServiceManager(t *testing.T, name string) *serviceManager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	t.Setenv("NOTIFY_SOCKET", name)
	return &serviceManager{c, t}
}

// read is the next message, and the descriptor that came with it, or -1.
func (m *serviceManager) read() (string, int) {
	m.t.Helper()
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, size, _, _, err := m.ReadMsgUnix(text, rights)
	if err != nil {
		m.t.Fatal(err)
	}
	fd := -1
	if size > 0 {
		list, err := unix.ParseSocketControlMessage(rights[:size])
		if err != nil || len(list) != 1 {
			m.t.Fatal(list, err)
		}
		fds, err := unix.ParseUnixRights(&list[0])
		if err != nil || len(fds) != 1 {
			m.t.Fatal(fds, err)
		}
		fd = fds[0]
	}
	return string(text[:n]), fd
}

func take(t *testing.T) *Service {
	t.Helper()
	s, unfit := Take(new(sockets.Set))
	if len(unfit) > 0 {
		t.Fatal(unfit)
	}
	return s
}

func TestMessages(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@edge-notify-%d", os.Getpid())} {
		m := newServiceManager(t, name)
		s := take(t)
		for _, c := range []struct {
			send func() error
			want string
		}{
			{func() error { return s.Ready("3 children\nserve") }, "READY=1\nSTATUS=3 children serve"},
			{s.Stopping, "STOPPING=1\nSTATUS=stopping"},
			{func() error { return s.Status("MAINPID=1\nMAINPID=1") }, "STATUS=MAINPID=1 MAINPID=1"},
			{s.Alive, "WATCHDOG=1"},
			{func() error { return s.MainPID(77) }, "MAINPID=77"},
			{func() error { return s.Forget("[::]:80") }, "FDSTOREREMOVE=1\nFDNAME=edge-[__]_80"},
			{func() error {
				if stored, err := s.ForgetStored("edge.socket"); stored || err != nil {
					t.Errorf("that of a socket unit: %v, %v", stored, err)
				}
				_, err := s.ForgetStored("edge-[__]_80")
				return err
			}, "FDSTOREREMOVE=1\nFDNAME=edge-[__]_80"},
		} {
			if err := c.send(); err != nil {
				t.Error(err)
			}
			if got, fd := m.read(); got != c.want || fd >= 0 {
				t.Errorf("%q with descriptor %d, want %q", got, fd, c.want)
			}
		}
	}
}

// TestReloading: the time is the monotonic clock's, by which the service manager tells reloads apart.
func TestReloading(t *testing.T) {
	m := newServiceManager(t, filepath.Join(t.TempDir(), "notify"))
	s := take(t)
	clock := func() int64 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		return now.Nano() / 1000
	}
	before := clock()
	if err := s.Reloading(); err != nil {
		t.Fatal(err)
	}
	got, _ := m.read()
	text, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || at < before || at > clock() {
		t.Errorf("%q between %d and %d", got, before, clock())
	}
}

// TestStore: what is kept is the socket itself.
func TestStore(t *testing.T) {
	m := newServiceManager(t, filepath.Join(t.TempDir(), "notify"))
	s := take(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(l.Addr().String(), int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, fd := m.read()
	if want := "FDSTORE=1\nFDNAME=edge-" + strings.ReplaceAll(l.Addr().String(), ":", "_"); got != want || fd < 0 {
		t.Fatalf("%q with descriptor %d, want %q", got, fd, want)
	}
	var given sockets.Set
	if err := given.Add(fd, "back"); err != nil {
		t.Fatal(err)
	}
	back, ok := given.TakeTCP(netip.MustParseAddrPort(l.Addr().String()))
	if !ok {
		t.Fatal("another socket came")
	}
	unix.Close(back)
	if name := storeName(strings.Repeat("ä", 300)); len(name) != maxName || strings.Trim(name[len(storePrefix):], "_") != "" {
		t.Errorf("%d bytes: %q", len(name), name)
	}
}

// TestBarrier: it is passed when the message has been read and its descriptor closed, and not awaited for ever.
func TestBarrier(t *testing.T) {
	m := newServiceManager(t, filepath.Join(t.TempDir(), "notify"))
	s := take(t)
	if err := s.Barrier(time.Millisecond); err == nil {
		t.Error("passed, and nobody has read")
	}
	if got, fd := m.read(); got != "BARRIER=1" || unix.Close(fd) != nil {
		t.Errorf("%q with descriptor %d", got, fd)
	}
	passed := make(chan error, 1)
	go func() { passed <- s.Barrier(patience) }()
	if got, fd := m.read(); got != "BARRIER=1" || unix.Close(fd) != nil {
		t.Errorf("%q with descriptor %d", got, fd)
	}
	if err := <-passed; err != nil {
		t.Error(err)
	}
}

// TestTaken: what the service manager has said is in the service, and no longer in the environment.
func TestTaken(t *testing.T) {
	newServiceManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "3000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	at := os.Getenv("NOTIFY_SOCKET")
	s := take(t)
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "NOTIFY_") || strings.HasPrefix(v, "WATCHDOG_") || strings.HasPrefix(v, "LISTEN_") {
			t.Errorf("%s is there yet", v)
		}
	}
	if s.Watchdog() != 1500*time.Millisecond || !s.Notified() {
		t.Errorf("every %v", s.Watchdog())
	}
	if got, want := s.Environ(), []string{"NOTIFY_SOCKET=" + at, "WATCHDOG_USEC=3000000"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNoService: nothing is sent, nothing is wrong. A watchdog that is meant for another process, or makes no sense, is none.
func TestNoService(t *testing.T) {
	var none *Service
	s := take(t)
	for _, s := range []*Service{none, s} {
		for _, err := range []error{s.Ready(""), s.Alive(), s.MainPID(1), s.Barrier(0), s.Keep("x", 0)} {
			if err != nil {
				t.Error(err)
			}
		}
		if s.Notified() || s.Watchdog() != 0 || s.Environ() != nil {
			t.Errorf("%+v", s)
		}
	}
	newServiceManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "3000000")
	t.Setenv("WATCHDOG_PID", "1")
	if s := take(t); s.Watchdog() != 0 {
		t.Errorf("every %v", s.Watchdog())
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, unfit := Take(new(sockets.Set)); len(unfit) != 1 || !strings.Contains(unfit[0].Error(), "WATCHDOG_USEC") {
		t.Errorf("%v", unfit)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := take(t).Ready(""); err == nil {
		t.Error("nobody listens, and that is no error")
	}
}

// activated is set where the test process runs as a service.
const activated = "EDGE_TEST_ACTIVATED"

// TestActivation: a process that was started with sockets finds them by their addresses. It is started as the service manager does it: with
// the process's own id in LISTEN_PID, which a shell puts there.
func TestActivation(t *testing.T) {
	if os.Getenv(activated) != "" {
		serviceItself(t)
		return
	}
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addresses = append(files, f), append(addresses, l.Addr().String())
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for _, c := range []struct{ pid, want string }{
		{"$$", `unfit ["what the service manager has handed over is not used: pipe: is not a socket"] taken true rest ["` + addresses[1] + `"] left false`},
		{"1", "unfit [] taken false rest [] left false"}, // they are another process's
	} {
		cmd := exec.Command("/bin/sh", "-c", "LISTEN_PID="+c.pid+` exec "$0" -test.run '^TestActivation$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "LISTEN_FDS=3", "LISTEN_FDNAMES=web::pipe", activated+"="+addresses[0])
		cmd.ExtraFiles = append(files[:2:2], read)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), c.want+"\n") {
			t.Errorf("%s: %v\n%s\nwant %s", c.pid, err, out, c.want)
		}
	}
}

// serviceItself is what the started process does.
func serviceItself(t *testing.T) {
	var given sockets.Set
	_, unfit := Take(&given)
	texts := []string{}
	for _, err := range unfit {
		texts = append(texts, err.Error())
	}
	_, taken := given.TakeTCP(netip.MustParseAddrPort(os.Getenv(activated)))
	rest := []string{}
	for _, l := range given.CloseRest() {
		rest = append(rest, l.What)
	}
	_, left := os.LookupEnv("LISTEN_FDS")
	fmt.Printf("unfit %q taken %v rest %q left %v\n", texts, taken, rest, left)
}
