package poll

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listen(t testing.TB) int {
	t.Helper()
	fd, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 128)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fd) })
	return fd
}

func connect(t testing.TB, listener int) int {
	t.Helper()
	fd, _, errno := Connect(TCP(LocalAddr(listener)))
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { Close(fd) })
	return fd
}

// await polls a descriptor for a condition of it, at most long.
func await(t testing.TB, fd int, bits int16) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: bits}}
	for deadline := time.Now().Add(long); time.Now().Before(deadline); {
		if n, err := unix.Poll(fds, 1000); n == 1 && err == nil {
			return
		}
	}
	t.Fatal("nothing happened on the socket")
}

// tcpPair is a connected pair over loopback; the caller closes server.
func tcpPair(t testing.TB) (client, server int) {
	t.Helper()
	l := listen(t)
	client = connect(t, l)
	await(t, l, unix.POLLIN)
	server, _, errno := Accept(l)
	if errno != 0 {
		t.Fatal(errno)
	}
	await(t, client, unix.POLLOUT)
	return client, server
}

func readAll(t testing.TB, fd, n int) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for len(all) < n {
		await(t, fd, unix.POLLIN)
		got, errno := Read(fd, buf)
		if errno != 0 && errno != unix.EAGAIN {
			t.Fatal(errno)
		}
		if got == 0 && errno == 0 {
			break
		}
		all = append(all, buf[:got]...)
	}
	return all
}

// TestAccepted: an accepted socket is non-blocking and closes on exec, and has the options of its listener.
func TestAccepted(t *testing.T) {
	_, server := tcpPair(t)
	defer Close(server)
	if flags, _ := unix.FcntlInt(uintptr(server), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
		t.Error("blocking")
	}
	if flags, _ := unix.FcntlInt(uintptr(server), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("open across exec")
	}
	for name, option := range map[string][2]int{
		"TCP_NODELAY": {unix.IPPROTO_TCP, unix.TCP_NODELAY}, "SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		if v, err := unix.GetsockoptInt(server, option[0], option[1]); err != nil || v == 0 {
			t.Errorf("%s = %d, %v", name, v, err)
		}
	}
	if _, errno := Read(server, make([]byte, 1)); errno != unix.EAGAIN {
		t.Errorf("read of nothing: %v", errno)
	}
}

// TestConnectRefused: the error is there once the socket has an event.
func TestConnectRefused(t *testing.T) {
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	addr := TCP(LocalAddr(l))
	Close(l)
	fd, done, errno := Connect(addr)
	if errno == unix.ECONNREFUSED {
		return
	}
	if errno != 0 || done {
		t.Fatalf("done %v, %v", done, errno)
	}
	defer Close(fd)
	await(t, fd, unix.POLLOUT)
	if got := ConnectError(fd); got != unix.ECONNREFUSED {
		t.Errorf("connect error %v", got)
	}
}

// TestUnix: paths and abstract names connect, and those that do not fit are refused.
func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, name := range []string{path, fmt.Sprintf("@poll-test-%d", os.Getpid())} {
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer Close(l)
		if err := unix.Bind(l, &unix.SockaddrUnix{Name: name}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(l, 8); err != nil {
			t.Fatal(err)
		}
		a, err := Unix(name)
		if err != nil {
			t.Fatal(err)
		}
		fd, done, errno := Connect(a)
		if errno != 0 || !done {
			t.Fatalf("%s: done %v, %v", name, done, errno)
		}
		defer Close(fd)
		conn, peer, errno := Accept(l)
		if errno != 0 || peer.IsValid() {
			t.Errorf("%s: peer %v, %v", name, peer, errno)
		}
		Close(conn)
		if LocalAddr(l).IsValid() {
			t.Errorf("%s: has an address and port", name)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 108)} {
		if _, err := Unix(name); err == nil {
			t.Errorf("a path of %d bytes is taken", len(name))
		}
	}
	if _, err := Unix(strings.Repeat("x", 107)); err != nil {
		t.Errorf("a path of 107 bytes: %v", err)
	}
}

// TestWritev: both pieces arrive in order, and either may be empty.
func TestWritev(t *testing.T) {
	client, server := tcpPair(t)
	defer Close(server)
	for _, c := range [][2]string{{"head", "body"}, {"head", ""}, {"", "body"}, {"", ""}} {
		n, errno := Writev(server, []byte(c[0]), []byte(c[1]))
		if errno != 0 || n != len(c[0])+len(c[1]) {
			t.Fatalf("%q: %d, %v", c, n, errno)
		}
	}
	if got := string(readAll(t, client, 16)); got != "headbodyheadbody" {
		t.Errorf("got %q", got)
	}
}

// TestSendfile: the piece from the offset arrives, and the offset moves.
func TestSendfile(t *testing.T) {
	client, server := tcpPair(t)
	defer Close(server)
	name := filepath.Join(t.TempDir(), "f")
	data := bytes.Repeat([]byte("0123456789"), 1000)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	offset := int64(5)
	n, errno := Sendfile(server, int(f.Fd()), &offset, 100)
	if errno != 0 || n != 100 || offset != 105 {
		t.Fatalf("%d, %v, offset %d", n, errno, offset)
	}
	if got := readAll(t, client, 100); !bytes.Equal(got, data[5:105]) {
		t.Errorf("got %q", got)
	}
}

// TestReset: the peer sees a reset, not an end of stream.
func TestReset(t *testing.T) {
	for _, reset := range []bool{false, true} {
		client, server := tcpPair(t)
		if reset {
			Reset(server)
		}
		Close(server)
		await(t, client, unix.POLLIN)
		want := syscall.Errno(0)
		if reset {
			want = unix.ECONNRESET
		}
		if n, errno := Read(client, make([]byte, 1)); n != 0 || errno != want {
			t.Errorf("reset %v: %d, %v", reset, n, errno)
		}
	}
}

// TestCloseWrite: the end of the stream goes out, and bytes still come in (C7).
func TestCloseWrite(t *testing.T) {
	client, server := tcpPair(t)
	defer Close(server)
	CloseWrite(server)
	if got := readAll(t, client, 1); len(got) != 0 {
		t.Fatalf("got %q", got)
	}
	Write(client, []byte("late"))
	if got := string(readAll(t, server, 4)); got != "late" {
		t.Errorf("got %q", got)
	}
}
