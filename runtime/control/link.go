package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a message. One that is larger is not sent, and ends the link where it is received.
const (
	MaxHead  = 4 << 20  // bytes of all but the body, as JSON: the configuration's text is the longest there can be
	MaxBody  = 64 << 20 // bytes of a body: the metrics of one child
	MaxFiles = 4        // that travel with one message
)

// Link is one end of the channel between the control process and a child. Send may be called from any goroutine, Receive from one.
type Link interface {
	// Send sends a message, and waits at most SendTime for the other end to take it. A link with an error of Send is at its end.
	Send(m *Message) error

	// Receive waits for a message. io.EOF: the other end has gone.
	Receive() (*Message, error)

	// Close ends both directions. A Receive that waits returns.
	Close() error
}

// socketLink is a Link over a stream socket. A message is a header of two lengths, to whose first byte its files are attached, then the
// head, then the body.
//
//	0        4        8
//	┌────────┬────────┬──────────────┬──────────────┐
//	│ head n │ body m │ n bytes JSON │ m bytes      │
//	└────────┴────────┴──────────────┴──────────────┘
type socketLink struct {
	conn    *net.UnixConn
	sending sync.Mutex
}

const headerBytes = 8

// NewLink makes a link of a connected stream socket, which it takes over.
func NewLink(f *os.File) (Link, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("it is not a unix socket")
	}
	return &socketLink{conn: u}, nil
}

// SocketPair makes the two ends of a link: one as a Link, one as the file that a child inherits.
func SocketPair() (Link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "control")
	l, err := NewLink(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return l, theirs, nil
}

func (l *socketLink) Send(m *Message) error {
	head, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(head) > MaxHead || len(m.Body) > MaxBody || len(m.Files) > MaxFiles {
		return fmt.Errorf("a message %q of %d and %d bytes with %d files is too large", m.Kind, len(head), len(m.Body), len(m.Files))
	}
	start := make([]byte, headerBytes, headerBytes+len(head))
	binary.LittleEndian.PutUint32(start, uint32(len(head)))
	binary.LittleEndian.PutUint32(start[4:], uint32(len(m.Body)))
	var rights []byte
	if len(m.Files) > 0 {
		if rights, err = rightsTo(m.Files); err != nil {
			return err
		}
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(SendTime)); err != nil {
		return err
	}
	if n, _, err := l.conn.WriteMsgUnix(start, rights, nil); err != nil || n < len(start) {
		return errors.Join(err, errShort(n < len(start)))
	}
	if _, err := l.conn.Write(head); err != nil || len(m.Body) == 0 {
		return err // a write of nothing would fail where the other end has done what it read, and has gone
	}
	_, err = l.conn.Write(m.Body)
	return err
}

// rightsTo is what hands files over. File.Fd would change how they block.
func rightsTo(files []*os.File) ([]byte, error) {
	var fds []int
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return nil, err
		}
	}
	return unix.UnixRights(fds...), nil
}

func errShort(short bool) error {
	if short {
		return io.ErrShortWrite
	}
	return nil
}

func (l *socketLink) Receive() (*Message, error) {
	var start [headerBytes]byte
	rights := make([]byte, unix.CmsgSpace(4*MaxFiles))
	n, size, flags, _, err := l.conn.ReadMsgUnix(start[:], rights)
	files, wrong := received(rights[:size])
	m, err := l.rest(start, n, errors.Join(err, wrong, errCut(flags&unix.MSG_CTRUNC != 0)))
	if err != nil {
		closeAll(files)
		return nil, err
	}
	m.Files = files
	return m, nil
}

func errCut(cut bool) error {
	if cut {
		return errors.New("a message has more files than there may be")
	}
	return nil
}

// rest reads what follows the n bytes of the header that came with the files.
func (l *socketLink) rest(start [headerBytes]byte, n int, err error) (*Message, error) {
	switch {
	case errors.Is(err, io.EOF) || err == nil && n == 0 || errors.Is(err, syscall.ECONNRESET):
		return nil, io.EOF
	case err != nil:
		return nil, err
	}
	if _, err := io.ReadFull(l.conn, start[n:]); err != nil {
		return nil, err
	}
	heads, bodies := binary.LittleEndian.Uint32(start[:]), binary.LittleEndian.Uint32(start[4:])
	if heads > MaxHead || bodies > MaxBody {
		return nil, fmt.Errorf("a message of %d and %d bytes is too large", heads, bodies)
	}
	head := make([]byte, heads)
	if _, err := io.ReadFull(l.conn, head); err != nil {
		return nil, err
	}
	m := new(Message)
	if err := json.Unmarshal(head, m); err != nil {
		return nil, err
	}
	m.Body = make([]byte, bodies)
	_, err = io.ReadFull(l.conn, m.Body)
	return m, err
}

// received are the files that came with a message.
func received(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, c := range messages {
		fds, wrong := unix.ParseUnixRights(&c)
		err = errors.Join(err, wrong)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (l *socketLink) Close() error { return l.conn.Close() }
