package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode is the admin socket's mode: only the user edge runs as, and root, may connect.
const socketMode = 0o600

// dialTimeout is how long a socket that is already there gets to show that somebody listens on it.
const dialTimeout = time.Second

// listen opens "unix:path" or a loopback "host:port", or takes over the socket that is there for it.
func listen(address string, inherited *os.File) (*socket, error) {
	if inherited != nil {
		defer inherited.Close()
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path, inherited)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf(`admin: address %q is neither "unix:path" nor "host:port"`, address)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Unmap().IsLoopback() {
		return nil, fmt.Errorf("admin: %q is not a loopback address: the admin server has no passwords", address)
	}
	l, err := listenOr(inherited, func() (net.Listener, error) { return net.Listen("tcp", net.JoinHostPort(host, port)) })
	if err != nil {
		return nil, err
	}
	return &socket{Listener: l}, nil
}

func listenOr(inherited *os.File, listen func() (net.Listener, error)) (l net.Listener, err error) {
	if inherited != nil {
		l, err = net.FileListener(inherited)
	} else {
		l, err = listen()
	}
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

// listenUnix makes the socket with its mode from the first moment on: Linux gives the file the mode of the descriptor
// that is bound, less the umask. One that is inherited is there already, unless somebody has removed it meanwhile.
func listenUnix(path string, inherited *os.File) (*socket, error) {
	if path == "" {
		return nil, errors.New(`admin: "unix:" without a path`)
	}
	if own, err := os.Lstat(path); inherited != nil && (err != nil || own.Mode().Type() != fs.ModeSocket) {
		inherited = nil
	}
	if inherited == nil {
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) }); e != nil {
			return e
		}
		return err
	}}
	l, err := listenOr(inherited, func() (net.Listener, error) { return config.Listen(context.Background(), "unix", path) })
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("admin: what was to be inherited for %s is %v", path, l.Addr())
	}
	u.SetUnlinkOnClose(false)
	own, err := os.Lstat(path)
	if err == nil && own.Mode().Perm()&^socketMode != 0 {
		err = fmt.Errorf("%s has mode %o", path, own.Mode().Perm())
	}
	if err != nil {
		u.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &socket{Listener: u, path: path, own: own}, nil
}

// removeStale removes a socket that nobody listens on. Anything else at the path stays and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("admin: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("admin: %s is there and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, dialTimeout)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("admin: another process listens on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("admin: %w", err)
		}
		return nil
	}
	return fmt.Errorf("admin: %s: %w", path, err)
}

// socket is the listening socket. Close removes that of Unix, unless a newer process has put its own in that place, or has this one.
type socket struct {
	net.Listener
	path string      // of a Unix socket; "" is TCP
	own  os.FileInfo // what is at the path
	once sync.Once
	kept atomic.Bool // see HandOver
}

func (l *socket) Close() error {
	l.once.Do(func() {
		if l.path == "" || l.kept.Load() {
			return
		}
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(l.own, now) {
			os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}

// duplicate is a descriptor of its own of the socket. It is not an os.File, which would have both block.
func (l *socket) duplicate() (fd int, err error) {
	c, ok := l.Listener.(syscall.Conn)
	if !ok {
		return -1, errors.New("admin: the socket cannot be passed on")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(failed, err); err != nil {
		return -1, fmt.Errorf("admin: %w", err)
	}
	return fd, nil
}

// bounded is a listener with a bound on its open connections: further ones wait in the kernel.
type bounded struct {
	net.Listener
	slots chan struct{} // one element for each open connection
	done  chan struct{}
	once  sync.Once
}

func bound(l net.Listener, n int) *bounded {
	return &bounded{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.done:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &boundedConn{Conn: c, slots: b.slots}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *boundedConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}
