package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/conformance/rig"
)

const patience = 30 * time.Second

// manager is the other end of a service's notification socket, with a store of descriptors.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn

	mu    sync.Mutex // guards what follows
	heard []message
	store map[string]int // descriptors, by name
}

type message struct {
	pid  int
	text string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge-")
	rig.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify"), store: map[string]int{}}
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: m.path})
	rig.Must(t, err)
	raw, err := m.conn.SyscallConn()
	rig.Must(t, err)
	rig.Must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }))
	rig.Must(t, err)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		m.hear()
	}()
	t.Cleanup(func() {
		m.conn.Close()
		<-heard
		for _, fd := range m.store {
			unix.Close(fd)
		}
	})
	return m
}

// hear notes what is said, by whom, and does what a service manager does about it.
func (m *manager) hear() {
	text, rights := make([]byte, 8192), make([]byte, 256)
	for {
		n, size, _, _, err := m.conn.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		said := message{text: string(text[:n])}
		var fds []int
		list, _ := unix.ParseSocketControlMessage(rights[:size])
		for i := range list {
			if cred, err := unix.ParseUnixCredentials(&list[i]); err == nil {
				said.pid = int(cred.Pid)
			} else if more, err := unix.ParseUnixRights(&list[i]); err == nil {
				fds = append(fds, more...)
			}
		}
		name := said.value("FDNAME")
		m.mu.Lock()
		m.heard = append(m.heard, said)
		if said.value("FDSTORE") == "1" && len(fds) == 1 {
			if old, ok := m.store[name]; ok {
				unix.Close(old)
			}
			m.store[name], fds = fds[0], nil
		}
		if fd, ok := m.store[name]; ok && said.value("FDSTOREREMOVE") == "1" {
			unix.Close(fd)
			delete(m.store, name)
		}
		m.mu.Unlock()
		for _, fd := range fds { // of a barrier
			unix.Close(fd)
		}
	}
}

// value is that of an assignment in a message, or "".
func (s message) value(name string) string {
	for line := range strings.Lines(s.text) {
		if v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"="); ok {
			return v
		}
	}
	return ""
}

// await waits for a message, after the first n, and returns it with how many there were until then, itself included.
func (m *manager) await(n int, what string, is func(message) bool) (message, int) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		m.mu.Lock()
		heard := m.heard
		m.mu.Unlock()
		for i := n; i < len(heard); i++ {
			if is(heard[i]) {
				return heard[i], i + 1
			}
		}
		if time.Now().After(end) {
			m.t.Fatalf("not heard: %s; but %+v", what, heard)
		}
	}
}

// says is a message with an assignment.
func says(name, value string) func(message) bool {
	return func(s message) bool { return s.value(name) == value }
}

// all is what has been heard so far.
func (m *manager) all() []message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard
}

// kept are copies of what is in the store, as a service gets them at its start.
func (m *manager) kept() (files []*os.File, names []string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, fd := range m.store {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		rig.Must(m.t, err)
		f := os.NewFile(uintptr(own), name)
		m.t.Cleanup(func() { f.Close() })
		files, names = append(files, f), append(names, name)
	}
	return files, names
}

// given has a process start with listening sockets, as a service manager does it.
func given(names []string) (wrap, env []string) {
	return []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`},
		[]string{"LISTEN_FDS=" + itoa(len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
}
