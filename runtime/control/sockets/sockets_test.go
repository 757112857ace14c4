package sockets

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// descriptor is a descriptor of its own for what l listens on, as a process gets that is given one.
func descriptor(t *testing.T, l net.Listener) int {
	t.Helper()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func addressOf(l net.Listener) netip.AddrPort {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func add(t *testing.T, s *Set, l net.Listener, name string) {
	t.Helper()
	if err := s.Add(descriptor(t, l), name); err != nil {
		t.Fatal(err)
	}
}

// TestTake: each socket goes to who asks for its address, once, ready for an engine.
func TestTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	four, other, local := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp4", "127.0.0.1:0"), listen(t, "unix", path)
	var s Set
	add(t, &s, four, "one")
	add(t, &s, other, "two")
	add(t, &s, local, "three")
	fd, ok := s.TakeTCP(addressOf(four))
	if !ok {
		t.Fatal("not there")
	}
	defer unix.Close(fd)
	for _, o := range []struct {
		name             string
		level, opt, want int
	}{{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}} {
		if v, err := unix.GetsockoptInt(fd, o.level, o.opt); err != nil || v != o.want {
			t.Errorf("%s is %d, %v", o.name, v, err)
		}
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the socket blocks: %#x, %v", flags, err)
	}
	if flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the socket goes to every program: %#x, %v", flags, err)
	}
	if _, again := s.TakeTCP(addressOf(four)); again {
		t.Error("it was there twice")
	}
	if fd, ok := s.TakeUnix(path); !ok {
		t.Error("the unix socket is not there")
	} else {
		unix.Close(fd)
	}
	if rest := s.CloseRest(); len(rest) != 1 || rest[0] != (Left{"two", addressOf(other).String()}) {
		t.Errorf("the rest is %q", rest)
	}
	if rest := s.CloseRest(); len(rest) != 0 {
		t.Errorf("the rest is there yet: %q", rest)
	}
}

// TestBothFamilies: a socket of IPv6 alone does not stand for every address.
func TestBothFamilies(t *testing.T) {
	for _, c := range []struct {
		network string
		taken   bool
	}{{"tcp", true}, {"tcp6", false}} {
		l := listen(t, c.network, "[::]:0")
		var s Set
		add(t, &s, l, "all")
		fd, ok := s.TakeTCP(addressOf(l))
		if ok {
			unix.Close(fd)
		}
		if ok != c.taken {
			t.Errorf("%s: taken %v", c.network, ok)
		}
		if rest := s.CloseRest(); !c.taken && (len(rest) != 1 || !strings.HasSuffix(rest[0].What, " of IPv6 alone")) {
			t.Errorf("%s: the rest is %q", c.network, rest)
		}
	}
}

// TestSameSocket: a socket that comes twice, from the service manager's store and from its socket unit, is one.
func TestSameSocket(t *testing.T) {
	l := listen(t, "tcp4", "127.0.0.1:0")
	var s Set
	add(t, &s, l, "one")
	add(t, &s, l, "two")
	if rest := s.CloseRest(); len(rest) != 1 {
		t.Errorf("there are %q", rest)
	}
}

// TestRefuse: what cannot be listened on is refused with its name, and closed.
func TestRefuse(t *testing.T) {
	datagram, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	connected, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	for _, c := range []struct {
		fd   int
		want string
	}{{datagram, "x: is not a listening stream socket"}, {connected, "x: is not a listening stream socket"}, {pipe[0], "x: is not a socket"}} {
		var s Set
		if err := s.Add(c.fd, "x"); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
		if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("%s: the descriptor is open yet (%v)", c.want, err)
		}
	}
}
